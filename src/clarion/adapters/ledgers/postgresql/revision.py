"""The revision of the schema on the server: made, read, and refused when it is not that of this version."""

from __future__ import annotations

from typing import Any

import asyncpg

from clarion.adapters.ledgers.postgresql.address import Address
from clarion.adapters.ledgers.postgresql.faults import unusable
from clarion.adapters.ledgers.postgresql.tables import statements
from clarion.adapters.ledgers.schema import REVISION
from clarion.errors import ConfigError

ONE_AT_A_TIME = 0x636C6172696F6E
"""The number of the advisory lock that whoever changes the schema holds: `clarion` in bytes."""
CONNECT_S = 10.0

_THERE = "SELECT to_regclass('alembic_version') IS NOT NULL"
_FOUND = "SELECT version_num FROM alembic_version"
_FOREIGN = """SELECT c.relname FROM pg_class AS c
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND c.relname = ANY($1) LIMIT 1"""


async def revision(connection: Any) -> str | None:
    """The last step the database has seen; None when it has seen none."""
    return await connection.fetchval(_FOUND) if await connection.fetchval(_THERE) else None


async def require_current(connection: Any, place: str) -> None:
    """Raises ConfigError saying what to do when the database is of another version."""
    found = await revision(connection)
    _require_known(place, found)
    if found != REVISION:
        raise ConfigError(
            f"the database {place} has schema {found or 'none'}, this version of Clarion needs {REVISION}: "
            "run `clarion migrate`"
        )


async def migrate(address: Address) -> str | None:
    """Create the tables, or update them to this version; the revision they had before, None: there were none.

    One transaction: it is done or not done. Whoever else is at it waits. Raises ConfigError saying what to do.
    """
    try:
        connection = await asyncpg.connect(address.dsn, timeout=CONNECT_S, statement_cache_size=0)
    except Exception as error:
        told = unusable(error, address.place)
        if told is None:
            raise
        raise told from error
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", ONE_AT_A_TIME)
            found = await revision(connection)
            _require_known(address.place, found)
            if found is None:
                await _create(connection, address.place)
            return found
    except asyncpg.PostgresError as error:
        told = unusable(error, address.place)
        if told is None:
            raise
        raise told from error
    finally:
        await connection.close()


async def _create(connection: Any, place: str) -> None:
    foreign = await connection.fetchval(_FOREIGN, ["users", "messages", "events", "tenants"])
    if foreign is not None:
        raise ConfigError(
            f"the database {place} has a table `{foreign}`, and it is none of Clarion: give Clarion a database of its own, "
            "or a schema of its own with ?search_path=clarion in the URL. Nothing was changed."
        )
    for statement in statements():
        await connection.execute(statement)
    await connection.execute("CREATE TABLE alembic_version (version_num text PRIMARY KEY)")
    await connection.execute("INSERT INTO alembic_version VALUES ($1)", REVISION)


def _require_known(place: str, found: str | None) -> None:
    if found is not None and found > REVISION:
        raise ConfigError(
            f"a newer version of Clarion made the database {place}: it has schema {found}, and this version knows those up "
            f"to {REVISION}. Nothing was changed. Install the newer version again."
        )
