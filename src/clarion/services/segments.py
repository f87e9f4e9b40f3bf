"""Segments: their conditions, and the loop that keeps their members and what users have open up to date."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from contextvars import Context

import msgspec
import structlog

from clarion.errors import Busy, InvalidInput, Unavailable
from clarion.flow.groups import UPDATED_AT_ONCE, Groups
from clarion.flow.ledger import Ledger
from clarion.flow.priority import PriorityGate
from clarion.model.audience import OPEN_ATTRIBUTES, Condition, Refresh, Segment
from clarion.model.channel import Lane
from clarion.model.ids import TenantId, UserNo
from clarion.model.setup import Tenant
from clarion.model.user import User
from clarion.ports import terms
from clarion.ports.clock import Clock
from clarion.rules.audience import condition
from clarion.rules.expressions import ExpressionError
from clarion.services.setup import SetupService

log = structlog.get_logger(__name__)

SLICE = 2_000
"""Users gone through in one transaction."""
AT_ONCE = 5
"""Slices gone through before a change of a segment is answered: a small tenant need not wait for the loop."""
REST_S = 0.5
"""How long after a change of a user the loop looks again."""


class SegmentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a segment is doing."""

    members: int
    refresh: Refresh | None
    """None: nobody was gone through yet."""


class SegmentService:
    """There is one per process; one process at a time runs the loop."""

    def __init__(
        self, ledger: Ledger, groups: Groups, setup: SetupService, priority: PriorityGate, clock: Clock
    ) -> None:
        self._ledger = ledger
        self._groups = groups
        self._setup = setup
        self._priority = priority
        self._clock = clock
        self._asked = asyncio.Event()
        self._open: dict[TenantId, Tenant] = {}
        """The tenants whose users have open what they say."""
        self._without: set[TenantId] = set()
        """Tenants that have no segments, and nothing is left of those they had."""
        self.refreshed = 0
        """Users gone through for a segment, or to open attributes."""
        self.updated = 0
        """Users brought up to date after a change."""

    def over(self, ledger: Ledger, setup: SetupService) -> SegmentService:
        """The same over another ledger, for dry runs."""
        return SegmentService(ledger, self._groups, setup, self._priority, self._clock)

    async def put(self, tenant: TenantId, segment: Segment, before: Segment | None) -> Segment:
        """Create or replace. `before`: what it was made from; Conflict when something else is live by now."""
        stored = await self._setup.put(tenant, segment, before)
        if not terms.dry_running():
            await self.changed(tenant, segment.key)
        return stored

    async def changed(self, tenant: TenantId, key: str) -> None:
        """Bring the members of a segment up to date that is another now: of a small tenant at once."""
        # In a context of its own: the terms of the request are those of the segment, not of its members.
        await asyncio.create_task(self._refresh(tenant, key, AT_ONCE), context=Context())
        self._asked.set()

    async def delete(self, tenant: TenantId, key: str) -> None:
        """With its members. Raises NotFound."""
        await self._setup.delete(tenant, Segment, key)
        if not terms.dry_running():
            await self._ledger.segments.drop(tenant, key)
            self._asked.set()

    async def statuses(self, tenant: TenantId, keys: Sequence[str]) -> Mapping[str, SegmentStatus]:
        """How many members each has, and how far it is."""
        await self._groups.catch_up(tenant)
        states = await self._ledger.segments.states(tenant)
        counts = await self._ledger.segments.counts(tenant, keys)
        return {key: SegmentStatus(members=counts.get(key, 0), refresh=states.get(key)) for key in keys}

    async def members(self, tenant: TenantId, key: str, after: UserNo, limit: int) -> Sequence[UserNo]:
        """In order of number."""
        await self._groups.catch_up(tenant)
        return await self._ledger.segments.members(tenant, key, after, limit)

    async def search(
        self, tenant: TenantId, where: Condition, before: UserNo | None, limit: int
    ) -> Sequence[User]:
        """Whom a condition chooses, newest first, those with a lower number."""
        numbers = await self._ledger.audiences.search(tenant, where, self._clock.now(), before, limit)
        users = await self._ledger.users.get(numbers)
        return [users[no] for no in numbers if no in users]

    async def count(self, tenant: TenantId, where: Condition) -> int:
        """How many users a condition chooses."""
        return await self._ledger.audiences.count(tenant, where, self._clock.now())

    async def opening(self, tenant: TenantId) -> Refresh | None:
        """How far users were gone through to open and close attributes. None: nothing was ever open."""
        return (await self._ledger.segments.states(tenant)).get(OPEN_ATTRIBUTES)

    def require_answered(self, tenant: Tenant) -> None:
        """Raises InvalidInput when a segment of a tenant asks for what would not be searchable any more."""
        for key, segment in sorted(self._ledger.setup.segments.all(tenant.id).items()):
            try:
                condition(segment.where, tenant)
            except ExpressionError as wrong:
                raise InvalidInput(
                    f"the segment {key!r} asks for it: {wrong}. Change or delete the segment first.",
                    pointer="#/attributes",
                ) from None

    async def run(self) -> None:
        """Keep everything up to date, until cancelled."""
        while True:
            self._asked.clear()
            try:
                busy = await self.round()
            except (Busy, Unavailable):
                log.warning("segments_wait")
                busy = False
            if not busy:
                with contextlib.suppress(TimeoutError):
                    async with self._clock.timeout(REST_S):
                        await self._asked.wait()

    async def round(self) -> bool:
        """A slice of everything that is to be done for every tenant; whether anything is left."""
        busy = False
        for tenant, of in list(self._ledger.setup.tenants.all().items()):
            if self._open.get(tenant) is not of:
                busy |= await self._reopen(tenant, of)
            if self._ledger.setup.segments.all(tenant) or tenant not in self._without:
                busy |= await self._keep_up(tenant)
        return busy

    async def _reopen(self, tenant: TenantId, of: Tenant) -> bool:
        before = await self.opening(tenant)
        state = await self._ledger.audiences.reopen(tenant, self._clock.now(), SLICE)
        self._count(before, state)
        if not state.running:
            self._open[tenant] = of
        await self._priority.turn(Lane.BULK)
        return state.running

    async def _keep_up(self, tenant: TenantId) -> bool:
        states = await self._ledger.segments.states(tenant)
        stored = self._ledger.setup.segments.all(tenant)
        for key in states.keys() - stored.keys() - {OPEN_ATTRIBUTES}:
            await self._ledger.segments.drop(tenant, key)
        busy = False
        for key in stored:
            busy |= await self._refresh(tenant, key, 1, states.get(key))
        updated = await self._groups.update(tenant)
        self.updated += updated
        if updated:
            await self._priority.turn(Lane.BULK)
        if stored:
            self._without.discard(tenant)
        else:
            self._without.add(tenant)
        return busy or updated >= UPDATED_AT_ONCE

    async def _refresh(self, tenant: TenantId, key: str, slices: int, before: Refresh | None = None) -> bool:
        """Go through some users for a segment; whether any are left."""
        segment = self._groups.segments(tenant).get(key)
        if segment is None or (
            before is not None and not before.running and before.definition == segment.definition
        ):
            return False
        for _ in range(slices):
            state = await self._ledger.segments.refresh(tenant, segment, self._clock.now(), SLICE)
            self._count(before, state)
            before = state
            await self._priority.turn(Lane.BULK)
            if not state.running:
                return False
        return True

    def _count(self, before: Refresh | None, after: Refresh) -> None:
        same = before is not None and before.running and before.definition == after.definition
        self.refreshed += after.done - (before.done if same and before is not None else 0)
