"""Accepted events: their state, canceling them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import NamedTuple

from clarion.adapters.ledgers.schema import CODES
from clarion.adapters.ledgers.sqlite import continuations, journal
from clarion.adapters.ledgers.sqlite import event_statements as sql
from clarion.adapters.ledgers.sqlite import runs as waiting_runs
from clarion.adapters.ledgers.sqlite.cursors import position_of
from clarion.adapters.ledgers.sqlite.files import one, rows
from clarion.adapters.ledgers.sqlite.log import SqliteLog, bodies_of
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.records import SqliteRecords
from clarion.adapters.ledgers.sqlite.row_encoding import encoded, keys
from clarion.adapters.ledgers.sqlite.set_aside import newest_of
from clarion.adapters.ledgers.sqlite.terminations import NOT_STARTED, Terminations
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.channel import LANES
from clarion.model.event import Entry, EventFound, EventKey, EventRecord
from clarion.model.ids import EventId, Instant, MessageId, TenantId, UserNo, children_range, first_id_at
from clarion.model.message import MessageFilter, Run
from clarion.model.status import Reason, Status

SLICE = 1_000
"""Messages canceled in one transaction, so that a wide event holds up no other writer."""

SEEN = 2_000
"""Events one call looks at, those of other tenants too."""

_CODES = encoded([CODES[status] for status in NOT_STARTED])


class CanceledEvents:
    """Which events were canceled: what is planned of them afterwards is canceled too. Used inside transactions.

    A record goes with its event (`retention`).
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._any = one(connection, sql.ANY_CANCELED_EVENT) is not None
        """Most installations never have one."""

    def among(self, connection: sqlite3.Connection, events: Iterable[EventId]) -> frozenset[EventId]:
        """Those of `events` that were canceled."""
        if not self._any:
            return frozenset()
        found = rows(connection, sql.CANCELED_EVENTS, keys(dict.fromkeys(events)))
        return frozenset(EventId(bytes.fromhex(row[0])) for row in found)

    def add(self, connection: sqlite3.Connection, event_id: EventId) -> None:
        """From this transaction on."""
        connection.execute(sql.CANCEL_EVENT, (event_id,))
        self._any = True


class _Slice(NamedTuple):
    canceled: int
    last: bytes | None
    """Where to go on; None: that was all."""


class SqliteEvents:
    """Implements `ports.ledger.Events`."""

    def __init__(
        self,
        writer: Writer,
        readers: Readers,
        log: SqliteLog,
        records: SqliteRecords,
        terminations: Terminations,
        canceled: CanceledEvents,
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._log = log
        self._records = records
        self._terminations = terminations
        self._canceled = canceled

    async def counts(self, events: Sequence[EventId]) -> Mapping[EventId, Mapping[Status, int]]:
        which, ids = keys(events)
        ranges = b"".join([end for event in events for end in children_range(event)])

        def read(connection: sqlite3.Connection) -> Mapping[EventId, Mapping[Status, int]]:
            counts: dict[EventId, dict[Status, int]] = {}
            for place, code, count in connection.execute(sql.COUNTS_OF_EVENTS, (which, ranges, ids)):
                counts.setdefault(events[place], {})[tuple(Status)[code]] = count
            return counts

        return await self._readers.call(read)

    async def found(
        self, tenant: TenantId, event_id: EventId, before: MessageId | None, limit: int, runs: int
    ) -> EventFound | None:
        lowest, highest = children_range(event_id)

        def read(connection: sqlite3.Connection) -> EventFound | None:
            waits = any(
                one(connection, sql.WAITS[lane], (position_of(connection, lane), event_id, tenant))
                for lane in LANES
            )
            waits |= _left(connection, event_id, tenant)
            # Only now: every route that is in what is being read is in memory by then.
            search = self._records.search(tenant, MessageFilter(event_id=event_id), before)
            kept = newest_of(connection, tenant, event_id)
            first = runs_of(connection, tenant, event_id, None, runs)
            found, following = self._records.read(connection, search, limit)
            if not (waits or kept or first or found):
                return None
            active = one(connection, sql.ACTIVE_OF_EVENT, (lowest, highest, event_id)) is not None
            return EventFound(
                runs=first,
                messages=found,
                following=following,
                waits=waits,
                active=active,
                set_aside=kept,
            )

        return await self._readers.call(read)

    async def bodies(self, wanted: Sequence[EventKey]) -> Mapping[EventKey, Entry]:
        if not wanted:
            return {}
        return await self._readers.call(lambda connection: bodies_of(connection, wanted))

    async def known(self, tenant: TenantId, event_id: EventId) -> bool:
        # First what waits, then what is planned: an event in between is found as planned.
        unplanned = {lane: await self._log.position(lane) for lane in LANES}

        def read(connection: sqlite3.Connection) -> bool:
            return any(
                one(connection, sql.WAITS[lane], (position, event_id, tenant)) is not None
                for lane, position in unplanned.items()
            ) or bool(one(connection, sql.EVENT_KNOWN, (event_id, tenant)))

        return await self._readers.call(read)

    async def page(
        self, tenant: TenantId, since: Instant | None, before: bytes, limit: int
    ) -> tuple[Sequence[EventRecord], bytes | None]:
        lowest = b"" if since is None else first_id_at(since)

        def read(connection: sqlite3.Connection) -> tuple[Sequence[EventRecord], bytes | None]:
            found: list[EventRecord] = []
            below = before
            for _ in range(SEEN):
                row = connection.execute(sql.EVENT_BELOW, (below, lowest)).fetchone()
                if row is None:
                    return found, None
                (below,) = row
                record = _record(connection, tenant, EventId(below))
                if record is not None:
                    found.append(record)
                if len(found) >= limit:
                    break
            return found, below

        return await self._readers.call(read)

    async def cancel(self, event_id: EventId, at: Instant, begun: Set[MessageId]) -> int:
        canceled, after = 0, b""
        while True:
            done = await self._writer.call(
                lambda connection, after=after: self._slice(connection, event_id, at, begun, after),  # type: ignore[misc]
                rows=SLICE,
            )
            canceled += done.canceled
            if done.last is None:
                return canceled
            after = done.last

    def _slice(
        self,
        connection: sqlite3.Connection,
        event_id: EventId,
        at: Instant,
        begun: Set[MessageId],
        after: bytes,
    ) -> _Slice:
        if not after:
            self._canceled.add(connection, event_id)
            waiting_runs.end_of_event(connection, event_id, at)
        lowest, highest = children_range(event_id)
        found = rows(connection, sql.STOPPABLE_OF_EVENT, (lowest, highest, event_id, after, _CODES, SLICE))
        ids = [MessageId(bytes.fromhex(row[0])) for row in found]
        going = [one for one in ids if one not in begun]
        stopped = self._terminations.stop(connection, going, Status.CANCELED, Reason.CANCELED_BY_CALLER, at)
        return _Slice(len(stopped), ids[-1] if len(ids) == SLICE else None)


def runs_of(
    connection: sqlite3.Connection,
    tenant: TenantId,
    event_id: EventId,
    user: UserNo | None,
    limit: int | None = None,
) -> list[Run]:
    """The runs of an event, in the order they were planned."""
    found: dict[bytes, Run] = {}
    planned = connection.execute(sql.EVENT_ROWS, (event_id, tenant, user)).fetchall()
    for row in journal.rows_of(connection, (seq for (seq,) in planned)):
        for run in row.runs():
            if run.event_id == event_id and (user is None or run.user == user):
                found.setdefault(run.id, run)
        if limit is not None and len(found) >= limit:
            break
    return list(found.values())[:limit]


def _record(connection: sqlite3.Connection, tenant: TenantId, event_id: EventId) -> EventRecord | None:
    planned = connection.execute(sql.EVENT_PLANNED, (event_id,)).fetchall()
    ours = [(workflow, lane) for owner, workflow, lane in planned if owner == tenant]
    if not ours:
        return None
    counts = connection.execute(sql.COUNTS_OF_EVENT, (*children_range(event_id), event_id)).fetchall()
    return EventRecord(
        id=event_id,
        workflows=tuple(dict.fromkeys(workflow for workflow, _ in ours)),
        lane=LANES[ours[-1][1]],
        counts={tuple(Status)[code]: count for code, count in counts},
        left=_left(connection, event_id, tenant),
    )


def _left(connection: sqlite3.Connection, event_id: EventId, tenant: TenantId) -> bool:
    """Whether some of it is not planned yet."""
    return continuations.left(connection, event_id, tenant) or waiting_runs.waits(
        connection, event_id, tenant
    )
