"""New databases on the server of the tests: made once per process, emptied for every test."""

from __future__ import annotations

import os

import asyncpg

from clarion.adapters.ledgers.postgresql.address import read_address
from clarion.adapters.ledgers.postgresql.revision import migrate
from tests.servers.postgresql import PostgreSql

KEPT = ("alembic_version", "statuses")
"""The tables that are not empty in a new database."""

_made: dict[str, str] = {}


async def new_database(server: PostgreSql) -> str:
    """The URL of an empty ledger, as `migrate` leaves it. The one before is gone."""
    name = f"ledger_{os.getpid()}"
    url = server.url(name)
    connection = await asyncpg.connect(server.url() if url not in _made else url)
    try:
        if url in _made:
            await connection.execute(_made[url])
            return url
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    await migrate(read_address(url))
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetch(
            """SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition
                AND relnamespace = 'public'::regnamespace"""
        )
        # Cheaper than TRUNCATE by far, as there is next to nothing in them.
        emptied = [f'DELETE FROM "{name}"' for (name,) in found if name not in KEPT]
        counted = (
            "SELECT setval(seqrelid, 1, false) FROM pg_sequence"  # as everywhere else: numbers begin at 1
        )
        _made[url] = "; ".join([*emptied, counted])
    finally:
        await connection.close()
    return url
