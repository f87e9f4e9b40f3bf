"""Groups of users that events go to: topics, segments and objects, page by page, as of every write that was answered before."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextvars import Context

import structlog
from msgspec.structs import replace

from clarion.flow.ledger import Ledger
from clarion.model.audience import CheckedSegment, Segment
from clarion.model.event import Event, Group
from clarion.model.ids import NO_USER, TenantId, UserNo
from clarion.model.recipient_object import OnDuty, is_object_key, object_name
from clarion.model.rota import Duty, Rota
from clarion.model.setup import Tenant
from clarion.ports.clock import Clock
from clarion.rules.audience import condition
from clarion.rules.expressions import ExpressionError
from clarion.rules.rotas import on_duty
from clarion.rules.topics import lineage

log = structlog.get_logger(__name__)

UPDATED_AT_ONCE = 1_000
"""Users whose segments are brought up to date in one transaction."""
COUNTED_AT_ONCE = 10_000
MOST_UPDATES = 20
"""Transactions that somebody who reads members waits for; what is changed in bulk meanwhile follows."""


class Groups:
    """There is one per process."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._checked: dict[TenantId, tuple[Tenant, Mapping[str, Segment], Mapping[str, CheckedSegment]]] = {}

    def segments(self, tenant: TenantId) -> Mapping[str, CheckedSegment]:
        """Those of a tenant whose condition it can answer, by key."""
        of, stored = self._ledger.setup.tenants.all()[tenant], self._ledger.setup.segments.all(tenant)
        known = self._checked.get(tenant)
        if known is not None and known[0] is of and known[1] is stored:
            return known[2]
        checked = {}
        for key, segment in stored.items():
            try:
                checked[key] = CheckedSegment(key=key, where=condition(segment.where, of))
            except ExpressionError as wrong:
                log.warning("segment_not_answered", tenant=tenant, segment=key, error=str(wrong))
        self._checked[tenant] = of, stored, checked
        return checked

    async def update(self, tenant: TenantId) -> int:
        """Bring some of the users who were changed up to date in all segments; how many there were."""
        segments = list(self.segments(tenant).values())
        return await self._ledger.segments.update(tenant, segments, self._clock.now(), UPDATED_AT_ONCE)

    async def catch_up(self, tenant: TenantId) -> None:
        """When this returns, segments know of every user who was changed before, unless there are very many."""
        for _ in range(MOST_UPDATES):
            # In a context of its own: on what terms a request came does not matter to what was written before it.
            if await asyncio.create_task(self.update(tenant), context=Context()) < UPDATED_AT_ONCE:
                return

    async def page(
        self, tenant: TenantId, group: Group, after: UserNo, limit: int
    ) -> Sequence[UserNo] | None:
        """The members of a group behind this one, in order of number. None: they are not known yet, ask again later."""
        if is_object_key(group.topic):
            return await self._of_object(tenant, group.topic, after, limit)
        if group.topic:
            return await self._subscribers(tenant, group.topic, after, limit)
        if after == NO_USER:
            segment = self.segments(tenant).get(group.segment)
            if segment is None:
                return ()
            state = (await self._ledger.segments.states(tenant)).get(group.segment)
            if state is None or state.running or state.definition != segment.definition:
                return None
            await self.catch_up(tenant)
        return await self._ledger.segments.members(tenant, group.segment, after, limit)

    async def subscribers(self, tenant: TenantId, topic: str) -> int | None:
        """How many get what goes to a topic, or to an object; None: it is gone."""
        keys = [*lineage(topic)]
        found = [await self._ledger.directory.topic(tenant, key) for key in keys]
        if found[0] is None:
            return None
        peopled = [one for one in found if one is not None and one.members]
        if len(peopled) < 2 and not is_object_key(topic):
            return sum(one.members for one in peopled)
        number, after = 0, NO_USER
        while page := await self.page(tenant, Group(topic=topic), after, COUNTED_AT_ONCE):
            number, after = number + len(page), page[-1]
        return number

    async def on_duty(self, tenant: TenantId, topics: Iterable[str]) -> Mapping[UserNo, OnDuty]:
        """Whom the rotas of objects, which are among these topics, choose now."""
        keys = [key for key in topics if is_object_key(key)]
        found = await self._ledger.users.find(tenant, keys) if keys else {}
        chosen = {}
        for key, user in found.items():
            if user.profile.rota is not None and (duty := await self.duty(user.profile.rota)) is not None:
                name = object_name(key)
                chosen[duty.user] = OnDuty(object=name, until=duty.until, override=duty.override)
        return chosen

    async def duty(self, rota: Rota) -> Duty | None:
        """Who of a rota is on duty now; who was deleted has no turn."""
        return on_duty(rota, self._clock.now(), await self._ledger.users.get(list(rota.users())))

    async def _of_object(self, tenant: TenantId, key: str, after: UserNo, limit: int) -> Sequence[UserNo]:
        """Its members, or who is on duty by its rota; and the object itself when it has channels of its own."""
        itself = (await self._ledger.users.find(tenant, [key])).get(key)
        rota = None if itself is None else itself.profile.rota
        if rota is None:
            found = {*await self._ledger.topics.members(tenant, key, after, limit)}
        else:
            duty = await self.duty(rota)
            found = set() if duty is None else {duty.user}
        if itself is not None and itself.profile.contacts:
            found.add(itself.no)
        return sorted(no for no in found if no > after)[:limit]

    async def _subscribers(self, tenant: TenantId, topic: str, after: UserNo, limit: int) -> Sequence[UserNo]:
        """Those of the topic and of all above it, each once."""
        pages = [await self._ledger.topics.members(tenant, key, after, limit) for key in lineage(topic)]
        return pages[0] if len(pages) == 1 else sorted({no for page in pages for no in page})[:limit]


def for_member(event: Event, no: UserNo, duties: Mapping[UserNo, OnDuty]) -> Event:
    """The event as it is for one of those it reaches: it says so when that is who is on duty."""
    return replace(event, on_duty=duties[no]) if no in duties else event
