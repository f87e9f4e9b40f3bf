"""The schema on the server: made, brought to this version step by step, and refused when it is of another one.

A step that another version can serve beside keeps `OLDEST_VERSION` as it is: it adds what the next version needs
(expand), and that is filled in while both serve (migrate). A later step takes away what only the older one needed
(contract), and says so with `serves_since`: the oldest schema whose code may still serve. So N and N-1 run on one database.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from clarion.adapters.ledgers.postgresql.address import Address
from clarion.adapters.ledgers.postgresql.faults import unusable
from clarion.adapters.ledgers.postgresql.tables import statements
from clarion.adapters.ledgers.schema import REVISION
from clarion.errors import ConfigError

ONE_AT_A_TIME = 0x636C6172696F6E
"""The number of the advisory lock that whoever changes the schema holds: `clarion` in bytes."""
CONNECT_S = 10.0
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '5s'"
"""Whoever waits for a table keeps everybody behind it waiting: a step gives up before that is felt."""
FIRST = "0043"
"""Databases on servers began with this schema. Every step behind it is written for both engines: with Alembic's operations, and
without asking the database anything, because it is written down before it runs."""
STEPS = Path(__file__).parents[1] / "migrations"

MOVING = "moving"
"""The table that is there while an installation is moved here: nobody may serve before all of it has arrived."""

_OURS = ("users", "messages", "events", "tenants")
_THERE = "SELECT to_regclass('alembic_version') IS NOT NULL"
_FOUND = "SELECT version_num FROM alembic_version"
_OLDEST = "SELECT value FROM meta WHERE key = 'oldest_version'"
_OLDEST_IS = """
    INSERT INTO meta (key, value) VALUES ('oldest_version', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value
"""
_FOREIGN = """
    SELECT relname FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND relname = ANY($1) LIMIT 1
"""


class ServerSchema(NamedTuple):
    """What is on the server."""

    revision: str | None
    """The last step it has seen; None: there is nothing."""
    oldest: int = 0
    """The oldest version that may serve with it."""


class SchemaStep(NamedTuple):
    """From one schema to the next."""

    revision: str
    sql: str
    oldest: str | None


async def schema_of(connection: Any) -> ServerSchema:
    """The schema that this connection sees."""
    if not await connection.fetchval(_THERE):
        return ServerSchema(None)
    return ServerSchema(await connection.fetchval(_FOUND), await connection.fetchval(_OLDEST) or 0)


async def require_current(connection: Any, place: str) -> None:
    """Raises ConfigError saying what to do when this version cannot serve with the database."""
    found = await schema_of(connection)
    _require_known(place, found)
    if found.revision is None or found.revision < REVISION:
        raise ConfigError(
            f"the database {place} has schema {found.revision or 'none'}, this version of Clarion needs {REVISION}: "
            "run `clarion migrate`"
        )
    if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", MOVING):
        raise ConfigError(
            f"an installation is being moved to the database {place}: run `clarion migrate --to` again, which goes on from there"
        )


async def find(address: Address) -> ServerSchema:
    """What is in the database. Raises ConfigError saying what to do when it cannot be reached."""
    async with _connected(address) as connection:
        return await schema_of(connection)


async def migrate(address: Address, *, steps: Path = STEPS, to: str = REVISION) -> str | None:
    """Create the tables, or bring them to this version; the revision they had before, None: there were none.

    One transaction: it is done or not done. Whoever else is at it waits. Raises ConfigError saying what to do.
    """
    async with _connected(address) as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", ONE_AT_A_TIME)
        await connection.execute(LOCK_TIMEOUT)
        found = await schema_of(connection)
        _require_known(address.place, found)
        if found.revision is None:
            await _create(connection, address.place)
        elif found.revision < to:
            _require_steps(address.place, found.revision)
            for step in steps_between(found.revision, to, steps):
                await connection.execute(step.sql)
                await connection.execute("UPDATE alembic_version SET version_num = $1", step.revision)
                if step.oldest is not None:
                    await connection.execute(_OLDEST_IS, int(step.oldest))
        return found.revision


@asynccontextmanager
async def _connected(address: Address) -> AsyncIterator[Any]:
    connection = None
    try:
        connection = await asyncpg.connect(address.dsn, timeout=CONNECT_S, statement_cache_size=0)
        yield connection
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError) as error:
        told = unusable(error, address.place)
        if told is None:
            raise
        raise told from error
    finally:
        if connection is not None:
            await connection.close()


async def _create(connection: Any, place: str) -> None:
    foreign = await connection.fetchval(_FOREIGN, _OURS)
    if foreign is not None:
        raise ConfigError(
            f"the database {place} has a table `{foreign}`, and it is none of Clarion: give Clarion a database of its own, "
            "or a schema of its own with ?search_path=clarion in the URL. Nothing was changed."
        )
    for statement in statements():
        await connection.execute(statement)
    await connection.execute("CREATE TABLE alembic_version (version_num text PRIMARY KEY)")
    await connection.execute("INSERT INTO alembic_version VALUES ($1)", REVISION)
    await connection.execute(_OLDEST_IS, int(REVISION))


def steps_between(found: str, to: str, folder: Path = STEPS) -> Iterator[SchemaStep]:
    """The steps in order, as this engine runs them. Alembic is loaded here and nowhere else."""
    from alembic.config import Config
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(folder))
    for script in reversed(list(ScriptDirectory.from_config(config).iterate_revisions(to, found))):
        written = io.StringIO()
        context = MigrationContext.configure(
            dialect_name="postgresql", opts={"as_sql": True, "output_buffer": written, "literal_binds": True}
        )
        with Operations.context(context):
            script.module.upgrade()
        yield SchemaStep(script.revision, written.getvalue(), getattr(script.module, "serves_since", None))


def _require_steps(place: str, found: str) -> None:
    if found < FIRST:
        raise ConfigError(
            f"the database {place} has schema {found}, of a version that was never released: make a new database. Nothing was "
            "changed."
        )


def _require_known(place: str, found: ServerSchema) -> None:
    if found.revision is not None and found.revision > REVISION and found.oldest > int(REVISION):
        raise ConfigError(
            f"a newer version of Clarion made the database {place}: it has schema {found.revision}, and this version knows "
            f"those up to {REVISION}. Nothing was changed. Install the newer version again."
        )
