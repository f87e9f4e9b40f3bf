"""Digests and their items."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from clarion.adapters.ledgers.digest_rows import (
    COLUMNS,
    FOUND,
    ITEM_COLUMNS,
    NAMES,
    PUT,
    digest_of,
    item_of,
    item_row,
    row_of,
)
from clarion.adapters.ledgers.sqlite.files import write
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.row_encoding import id_at, keys
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.digest import DigestClose, DigestRow, DigestTotal, StoredItem
from clarion.model.ids import EventId, Instant, TenantId, UserNo, WorkerId, children_range
from clarion.model.run import RunRow
from clarion.rules.exact import Slots

_SLOT = id_at(0, 1)
LATEST = f"""
    SELECT {FOUND} FROM json_each(?1) CROSS JOIN digests
    WHERE digests.slot = {_SLOT} AND digests.number = (SELECT max(number) FROM digests WHERE slot = {_SLOT})
"""
STORE = f"INSERT INTO digests ({COLUMNS}) VALUES ({', '.join('?' * len(NAMES))}) {PUT}"
_ITEM = ", ".join(ITEM_COLUMNS)
ITEMS_ADD = f"INSERT INTO digest_items ({_ITEM}) VALUES (?, ?, ?, ?, ?, ?, ?)"
DUE = "UPDATE runs SET due_at = ?, holder = NULL, fence = fence + 1 WHERE id = ? AND due_at IS NOT NULL"
"""Whoever looks at it at this moment has to look again."""
MOVE = "UPDATE digests SET closes_at = ? WHERE id = ? AND closed_at IS NULL"
CLOSE = f"""
    UPDATE digests SET closed_at = closes_at, cause = '{DigestClose.TIME.value}', touched_at = max(touched_at, ?1)
    WHERE id = ?2 AND closed_at IS NULL AND closes_at <= ?1
"""
GIVE_BACK = """
    UPDATE runs SET due_at = digests.closes_at, holder = NULL FROM digests
    WHERE runs.id = ? AND runs.holder = ? AND runs.fence = ? AND runs.due_at IS NOT NULL
        AND digests.id = runs.event_id AND digests.closed_at IS NULL
"""
WITH_PREVIOUS = f"""
    SELECT {FOUND}, previous.closed_at, previous.total FROM digests
    LEFT JOIN digests AS previous ON previous.slot = digests.slot AND previous.number = digests.number - 1
    WHERE digests.id = ?
"""
GET = f"SELECT {COLUMNS} FROM digests WHERE id = ? AND tenant = ?"
ITEMS = f"SELECT {_ITEM} FROM digest_items WHERE digest_id = ? ORDER BY at, id"
TOLD = f"""
    UPDATE digests SET total = ?, closed_at = coalesce(closed_at, closes_at),
        cause = coalesce(cause, '{DigestClose.CANCELED.value}')
    WHERE id = ? AND total IS NULL
"""
EMPTIED = "UPDATE digest_items SET content = NULL, cancellation_key = NULL WHERE digest_id = ?"
_OPEN = "withdrawn_at IS NULL AND digest_id IN (SELECT id FROM digests WHERE closed_at IS NULL{})"
OF_EVENT = (
    f"SELECT id, digest_id FROM digest_items WHERE id BETWEEN ? AND ? AND event_id = ? AND {_OPEN.format('')}"
)
OF_KEY = f"""
    SELECT id, digest_id FROM digest_items
    WHERE cancellation_key = ? AND {_OPEN.format(" AND tenant = ? AND workflow = ?")} LIMIT ?
"""
WITHDRAW = "UPDATE digest_items SET withdrawn_at = ?, content = NULL, cancellation_key = NULL WHERE id = ?"
WITHDRAWN = "UPDATE digests SET withdrawn = withdrawn + 1 WHERE id = ?"
_END = f"""
    UPDATE digests SET closed_at = coalesce(closed_at, ?1),
        cause = CASE WHEN closed_at IS NULL THEN '{DigestClose.CANCELED.value}' ELSE cause END, total = 0
    WHERE total IS NULL AND
"""
END = f"{_END} id = ?2 RETURNING id"
END_OF_USER = f"{_END} user = ?2 RETURNING id"


class SqliteDigests:
    """Implements `ports.ledger.Digests`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def close(
        self, worker: WorkerId, runs: Sequence[RunRow], moved: Mapping[EventId, Instant], now: Instant
    ) -> Sequence[DigestRow]:
        def close(connection: sqlite3.Connection) -> list[DigestRow]:
            connection.executemany(MOVE, [(at, one) for one, at in moved.items()])
            connection.executemany(CLOSE, [(now, row.event_id) for row in runs])
            connection.executemany(GIVE_BACK, [(row.id, worker, row.fence) for row in runs])
            return [
                digest_of(found)
                for row in runs
                for found in connection.execute(WITH_PREVIOUS, (row.event_id,))
            ]

        return await self._writer.call(close, rows=len(runs))

    async def items(self, ids: Sequence[EventId]) -> Sequence[StoredItem]:
        def read(connection: sqlite3.Connection) -> list[StoredItem]:
            return [item_of(row) for one in ids for row in connection.execute(ITEMS, (one,))]

        return await self._readers.call(read)

    async def get(self, tenant: TenantId, ids: Sequence[EventId]) -> Sequence[DigestRow]:
        def read(connection: sqlite3.Connection) -> list[DigestRow]:
            return [digest_of(row) for one in ids for row in connection.execute(GET, (one, tenant))]

        return await self._readers.call(read)

    async def withdraw(
        self, tenant: TenantId, workflow: str, cancellation_key: bytes, at: Instant, limit: int
    ) -> int:
        def withdraw(connection: sqlite3.Connection) -> int:
            asked = (cancellation_key, tenant, workflow, limit)
            return _withdrawn(connection, connection.execute(OF_KEY, asked).fetchall(), at)

        return await self._writer.call(withdraw, rows=limit)


def latest(connection: sqlite3.Connection, slots: Iterable[bytes]) -> Mapping[bytes, DigestRow]:
    """The last digest of each slot."""
    wanted = [*dict.fromkeys(slots)]
    found = map(digest_of, connection.execute(LATEST, keys(wanted)).fetchall() if wanted else ())
    return {row.slot: row for row in found if row.slot is not None}


def store(connection: sqlite3.Connection, decided: Slots) -> None:
    """What items made of digests."""
    connection.executemany(DUE, [(at, run) for run, at in decided.due.items()])
    connection.executemany(STORE, map(row_of, decided.rows.values()))
    write(connection, ITEMS_ADD, [*map(item_row, decided.items)])


def tell(connection: sqlite3.Connection, totals: Sequence[DigestTotal]) -> None:
    """The runs of digests that are over with these plans, or went on."""
    connection.executemany(TOLD, [(one.total, one.digest) for one in totals])
    connection.executemany(EMPTIED, [(one.digest,) for one in totals])


def withdraw_event(connection: sqlite3.Connection, event_id: EventId, at: Instant) -> None:
    """Take the items of an event out of the digests that are open."""
    of_event = (*children_range(event_id), event_id)
    _withdrawn(connection, connection.execute(OF_EVENT, of_event).fetchall(), at)


def end(connection: sqlite3.Connection, ids: Sequence[EventId], at: Instant) -> None:
    """The runs of these are over before they told of them."""
    for one in ids:
        _ended(connection, connection.execute(END, (at, one)).fetchall())


def end_of_user(connection: sqlite3.Connection, user: UserNo, at: Instant) -> None:
    """The person is deleted."""
    _ended(connection, connection.execute(END_OF_USER, (at, user)).fetchall())


def _withdrawn(connection: sqlite3.Connection, found: Sequence[tuple[bytes, bytes]], at: Instant) -> int:
    connection.executemany(WITHDRAW, [(at, item) for item, _ in found])
    connection.executemany(WITHDRAWN, [(digest,) for _, digest in found])
    return len(found)


def _ended(connection: sqlite3.Connection, found: Sequence[tuple[bytes]]) -> None:
    connection.executemany(EMPTIED, found)
