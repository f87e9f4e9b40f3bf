"""Lists are read from a replica that has everything, and from the primary otherwise."""

import asyncio
import shutil
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from clarion.adapters.ledgers.postgresql.address import read_address
from clarion.adapters.ledgers.postgresql.database import Database, open_database
from clarion.adapters.ledgers.postgresql.ledger import PostgresLedger
from clarion.adapters.ledgers.postgresql.replicas import Replicas
from clarion.adapters.system import SystemClock
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError, Unavailable
from clarion.model.ids import EventId, MessageId, TenantId
from clarion.model.inbox import CaptureFilter
from clarion.model.message import MessageFilter
from clarion.model.operation import OperationFilter
from clarion.model.reading import DeadRecordFilter
from clarion.model.topic import Topic
from clarion.testing.ports import ManualClock, SeededRandom
from tests.postgresql_ledgers import new_database
from tests.servers import postgresql as server
from tests.servers.process import free_port, home_for, stop

WHERE = "SELECT pg_is_in_recovery()"
WRITE = "INSERT INTO meta VALUES ('n', 1) ON CONFLICT (key) DO UPDATE SET value = meta.value + 1"
VALUE = "SELECT value, pg_is_in_recovery() FROM meta WHERE key = 'n'"
WRITTEN = "SELECT pg_current_wal_lsn()"
REPLAYED = "SELECT pg_last_wal_replay_lsn() >= $1"
FOREVER_S = 60.0


@pytest.fixture(scope="module")
def copy(postgresql):
    """A replica of the server, which a test may stop and start."""
    home, port = home_for("postgresql-replica", server.USER), free_port()
    process = server.replica(home, port, postgresql)
    yield port
    stop(process.pid, 2)
    process.wait()
    shutil.rmtree(home)


@pytest.fixture
async def url(postgresql, copy):
    """Of a database that has a replica, once that has the database too."""
    url = await new_database(postgresql)
    await arrived(url, copy)
    return f"{url}?replica=127.0.0.1:{copy}"


async def arrived(url, copy):
    """Wait until the replica has everything."""
    address = read_address(f"{url}?replica=127.0.0.1:{copy}")
    primary = await asyncpg.connect(address.dsn)
    written = await primary.fetchval(WRITTEN)
    await primary.close()
    for _ in range(20_000):
        try:
            replica = await asyncpg.connect(*address.replicas)
        except asyncpg.InvalidCatalogNameError:
            continue
        if await replica.fetchval(REPLAYED, written):
            return await replica.close()
        await replica.close()
    raise AssertionError("the replica does not follow")


@pytest.fixture
async def both(url):
    """The primary and its replica, and what asks them."""
    address = read_address(url)
    tools: dict[str, Any] = {"clock": SystemClock(), "random": SeededRandom()}
    primary = await open_database(address, **tools)
    copy = await open_database(read_address(address.replicas[0]), **tools, replica=True)
    replicas = Replicas(primary, [copy], tools["clock"])
    yield primary, copy, replicas
    await replicas.close()
    await primary.close()


async def asked_until(replicas, where):
    """Ask again and again until this one answers."""
    async with asyncio.timeout(FOREVER_S):
        while await replicas.rows(WHERE) != [(where,)]:
            pass


async def test_a_list_comes_from_a_replica_that_has_everything(both):
    """While it is behind the primary answers, as for everything else."""
    primary, copy, replicas = both
    await asked_until(replicas, True)
    assert await primary.rows(WHERE) == [(False,)]
    await paused(copy.address, True)
    await primary.write(lambda connection: connection.execute(WRITE))
    assert await replicas.rows(WHERE) == [(False,)]
    await paused(copy.address, False)
    await asked_until(replicas, True)


async def test_a_list_has_what_was_written_before_it_was_asked(both):
    """Whoever answers: most of the time it is the replica, a moment after the write."""
    primary, _, replicas = both
    await asked_until(replicas, True)
    answered = []
    for number in range(1, 41):
        await primary.write(lambda connection: connection.execute(WRITE))
        ((value, by_the_replica),) = await replicas.rows(VALUE)
        assert value == number
        answered.append(by_the_replica)
    assert any(answered)


async def test_all_of_a_list_is_of_one_moment(both):
    """What is read in several statements, too."""
    _, _, replicas = both
    await asked_until(replicas, True)

    async def read(connection):
        return [await connection.fetchval("SELECT txid_current_snapshot()::text") for _ in range(2)]

    first, second = await replicas.read(read)
    assert first == second


async def test_a_replica_that_is_away_is_not_missed(both):
    """Its connections are cut: the primary answers."""
    _, copy, replicas = both
    await asked_until(replicas, True)
    await copy.close()
    assert await replicas.rows(WHERE) == [(False,)]


async def test_a_query_that_stands_in_the_way_of_a_replica_is_asked_of_the_primary(both):
    """The replica ends it to go on replaying."""
    _, _, replicas = both
    await asked_until(replicas, True)
    asked = []

    async def read(connection):
        asked.append(where := await connection.fetchval(WHERE))
        if where:
            raise asyncpg.SerializationError("canceling statement due to conflict with recovery")
        return where

    assert await replicas.read(read) is False
    assert asked == [True, False]


async def test_without_the_primary_there_are_no_lists(both):
    """A replica cannot know by itself whether it has everything."""
    primary, _, replicas = both
    await primary.close()
    with pytest.raises(Unavailable):
        await replicas.rows(WHERE)


TENANT = TenantId(1)
LISTS: dict[str, Callable[[PostgresLedger], Awaitable[Any]]] = {
    "messages": lambda ledger: ledger.records.page(TENANT, MessageFilter(), None, 9),
    "how many messages": lambda ledger: ledger.records.count(TENANT, MessageFilter(), None),
    "events": lambda ledger: ledger.events.page(TENANT, None, b"\xff" * 16, 9),
    "events set aside": lambda ledger: ledger.set_aside.page(TENANT, None, 9),
    "dead records": lambda ledger: ledger.dead_records.page(TENANT, DeadRecordFilter(), None, 9),
    "numbers of messages": lambda ledger: ledger.retention.totals(TENANT, 0, 1),
    "costs": lambda ledger: ledger.spending.spent(TENANT, "2026-01-01", "2026-02-01"),
    "captures": lambda ledger: ledger.captures.page(TENANT, CaptureFilter(), None, 9),
    "operations": lambda ledger: ledger.operations.page(TENANT, OperationFilter(), None, 9),
    "users": lambda ledger: ledger.users.page(TENANT, None, 9),
    "topics": lambda ledger: ledger.topics.page(TENANT, "", 9),
}
SINGLE: dict[str, Callable[[PostgresLedger], Awaitable[Any]]] = {
    "a user": lambda ledger: ledger.users.find(TENANT, ["ada"]),
    "a message": lambda ledger: ledger.records.get(TENANT, MessageId(b"m" * 16)),
    "an event": lambda ledger: ledger.events.known(TENANT, EventId(b"e" * 16)),
}


async def test_the_ledger_reads_lists_and_numbers_from_a_replica(url, copy, monkeypatch):
    """And asks the primary for everything else."""
    seen: list[str] = []
    transaction = Database._transaction

    async def noted(self, *asked, **how):
        seen.append("the replica" if str(copy) in self.address.dsn else "the primary")
        return await transaction(self, *asked, **how)

    random = SeededRandom()
    tools: dict[str, Any] = {"vault": LocalVault(b"k" * 32, random), "clock": SystemClock(), "random": random}
    ledger = await PostgresLedger.open(url, **tools)
    try:
        await ledger.topics.put(TENANT, Topic(key="news"))
        await arrived(url.partition("?")[0], copy)
        assert [topic.key for topic in await ledger.topics.page(TENANT, "", 9)] == ["news"]
        monkeypatch.setattr(Database, "_transaction", noted)
        for name, ask in (LISTS | SINGLE).items():
            seen.clear()
            await ask(ledger)
            async with asyncio.timeout(FOREVER_S):
                while name in LISTS and seen[-1] != "the replica":  # It may be behind for a moment.
                    await ask(ledger)
            assert "the replica" not in seen or name in LISTS, name
    finally:
        await ledger.close()


async def test_a_replica_alone_is_no_database_to_write_to(url, copy):
    """It is said when the ledger is opened."""
    random = SeededRandom()
    alone = url.partition("?")[0].replace(url.split(":")[2].split("/")[0], str(copy))
    with pytest.raises(ConfigError, match="is a replica that can only be read: name the primary"):
        await PostgresLedger.open(
            alone, vault=LocalVault(b"k" * 32, random), clock=SystemClock(), random=random
        )


async def paused(address, pause):
    connection = await asyncpg.connect(address.dsn)
    await connection.execute("SELECT pg_wal_replay_pause()" if pause else "SELECT pg_wal_replay_resume()")
    await connection.close()


async def test_a_failover_is_followed():
    """The primary is killed and its replica becomes one: whoever named both goes on there, without a restart."""
    homes = [home_for("postgresql-failover", server.USER) for _ in range(2)]
    ports = [free_port() for _ in range(2)]
    server.initialised(homes[0])
    processes = [server.serve(homes[0], ports[0])]
    primary = server.PostgreSql(ports[0])
    try:
        processes.append(server.replica(homes[1], ports[1], primary))
        await write_down(primary.url(), "CREATE TABLE meta (key text PRIMARY KEY, value bigint)")
        both = f"postgresql://app@127.0.0.1:{ports[1]},127.0.0.1:{ports[0]}/postgres?target_session_attrs=read-write"
        clock = ManualClock()
        database = await open_database(read_address(both), clock=clock, random=SeededRandom())
        await database.write(lambda connection: connection.execute(WRITE))
        await arrived(primary.url(), ports[1])
        stop(processes[0].pid, signal.SIGKILL)
        with pytest.raises(Unavailable):
            await database.write(lambda connection: connection.execute(WRITE))
        await write_down(server.PostgreSql(ports[1]).url(), "SELECT pg_promote()")
        clock.advance(1)
        await database.write(lambda connection: connection.execute(WRITE))
        assert await database.rows("SELECT value FROM meta") == [(2,)]
        await database.close()
    finally:
        for process in processes:
            stop(process.pid, signal.SIGINT)
            process.wait()
        for home in homes:
            shutil.rmtree(home)


async def write_down(url, statement):
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()
