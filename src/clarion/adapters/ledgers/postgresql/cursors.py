"""Up to where each lane is planned, and what is planned behind that, because tenants take turns.

A cursor that moved with every plan would be a row with thousands of dead versions while somebody reads for long. So what a
plan consumed is added, range by range; and once in a while the position moves over all the ranges that follow it without a
gap, and these go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clarion.adapters.ledgers.postgresql import locks
from clarion.adapters.ledgers.postgresql.database import Connection
from clarion.model.channel import LANES, Lane
from clarion.model.event import Consumed
from clarion.model.ids import WorkerId

RANGES_KEPT = 64
"""More than these, and the position moves."""

READ = """
    WITH at AS MATERIALIZED (SELECT coalesce((SELECT position FROM cursors WHERE lane = $1), 0) AS position)
    SELECT position, array(SELECT first FROM planned_ranges WHERE lane = $1 AND last > position ORDER BY first),
        array(SELECT last FROM planned_ranges WHERE lane = $1 AND last > position ORDER BY first)
    FROM at
"""
ADD = "INSERT INTO planned_ranges (lane, first, last) SELECT $1, * FROM unnest($2::bigint[], $3::bigint[])"
MOVE = """
    INSERT INTO cursors (lane, position) VALUES ($1, $2)
    ON CONFLICT (lane) DO UPDATE SET position = greatest(cursors.position, excluded.position)
"""
PASSED = "DELETE FROM planned_ranges WHERE lane = $1 AND last <= $2"
TAKE = """
    INSERT INTO cursors (lane, position, worker) VALUES ($1, 0, $2)
    ON CONFLICT (lane) DO UPDATE SET worker = excluded.worker
    WHERE cursors.worker IS NULL OR cursors.worker = excluded.worker
        OR NOT EXISTS (SELECT 1 FROM workers WHERE workers.id = cursors.worker AND reaped = 0)
    RETURNING lane
"""
FIRST_BEHIND = {lane: f"SELECT min(seq) FROM log_{lane.value} WHERE seq > $1" for lane in LANES}


class Cursor:
    """Of one lane, which the transaction has locked."""

    def __init__(self, lane: Lane, position: int, ranges: list[tuple[int, int]]) -> None:
        self.lane = lane
        self.position = position
        self._ranges = ranges
        """What is planned behind it, in order."""
        self._added: set[int] = set()

    @property
    def stored(self) -> int:
        """How many ranges are stored behind the position."""
        return len(self._ranges)

    def any_planned(self, consumed: Consumed) -> bool:
        """Whether some of it is planned already."""
        return any(seq in self._added or self._is_planned(seq) for seq in consumed.seqs)

    def advance(self, consumed: Consumed) -> None:
        """All of it is planned."""
        self._added.update(seq for seq in consumed.seqs if not self._is_planned(seq))

    def added(self) -> list[tuple[int, int]]:
        """What is to be stored, as few ranges as it takes."""
        return joined((seq, seq) for seq in self._added)

    def planned(self) -> list[tuple[int, int]]:
        """Everything behind the position, as few ranges as it takes."""
        return joined([*self._ranges, *self.added()])

    def _is_planned(self, seq: int) -> bool:
        return seq <= self.position or any(first <= seq <= last for first, last in self._ranges)


def joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same numbers in order, neighbours as one range."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((first, last))
    return found


async def lock(connection: Connection, lanes: Iterable[Lane]) -> Mapping[Lane, Cursor]:
    """The cursors of these lanes, which nobody else moves until the transaction ends."""
    wanted = list(dict.fromkeys(lanes))
    if not wanted:
        return {}
    await locks.lock(connection, locks.PLAN, map(LANES.index, wanted))
    return {lane: await read(connection, lane) for lane in wanted}


async def read(connection: Connection, lane: Lane) -> Cursor:
    """The cursor as it is."""
    position, firsts, lasts = await connection.fetchrow(READ, lane.value)
    return Cursor(lane, position, list(zip(firsts, lasts, strict=True)))


async def store(connection: Connection, cursors: Iterable[Cursor]) -> None:
    """What the transaction has planned; once in a while the position moves."""
    for cursor in cursors:
        if cursor.stored >= RANGES_KEPT:
            end = await position(connection, cursor)
            await connection.execute(MOVE, cursor.lane.value, end)
            await connection.execute(PASSED, cursor.lane.value, end)
        else:
            end = cursor.position
        if added := [one for one in cursor.added() if one[1] > end]:
            firsts, lasts = zip(*added, strict=True)
            await connection.execute(ADD, cursor.lane.value, firsts, lasts)


async def position(connection: Connection, cursor: Cursor) -> int:
    """Up to where everything is planned. Numbers that a failed transaction took are nobody's: they do not count."""
    end = cursor.position
    for first, last in cursor.planned():
        if first > end + 1:
            unplanned = await connection.fetchval(FIRST_BEHIND[cursor.lane], end)
            if unplanned is not None and unplanned < first:
                break
        end = last
    unplanned = await connection.fetchval(FIRST_BEHIND[cursor.lane], end)
    return end if unplanned is None else int(unplanned) - 1


async def take(connection: Connection, lane: Lane, worker: WorkerId) -> bool:
    """Whether the worker plans the lane from now on."""
    return await connection.fetchval(TAKE, lane.value, worker) is not None
