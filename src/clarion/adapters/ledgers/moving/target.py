"""The server an installation is moved to: how far it is there, and what it has by now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import msgspec

from clarion.adapters.ledgers.moving.tables import Moved, moved
from clarion.adapters.ledgers.postgresql.address import Address
from clarion.adapters.ledgers.postgresql.revision import MOVING

ROWS_AT_ONCE = 2_000

Key = tuple[Any, ...]
Row = tuple[Any, ...]


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How far a move is."""

    origin: int
    """The installation that is moved."""
    table: int = 0
    """Which of the tables is being copied; behind the last one all of them were."""
    key: tuple[Any, ...] | None = None
    """The last row of it that was copied."""
    applied: int = 0
    """The last change that was copied."""


class Target:
    """See the module."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._types: dict[str, dict[str, str]] = {}
        """Of the columns of each table."""
        self._keys: dict[str, list[str]] = {}
        """The columns of the primary keys."""

    @classmethod
    async def open(cls, address: Address) -> Target:
        """Connect, and look which columns there are."""
        target = cls(await asyncpg.connect(address.dsn, statement_cache_size=0))
        for table, column, kind in await target._connection.fetch(
            """SELECT relname, attname, format_type(atttypid, NULL) FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
            WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped"""
        ):
            target._types.setdefault(table, {})[column] = kind
        for table, columns in await target._connection.fetch(
            """SELECT relname, array_agg(attname::text) FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
            JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)
            WHERE indisprimary AND relnamespace = current_schema()::regnamespace GROUP BY relname"""
        ):
            target._keys[table] = columns
        return target

    async def close(self) -> None:
        """Nothing is pending."""
        await self._connection.close()

    async def state(self) -> State | None:
        """How far the move to it is; None: there is none."""
        if MOVING not in self._types:
            return None
        return msgspec.msgpack.decode(
            await self._connection.fetchval(f"SELECT said FROM {MOVING}"), type=State
        )

    async def begin(self, origin: int) -> State:
        """A move begins."""
        state = State(origin=origin)
        async with self._connection.transaction():
            await self._connection.execute(f"CREATE TABLE {MOVING} (said bytea NOT NULL)")
            await self._connection.execute(f"INSERT INTO {MOVING} VALUES ($1)", msgspec.msgpack.encode(state))
        return state

    async def first_used(self) -> str | None:
        """A table that has rows already."""
        for table in moved():
            if await self._connection.fetchval(f"SELECT 1 FROM {table.name} WHERE {table.only} LIMIT 1"):
                return table.name
        return None

    async def store(
        self,
        changes: Sequence[tuple[Moved, Sequence[Row], Sequence[Key]]],
        state: State,
    ) -> State:
        """In one transaction: rows of tables, keys whose rows are gone, and how far it is by that."""
        async with self._connection.transaction():
            for table, rows, gone in changes:
                for start in range(0, len(gone), ROWS_AT_ONCE):
                    await self._drop(table, gone[start : start + ROWS_AT_ONCE])
                for start in range(0, len(rows), ROWS_AT_ONCE):
                    await self._put(table, rows[start : start + ROWS_AT_ONCE])
            await self._connection.execute(f"UPDATE {MOVING} SET said = $1", msgspec.msgpack.encode(state))
        return state

    async def rows(self, table: Moved) -> AsyncIterator[list[Row]]:
        """All rows of a table, in parts."""
        async with self._connection.transaction(readonly=True):
            cursor = await self._connection.cursor(
                f"SELECT {_listed(table.columns)} FROM {table.name} WHERE {table.only}"
            )
            while some := await cursor.fetch(ROWS_AT_ONCE):
                yield [self._as_moved(table, row) for row in some]

    async def named(self, table: Moved, rows: Sequence[Row]) -> list[Row]:
        """The rows that are there under the keys of these."""
        if not rows:
            return []
        key = self._keys[table.name]
        places = [table.columns.index(column) for column in key]
        its, values = self._arrays(table, key, [[row[place] for place in places] for row in rows])
        found = await self._connection.fetch(
            f"SELECT {_listed(table.columns)} FROM {table.name} WHERE ({_listed(key)}) IN (SELECT * FROM unnest({its}))",
            *values,
        )
        return [self._as_moved(table, row) for row in found]

    async def finish(self, numbers: dict[str, int]) -> None:
        """Somebody may serve from now on. `numbers`: the highest number each table ever gave out."""
        async with self._connection.transaction():
            for table in numbers.keys() & self._types.keys():
                for column in self._keys[table]:
                    sequence = await self._connection.fetchval(
                        "SELECT pg_get_serial_sequence($1, $2)", table, column
                    )
                    if sequence is not None and numbers[table]:
                        await self._connection.execute(
                            "SELECT setval($1::regclass, $2)", sequence, numbers[table]
                        )
            await self._connection.execute(f"DROP TABLE {MOVING}")

    async def analyze(self) -> None:
        """So that the server knows how much there is of everything."""
        await self._connection.execute("ANALYZE")

    def _as_moved(self, table: Moved, row: Row) -> Row:
        """The row as the file has it: JSON as it is written there, not as this server does."""
        types = self._types[table.name]
        return tuple(
            canonical(value) if types[column] == "jsonb" and value is not None else value
            for column, value in zip(table.columns, row, strict=True)
        )

    async def _put(self, table: Moved, rows: Sequence[Row]) -> None:
        key = self._keys[table.name]
        places = [table.columns.index(column) for column in key]
        # Of two with the same key the last one counts.
        unique = {tuple([row[place] for place in places]): row for row in rows}
        its, values = self._arrays(table, table.columns, list(unique.values()))
        changed = ", ".join(f'"{c}" = excluded."{c}"' for c in table.columns if c not in key)
        await self._connection.execute(
            f"INSERT INTO {table.name} ({_listed(table.columns)}) SELECT * FROM unnest({its}) "
            f"ON CONFLICT ({_listed(key)}) " + (f"DO UPDATE SET {changed}" if changed else "DO NOTHING"),
            *values,
        )

    async def _drop(self, table: Moved, keys: Sequence[Key]) -> None:
        if table.until is not None:
            return  # What is of no use any more goes there by itself.
        its, values = self._arrays(table, table.key, keys)
        await self._connection.execute(
            f"DELETE FROM {table.name} WHERE ({_listed(table.key)}) IN (SELECT * FROM unnest({its}))", *values
        )

    def _arrays(
        self, table: Moved, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> tuple[str, list[list[Any]]]:
        """The parameters that rows travel in, and SQL for their types."""
        types = self._types[table.name]
        its = ", ".join(f"${place}::{types[column]}[]" for place, column in enumerate(columns, 1))
        return its, [list(column) for column in zip(*rows, strict=True)]


def canonical(text: str) -> str:
    """The JSON as every ledger writes it."""
    return msgspec.json.encode(msgspec.json.decode(text), order="deterministic").decode()


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)
