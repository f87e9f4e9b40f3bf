"""What calls say about the endpoints they went to."""

from __future__ import annotations

from collections.abc import Iterable

from clarion.model.endpoint import Delivery
from clarion.model.ids import Instant, TenantId

Place = tuple[TenantId, bytes]
"""An endpoint of a tenant."""


def health(calls: Iterable[Delivery]) -> tuple[set[Place], dict[Place, Instant]]:
    """Which endpoints accepted a call, and which have failed behind that, each since its first failure. Those that failed
    already are failing since before."""
    well: set[Place] = set()
    failing: dict[Place, Instant] = {}
    for call in calls:
        place = call.tenant, call.endpoint
        if call.ok:
            well.add(place)
            failing.pop(place, None)
        else:
            failing.setdefault(place, call.at)
    return well, failing
