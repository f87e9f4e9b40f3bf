"""Up to where each lane is planned, and what is planned behind that, because tenants take turns.

Entries that are planned in their order only move the position. One that goes ahead is a row until the position has
come there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from clarion.adapters.ledgers.sqlite import log_statements as sql
from clarion.adapters.ledgers.sqlite.files import one, rows
from clarion.adapters.ledgers.sqlite.row_encoding import encoded
from clarion.model.channel import Lane
from clarion.model.event import Consumed
from clarion.model.ids import WorkerId


class _Cursor:
    """Of one lane."""

    def __init__(self, connection: sqlite3.Connection, lane: Lane) -> None:
        self.position = position_of(connection, lane)
        self.ahead = {seq for (seq,) in rows(connection, sql.AHEAD, (lane.value,))}


class Cursors:
    """Used inside transactions. After a rollback it is read anew: call `forget`."""

    def __init__(self) -> None:
        self._lanes: dict[Lane, _Cursor] = {}

    def forget(self) -> None:
        """What is remembered may not be so."""
        self._lanes.clear()

    def any_planned(self, connection: sqlite3.Connection, consumed: Consumed) -> bool:
        """Whether some of it is planned already."""
        cursor = self._of(connection, consumed.lane)
        return any(seq <= cursor.position or seq in cursor.ahead for seq in consumed.seqs)

    def advance(self, connection: sqlite3.Connection, consumed: Iterable[Consumed]) -> Mapping[Lane, int]:
        """All of it is planned; where the lanes stand now."""
        lanes: dict[Lane, set[int]] = {}
        for some in consumed:
            lanes.setdefault(some.lane, set()).update(some.seqs)
        return {lane: self._advance(connection, lane, seqs) for lane, seqs in lanes.items()}

    def take(self, connection: sqlite3.Connection, lane: Lane, worker: WorkerId) -> bool:
        """Whether the worker plans the lane from now on."""
        return connection.execute(sql.TAKE_LANE, (lane.value, worker)).fetchone() is not None

    def _advance(self, connection: sqlite3.Connection, lane: Lane, seqs: set[int]) -> int:
        cursor = self._of(connection, lane)
        position, ahead = cursor.position, cursor.ahead
        passed = bool(ahead)
        new = {seq for seq in seqs if seq > position}
        ahead |= new
        while position + 1 in ahead:
            position += 1
            ahead.discard(position)
        if position > cursor.position:
            connection.execute(sql.ADVANCE, (lane.value, position))
            if passed:
                connection.execute(sql.AHEAD_PASSED, (lane.value, position))
            cursor.position = position
        if new := new & ahead:
            connection.execute(sql.AHEAD_ADD, (encoded(list(new)), lane.value))
        return position

    def _of(self, connection: sqlite3.Connection, lane: Lane) -> _Cursor:
        if lane not in self._lanes:
            self._lanes[lane] = _Cursor(connection, lane)
        return self._lanes[lane]


def position_of(connection: sqlite3.Connection, lane: Lane) -> int:
    """Up to where the lane is planned."""
    return int(one(connection, sql.POSITION, (lane.value,)) or 0)
