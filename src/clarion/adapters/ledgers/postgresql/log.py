"""The event log: one table per lane, which is only added to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec

from clarion.adapters.admission import Admission
from clarion.adapters.ledgers.claims import first_claims, fresh, judged
from clarion.adapters.ledgers.postgresql import cursors
from clarion.adapters.ledgers.postgresql.claims import PostgresClaims
from clarion.adapters.ledgers.postgresql.combined import Combined
from clarion.adapters.ledgers.postgresql.database import Connection, Database
from clarion.adapters.ledgers.postgresql.locks import APPEND
from clarion.adapters.ledgers.row_mappers import entry as entry_of
from clarion.errors import Unavailable
from clarion.model.channel import LANES, Lane
from clarion.model.event import Consumed, Entry, EventKey, IdempotencyRecord, IdempotencyResult
from clarion.model.ids import EventId, TenantId, WorkerId

Published = tuple[Sequence[Entry], Sequence[IdempotencyResult | None]]
Call = tuple[Sequence[Entry], Sequence[IdempotencyRecord | None]]

CHANNEL = "clarion_log"
"""Whoever listens there is told of new entries."""
ANNOUNCE = f"SELECT pg_notify('{CHANNEL}', $1)"
ANY = 2**63 - 1
"""As the newest position of a lane: nobody knows."""

ADD = {
    lane: f"""
    WITH turn AS MATERIALIZED (SELECT pg_advisory_xact_lock({APPEND}, {place}))
    INSERT INTO log_{lane.value} (event_id, tenant, workflow, sealed_for, sealed, setup_revision)
    SELECT event_id, tenant, workflow, sealed_for, sealed, setup_revision
    FROM turn CROSS JOIN unnest($1::bytea[], $2::bigint[], $3::text[], $4::bigint[], $5::bytea[], $6::bigint[])
        AS new (event_id, tenant, workflow, sealed_for, sealed, setup_revision)
    RETURNING seq
"""
    for place, lane in enumerate(LANES)
}
"""In the order of commits: positions are given to one transaction after the other, so that whoever reads behind one misses
nothing."""

_ENTRY = "seq, event_id, tenant, workflow, sealed_for, sealed, setup_revision"


def _is_planned_ahead(lane: Lane) -> str:
    return f"""coalesce((
        SELECT last >= log.seq FROM planned_ranges
        WHERE lane = '{lane.value}' AND first <= log.seq ORDER BY first DESC LIMIT 1
    ), false)"""


READ = {
    lane: f"""
    SELECT {_ENTRY} FROM log_{lane.value} AS log
    WHERE seq > greatest($1, (SELECT position FROM cursors WHERE lane = '{lane.value}')) AND NOT {_is_planned_ahead(lane)}
    ORDER BY seq LIMIT $2
"""
    for lane in LANES
}
WAITS = {
    lane: f"""
    SELECT 1 FROM log_{lane.value} AS log WHERE event_id = $1 AND tenant = $2
        AND seq > coalesce((SELECT position FROM cursors WHERE lane = '{lane.value}'), 0) AND NOT {_is_planned_ahead(lane)}
    LIMIT 1
"""
    for lane in LANES
}
"""Whether something of an event is not planned yet."""
BODIES = {
    lane: f"""
    SELECT DISTINCT ON (event_id, workflow) {_ENTRY.replace("seq", "0::bigint", 1)}
    FROM unnest($1::bytea[], $2::text[]) AS wanted (event_id, workflow) JOIN log_{lane.value} USING (event_id, workflow)
    ORDER BY event_id, workflow, log_{lane.value}.seq
"""
    for lane in LANES
}
"""The first entry of each, planned or not."""
END = {
    lane: f"SELECT coalesce((SELECT max(seq) FROM log_{lane.value}), (SELECT position FROM cursors WHERE lane = $1), 0)"
    for lane in LANES
}


class PostgresLog:
    """Implements `ports.ledger.EventLog`."""

    def __init__(self, database: Database, claims: PostgresClaims) -> None:
        self._database = database
        self._claims = claims
        self._admission = Admission()
        self._told: Callable[[Lane, int], None] = lambda lane, seq: None
        self._planned_here: set[Lane] = set()
        """By this process, as far as it knows."""
        self._appended: dict[Lane, int] = {}
        """The newest position of the lanes that others plan."""
        self._announcing: dict[Lane, asyncio.Task[None]] = {}
        self._appends: Combined[Call, Published] = Combined(database, self._append)

    async def append(self, entries: Sequence[Entry], claims: Sequence[IdempotencyRecord | None]) -> Published:
        if not entries:
            return (), ()
        urgent = all(entry.lane is Lane.CRITICAL for entry in entries)
        wanted = self._admission.enter(entries)
        published = await self._appends.do(
            (entries, claims), rows=len(entries), urgent=urgent, leave=lambda: self._admission.leave(wanted)
        )
        for entry in published[0]:
            if entry.lane not in self._planned_here:
                self._announce(entry.lane, entry.seq)
        return published

    async def take(self, lane: Lane, worker: WorkerId) -> bool:
        taken = await self._database.write(lambda connection: cursors.take(connection, lane, worker))
        if taken:
            self._planned_here.add(lane)
        else:
            self._planned_here.discard(lane)
        return taken

    async def read(self, lane: Lane, after: int, limit: int) -> Sequence[Entry]:
        return [entry_of(lane, row) for row in await self._database.rows(READ[lane], after, limit)]

    async def position(self, lane: Lane) -> int:
        async def read(connection: Connection) -> int:
            return await cursors.position(connection, await cursors.read(connection, lane))

        return await self._database.read(read)

    def on_append(self, told: Callable[[Lane, int], None]) -> None:
        self._told = told

    async def close(self) -> None:
        """What is being announced is announced."""
        await asyncio.gather(*self._announcing.values())

    def _announce(self, lane: Lane, seq: int) -> None:
        """Whoever plans the lane elsewhere need not wait for its next look. Not in the transaction: those that notify wait for
        one another's commits."""
        self._appended[lane] = max(seq, self._appended.get(lane, 0))
        if lane not in self._announcing:
            self._announcing[lane] = asyncio.create_task(self._announced(lane))

    async def _announced(self, lane: Lane) -> None:
        """What is appended meanwhile is announced together."""
        announced = 0
        try:
            while announced < (newest := self._appended[lane]):
                await self._database.rows(ANNOUNCE, f"{lane.value} {newest}")
                announced = newest
        except Unavailable:
            pass  # They are found by the next look.
        finally:
            del self._announcing[lane]

    def heard(self, said: str) -> None:
        """Somebody announces entries of a lane; nothing is said when that may have been missed."""
        if said:
            lane, seq = said.split()
            self._told(Lane(lane), int(seq))
        else:
            for one in LANES:
                self._told(one, ANY)

    async def end(self, lane: Lane) -> int:
        ((end,),) = await self._database.rows(END[lane], lane.value)
        return int(end)

    # -- inside a transaction ---------------------------------------------------------------------------------

    async def keep(self, connection: Connection, bodies: Sequence[Entry]) -> Sequence[Entry]:
        """Writes bodies of events that came by a broker of their own, unless they are here already."""
        known = await self.bodies(connection, [body.key for body in bodies])
        new = {body.key: body for body in bodies if body.key not in known}
        entries = await self.add(connection, list(new.values()))
        await self.advance(connection, [Consumed(e.lane, (e.seq,)) for e in entries])
        return entries

    async def bodies(self, connection: Connection, wanted: Sequence[EventKey]) -> Mapping[EventKey, Entry]:
        """The first entry of each event, as it was published."""
        ids, workflows = [event_id for event_id, _ in wanted], [workflow for _, workflow in wanted]
        found = [
            entry_of(lane, row)
            for lane in LANES
            for row in await connection.fetch(BODIES[lane], ids, workflows)
        ]
        return {entry.key: entry for entry in found}

    async def waits(self, connection: Connection, tenant: TenantId, event_id: EventId) -> bool:
        """Whether something of the event is not planned yet."""
        return any([await connection.fetchval(WAITS[lane], event_id, tenant) for lane in LANES])

    async def advance(self, connection: Connection, consumed: Sequence[Consumed]) -> None:
        """All of it is planned."""
        held = await cursors.lock(connection, [one.lane for one in consumed])
        for one in consumed:
            held[one.lane].advance(one)
        await cursors.store(connection, held.values())

    async def add(self, connection: Connection, entries: Sequence[Entry]) -> list[Entry]:
        """Writes entries to their lanes; the same entries with their positions."""
        added = list(entries)
        for lane in LANES:
            ours = [(place, entry) for place, entry in enumerate(entries) if entry.lane is lane]
            if ours:
                its = [
                    (e.event_id, e.tenant, e.workflow, e.sealed_for, e.sealed, e.setup_revision)
                    for _, e in ours
                ]
                found = await connection.fetch(ADD[lane], *zip(*its, strict=True))
                for (place, entry), (seq,) in zip(ours, found, strict=True):
                    added[place] = msgspec.structs.replace(entry, seq=seq)
        return added

    async def _append(
        self, connection: Connection, calls: Sequence[Call], careful: bool
    ) -> Sequence[Published]:
        firsts = first_claims(claim for _, claims in calls for claim in claims)
        held = await self._claims.claim(connection, firsts) if firsts else {}
        kept = [(fresh(entries, results := judged(claims, held)), results) for entries, claims in calls]
        added = iter(await self.add(connection, [entry for entries, _ in kept for entry in entries]))
        return [([next(added) for _ in entries], results) for entries, results in kept]
