"""Accepted events: their state, canceling them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from clarion.adapters.ledgers.postgresql import continuations, journal, set_aside
from clarion.adapters.ledgers.postgresql import event_statements as sql
from clarion.adapters.ledgers.postgresql import runs as waiting_runs
from clarion.adapters.ledgers.postgresql.database import Connection, Database
from clarion.adapters.ledgers.postgresql.log import PostgresLog
from clarion.adapters.ledgers.postgresql.records import PostgresRecords
from clarion.adapters.ledgers.postgresql.terminations import NOT_STARTED, PostgresTerminations
from clarion.adapters.ledgers.schema import CODES
from clarion.model.channel import LANES
from clarion.model.event import Entry, EventFound, EventKey, EventRecord
from clarion.model.ids import EventId, Instant, MessageId, TenantId, UserNo, children_range, first_id_at
from clarion.model.message import MessageFilter, Run
from clarion.model.status import Reason, Status

SLICE = 1_000
"""Messages canceled in one transaction, so that a wide event holds up no other writer."""

SEEN = 2_000
"""Events one call looks at, those of other tenants too."""

_STATUS = tuple(Status)
_CODES = [CODES[status] for status in NOT_STARTED]


class PostgresEvents:
    """Implements `ports.ledger.Events`."""

    def __init__(
        self,
        database: Database,
        log: PostgresLog,
        records: PostgresRecords,
        terminations: PostgresTerminations,
    ) -> None:
        self._database = database
        self._log = log
        self._records = records
        self._terminations = terminations

    async def counts(self, events: Sequence[EventId]) -> Mapping[EventId, Mapping[Status, int]]:
        ranges = [children_range(event) for event in events]
        lowest, highest = [low for low, _ in ranges], [high for _, high in ranges]
        counts: dict[EventId, dict[Status, int]] = {}
        for event, code, count in await self._database.rows(
            sql.COUNTS_OF_EVENTS, lowest, highest, list(events)
        ):
            counts.setdefault(EventId(event), {})[_STATUS[code]] = count
        return counts

    async def found(
        self, tenant: TenantId, event_id: EventId, before: MessageId | None, limit: int, runs: int
    ) -> EventFound | None:
        async def read(connection: Connection) -> EventFound | None:
            waits = await self._log.waits(connection, tenant, event_id)
            waits = waits or await _left(connection, event_id, tenant)
            kept = await set_aside.newest_of(connection, tenant, event_id)
            first = await runs_of(connection, tenant, event_id, None, runs)
            where = MessageFilter(event_id=event_id)
            found, following = await self._records.read(connection, tenant, where, before, limit)
            if not (waits or kept or first or found):
                return None
            active = await connection.fetchval(sql.ACTIVE_OF, *children_range(event_id), event_id)
            return EventFound(
                runs=first,
                messages=found,
                following=following,
                waits=waits,
                active=active,
                set_aside=kept,
            )

        return await self._database.read(read)

    async def bodies(self, wanted: Sequence[EventKey]) -> Mapping[EventKey, Entry]:
        if not wanted:
            return {}
        return await self._database.read(lambda connection: self._log.bodies(connection, wanted))

    async def known(self, tenant: TenantId, event_id: EventId) -> bool:
        async def read(connection: Connection) -> bool:
            planned = await connection.fetchrow(sql.KNOWN, event_id, tenant)
            return planned is not None or await self._log.waits(connection, tenant, event_id)

        return await self._database.read(read)

    async def page(
        self, tenant: TenantId, since: Instant | None, before: bytes, limit: int
    ) -> tuple[Sequence[EventRecord], bytes | None]:
        lowest = b"" if since is None else first_id_at(since)

        async def read(connection: Connection) -> tuple[Sequence[EventRecord], bytes | None]:
            ids = [
                EventId(one)
                for (one,) in await connection.fetch(sql.PAGE, tenant, lowest, before, SEEN, limit)
            ]
            found = [await _record(connection, tenant, one) for one in ids]
            if len(ids) == limit:
                return found, ids[-1]
            return found, await connection.fetchval(sql.PAGE_END, lowest, before, SEEN - 1)

        return await self._database.lists.read(read)

    async def cancel(self, event_id: EventId, at: Instant, begun: Set[MessageId]) -> int:
        canceled, after = 0, b""
        while True:
            more, last = await self._database.write(
                lambda connection, after=after: self._slice(connection, event_id, at, begun, after)  # type: ignore[misc]
            )
            canceled += more
            if last is None:
                return canceled
            after = last

    async def _slice(
        self, connection: Connection, event_id: EventId, at: Instant, begun: Set[MessageId], after: bytes
    ) -> tuple[int, bytes | None]:
        """In a transaction: how many were canceled, and where to go on (None: that was all)."""
        if not after:
            await connection.execute(sql.CANCEL, event_id)
            await waiting_runs.end_of_event(connection, event_id, at)
        asked = (*children_range(event_id), event_id, after, _CODES, SLICE)
        ids = [MessageId(one) for (one,) in await connection.fetch(sql.STOPPABLE, *asked)]
        going = [one for one in ids if one not in begun]
        why = (Status.CANCELED, Reason.CANCELED_BY_CALLER, at)
        stopped = await self._terminations.stop(connection, going, *why)
        return len(stopped), ids[-1] if len(ids) == SLICE else None


async def runs_of(
    connection: Connection,
    tenant: TenantId,
    event_id: EventId,
    user: UserNo | None,
    limit: int | None = None,
) -> list[Run]:
    """The runs of an event, in the order they were planned."""
    found: dict[bytes, Run] = {}
    planned = await connection.fetch(sql.ROWS, event_id, tenant, user)
    async for row in journal.rows_of(connection, (seq for (seq,) in planned)):
        for run in row.runs():
            if run.event_id == event_id and user in (None, run.user):
                found.setdefault(run.id, run)
        if limit is not None and len(found) >= limit:
            break
    return list(found.values())[:limit]


async def _record(connection: Connection, tenant: TenantId, event_id: EventId) -> EventRecord:
    """Of an event that started something for the tenant."""
    planned = await connection.fetch(sql.PLANNED, event_id, tenant)
    counts = await connection.fetch(sql.COUNTS, *children_range(event_id), event_id)
    return EventRecord(
        id=event_id,
        workflows=tuple(dict.fromkeys(workflow for workflow, _ in planned)),
        lane=LANES[planned[-1][1]],
        counts={_STATUS[code]: count for code, count in counts},
        left=await _left(connection, event_id, tenant),
    )


async def _left(connection: Connection, event_id: EventId, tenant: TenantId) -> bool:
    """Whether some of it is not planned yet."""
    return await continuations.left(connection, event_id, tenant) or await waiting_runs.waits(
        connection, event_id, tenant
    )
