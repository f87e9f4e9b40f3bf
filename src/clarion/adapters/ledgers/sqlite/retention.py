"""Deletes rows whose retention period has ended, oldest first, a slice at a time."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from clarion.adapters.ledgers.schema import coded
from clarion.adapters.ledgers.sqlite import (
    continuations,
    device_statements,
    event_statements,
    record_statements,
    runs,
)
from clarion.adapters.ledgers.sqlite.cursors import position_of
from clarion.adapters.ledgers.sqlite.devices import SqliteDevices
from clarion.adapters.ledgers.sqlite.files import one
from clarion.adapters.ledgers.sqlite.inboxes import SqliteInboxes
from clarion.adapters.ledgers.sqlite.message_kinds import SqliteMessageKinds
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.recent_messages import RecentMessages
from clarion.adapters.ledgers.sqlite.recent_statements import OF_USER, of_user
from clarion.adapters.ledgers.sqlite.slice_size import MOST, SliceSize
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.channel import LANES, Channel, Lane
from clarion.model.ids import Instant, MessageId, TenantId, UserNo, children_range, first_id_at
from clarion.model.inbox import InboxItem
from clarion.model.retention import MessageTotal, RetentionKind, Swept
from clarion.model.status import ACTIVE, Reason, Status
from clarion.model.user import User
from clarion.ports.clock import Clock

_STATUS = tuple(Status)

MESSAGES_OLD = f"""
    SELECT messages.id, messages.user, messages.route, status, reason FROM {OF_USER}
    WHERE messages.id > ?1 AND messages.id < ?2 AND status NOT IN ({coded(ACTIVE)}) AND {of_user("at")} IS NULL
    ORDER BY messages.id LIMIT ?3
"""
OLDEST_LEFT = "SELECT id FROM messages WHERE id < ?1 AND tenant = ?2 ORDER BY id LIMIT 1"
TOTALS_ADD = """
    INSERT INTO message_totals (tenant, day, workflow, channel, status, reason, count) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET count = count + excluded.count
"""
TOTALS_GONE = (
    "SELECT workflow, channel, status, reason, count FROM message_totals WHERE tenant = ?1 AND day = ?2"
)
TOTALS_KEPT = """
    SELECT route, status, coalesce(reason, ''), count(*) FROM messages
    WHERE id >= ?2 AND id < ?3 AND tenant = ?1 GROUP BY 1, 2, 3
"""
ITEMS_OLD = f"""
    SELECT messages.id, messages.user, messages.route, coalesce({of_user("moved_to")}, {of_user("offset")}),
        {of_user("seen_at")}, {of_user("read_at")}, {of_user("archived_at")}
    FROM {OF_USER}
    WHERE messages.id > ?1 AND messages.id < ?2 AND {of_user("at")} IS NOT NULL ORDER BY messages.id LIMIT ?3
"""
EVENTS_OLD = "SELECT seq, event_id, tenant, workflow FROM log_{lane} WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3"
SET_ASIDE = "SELECT 1 FROM set_aside WHERE event_id = ?1 AND workflow = ?2 AND discarded_at IS NULL"
OPERATIONS_OLD = (
    "SELECT id, tenant, CASE WHEN file_until IS NULL THEN finished_at END FROM operations "
    "WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3"
)
VERIFICATIONS_OLD = (
    "SELECT id, tenant, expires_at FROM verifications WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3"
)
RANGES_OLD = "SELECT tenant, digits, at FROM number_ranges WHERE at < ?1 ORDER BY at LIMIT ?2"
OPERATION_ERRORS_OLD = """
    SELECT operation, number, tenant, finished_at FROM operation_errors JOIN operations ON operations.id = operation
    WHERE (operation, number) > (?1, ?2) AND operation < ?3 ORDER BY operation, number LIMIT ?4
"""
RUNS_OLD = "SELECT id, tenant FROM runs WHERE id > ?1 AND id < ?2 AND due_at IS NULL ORDER BY id LIMIT ?3"
DIGESTS_OLD = (
    "SELECT id, tenant FROM digests WHERE id > ?1 AND id < ?2 AND total IS NOT NULL ORDER BY id LIMIT ?3"
)
PLANNED_OLD = "SELECT DISTINCT id, tenant FROM events WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3"
JOURNAL_OLD = "SELECT seq, at, tenant FROM journal WHERE seq > ?1 ORDER BY seq LIMIT ?2"
POINTERS_OLD = "SELECT key, message_id FROM {table} WHERE key > ?1 ORDER BY key LIMIT ?2"
BY_TIME = {
    RetentionKind.CAPTURES: "SELECT seq, at, route FROM captures WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    RetentionKind.DELIVERIES: "SELECT seq, at, tenant FROM deliveries WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    RetentionKind.INBOUND: "SELECT seq, at, tenant FROM inbound WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    RetentionKind.QUARANTINE: "SELECT seq, at, tenant FROM strays WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    RetentionKind.DEAD_RECORDS: "SELECT seq, at, tenant FROM dead_records WHERE seq > ?1 ORDER BY seq LIMIT ?2",
}
TABLE = {
    RetentionKind.CAPTURES: "captures",
    RetentionKind.DELIVERIES: "deliveries",
    RetentionKind.INBOUND: "inbound",
    RetentionKind.QUARANTINE: "strays",
    RetentionKind.DEAD_RECORDS: "dead_records",
}


class _Found(NamedTuple):
    """What one search found: how many rows count for each tenant, how they go, and where to go on."""

    expired: Mapping[TenantId, int]
    delete: Callable[[sqlite3.Connection], None]
    following: bytes | None
    after: Callable[[], None] = lambda: None
    """On the event loop, after the commit."""


Search = Callable[[sqlite3.Connection, Cutoffs, bytes, int], _Found]
"""The last one: how many rows to look at."""


class SqliteRetention:
    """Implements `ports.ledger.Retention`. Each kind has parts, walked one after the other: a place is the number of
    the part and a key in its table."""

    def __init__(
        self,
        writer: Writer,
        readers: Readers,
        routes: SqliteMessageKinds,
        inboxes: SqliteInboxes,
        devices: SqliteDevices,
        recent: RecentMessages,
        clock: Clock,
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._routes = routes
        self._inboxes = inboxes
        self._devices = devices
        self._recent = recent
        self._clock = clock
        self._slice = SliceSize()
        self._parts: Mapping[RetentionKind, Sequence[Search]] = {
            RetentionKind.EVENTS: [self._events_of(lane) for lane in LANES],
            RetentionKind.MESSAGES: [
                self._messages,
                _runs,
                _digests,
                self._planned,
                self._journal,
                _pointers_of("collapses"),
                _pointers_of("threads"),
            ],
            RetentionKind.INBOX: [self._items],
            RetentionKind.DEVICES: [self._old_devices],
            RetentionKind.VERIFICATIONS: [_verifications, _number_ranges],
            RetentionKind.OPERATIONS: [_operation_errors, _operations],
            **{kind: [self._by_time(kind)] for kind in BY_TIME},
        }

    async def sweep(self, kind: RetentionKind, cutoffs: Cutoffs, after: bytes | None, *, dry: bool) -> Swept:
        if not cutoffs:
            return Swept()
        part, place = (after[0], after[1:]) if after else (0, b"")
        search = self._parts[kind][part]

        limit = self._slice.rows

        def sweep(connection: sqlite3.Connection) -> _Found:
            began_s = self._clock.monotonic()
            found = search(connection, cutoffs, place, limit)
            found.delete(connection)
            self._slice.took(self._clock.monotonic() - began_s)
            return found

        if dry:
            found = await self._readers.call(lambda connection: search(connection, cutoffs, place, MOST))
        else:
            found = await self._writer.call(sweep, rows=limit, after=lambda found: found.after())
        following = onward(part, found.following, len(self._parts[kind]))
        return Swept(expired=found.expired, following=following)

    async def totals(self, tenant: TenantId, since: int, until: int) -> Sequence[MessageTotal]:
        found: list[MessageTotal] = []
        for day in range(max(0, since), until):
            found += await self._readers.call(partial(self._totals_of, tenant=tenant, day=day))
        return found

    def _totals_of(self, connection: sqlite3.Connection, tenant: TenantId, day: int) -> list[MessageTotal]:
        """Of one day, as of one moment."""
        bounds = [first_id_at(Instant(one * DAY_MS)) for one in (day, day + 1)]
        counts: Counter[tuple[str, str, int, str]] = Counter()
        for workflow, channel, status, reason, count in connection.execute(TOTALS_GONE, (tenant, day)):
            counts[workflow, channel, status, reason] += count
        for number, status, reason, count in connection.execute(TOTALS_KEPT, (tenant, *bounds)):
            route = self._routes[number]
            counts[route.workflow, route.channel.value, status, reason] += count
        return [
            MessageTotal(
                tenant=tenant,
                day=day,
                workflow=workflow,
                channel=Channel(channel),
                status=_STATUS[status],
                reason=Reason(reason) if reason else None,
                count=count,
            )
            for (workflow, channel, status, reason), count in sorted(counts.items())
        ]

    # -- what goes ------------------------------------------------------------------------------------------------

    def _messages(self, connection: sqlite3.Connection, cutoffs: Cutoffs, place: bytes, limit: int) -> _Found:
        """Those that are over. What became of them is counted."""
        found = connection.execute(MESSAGES_OLD, (place, highest_bound(cutoffs), limit)).fetchall()
        old = [row for row in found if row[0] < bound(cutoffs, self._routes[row[2]].tenant)]
        totals = Counter(self._total(row) for row in old)

        def delete(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM messages WHERE id = ?", [row[:1] for row in old])
            connection.executemany("DELETE FROM charges WHERE message_id = ?", [row[:1] for row in old])
            connection.executemany(
                "DELETE FROM user_messages WHERE user = ? AND id = ?", [(row[1], row[0]) for row in old]
            )
            self._recent.drop(connection, [row[0] for row in old])
            connection.executemany(TOTALS_ADD, [(*total, count) for total, count in totals.items()])

        expired = Counter(self._routes[row[2]].tenant for row in old)
        return _Found(expired, delete, _following(found, limit))

    def _total(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        message_id, _, number, status, reason = row
        route = self._routes[number]
        return route.tenant, day_of(message_id), route.workflow, route.channel.value, status, reason or ""

    def _planned(self, connection: sqlite3.Connection, cutoffs: Cutoffs, place: bytes, limit: int) -> _Found:
        """What says that an event was planned: no message of it is left."""
        bounds = _whole_before(connection, cutoffs)
        found = connection.execute(PLANNED_OLD, (place, highest_bound(bounds), limit)).fetchall()
        old = [row[:1] for row in found if row[0] < bound(bounds, row[1])]

        def delete(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM events WHERE id = ?", old)
            connection.executemany(event_statements.CANCELED_EVENT_FORGET, old)

        return _Found({}, delete, _following(found, limit))

    def _journal(self, connection: sqlite3.Connection, cutoffs: Cutoffs, place: bytes, limit: int) -> _Found:
        """Timelines and explanations from before the oldest message that is left."""
        bounds = _whole_before(connection, cutoffs)
        found = connection.execute(JOURNAL_OLD, (number_of(place), limit)).fetchall()
        old = [row[:1] for row in found if row[1] < bounds.get(row[2], 0)]
        following = _following_in_time(found, bounds, limit)
        return _Found({}, _deleting("DELETE FROM journal WHERE seq = ?", old), following)

    def _items(self, connection: sqlite3.Connection, cutoffs: Cutoffs, place: bytes, limit: int) -> _Found:
        """Items of inboxes; their messages stay for as long as messages are kept."""
        found = connection.execute(ITEMS_OLD, (place, highest_bound(cutoffs), limit)).fetchall()
        old = [row for row in found if row[0] < bound(cutoffs, self._routes[row[2]].tenant)]
        items = [
            InboxItem(
                tenant=self._routes[number].tenant,
                user=UserNo(user),
                message_id=MessageId(message_id),
                at=Instant(0),
                offset=offset,
                seen_at=seen_at,
                read_at=read_at,
                archived_at=archived_at,
                sealed=b"",
            )
            for message_id, user, number, offset, seen_at, read_at, archived_at in old
        ]
        expired = Counter(item.tenant for item in items)
        return _Found(
            expired, lambda connection: self._inboxes.drop(connection, items), _following(found, limit)
        )

    def _old_devices(
        self, connection: sqlite3.Connection, cutoffs: Cutoffs, place: bytes, limit: int
    ) -> _Found:
        """Those that were not registered for long."""
        asked = (number_of(place[:8]), number_of(place[8:]), max(cutoffs.values()), limit)
        found = connection.execute(device_statements.DEVICES_OLD, asked).fetchall()
        old: dict[TenantId, dict[UserNo, list[str]]] = {}
        expired: Counter[TenantId] = Counter()
        for seen_at, _, tenant, user, device_id in found:
            if seen_at < cutoffs.get(tenant, 0):
                old.setdefault(tenant, {}).setdefault(user, []).append(device_id)
                expired[tenant] += 1
        written: list[User] = []

        def delete(connection: sqlite3.Connection) -> None:
            for tenant, of in old.items():
                written.extend(self._devices.drop(connection, tenant, of))

        following = place_of(found[-1][0]) + place_of(found[-1][1]) if len(found) == limit else None
        return _Found(expired, delete, following, lambda: self._devices.dropped(written))

    def _events_of(self, lane: Lane) -> Search:
        """What was planned from a lane, unless a message still needs it or a person has to look at it."""
        statement = EVENTS_OLD.format(lane=lane.value)

        def search(connection: sqlite3.Connection, cutoffs: Cutoffs, place: bytes, limit: int) -> _Found:
            planned = position_of(connection, lane)
            found = connection.execute(statement, (number_of(place), planned, limit)).fetchall()
            old = [
                row
                for row in found
                if row[1] < bound(cutoffs, row[2])
                and one(connection, SET_ASIDE, (row[1], row[3])) is None
                and not continuations.left(connection, row[1], row[2])
                and not runs.waits(connection, row[1], row[2])
                and one(connection, event_statements.ACTIVE_OF_EVENT, (*children_range(row[1]), row[1]))
                is None
            ]
            highest = highest_bound(cutoffs)
            following = None if len(found) < limit or found[-1][1] >= highest else place_of(found[-1][0])

            def delete(connection: sqlite3.Connection) -> None:
                connection.executemany(
                    f"DELETE FROM log_{lane.value} WHERE seq = ?", [row[:1] for row in old]
                )
                connection.executemany(event_statements.CANCELED_EVENT_FORGET, [row[1:2] for row in old])

            return _Found(Counter(TenantId(row[2]) for row in old), delete, following)

        return search

    def _by_time(self, kind: RetentionKind) -> Search:
        def search(connection: sqlite3.Connection, cutoffs: Cutoffs, place: bytes, limit: int) -> _Found:
            found = connection.execute(BY_TIME[kind], (number_of(place), limit)).fetchall()
            if kind is RetentionKind.CAPTURES:
                found = [(seq, at, self._routes[route].tenant) for seq, at, route in found]
            old = [row for row in found if row[1] < cutoffs.get(row[2], 0)]
            delete = _deleting(f"DELETE FROM {TABLE[kind]} WHERE seq = ?", [row[:1] for row in old])
            expired = Counter(TenantId(row[2]) for row in old)
            return _Found(expired, delete, _following_in_time(found, cutoffs, limit))

        return search


def _pointers_of(table: str) -> Search:
    """The newest message of a key, when it is no longer kept."""
    statement = POINTERS_OLD.format(table=table)

    def search(connection: sqlite3.Connection, cutoffs: Cutoffs, place: bytes, limit: int) -> _Found:
        found = connection.execute(statement, (place, limit)).fetchall()
        highest = highest_bound(cutoffs)
        old = [
            (key,)
            for key, message_id in found
            if message_id < highest and one(connection, record_statements.STATUS_OF, (message_id,)) is None
        ]
        return _Found({}, _deleting(f"DELETE FROM {table} WHERE key = ?", old), _following(found, limit))

    return search


def _runs(connection: sqlite3.Connection, cutoffs: Cutoffs, place: bytes, limit: int) -> _Found:
    """Runs that are over."""
    found = connection.execute(RUNS_OLD, (place, highest_bound(cutoffs), limit)).fetchall()
    old = [row[:1] for row in found if row[0] < bound(cutoffs, row[1])]
    return _Found(
        {}, _deleting("DELETE FROM runs WHERE id = ? AND due_at IS NULL", old), _following(found, limit)
    )


def _digests(connection: sqlite3.Connection, cutoffs: Cutoffs, place: bytes, limit: int) -> _Found:
    """Digests that were told, with their items."""
    found = connection.execute(DIGESTS_OLD, (place, highest_bound(cutoffs), limit)).fetchall()
    old = [row[:1] for row in found if row[0] < bound(cutoffs, row[1])]

    def delete(connection: sqlite3.Connection) -> None:
        connection.executemany("DELETE FROM digest_items WHERE digest_id = ?", old)
        connection.executemany("DELETE FROM digests WHERE id = ?", old)

    return _Found({}, delete, _following(found, limit))


def _operation_errors(connection: sqlite3.Connection, cutoffs: Cutoffs, place: bytes, limit: int) -> _Found:
    """What failed in old operations: there may be much of one."""
    operation, number = place[:-8], number_of(place[-8:])
    if not place:
        number = -1
    asked = (operation, number, highest_bound(cutoffs), limit)
    found = connection.execute(OPERATION_ERRORS_OLD, asked).fetchall()
    old = [row[:2] for row in found if _is_finished(row[2:], cutoffs)]
    following = found[-1][0] + place_of(found[-1][1]) if len(found) == limit else None
    delete = _deleting("DELETE FROM operation_errors WHERE operation = ? AND number = ?", old)
    return _Found({}, delete, following)


def _operations(connection: sqlite3.Connection, cutoffs: Cutoffs, place: bytes, limit: int) -> _Found:
    """Those that finished long ago."""
    found = connection.execute(OPERATIONS_OLD, (place, highest_bound(cutoffs), limit)).fetchall()
    old = [row for row in found if _is_finished(row[1:], cutoffs)]
    delete = _deleting("DELETE FROM operations WHERE id = ?", [row[:1] for row in old])
    return _Found(Counter(TenantId(row[1]) for row in old), delete, _following(found, limit))


def _verifications(connection: sqlite3.Connection, cutoffs: Cutoffs, place: bytes, limit: int) -> _Found:
    """Those whose time was over long ago."""
    found = connection.execute(VERIFICATIONS_OLD, (place, highest_bound(cutoffs), limit)).fetchall()
    old = [row for row in found if row[2] < cutoffs.get(row[1], 0)]
    delete = _deleting("DELETE FROM verifications WHERE id = ?", [row[:1] for row in old])
    return _Found(Counter(TenantId(row[1]) for row in old), delete, _following(found, limit))


def _number_ranges(connection: sqlite3.Connection, cutoffs: Cutoffs, place: bytes, limit: int) -> _Found:
    """Those where nothing happened for long. They say nothing about anybody, and are not counted."""
    found = connection.execute(RANGES_OLD, (max(cutoffs.values()), limit)).fetchall()
    old = [row[:2] for row in found if row[2] < cutoffs.get(row[0], 0)]
    delete = _deleting("DELETE FROM number_ranges WHERE tenant = ? AND digits = ?", old)
    return _Found({}, delete, b"again" if len(old) == limit else None)


def _is_finished(row: tuple[Any, ...], cutoffs: Cutoffs) -> bool:
    """Whether it finished before its tenant's cutoff: `(tenant, finished_at)`."""
    tenant, finished_at = row
    return finished_at is not None and finished_at < cutoffs.get(tenant, 0)


def _whole_before(connection: sqlite3.Connection, cutoffs: Cutoffs) -> Cutoffs:
    """The cutoffs, earlier where an older message is left: its timeline stays whole."""

    earlier = dict(cutoffs)
    for tenant, cutoff in cutoffs.items():
        left = one(connection, OLDEST_LEFT, (first_id_at(cutoff), tenant))
        if left is not None:
            earlier[tenant] = Instant(int.from_bytes(left[:6], "big"))
    return earlier


def _deleting(statement: str, keys: Iterable[tuple[Any, ...]]) -> Callable[[sqlite3.Connection], None]:
    def delete(connection: sqlite3.Connection) -> None:
        connection.executemany(statement, keys)

    return delete


def _following(found: Sequence[tuple[Any, ...]], limit: int) -> bytes | None:
    """Behind the last row of a search by ids or keys."""
    return found[-1][0] if len(found) == limit else None


def _following_in_time(found: Sequence[tuple[Any, ...]], cutoffs: Cutoffs, limit: int) -> bytes | None:
    """Behind the last row of a search by numbers that rise with time: `(seq, at, ...)`."""
    if len(found) < limit or found[-1][1] >= max(cutoffs.values()):
        return None
    return place_of(found[-1][0])
