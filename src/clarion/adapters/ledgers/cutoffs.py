"""What is old, and where a walk through old rows goes on."""

from __future__ import annotations

from collections.abc import Mapping

from clarion.model.ids import Instant, TenantId, first_id_at

DAY_MS = 86_400_000

Cutoffs = Mapping[TenantId, Instant]
"""What is older than this is not kept, by tenant. Who is not named keeps everything."""


def bound(cutoffs: Cutoffs, tenant: TenantId) -> bytes:
    """Ids below this are old for the tenant."""
    return first_id_at(cutoffs.get(tenant, Instant(0)))


def highest_bound(cutoffs: Cutoffs) -> bytes:
    """No row with a higher id is old for anybody."""
    return first_id_at(Instant(max(cutoffs.values())))


def day_of(message_id: bytes) -> int:
    """The day since 1970 on which the event of a message came in."""
    return int.from_bytes(message_id[:6], "big") // DAY_MS


def place_of(number: int) -> bytes:
    """A number as the place of a walk."""
    return number.to_bytes(8, "big")


def number_of(place: bytes) -> int:
    """What was made a place; 0 for the beginning."""
    return int.from_bytes(place, "big")


def onward(part: int, following: bytes | None, parts: int) -> bytes | None:
    """Where a walk through so many parts goes on: in this part, in the next one, or nowhere."""
    if following is not None:
        return bytes([part]) + following
    return bytes([part + 1]) if part + 1 < parts else None
