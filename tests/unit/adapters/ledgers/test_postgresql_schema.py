"""The schema on a PostgreSQL server: made once, updated step by step, and refused when it is of another version."""

import asyncio
import os

import asyncpg
import pytest

from clarion.adapters.ledgers.postgresql import revision, tables
from clarion.adapters.ledgers.postgresql.address import read_address
from clarion.adapters.ledgers.postgresql.ledger import PostgresLedger
from clarion.adapters.ledgers.schema import REVISION, metadata
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError
from clarion.testing.ports import ManualClock, SeededRandom

NEXT = f"{int(REVISION) + 1:04}"

STEP = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {down}
{more}

def upgrade():
    op.add_column("topics", sa.Column("{column}", sa.Text(), nullable=True))
"""


@pytest.fixture
async def url(postgresql):
    """Of a database with nothing in it."""
    name = f"schema_{os.getpid()}"
    connection = await asyncpg.connect(postgresql.url())
    await connection.execute(f"CREATE DATABASE {name}")
    yield postgresql.url(name)
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


async def run(url, *statements):
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
        return await revision.schema_of(connection)
    finally:
        await connection.close()


async def serve(url):
    random = SeededRandom()
    ledger = await PostgresLedger.open(
        url, vault=LocalVault(b"k" * 32, random), clock=ManualClock(), random=random
    )
    await ledger.close()


@pytest.fixture
def steps(tmp_path):
    """Where the steps of later versions are."""
    versions = tmp_path / "versions"
    versions.mkdir()
    (versions / "now.py").write_text(f'revision = "{REVISION}"\ndown_revision = None\ndef upgrade(): pass\n')

    def add(number, column, more=""):
        step = STEP.format(revision=f"{number:04}", down=f'"{number - 1:04}"', column=column, more=more)
        (versions / f"v{number}.py").write_text(step)
        return tmp_path

    return add


async def test_an_empty_database_gets_all_tables_once(url):
    """However many processes begin with it at the same moment."""
    before = await asyncio.gather(*(revision.migrate(read_address(url)) for _ in range(4)))
    assert sorted(before, key=str) == [REVISION, REVISION, REVISION, None]
    connection = await asyncpg.connect(url)
    there = {
        row[0] for row in await connection.fetch("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')")
    }
    await connection.close()
    left_out = {name for name, made in tables.OWN.items() if not made}
    assert {*metadata.tables, *tables.OWN} - left_out <= there
    assert not left_out & there
    await serve(url)


async def test_a_database_without_tables_is_refused(url):
    """Whoever serves does not make them by the way."""
    with pytest.raises(ConfigError, match=r"has schema none, .* run `clarion migrate`"):
        await serve(url)


async def test_tables_of_another_application_are_left_alone(url):
    """Clarion says so, and takes another schema of the same database."""
    assert (await run(url, "CREATE TABLE users (name text)", "CREATE SCHEMA clarion")).revision is None
    with pytest.raises(ConfigError, match="has a table `users`, and it is none of Clarion"):
        await revision.migrate(read_address(url))
    assert await revision.migrate(read_address(f"{url}?search_path=clarion")) is None
    await serve(f"{url}?search_path=clarion")
    assert (await run(url)).revision is None, "its own are as they were"


async def test_a_step_that_adds_something_leaves_the_version_before_serving(url, steps):
    """Expand: N is there, and N-1 serves on. Contract: a later step takes what N-1 needs, and from then on it is refused."""
    await revision.migrate(read_address(url))
    folder = steps(int(NEXT), "added")
    assert await revision.migrate(read_address(url), steps=folder, to=NEXT) == REVISION
    assert await run(url, "UPDATE topics SET added = 'x'") == (NEXT, int(REVISION))
    await serve(url)
    assert await revision.migrate(read_address(url)) == NEXT, "this version leaves a newer schema as it is"
    later = f"{int(NEXT) + 1:04}"
    steps(int(later), "added_too", f'serves_since = "{NEXT}"')
    connection = await asyncpg.connect(url)
    await connection.execute(
        "INSERT INTO meta VALUES ('oldest_version', $1) ON CONFLICT (key) DO UPDATE SET value = $1", int(NEXT)
    )
    await connection.close()
    with pytest.raises(
        ConfigError, match=f"a newer version of Clarion made .* schema {NEXT}.*Nothing was changed"
    ):
        await serve(url)
    with pytest.raises(ConfigError, match="a newer version of Clarion made"):
        await revision.migrate(read_address(url), steps=folder, to=later)


async def test_a_step_says_who_may_still_serve(url, steps):
    """What it declares is kept with the schema."""
    await revision.migrate(read_address(url))
    folder = steps(int(NEXT), "added", f'serves_since = "{NEXT}"')
    await revision.migrate(read_address(url), steps=folder, to=NEXT)
    assert await run(url) == (NEXT, int(NEXT))


async def test_a_step_that_fails_changes_nothing(url, steps):
    """All steps are one transaction."""
    await revision.migrate(read_address(url))
    steps(int(NEXT), "added")
    folder = steps(int(NEXT) + 1, "added")
    with pytest.raises(asyncpg.DuplicateColumnError):
        await revision.migrate(read_address(url), steps=folder, to=f"{int(NEXT) + 1:04}")
    assert (await run(url)).revision == REVISION


async def test_a_step_does_not_hold_up_who_serves(url, steps, monkeypatch):
    """Somebody reads a table for long: the step gives up, so that nobody queues behind it."""
    monkeypatch.setattr(revision, "LOCK_TIMEOUT", "SET LOCAL lock_timeout = '30ms'")
    await revision.migrate(read_address(url))
    folder = steps(int(NEXT), "added")
    reader = await asyncpg.connect(url)
    async with reader.transaction():
        await reader.execute("LOCK TABLE topics IN ACCESS SHARE MODE")
        with pytest.raises(ConfigError, match="another transaction held what this one needed"):
            await revision.migrate(read_address(url), steps=folder, to=NEXT)
    await reader.close()
    assert await revision.migrate(read_address(url), steps=folder, to=NEXT) == REVISION


async def test_lists_are_in_the_order_of_bytes(url):
    """As in every other database, whatever the locale of the server."""
    await revision.migrate(read_address(url))
    await run(url, "INSERT INTO topics VALUES (1, 'b', ''), (1, 'B', ''), (1, 'a', ''), (1, 'ä', '')")
    connection = await asyncpg.connect(url)
    assert [row[0] for row in await connection.fetch("SELECT key FROM topics ORDER BY key")] == [
        "B",
        "a",
        "b",
        "ä",
    ]
    await connection.close()


async def test_every_later_step_is_written_for_both_engines(url):
    """From the first schema that there was on servers up to this version; whoever is older than that is told."""
    assert [step.revision for step in revision.steps_between(revision.FIRST, REVISION)] == [
        f"{number:04}" for number in range(int(revision.FIRST) + 1, int(REVISION) + 1)
    ]
    await revision.migrate(read_address(url))
    await run(url, "UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(ConfigError, match="of a version that was never released: make a new database"):
        await revision.migrate(read_address(url))
