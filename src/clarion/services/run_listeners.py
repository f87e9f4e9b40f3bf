"""Tells runs that wait what becomes of messages and users: as a sink of their tenant's own, with events that only waits hear of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from clarion.errors import ClarionError
from clarion.flow.setup_view import SetupView
from clarion.model.ids import TenantId
from clarion.model.setup import Workflow
from clarion.model.sink import Sink
from clarion.model.submission import Acceptance, Submission
from clarion.ports.sink import OutEvent
from clarion.rules import out_events

RUNS = "~runs"
"""The key and the kind of such a sink. Nothing that a tenant sets up can be called so."""
KEPT_MS = 3_600_000
"""What happened longer ago is not told: nobody listened when it did."""
SOURCE = "clarion"
USER_ID = "user_id"

Submit = Callable[[TenantId, Sequence[Submission]], Awaitable[Sequence[Acceptance | ClarionError]]]

_decode = msgspec.json.Decoder().decode


class EverySink:
    """The sinks of tenants, those that their workflows need among them."""

    def __init__(self, setup: SetupView) -> None:
        self._setup = setup
        self._ours: dict[TenantId, tuple[Mapping[str, Workflow], Sink | None]] = {}

    def all(self, tenant: TenantId) -> Mapping[str, Sink]:
        """By key."""
        ours = self._of_workflows(tenant)
        theirs = self._setup.sinks.all(tenant)
        return theirs if ours is None else {**theirs, RUNS: ours}

    def _of_workflows(self, tenant: TenantId) -> Sink | None:
        """None: no workflow listens for what becomes of messages and users."""
        workflows = self._setup.workflows.all(tenant)
        known = self._ours.get(tenant)
        if known is None or known[0] is not workflows:
            types = out_events.awaited(workflows.values())
            sink = Sink(key=RUNS, kind=RUNS, types=types, paused=False) if types else None
            if known is not None and known[1] == sink:
                sink = known[1]  # Whoever follows it goes on.
            known = self._ours[tenant] = workflows, sink
        return known[1]


class RunListeners:
    """Implements `ports.sink.EventWriter`."""

    def __init__(self, tenant: TenantId, submit: Submit) -> None:
        self._tenant = tenant
        self._submit = submit

    async def write(self, events: Sequence[OutEvent]) -> Sequence[str | None]:
        """Events of the users they are about; one that is written again is the same."""
        asked = [
            Submission(
                source=SOURCE,
                type=one.type,
                subject=str(_decode(one.data)[USER_ID] or ""),
                event_key=one.id,
                data=msgspec.Raw(one.data),
            )
            for one in events
        ]
        answers = await self._submit(self._tenant, asked)
        for answer in answers:
            if isinstance(answer, ClarionError) and answer.status >= 500:
                raise answer
        return [answer.detail if isinstance(answer, ClarionError) else None for answer in answers]

    async def ping(self) -> None:
        """It is here."""

    async def close(self) -> None:
        """Nothing is open."""
