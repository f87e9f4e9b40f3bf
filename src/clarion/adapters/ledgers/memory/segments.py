"""Users chosen by conditions, and the members of segments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clarion.adapters.ledgers.documents import SEGMENTS
from clarion.adapters.ledgers.memory.journal import record
from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.adapters.ledgers.refresh_rows import RefreshRow, continued
from clarion.model.audience import OPEN_ATTRIBUTES, CheckedSegment, Condition, Refresh, UserField
from clarion.model.ids import Instant, TenantId, UserNo
from clarion.model.setup import Tenant
from clarion.model.user import RESERVED, User
from clarion.model.user_change import UserChangeKind, moved
from clarion.rules.exact import chooses, next_look, open_definition, open_values

NOBODY: frozenset[UserNo] = frozenset()


class MemoryAudiences:
    """Implements `ports.ledger.Audiences`."""

    def __init__(self, tables: Tables, transactions: Transactions) -> None:
        self._tables = tables
        self._transactions = transactions

    async def search(
        self, tenant: TenantId, where: Condition, now: Instant, before: UserNo | None, limit: int
    ) -> Sequence[UserNo]:
        found = [no for no in self._chosen(tenant, where, now) if before is None or no < before]
        return sorted(found, reverse=True)[:limit]

    async def count(self, tenant: TenantId, where: Condition, now: Instant) -> int:
        return len(self._chosen(tenant, where, now))

    async def reopen(self, tenant: TenantId, now: Instant, limit: int) -> Refresh:
        def reopen() -> Refresh:
            of = _tenant(self._tables, tenant)
            definition = "" if of is None else open_definition(of)
            state, people = _next(self._tables, tenant, OPEN_ATTRIBUTES, definition, limit)
            before = {no: self._tables.open_attributes.get(no) for no in people}
            for no in people:
                reopen_user(self._tables, self._tables.users[no])
            different = [no for no in people if self._tables.open_attributes.get(no) != before[no]]
            changed(self._tables, tenant, different)
            return _went(self._tables, tenant, OPEN_ATTRIBUTES, state, people, limit, now)

        return await self._transactions.write(reopen)

    def _chosen(self, tenant: TenantId, where: Condition, now: Instant) -> list[UserNo]:
        return [
            no
            for no, user in self._tables.users.items()
            if user.tenant == tenant and _chooses(self._tables, user, where, now)
        ]


class MemorySegmentMembers:
    """Implements `ports.ledger.SegmentMembers`."""

    def __init__(self, tables: Tables, transactions: Transactions) -> None:
        self._tables = tables
        self._transactions = transactions

    async def states(self, tenant: TenantId) -> Mapping[str, Refresh]:
        return {key: state.refresh for (of, key), state in self._tables.refreshes.items() if of == tenant}

    async def members(self, tenant: TenantId, key: str, after: UserNo, limit: int) -> Sequence[UserNo]:
        members = self._tables.segment_members.get((tenant, key), NOBODY)
        return sorted(no for no in members if no > after)[:limit]

    async def counts(self, tenant: TenantId, keys: Sequence[str]) -> Mapping[str, int]:
        found = {key: len(self._tables.segment_members.get((tenant, key), NOBODY)) for key in keys}
        return {key: count for key, count in found.items() if count}

    async def refresh(self, tenant: TenantId, segment: CheckedSegment, now: Instant, limit: int) -> Refresh:
        def refresh() -> Refresh:
            state, people = _next(self._tables, tenant, segment.key, segment.definition, limit)
            self._sort(tenant, segment, people, now)
            return _went(self._tables, tenant, segment.key, state, people, limit, now)

        return await self._transactions.write(refresh)

    async def update(
        self, tenant: TenantId, segments: Sequence[CheckedSegment], now: Instant, limit: int
    ) -> int:
        def update() -> int:
            tables = self._tables
            changes = [(seq, no) for seq, (of, no) in sorted(tables.segment_changes.items()) if of == tenant]
            changes = changes[:limit]
            due = sorted(
                (at, no) for no, (of, at) in tables.segment_looks.items() if of == tenant and at <= now
            )
            looks = [no for _, no in due[: limit - len(changes)]]
            people = sorted({*(no for _, no in changes), *looks})
            for seq, _ in changes:
                del tables.segment_changes[seq]
            for no in people:
                tables.segment_looks.pop(no, None)
            for segment in segments:
                record(tables, moved(tenant, segment.key, self._sort(tenant, segment, people, now), now))
            return len(changes) + len(looks)

        return await self._transactions.write(update)

    async def drop(self, tenant: TenantId, key: str) -> None:
        def drop() -> None:
            self._tables.segment_members.pop((tenant, key), None)
            self._tables.refreshes.pop((tenant, key), None)

        await self._transactions.write(drop)

    def _sort(
        self, tenant: TenantId, segment: CheckedSegment, people: Sequence[UserNo], now: Instant
    ) -> Mapping[UserChangeKind, Sequence[UserNo]]:
        """Who of these enters and who leaves a segment."""
        tables, place = self._tables, (tenant, segment.key)
        members = tables.segment_members.get(place, NOBODY)
        users = [
            user for no in people if (user := tables.users.get(no)) is not None and user.tenant == tenant
        ]
        chosen = {user.no for user in users if _chooses(tables, user, segment.where, now)}
        tables.segment_members[place] = (members - set(people)) | chosen
        for user in users:
            at = None if user.id.startswith(RESERVED) else next_look(segment.where, facts(tables, user), now)
            if at is not None:
                _, known = tables.segment_looks.get(user.no, (tenant, at))
                tables.segment_looks[user.no] = tenant, min(at, known)
        return {
            UserChangeKind.ENTERED: sorted(chosen - members),
            UserChangeKind.LEFT: sorted((members & set(people)) - chosen),
        }


# Inside a transaction:


def reopen_user(tables: Tables, user: User) -> None:
    """Store what of a user is open now."""
    of = _tenant(tables, user.tenant)
    if of is not None and not user.unreadable:
        tables.open_attributes[user.no] = open_values(of, user.profile)


def changed(tables: Tables, tenant: TenantId, users: Iterable[UserNo]) -> None:
    """These users may belong to other segments now."""
    if tables.documents.get((SEGMENTS, tenant)):
        for no in users:
            tables.segment_changes[tables.next("segment_changes")] = tenant, no


def facts(tables: Tables, user: User) -> Mapping[str, Any]:
    """What conditions can ask for."""
    found: dict[str, Any] = {
        **tables.open_attributes.get(user.no, {}),
        UserField.ID.value: user.id,
        UserField.CHANNELS.value: {channel.value for channel, _ in user.profile.addresses()},
        UserField.TOPICS.value: {
            key
            for (of, key), members in tables.subscriptions.items()
            if of == user.tenant and user.no in members
        },
        UserField.CREATED_AT.value: user.created_at,
    }
    seen = [device.seen_at for device in tables.devices.values() if device.user == user.no]
    return {**found, UserField.LAST_SEEN_AT.value: max(seen)} if seen else found


def _chooses(tables: Tables, user: User, where: Condition, now: Instant) -> bool:
    return not user.id.startswith(RESERVED) and chooses(where, facts(tables, user), now)


def _tenant(tables: Tables, tenant: TenantId) -> Tenant | None:
    return next((of.get(tenant) for of in tables.tenants.values()), None)


def _next(
    tables: Tables, tenant: TenantId, key: str, definition: str, limit: int
) -> tuple[RefreshRow, list[UserNo]]:
    everybody = sorted(no for no, user in tables.users.items() if user.tenant == tenant)
    state = continued(tables.refreshes.get((tenant, key)), definition, lambda: len(everybody))
    after = state.position
    return state, [] if after is None else [no for no in everybody if no > after][:limit]


def _went(
    tables: Tables,
    tenant: TenantId,
    key: str,
    state: RefreshRow,
    people: Sequence[UserNo],
    limit: int,
    now: Instant,
) -> Refresh:
    after = state.behind(people, limit, now)
    if after != state or after.position is not None:
        tables.refreshes[tenant, key] = after
    return after.refresh
