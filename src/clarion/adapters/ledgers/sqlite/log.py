"""The event log: one table per lane, and the idempotency keys."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from clarion.adapters.admission import Admission
from clarion.adapters.ledgers.claims import first_claims, fresh, judged
from clarion.adapters.ledgers.sqlite import log_statements as sql
from clarion.adapters.ledgers.sqlite.claims import SqliteClaims
from clarion.adapters.ledgers.sqlite.cursors import Cursors, position_of
from clarion.adapters.ledgers.sqlite.files import one, rows, write
from clarion.adapters.ledgers.sqlite.row_encoding import encoded
from clarion.adapters.ledgers.sqlite.row_mappers import entry as entry_of
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.channel import LANES, Lane
from clarion.model.event import Consumed, Entry, EventKey, IdempotencyRecord, IdempotencyResult
from clarion.model.ids import WorkerId

Published = tuple[Sequence[Entry], Sequence[IdempotencyResult | None]]


class Kept(NamedTuple):
    """What was written, and where the lanes stand now."""

    entries: Sequence[Entry]
    positions: Mapping[Lane, int]


class SqliteLog:
    """Implements `ports.ledger.EventLog`."""

    def __init__(self, writer: Writer, local: sqlite3.Connection, claims: SqliteClaims) -> None:
        self._writer = writer
        self._local = local
        self._claims = claims
        self._admission = Admission()
        self.cursors = Cursors()
        """The writer's."""
        writer.on_rollback(self.cursors.forget)
        self._position = {lane: position_of(local, lane) for lane in LANES}
        self._end = {lane: int(one(local, sql.END, (f"log_{lane.value}",)) or 0) for lane in LANES}

    async def append(self, entries: Sequence[Entry], claims: Sequence[IdempotencyRecord | None]) -> Published:
        if not entries:
            return (), ()
        wanted = self._admission.enter(entries)
        done: Published = await self._writer.do(
            self._append,
            (entries, claims),
            rows=len(entries),
            urgent=all(entry.lane is Lane.CRITICAL for entry in entries),
            after=self._appended,
            leave=lambda: self._admission.leave(wanted),
        )
        return done

    async def take(self, lane: Lane, worker: WorkerId) -> bool:
        return await self._writer.call(lambda connection: self.cursors.take(connection, lane, worker))

    async def read(self, lane: Lane, after: int, limit: int) -> Sequence[Entry]:
        return [entry_of(lane, row) for row in rows(self._local, sql.READ[lane], (after, limit))]

    async def position(self, lane: Lane) -> int:
        return self._position[lane]

    def on_append(self, told: Callable[[Lane, int], None]) -> None:
        """Nobody else appends."""

    async def end(self, lane: Lane) -> int:
        return self._end[lane]

    # -- in the writer's thread -------------------------------------------------------------------------------

    def keep(self, connection: sqlite3.Connection, bodies: Sequence[Entry]) -> Kept:
        """Writes bodies of events that came by a broker of their own, unless they are here already."""
        known = bodies_of(connection, [body.key for body in bodies])
        new = {body.key: body for body in bodies if body.key not in known}
        entries = self.add(connection, list(new.values()))
        positions = self.cursors.advance(connection, [Consumed(e.lane, (e.seq,)) for e in entries])
        return Kept(entries, positions)

    def add(self, connection: sqlite3.Connection, entries: Sequence[Entry]) -> list[Entry]:
        """Writes entries to their lanes; the same entries with their positions."""
        lanes: dict[Lane, list[int]] = {}
        for place, entry in enumerate(entries):
            lanes.setdefault(entry.lane, []).append(place)
        added = list(entries)
        for lane, places in lanes.items():
            ours = [entries[place] for place in places]
            bound = [
                (e.event_id, e.tenant, e.workflow, e.sealed_for, e.sealed, e.setup_revision) for e in ours
            ]
            write(connection, sql.APPEND[lane], bound)
            last: int = one(connection, sql.LAST_ROW)
            for place, entry, seq in zip(places, ours, range(last - len(ours) + 1, last + 1), strict=True):
                added[place] = msgspec.structs.replace(entry, seq=seq)
        return added

    def _append(
        self,
        connection: sqlite3.Connection,
        items: Sequence[tuple[Sequence[Entry], Sequence[IdempotencyRecord | None]]],
        careful: bool,
    ) -> Sequence[Published]:
        firsts = first_claims(claim for _, claims in items for claim in claims)
        held = self._claims.claim(connection, firsts) if firsts else {}
        kept = [(fresh(entries, results := judged(claims, held)), results) for entries, claims in items]
        added = iter(self.add(connection, [entry for entries, _ in kept for entry in entries]))
        return [([next(added) for _ in entries], results) for entries, results in kept]

    # -- on the event loop, after the commit ------------------------------------------------------------------

    def noted(self, entries: Sequence[Entry]) -> None:
        """These were committed, in this order."""
        for entry in entries:
            self._end[entry.lane] = entry.seq

    def _appended(self, published: Published) -> None:
        self.noted(published[0])

    def advanced(self, positions: Mapping[Lane, int]) -> None:
        """The lanes stand there."""
        for lane, position in positions.items():
            self._position[lane] = max(self._position[lane], position)


def bodies_of(connection: sqlite3.Connection, wanted: Sequence[EventKey]) -> dict[EventKey, Entry]:
    """The first entry of each event, as it was published."""
    asked = encoded([(workflow,) for _, workflow in wanted]), b"".join([event_id for event_id, _ in wanted])
    found = [
        entry_of(lane, [0, *row[1:]]) for lane in LANES for row in rows(connection, sql.BODIES[lane], asked)
    ]
    return {entry.key: entry for entry in found}
