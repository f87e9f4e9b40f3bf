"""Lists are read from a replica while it is near, and from the primary otherwise."""

import shutil
import signal
from typing import Any

import asyncpg
import pytest

from clarion.adapters.ledgers.postgresql.address import read_address
from clarion.adapters.ledgers.postgresql.database import open_database
from clarion.adapters.ledgers.postgresql.ledger import PostgresLedger
from clarion.adapters.ledgers.postgresql.replicas import Replicas
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError, Unavailable
from clarion.model.ids import TenantId
from clarion.model.topic import Topic
from clarion.testing.ports import ManualClock, SeededRandom
from tests.postgresql_ledgers import new_database
from tests.servers import postgresql as server
from tests.servers.process import free_port, home_for, stop

WHERE = "SELECT pg_is_in_recovery()"
WRITE = "INSERT INTO meta VALUES ('n', 1) ON CONFLICT (key) DO UPDATE SET value = meta.value + 1"
WRITTEN = "SELECT pg_current_wal_lsn()"
REPLAYED = "SELECT pg_last_wal_replay_lsn() >= $1"


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


async def test_a_list_comes_from_a_replica_that_is_near(url, copy):
    """Until it falls behind: then the primary is asked, as for everything else."""
    clock, address = ManualClock(), read_address(url)
    primary = await open_database(address, clock=clock, random=SeededRandom())
    near = read_address(address.replicas[0])
    replicas = Replicas(
        primary, [await open_database(near, clock=clock, random=SeededRandom(), replica=True)], clock
    )
    try:
        await replicas.look()
        await arrived(url.partition("?")[0], copy)
        await replicas.look()
        assert await replicas.rows(WHERE) == [(True,)]
        assert await primary.rows(WHERE) == [(False,)]
        await paused(near, True)
        for _ in range(3):
            await primary.write(lambda connection: connection.execute(WRITE))
            clock.advance(1)
            await replicas.look()
        assert await replicas.rows(WHERE) == [(False,)], "three seconds behind"
        await paused(near, False)
        await arrived(url.partition("?")[0], copy)
        await replicas.look()
        assert await replicas.rows(WHERE) == [(True,)]
    finally:
        await replicas.close()
        await primary.close()


async def paused(address, pause):
    connection = await asyncpg.connect(address.dsn)
    await connection.execute("SELECT pg_wal_replay_pause()" if pause else "SELECT pg_wal_replay_resume()")
    await connection.close()


async def test_a_replica_that_is_away_is_not_missed(url):
    """Its connections are cut: the primary answers."""
    clock, address = ManualClock(), read_address(url)
    primary = await open_database(address, clock=clock, random=SeededRandom())
    near = await open_database(
        read_address(address.replicas[0]), clock=clock, random=SeededRandom(), replica=True
    )
    replicas = Replicas(primary, [near], clock)
    try:
        await replicas.look()
        await near.close()
        assert await replicas.rows(WHERE) == [(False,)]
    finally:
        await replicas.close()
        await primary.close()


async def test_the_ledger_lists_what_a_replica_has(url, copy):
    """A replica alone is no database to write to."""
    random = SeededRandom()
    tools: dict[str, Any] = {"vault": LocalVault(b"k" * 32, random), "clock": ManualClock(), "random": random}
    ledger = await PostgresLedger.open(url, **tools)
    try:
        await ledger.topics.put(TenantId(1), Topic(key="news"))
        await arrived(url.partition("?")[0], copy)
        assert [topic.key for topic in await ledger.topics.page(TenantId(1), "", 9)] == ["news"]
    finally:
        await ledger.close()
    alone = url.partition("?")[0].replace(url.split(":")[2].split("/")[0], str(copy))
    with pytest.raises(ConfigError, match="is a replica that can only be read: name the primary"):
        await PostgresLedger.open(alone, **tools)


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
