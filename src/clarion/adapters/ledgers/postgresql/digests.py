"""Digests and their items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clarion.adapters.ledgers.digest_rows import (
    COLUMNS,
    FOUND,
    ITEM_COLUMNS,
    PUT,
    digest_of,
    item_of,
    item_row,
    row_of,
)
from clarion.adapters.ledgers.postgresql import new_rows
from clarion.adapters.ledgers.postgresql.database import Again, Connection, Database
from clarion.adapters.ledgers.postgresql.locks import USERS
from clarion.adapters.ledgers.postgresql.lookups import is_each
from clarion.model.digest import DigestClose, DigestRow, DigestTotal, StoredItem
from clarion.model.ids import EventId, Instant, RunId, TenantId, UserNo, WorkerId, children_range
from clarion.model.run import RunRow
from clarion.rules.exact import Slots

LATEST = f"""
    SELECT {FOUND} FROM unnest($1::bytea[]) AS wanted (slot) CROSS JOIN LATERAL (
        SELECT * FROM digests WHERE digests.slot = wanted.slot ORDER BY number DESC LIMIT 1
    ) AS digests
"""
STORE = f"""
    INSERT INTO digests ({COLUMNS})
    SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bytea[], $7::bigint[],
        $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[],
        $15::bigint[], $16::bigint[], $17::text[], $18::bigint[])
    {PUT}
"""
DUE = f"""
    UPDATE runs SET due_at = new.at, holder = NULL, fence = fence + 1
    FROM unnest($1::bytea[], $2::bigint[]) AS new (id, at)
    WHERE {is_each("runs.id", "new.id")} AND runs.due_at IS NOT NULL
"""
"""Whoever looks at one of them at this moment has to look again."""
RUNS_LOCK = "SELECT 1 FROM runs WHERE id = ANY($1::bytea[]) ORDER BY id FOR UPDATE"
MOVE = f"""
    UPDATE digests SET closes_at = new.at FROM unnest($1::bytea[], $2::bigint[]) AS new (id, at)
    WHERE {is_each("digests.id", "new.id")} AND closed_at IS NULL
"""
CLOSE = f"""
    UPDATE digests SET closed_at = closes_at, cause = '{DigestClose.TIME.value}', touched_at = greatest(touched_at, $2)
    WHERE id = ANY($1::bytea[]) AND closed_at IS NULL AND closes_at <= $2
"""
GIVE_BACK = f"""
    UPDATE runs SET due_at = digests.closes_at, holder = NULL
    FROM unnest($1::bytea[], $2::bytea[], $3::bigint[]) AS claimed (id, digest, fence), digests
    WHERE {is_each("runs.id", "claimed.id")} AND {is_each("digests.id", "claimed.digest")} AND digests.closed_at IS NULL
        AND runs.holder = $4 AND runs.fence = claimed.fence AND runs.due_at IS NOT NULL
"""
WITH_PREVIOUS = f"""
    SELECT {FOUND}, previous.closed_at, previous.total FROM digests
    LEFT JOIN digests AS previous ON previous.slot = digests.slot AND previous.number = digests.number - 1
    WHERE digests.id = ANY($1::bytea[])
"""
GET = f"SELECT {COLUMNS} FROM digests WHERE id = ANY($1::bytea[]) AND tenant = $2"
_ITEM = ", ".join(ITEM_COLUMNS)
ITEMS = f"SELECT {_ITEM} FROM digest_items WHERE digest_id = ANY($1::bytea[]) ORDER BY digest_id, at, id"
TOLD = f"""
    UPDATE digests SET total = new.total, closed_at = coalesce(closed_at, closes_at),
        cause = coalesce(cause, '{DigestClose.CANCELED.value}')
    FROM unnest($1::bytea[], $2::bigint[]) AS new (id, total)
    WHERE {is_each("digests.id", "new.id")} AND digests.total IS NULL
"""
EMPTIED = "UPDATE digest_items SET content = NULL, cancellation_key = NULL WHERE digest_id = ANY($1::bytea[])"
OPEN_OF_EVENT = """
    SELECT id FROM digests WHERE closed_at IS NULL AND id = ANY(ARRAY(
        SELECT digest_id FROM digest_items WHERE id BETWEEN $1 AND $2 AND event_id = $3
    )) ORDER BY id FOR UPDATE
"""
OF_EVENT = "SELECT id FROM digest_items WHERE id BETWEEN $1 AND $2 AND event_id = $3"
OPEN_OF_KEY = """
    SELECT id FROM digests WHERE closed_at IS NULL AND tenant = $2 AND workflow = $3 AND id = ANY(ARRAY(
        SELECT digest_id FROM digest_items WHERE cancellation_key = $1
    )) ORDER BY id FOR UPDATE
"""
OF_KEY = """
    SELECT id FROM digest_items
    WHERE cancellation_key = $1 AND withdrawn_at IS NULL AND digest_id = ANY($2::bytea[]) LIMIT $3
"""
WITHDRAW = f"""
    WITH gone AS (
        UPDATE digest_items SET withdrawn_at = $3, content = NULL, cancellation_key = NULL
        WHERE id = ANY($1::bytea[]) AND digest_id = ANY($2::bytea[]) AND withdrawn_at IS NULL
        RETURNING digest_id
    ), counted AS (SELECT digest_id, count(*) AS number FROM gone GROUP BY digest_id)
    UPDATE digests SET withdrawn = withdrawn + counted.number FROM counted
    WHERE {is_each("digests.id", "counted.digest_id")} RETURNING counted.number
"""
_END = f"""
    UPDATE digests SET closed_at = coalesce(closed_at, $2),
        cause = CASE WHEN closed_at IS NULL THEN '{DigestClose.CANCELED.value}' ELSE cause END, total = 0
    WHERE total IS NULL AND
"""
END = f"{_END} id = ANY($1::bytea[]) RETURNING id"
END_OF_USER = f'{_END} "user" = $1 RETURNING id'


class PostgresDigests:
    """Implements `ports.ledger.Digests`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def close(
        self, worker: WorkerId, runs: Sequence[RunRow], moved: Mapping[EventId, Instant], now: Instant
    ) -> Sequence[DigestRow]:
        ids = [row.event_id for row in runs]

        async def close(connection: Connection) -> list[DigestRow]:
            await connection.execute(USERS, sorted({row.user for row in runs}))
            await connection.execute(RUNS_LOCK, [row.id for row in runs])
            if moved:
                await connection.execute(MOVE, list(moved), list(moved.values()))
            await connection.execute(CLOSE, ids, now)
            claimed = ([row.id for row in runs], ids, [row.fence for row in runs])
            await connection.execute(GIVE_BACK, *claimed, worker)
            return [digest_of(row) for row in await connection.fetch(WITH_PREVIOUS, ids)]

        return await self._database.write(close)

    async def items(self, ids: Sequence[EventId]) -> Sequence[StoredItem]:
        return [item_of(row) for row in await self._database.rows(ITEMS, list(ids))]

    async def get(self, tenant: TenantId, ids: Sequence[EventId]) -> Sequence[DigestRow]:
        return [digest_of(row) for row in await self._database.rows(GET, list(ids), tenant)]

    async def withdraw(
        self, tenant: TenantId, workflow: str, cancellation_key: bytes, at: Instant, limit: int
    ) -> int:
        async def withdraw(connection: Connection) -> int:
            opened = await connection.fetch(OPEN_OF_KEY, cancellation_key, tenant, workflow)
            ids = [one for (one,) in opened]
            found = await connection.fetch(OF_KEY, cancellation_key, ids, limit)
            return await _withdrawn(connection, found, opened, at)

        return await self._database.write(withdraw)


async def latest(connection: Connection, slots: Sequence[bytes]) -> Mapping[bytes, DigestRow]:
    """The last digest of each slot, whose users are locked."""
    found = map(digest_of, await connection.fetch(LATEST, list(slots)) if slots else ())
    return {row.slot: row for row in found if row.slot is not None}


async def store(connection: Connection, decided: Slots) -> None:
    """What items made of digests."""
    if decided.due:
        await connection.execute(DUE, list(decided.due), list(decided.due.values()))
    if decided.rows:
        values = sorted(map(row_of, decided.rows.values()))
        done = await connection.execute(STORE, *zip(*values, strict=True))
        if done != f"INSERT 0 {len(values)}":
            raise Again  # One was closed meanwhile by somebody who does not wait for users.
    await new_rows.add(connection, "digest_items", ITEM_COLUMNS, list(map(item_row, decided.items)))


async def tell(connection: Connection, totals: Sequence[DigestTotal]) -> None:
    """The runs of digests that are over with these plans, or went on."""
    if totals:
        ids = [one.digest for one in totals]
        await connection.execute(TOLD, ids, [one.total for one in totals])
        await connection.execute(EMPTIED, ids)


async def withdraw_event(connection: Connection, event_id: EventId, at: Instant) -> None:
    """Take the items of an event out of the digests that are open."""
    of_event = (*children_range(event_id), event_id)
    opened = await connection.fetch(OPEN_OF_EVENT, *of_event)
    if opened:
        await _withdrawn(connection, await connection.fetch(OF_EVENT, *of_event), opened, at)


async def end(connection: Connection, ids: Sequence[EventId], at: Instant) -> None:
    """The runs of these are over before they told of them."""
    await _ended(connection, await connection.fetch(END, list(ids), at) if ids else ())


async def end_of_user(connection: Connection, user: UserNo, at: Instant) -> None:
    """The person is deleted."""
    await _ended(connection, await connection.fetch(END_OF_USER, user, at))


async def _withdrawn(connection: Connection, items: Sequence[Any], opened: Sequence[Any], at: Instant) -> int:
    ids, digests = [RunId(one) for (one,) in items], [EventId(one) for (one,) in opened]
    return sum(number for (number,) in await connection.fetch(WITHDRAW, ids, digests, at))


async def _ended(connection: Connection, found: Sequence[Any]) -> None:
    if found:
        await connection.execute(EMPTIED, [one for (one,) in found])
