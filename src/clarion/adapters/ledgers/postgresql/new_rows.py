"""Adds new rows to a table: many at once, or a few without asking twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clarion.adapters.ledgers.postgresql.database import Connection

FEW = 8
"""Up to so many rows are inserted one by one in a single round trip; COPY, which is much cheaper for many, takes two."""


async def add(
    connection: Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """The rows, each as the columns."""
    if len(rows) > FEW:
        await connection.copy_records_to_table(table, records=rows, columns=columns)
    elif rows:
        names = ", ".join(f'"{column}"' for column in columns)
        values = ", ".join(f"${place}" for place in range(1, len(columns) + 1))
        await connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({values})", rows)
