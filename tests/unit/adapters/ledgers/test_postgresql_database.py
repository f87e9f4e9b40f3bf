"""Transactions on a PostgreSQL server: done again where that helps, and told plainly where it does not."""

import asyncio
import shutil

import asyncpg
import pytest

from clarion.adapters.ledgers.postgresql.address import read_address
from clarion.adapters.ledgers.postgresql.database import Again, open_database
from clarion.adapters.ledgers.postgresql.users import stored_text
from clarion.adapters.system import SystemClock
from clarion.errors import ConfigError, Conflict, InvalidInput, Unavailable
from clarion.testing.ports import ManualClock, SeededRandom
from tests.postgresql_ledgers import new_database
from tests.servers import postgresql as server
from tests.servers.process import free_port, home_for, stop

COUNT = "INSERT INTO meta (key, value) VALUES ($1, 1) ON CONFLICT (key) DO UPDATE SET value = meta.value + 1"
COUNTED = "SELECT value FROM meta WHERE key = $1"


async def opened(url, clock=None, random=None):
    return await open_database(
        read_address(url), clock=clock or SystemClock(), random=random or SeededRandom()
    )


@pytest.fixture
async def database(postgresql):
    database = await opened(await new_database(postgresql))
    yield database
    await database.close()


async def counted(database, key="n"):
    row = await database.row(COUNTED, key)
    return 0 if row is None else row["value"]


async def test_what_fails_leaves_nothing(database):
    """The caller gets what was raised, and the connection is of use to the next one."""

    async def fails(connection):
        await connection.execute(COUNT, "n")
        raise Conflict("not like this")

    with pytest.raises(Conflict):
        await database.write(fails)
    assert await counted(database) == 0
    await database.write(lambda connection: connection.execute(COUNT, "n"))
    assert await counted(database) == 1


async def test_who_locks_in_another_order_waits_and_is_done_again(database):
    """Both are stored in the end, though the server had to end one of them."""
    for key in ("a", "b"):
        await database.write(lambda connection, key=key: connection.execute(COUNT, key))
    both = asyncio.Barrier(2)
    met = set()

    def crossing(first, second):
        async def cross(connection):
            await connection.execute("SET LOCAL deadlock_timeout = '20ms'")
            await connection.execute(COUNT, first)
            if first not in met:
                met.add(first)
                await both.wait()
            await connection.execute(COUNT, second)

        return cross

    await asyncio.gather(database.write(crossing("a", "b")), database.write(crossing("b", "a")))
    assert (await counted(database, "a"), await counted(database, "b")) == (3, 3)
    assert database.redone == 1


async def test_whoever_is_always_too_late_is_told_so(database):
    """Nothing is tried for ever, and what was tried is undone."""
    tried = []

    async def again(connection):
        tried.append(await connection.execute(COUNT, "n"))
        raise Again

    with pytest.raises(Unavailable, match="again and again"):
        await database.write(again)
    assert len(tried) == 8
    assert await counted(database) == 0


async def test_no_error_shows_what_is_stored(database):
    """The server adds the row to some of its errors, and these reach the log."""
    with pytest.raises(asyncpg.NotNullViolationError) as broken:
        await database.write(
            lambda connection: connection.execute("INSERT INTO topics VALUES (1, 's3cret', NULL)")
        )
    assert "s3cret" not in str(broken.value)


@pytest.mark.parametrize("text", ["a\0b", "half \ud83d"])
async def test_a_text_that_cannot_be_stored_is_refused(database, text):
    """The caller is told why, without the text, and nothing is wrong with the database."""
    with pytest.raises(InvalidInput, match="a character that PostgreSQL does not store") as refused:
        await database.write(
            lambda connection: connection.execute("INSERT INTO topics VALUES (1, 'news', $1)", text)
        )
    assert refused.value.__cause__ is None
    assert await database.probe() == "ok"
    assert database.failures == 0


async def test_what_others_say_is_stored_without_what_cannot_be(database):
    """A push service may answer anything."""
    said = stored_text("gone\0 \ud83d")
    await database.write(
        lambda connection: connection.execute("INSERT INTO topics VALUES (1, 'news', $1)", said)
    )
    assert (await database.row("SELECT name FROM topics"))["name"] == "gone ?"
    assert stored_text(None) is None


async def test_a_statement_that_takes_too_long_is_ended(database):
    """The caller is told, and nothing is wrong with the database itself."""

    async def slow(connection):
        await connection.execute(COUNT, "n")
        await connection.execute("SET LOCAL statement_timeout = '30ms'")
        await connection.execute("SELECT pg_sleep(30)")

    with pytest.raises(Unavailable, match="took too long: nothing was stored"):
        await database.write(slow)
    assert await counted(database) == 0
    assert await database.probe() == "ok"


async def test_nobody_waits_for_a_lock_for_ever(database):
    """Somebody else holds the row: the caller is told after a while."""
    await database.write(lambda connection: connection.execute(COUNT, "n"))
    held, done = asyncio.Event(), asyncio.Event()

    async def hold(connection):
        await connection.execute(COUNT, "n")
        held.set()
        await done.wait()

    async def wait(connection):
        await connection.execute("SET LOCAL lock_timeout = '30ms'")
        await connection.execute(COUNT, "n")

    holder = asyncio.create_task(database.write(hold))
    await held.wait()
    with pytest.raises(Unavailable, match="another transaction held"):
        await database.write(wait)
    done.set()
    await holder
    assert await counted(database) == 2


async def test_every_connection_has_its_limits(database):
    """Nothing holds others up for ever; whoever looks at the server sees who it is."""
    for setting, value in (
        ("statement_timeout", "20s"),
        ("lock_timeout", "10s"),
        ("application_name", "clarion"),
    ):
        assert (await database.row(f"SHOW {setting}"))[0] == value
    assert (await database.row("SHOW idle_in_transaction_session_timeout"))[0] == "20s"
    assert (await database.row("SHOW synchronous_commit"))[0] == "on", "whatever the server says"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (asyncpg.DiskFullError, "disk of the database server is full: nothing was stored; free space"),
        (asyncpg.TooManyConnectionsError, "takes no more connections"),
        (asyncpg.ReadOnlySQLTransactionError, "it is a replica"),
        (asyncpg.CannotConnectNowError, "is starting or stopping"),
    ],
)
async def test_the_server_is_in_trouble(database, error, says):
    """The caller is told what to do, and so is whoever asks how the database is, until something is stored again."""

    async def fails(connection):
        raise error("no")

    with pytest.raises(Unavailable, match=says):
        await database.write(fails)
    assert says in database.trouble
    assert await database.probe() == "ok", "asking makes it look again"


async def test_what_is_written_in_place_does_not_mean_that_the_disk_has_room(database):
    """A lease is beaten on a full disk, too: only what takes room shows that there is some."""

    async def fails(connection):
        raise asyncpg.DiskFullError("no")

    with pytest.raises(Unavailable):
        await database.write(fails)
    await database.write(lambda connection: connection.execute(COUNT, "n"))
    assert "disk of the database server is full" in database.trouble
    assert await database.probe() == "ok"
    assert await database.rows("SELECT 1 FROM pg_class WHERE relname = 'room'") == []


async def test_a_connection_that_was_cut_while_idle_is_passed_over(database, postgresql):
    """Nobody notices: a firewall or a restart did it while nothing was under way."""
    await asyncio.gather(*(database.write(lambda c: c.execute(COUNT, "n")) for _ in range(8)))
    await cut(postgresql, database)
    assert await counted(database) == 8
    await cut(postgresql, database)
    await asyncio.gather(*(database.write(lambda c: c.execute(COUNT, "n")) for _ in range(8)))
    assert await counted(database) == 16


async def cut(postgresql, database):
    """End all connections of this database."""
    connection = await asyncpg.connect(postgresql.url())
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
        database.address.place.split("/")[1],
    )
    await connection.close()


async def test_a_connection_that_is_cut_under_way_is_told(database):
    """Nothing of the transaction is stored; the next one is."""

    async def fail(connection):
        await connection.execute(COUNT, "n")
        await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(Unavailable, match="nothing was stored"):
        await database.write(fail)
    assert await counted(database) == 0
    await database.write(lambda connection: connection.execute(COUNT, "n"))
    assert await counted(database) == 1


async def test_a_reader_sees_one_moment_and_writes_nothing(database):
    """What others commit meanwhile it does not see."""
    await database.write(lambda connection: connection.execute(COUNT, "n"))

    async def look(connection):
        before = await connection.fetchval(COUNTED, "n")
        await database.write(lambda other: other.execute(COUNT, "n"))
        return before, await connection.fetchval(COUNTED, "n")

    assert await database.read(look) == (1, 1)
    with pytest.raises(Unavailable):
        await database.read(lambda connection: connection.execute(COUNT, "n"))


async def test_a_server_that_is_restarted_is_found_again():
    """While it is away callers are told at once, and so is whoever asks how it is; then everything goes on."""
    home, port = home_for("postgresql-restart", server.USER), free_port()
    server.initialised(home)
    process = server.serve(home, port)
    clock = ManualClock()
    try:
        url = server.PostgreSql(port).url()
        database = await opened(url, clock)
        try:
            await database.write(
                lambda connection: connection.execute("CREATE TABLE meta (key text PRIMARY KEY, value int)")
            )
            await database.write(lambda connection: connection.execute(COUNT, "n"))
            stop(process.pid, 2)
            process.wait()
            for _ in range(3):
                with pytest.raises(Unavailable):
                    await database.write(lambda connection: connection.execute(COUNT, "n"))
            assert "database server" in await database.probe()
            process = server.serve(home, port)
            with pytest.raises(Unavailable):  # It does not ask again before its pause is over.
                await database.write(lambda connection: connection.execute(COUNT, "n"))
            clock.advance(1)
            assert await database.probe() == "ok"
            await database.write(lambda connection: connection.execute(COUNT, "n"))
            assert await counted(database) == 2
        finally:
            await database.close()
    finally:
        stop(process.pid, 2)
        process.wait()
        shutil.rmtree(home)


async def test_behind_a_pooler_every_transaction_says_what_it_needs(postgresql, pgbouncer):
    """It is found out that connections are shared: nothing is prepared on them, and no setting is left behind."""
    name = (await new_database(postgresql)).rpartition("/")[2]
    database = await opened(pgbouncer.url(name))
    try:
        assert database.pooled
        await asyncio.gather(*(database.write(lambda c: c.execute(COUNT, "n")) for _ in range(40)))
        assert await asyncio.gather(*(counted(database) for _ in range(40))) == [40] * 40
        assert await database.write(lambda connection: connection.fetchval("SHOW statement_timeout")) == "20s"
        assert await database.read(lambda connection: connection.fetchval("SHOW lock_timeout")) == "10s"
    finally:
        await database.close()
    direct = await opened(postgresql.url(name))
    assert not direct.pooled
    await direct.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://app@127.0.0.1/x?connections=none", "`connections` must be a number"),
        ("postgresql://app@127.0.0.1/x?pooled=maybe", "`pooled` must be yes or no"),
        ("postgresql:x", "must name a server"),
        ("postgresql://app:s3cret@127.0.0.1:1/x", "127.0.0.1:1/x cannot be used"),
    ],
)
async def test_a_url_that_leads_nowhere_is_refused(url, says):
    """With what is wrong, and without the password."""
    with pytest.raises(ConfigError, match=says) as refused:
        await opened(url)
    assert "s3cret" not in str(refused.value)


async def test_a_database_that_is_not_there_is_refused(postgresql):
    """The server says why."""
    with pytest.raises(ConfigError, match='database "nowhere" does not exist'):
        await opened(postgresql.url("nowhere"))
