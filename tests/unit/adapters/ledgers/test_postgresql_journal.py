"""The journal of the PostgreSQL ledger: partitions are made ahead, and dropped whole when all in one is old."""

from __future__ import annotations

import asyncpg
import pytest

from clarion.adapters.ledgers.postgresql.address import read_address
from clarion.adapters.ledgers.postgresql.journal_partitions import AHEAD, ROWS
from clarion.adapters.ledgers.postgresql.ledger import PostgresLedger
from clarion.adapters.ledgers.postgresql.revision import migrate
from clarion.adapters.vaults.local import LocalVault
from clarion.model.ids import Instant, TenantId
from clarion.model.retention import RetentionKind
from clarion.model.setup import Tenant
from clarion.model.status import Status
from clarion.testing.ledger_contract import LedgerSubject
from clarion.testing.ports import ManualClock, SeededRandom
from tests.servers.postgresql import PostgreSql

DAY_S = 86_400


@pytest.fixture
async def url(postgresql: PostgreSql, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a database that nobody else uses: its partitions go."""
    name = f"journal_{tmp_path_factory.getbasetemp().name.replace('-', '_')}"
    server = await asyncpg.connect(postgresql.url())
    await server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await server.execute(f"CREATE DATABASE {name}")
    await server.close()
    await migrate(read_address(postgresql.url(name)))
    return postgresql.url(name)


@pytest.fixture
async def subject(url):
    """A ledger with two users."""
    clock, random = ManualClock(), SeededRandom()
    ledger = await PostgresLedger.open(
        url, vault=LocalVault(random.bytes(32), random), clock=clock, random=random
    )
    yield await LedgerSubject(ledger, clock, random).create_setup()
    await ledger.close()


@pytest.fixture
async def server(url):
    """A connection beside the ledger."""
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


async def partitions(server) -> list[str]:
    """The names of all."""
    found = await server.fetch(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'journal'::regclass ORDER BY 1"
    )
    return [name for (name,) in found]


async def go_to(server, row: int) -> None:
    """As if so many rows had been written."""
    await server.execute("SELECT setval('journal_seq_seq', $1)", row)


async def sent(subject: LedgerSubject):
    """A message with a short history."""
    message = subject.planned()
    await subject.plan(message)
    await subject.settle(message)
    return message


async def sweep(subject: LedgerSubject, *tenants: TenantId) -> None:
    """Delete what is from before yesterday, of these tenants or of the only one."""
    cutoffs = dict.fromkeys(tenants or (subject.tenant,), Instant(subject.now - DAY_S * 1_000))
    after = None
    while True:
        swept = await subject.ledger.retention.sweep(RetentionKind.MESSAGES, cutoffs, after, dry=False)
        if (after := swept.following) is None:
            return


async def test_a_partition_goes_whole_when_all_in_it_is_old(subject, server):
    """And the next ones are made; who is young keeps their history, on either side of the border."""
    old = await sent(subject)
    await go_to(server, ROWS - 2)
    await sent(subject)
    subject.clock.advance(3 * DAY_S)
    young = await sent(subject)
    await sweep(subject)
    assert await partitions(server) == [*(f"journal_{n}" for n in range(2, 2 + AHEAD)), "journal_rest"]
    assert await subject.ledger.records.changes(subject.tenant, old.id) == []
    assert await subject.timeline(young) == [(Status.QUEUED, None), (Status.SENT, None)]


async def test_a_partition_stays_as_long_as_anybody_keeps_something_in_it(subject, server):
    """Old rows of the others go one by one."""
    stranger = await subject.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="globex"))
    eve = await subject.put_user("eve", tenant=stranger.id)
    await sent(subject)
    theirs = subject.planned(eve)
    await subject.plan(theirs)
    await subject.settle(theirs)
    await go_to(server, ROWS)
    subject.clock.advance(3 * DAY_S)
    await sweep(subject)
    assert "journal_1" in await partitions(server)
    assert {tenant for (tenant,) in await server.fetch("SELECT tenant FROM journal")} == {stranger.id}
    await sweep(subject, subject.tenant, stranger.id)
    assert "journal_1" not in await partitions(server)


async def test_what_is_dropped_within_a_day_is_not_deleted_row_by_row(subject, server):
    """So that a busy installation leaves nothing to clean up."""
    await sent(subject)
    subject.clock.advance(DAY_S / 2)
    await sent(subject)
    await go_to(server, ROWS)
    subject.clock.advance(DAY_S * 0.75)
    count = await server.fetchval("SELECT count(*) FROM journal")
    await sweep(subject)
    assert await server.fetchval("SELECT count(*) FROM journal") == count
    subject.clock.advance(DAY_S)
    await sweep(subject)
    assert "journal_1" not in await partitions(server)


async def test_rows_behind_the_last_partition_are_kept_too(subject, server):
    """When nobody made them in time; later ones are made behind these."""
    await go_to(server, 9 * ROWS)
    message = await sent(subject)
    assert await server.fetchval("SELECT count(*) FROM journal_rest") == 2
    assert await subject.timeline(message) == [(Status.QUEUED, None), (Status.SENT, None)]
    await sweep(subject)
    assert {f"journal_{n}" for n in (11, 12, 13)} < {*await partitions(server)}
    assert "journal_10" not in await partitions(server)


async def test_a_table_that_is_in_use_is_not_waited_for(subject, server):
    """Retention goes on, and drops it another time."""
    await sent(subject)
    await go_to(server, ROWS)
    subject.clock.advance(3 * DAY_S)
    async with server.transaction():
        await server.execute("LOCK TABLE journal_1 IN ACCESS SHARE MODE")
        await sweep(subject)
    assert "journal_1" in await partitions(server)
    await sweep(subject)
    assert "journal_1" not in await partitions(server)
