"""Deletes rows whose retention period has ended, oldest first, a slice at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from clarion.adapters.ledgers.cutoffs import (
    DAY_MS,
    Cutoffs,
    bound,
    day_of,
    highest_bound,
    number_of,
    onward,
    place_of,
)
from clarion.adapters.ledgers.postgresql import cursors, journal_partitions
from clarion.adapters.ledgers.postgresql import retention_statements as sql
from clarion.adapters.ledgers.postgresql.database import Connection, Database
from clarion.adapters.ledgers.postgresql.devices import PostgresDevices
from clarion.adapters.ledgers.postgresql.inboxes import PostgresInboxes
from clarion.adapters.ledgers.postgresql.message_kinds import PostgresMessageKinds
from clarion.model.channel import LANES, Channel, Lane
from clarion.model.ids import Instant, MessageId, TenantId, UserNo, children_range, first_id_at
from clarion.model.inbox import InboxItem
from clarion.model.retention import MessageTotal, RetentionKind, Swept
from clarion.model.status import Reason, Status

SLICE = 500
"""Rows of one transaction."""
TOGETHER = 7
"""Days whose messages are counted by one statement."""

_STATUS = tuple(Status)

OPERATION_ENDS = "CASE WHEN file_until IS NULL THEN finished_at END"
"""One that has a file goes behind it."""


class _Found(NamedTuple):
    """What one search found: whose rows are old, how they go, and where to go on."""

    expired: Mapping[TenantId, int]
    delete: Callable[[Connection], Awaitable[object]]
    following: bytes | None


Search = Callable[[Connection, Cutoffs, bytes], Awaitable[_Found]]


class PostgresRetention:
    """Implements `ports.ledger.Retention`. Each kind has parts, walked one after the other: a place is the number of
    the part and a key in its table."""

    def __init__(
        self,
        database: Database,
        kinds: PostgresMessageKinds,
        inboxes: PostgresInboxes,
        devices: PostgresDevices,
    ) -> None:
        self._database = database
        self._kinds = kinds
        self._inboxes = inboxes
        self._devices = devices
        self._parts: Mapping[RetentionKind, Sequence[Search]] = {
            RetentionKind.EVENTS: [partial(_events, lane) for lane in LANES],
            RetentionKind.MESSAGES: [
                self._messages,
                _runs,
                _digests,
                _planned,
                _journal,
                partial(_pointers, "collapses"),
                partial(_pointers, "threads"),
            ],
            RetentionKind.INBOX: [self._items],
            RetentionKind.DEVICES: [self._old_devices],
            RetentionKind.VERIFICATIONS: [partial(_by_id, "verifications", "expires_at"), _number_ranges],
            RetentionKind.OPERATIONS: [_operation_errors, partial(_by_id, "operations", OPERATION_ENDS)],
            **{kind: [partial(_by_time, table)] for kind, table in sql.BY_TIME.items()},
        }

    async def sweep(self, kind: RetentionKind, cutoffs: Cutoffs, after: bytes | None, *, dry: bool) -> Swept:
        if not cutoffs:
            return Swept()
        part, place = (after[0], after[1:]) if after else (0, b"")
        search = self._parts[kind][part]

        async def sweep(connection: Connection) -> _Found:
            found = await search(connection, cutoffs, place)
            await found.delete(connection)
            return found

        if dry:
            found = await self._database.read(lambda connection: search(connection, cutoffs, place))
        else:
            found = await self._database.write(sweep)
        following = onward(part, found.following, len(self._parts[kind]))
        return Swept(expired=found.expired, following=following)

    async def totals(self, tenant: TenantId, since: int, until: int) -> Sequence[MessageTotal]:
        found: list[MessageTotal] = []
        for first in range(max(0, since), until, TOGETHER):
            days = range(first, min(until, first + TOGETHER))
            lowest, highest = (
                [first_id_at(Instant(day * DAY_MS)) for day in its] for its in (days, [d + 1 for d in days])
            )
            rows = await self._database.lists.rows(sql.TOTALS, tenant, [*days], lowest, highest)
            found += [
                MessageTotal(
                    tenant=tenant,
                    day=day,
                    workflow=workflow,
                    channel=Channel(channel),
                    status=_STATUS[status],
                    reason=Reason(reason) if reason else None,
                    count=count,
                )
                for day, workflow, channel, status, reason, count in rows
            ]
        return found

    # -- what goes ------------------------------------------------------------------------------------------------

    async def _messages(self, connection: Connection, cutoffs: Cutoffs, place: bytes) -> _Found:
        """Those that are over. What became of them is counted."""
        found = await connection.fetch(sql.MESSAGES_OLD, place, highest_bound(cutoffs), SLICE)
        old = [
            (one, tenant) for one, tenant, is_no_item in found if is_no_item and one < bound(cutoffs, tenant)
        ]
        expired = Counter(TenantId(tenant) for _, tenant in old)
        ids = [one for one, _ in old]
        return _Found(expired, lambda connection: self._drop(connection, ids), _following(found))

    async def _drop(self, connection: Connection, old: Sequence[bytes]) -> None:
        """Those of them that nobody has sent again meanwhile."""
        gone = await connection.fetch(sql.MESSAGES_DROP, old)
        if not gone:
            return
        ids = [row["id"] for row in gone]
        await connection.execute(sql.CHARGES_DROP, ids)
        await connection.execute(sql.USER_MESSAGES_DROP, [row["user"] for row in gone], ids)
        await self._kinds.load(connection, {row["route"] for row in gone})
        totals: Counter[tuple[Any, ...]] = Counter()
        for row in gone:
            kind = self._kinds[row["route"]]
            totals[
                kind.tenant,
                day_of(row["id"]),
                kind.workflow,
                kind.channel.value,
                row["status"],
                row["reason"] or "",
            ] += 1
        rows = [(*total, count) for total, count in sorted(totals.items())]
        await connection.execute(sql.TOTALS_ADD, *zip(*rows, strict=True))

    async def _items(self, connection: Connection, cutoffs: Cutoffs, place: bytes) -> _Found:
        """Items of inboxes; their messages stay for as long as messages are kept."""
        found = await connection.fetch(sql.ITEMS_OLD, place, highest_bound(cutoffs), SLICE)
        items = [
            InboxItem(
                tenant=row["tenant"],
                user=UserNo(row["user"]),
                message_id=MessageId(row["id"]),
                at=Instant(0),
                offset=row["offset"],
                seen_at=row["seen_at"],
                read_at=row["read_at"],
                archived_at=row["archived_at"],
                sealed=b"",
            )
            for row in found
            if row["at"] is not None and row["id"] < bound(cutoffs, row["tenant"])
        ]
        expired = Counter(item.tenant for item in items)

        async def delete(connection: Connection) -> None:
            if items:
                await self._inboxes.drop(connection, items)

        return _Found(expired, delete, _following(found))

    async def _old_devices(self, connection: Connection, cutoffs: Cutoffs, place: bytes) -> _Found:
        """Those that were not registered for long."""
        asked = (number_of(place[:8]), number_of(place[8:]), max(cutoffs.values()), SLICE)
        found = await connection.fetch(sql.DEVICES_OLD, *asked)
        old: dict[TenantId, dict[UserNo, list[str]]] = {}
        expired: Counter[TenantId] = Counter()
        for seen_at, _, tenant, user, device_id in found:
            if seen_at < cutoffs.get(tenant, 0):
                old.setdefault(tenant, {}).setdefault(user, []).append(device_id)
                expired[tenant] += 1

        async def delete(connection: Connection) -> None:
            for tenant, of in old.items():
                await self._devices.drop(connection, tenant, of)

        following = place_of(found[-1][0]) + place_of(found[-1][1]) if len(found) == SLICE else None
        return _Found(expired, delete, following)


async def _events(lane: Lane, connection: Connection, cutoffs: Cutoffs, place: bytes) -> _Found:
    """What was planned from a lane, unless a message still needs it or a person has to look at it."""
    planned = await cursors.position(connection, await cursors.read(connection, lane))
    found = await connection.fetch(sql.EVENTS_OLD[lane], number_of(place), planned, SLICE)
    old = [row for row in found if row["event_id"] < bound(cutoffs, row["tenant"])]
    ranges = [children_range(row["event_id"]) for row in old]
    needed = {
        seq
        for (seq,) in await connection.fetch(
            sql.EVENTS_NEEDED,
            [row["seq"] for row in old],
            [row["event_id"] for row in old],
            [row["workflow"] for row in old],
            [row["tenant"] for row in old],
            [lowest for lowest, _ in ranges],
            [highest for _, highest in ranges],
        )
    }
    going = [row for row in old if row["seq"] not in needed]
    is_last = len(found) < SLICE or found[-1]["event_id"] >= highest_bound(cutoffs)

    async def delete(connection: Connection) -> None:
        await connection.execute(sql.EVENTS_DROP[lane], [row["seq"] for row in going])
        await connection.execute(sql.CANCELED_DROP, [row["event_id"] for row in going])

    expired = Counter(TenantId(row["tenant"]) for row in going)
    return _Found(expired, delete, None if is_last else place_of(found[-1]["seq"]))


async def _runs(connection: Connection, cutoffs: Cutoffs, place: bytes) -> _Found:
    """Runs that are over."""
    found = await connection.fetch(sql.RUNS_OLD, place, highest_bound(cutoffs), SLICE)
    old = [one for one, tenant in found if one < bound(cutoffs, tenant)]
    delete = _deleting("DELETE FROM runs WHERE id = ANY($1::bytea[]) AND due_at IS NULL", old)
    return _Found({}, delete, _following(found))


async def _digests(connection: Connection, cutoffs: Cutoffs, place: bytes) -> _Found:
    """Digests that were told, with their items."""
    found = await connection.fetch(sql.DIGESTS_OLD, place, highest_bound(cutoffs), SLICE)
    old = [one for one, tenant in found if one < bound(cutoffs, tenant)]
    return _Found({}, _deleting(sql.DIGESTS_DROP, old), _following(found))


async def _planned(connection: Connection, cutoffs: Cutoffs, place: bytes) -> _Found:
    """What says that an event was planned: no message of it is left."""
    bounds = await _whole_before(connection, cutoffs)
    found = await connection.fetch(sql.PLANNED_OLD, place, highest_bound(bounds), SLICE)
    old = [*{one for one, tenant in found if one < bound(bounds, tenant)}]

    async def delete(connection: Connection) -> None:
        await connection.execute(sql.PLANNED_DROP, old)
        await connection.execute(sql.CANCELED_DROP, old)

    return _Found({}, delete, _following(found))


async def _journal(connection: Connection, cutoffs: Cutoffs, place: bytes) -> _Found:
    """Timelines and explanations from before the oldest message that is left: whole partitions, and rows of the others."""
    bounds = await _whole_before(connection, cutoffs)
    behind = max(number_of(place), await journal_partitions.dropped_soon(connection, bounds))
    found = await connection.fetch(sql.JOURNAL_OLD, behind, SLICE)
    old = [seq for seq, at, tenant in found if at < bounds.get(tenant, 0)]

    async def delete(connection: Connection) -> None:
        await _deleting(sql.JOURNAL_DROP, old)(connection)
        if not place:
            await journal_partitions.make(connection)
            await journal_partitions.drop(connection, bounds)

    return _Found({}, delete, _following_in_time(found, bounds))


async def _pointers(table: str, connection: Connection, cutoffs: Cutoffs, place: bytes) -> _Found:
    """The newest message of a key, when it is no longer kept."""
    found = await connection.fetch(sql.POINTERS_OLD.format(table=table), place, highest_bound(cutoffs), SLICE)
    old = [(key, message_id) for key, message_id, is_old in found if is_old]
    drop = sql.POINTERS_DROP.format(table=table)
    delete = _deleting(drop, [key for key, _ in old], [one for _, one in old])
    return _Found({}, delete, _following(found))


async def _by_time(table: str, connection: Connection, cutoffs: Cutoffs, place: bytes) -> _Found:
    found = await connection.fetch(sql.TIMES[table], number_of(place), SLICE)
    old = [(seq, tenant) for seq, at, tenant in found if at < cutoffs.get(tenant, 0)]
    delete = _deleting(f"DELETE FROM {table} WHERE seq = ANY($1::bigint[])", [seq for seq, _ in old])
    return _Found(Counter(TenantId(tenant) for _, tenant in old), delete, _following_in_time(found, cutoffs))


async def _by_id(table: str, ends: str, connection: Connection, cutoffs: Cutoffs, place: bytes) -> _Found:
    """What was over long ago."""
    statement = sql.BY_ID_OLD.format(table=table, ends=ends)
    found = await connection.fetch(statement, place, highest_bound(cutoffs), SLICE)
    old = [(one, tenant) for one, tenant, at in found if at is not None and at < cutoffs.get(tenant, 0)]
    delete = _deleting(f"DELETE FROM {table} WHERE id = ANY($1::bytea[])", [one for one, _ in old])
    return _Found(Counter(TenantId(tenant) for _, tenant in old), delete, _following(found))


async def _operation_errors(connection: Connection, cutoffs: Cutoffs, place: bytes) -> _Found:
    """What failed in old operations: there may be much of one."""
    behind = (place[:-8], number_of(place[-8:])) if place else (b"", -1)
    found = await connection.fetch(sql.OPERATION_ERRORS_OLD, *behind, highest_bound(cutoffs), SLICE)
    old = [
        (operation, number)
        for operation, number, tenant, at in found
        if at is not None and at < cutoffs.get(tenant, 0)
    ]
    drop = _deleting(sql.OPERATION_ERRORS_DROP, [one for one, _ in old], [number for _, number in old])
    following = found[-1][0] + place_of(found[-1][1]) if len(found) == SLICE else None
    return _Found({}, drop, following)


async def _number_ranges(connection: Connection, cutoffs: Cutoffs, place: bytes) -> _Found:
    """Those where nothing happened for long. They say nothing about anybody, and are not counted."""
    found = await connection.fetch(sql.RANGES_OLD, number_of(place), max(cutoffs.values()), SLICE)
    old = [row for row in found if row["at"] < cutoffs.get(row["tenant"], 0)]
    columns = [row["tenant"] for row in old], [row["digits"] for row in old], [row["at"] for row in old]
    goes_on = len(found) == SLICE and found[-1]["at"] > number_of(place)
    following = place_of(found[-1]["at"]) if goes_on else None
    return _Found({}, _deleting(sql.RANGES_DROP, *columns), following)


def _deleting(statement: str, *columns: Sequence[Any]) -> Callable[[Connection], Awaitable[None]]:
    async def delete(connection: Connection) -> None:
        if columns[0]:
            await connection.execute(statement, *columns)

    return delete


async def _whole_before(connection: Connection, cutoffs: Cutoffs) -> Cutoffs:
    """The cutoffs, earlier where an older message is left: its timeline stays whole."""
    earlier = dict(cutoffs)
    bounds = [first_id_at(cutoff) for cutoff in cutoffs.values()]
    for tenant, left in await connection.fetch(sql.OLDEST_LEFT, [*cutoffs], bounds):
        earlier[tenant] = Instant(int.from_bytes(left[:6], "big"))
    return earlier


def _following(found: Sequence[Any]) -> bytes | None:
    """Behind the last row of a search by ids or keys."""
    return bytes(found[-1][0]) if len(found) == SLICE else None


def _following_in_time(found: Sequence[Any], cutoffs: Cutoffs) -> bytes | None:
    """Behind the last row of a search by numbers that rise with time: `(seq, at, ...)`."""
    if len(found) < SLICE or found[-1][1] >= max(cutoffs.values()):
        return None
    return place_of(found[-1][0])
