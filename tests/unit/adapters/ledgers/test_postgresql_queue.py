"""The queue on PostgreSQL: what plans move, whose turn it is, what is done together, and that old snapshots do not slow it down."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import asyncpg
import pytest

from clarion.adapters.brokers.sql import SqlBroker
from clarion.adapters.ledgers.message_kinds import QUEUE_OF
from clarion.adapters.ledgers.postgresql import checks, cursors, message_statements, plans
from clarion.adapters.ledgers.postgresql.combined import Combined
from clarion.adapters.ledgers.postgresql.cursors import Cursor, joined
from clarion.adapters.ledgers.postgresql.database import SETTINGS
from clarion.adapters.ledgers.postgresql.ledger import PostgresLedger
from clarion.adapters.ledgers.postgresql.queue_scan import EVER_MS, LATE_MS, QueueScan
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import Unavailable
from clarion.model.channel import Channel, Lane
from clarion.model.event import Consumed
from clarion.model.ids import Instant
from clarion.testing.ledger_contract import LedgerSubject
from clarion.testing.ports import ManualClock, SeededRandom
from tests.postgresql_ledgers import new_database

NORMAL_EMAIL = QUEUE_OF[Lane.NORMAL, Channel.EMAIL]


@pytest.fixture
async def url(postgresql):
    return await new_database(postgresql)


@pytest.fixture
async def connection(url):
    connection = await asyncpg.connect(url, server_settings=SETTINGS)
    yield connection
    await connection.close()


@pytest.fixture
async def reader(url):
    """Another connection."""
    reader = await asyncpg.connect(url)
    yield reader
    await reader.close()


@pytest.fixture
async def subject(url):
    clock, random = ManualClock(), SeededRandom()
    ledger = await PostgresLedger.open(url, vault=LocalVault(b"k" * 32, random), clock=clock, random=random)
    yield await LedgerSubject(ledger, clock, random).create_setup()
    await ledger.close()


# ── what is planned ───────────────────────────────────────────────────────────────────────────────────────


def test_neighbours_are_one_range():
    """However they come, and however they overlap."""
    assert joined([(5, 6), (1, 2), (3, 3), (2, 2), (9, 9)]) == [(1, 3), (5, 6), (9, 9)]
    assert joined([]) == []


def test_a_cursor_knows_what_was_planned_before_and_in_its_own_transaction():
    """Behind the position, in a stored range, or a moment ago."""
    cursor = Cursor(Lane.NORMAL, 10, [(13, 15)])
    assert [cursor.any_planned(Consumed(Lane.NORMAL, (seq,))) for seq in (10, 11, 12, 14, 16)] == [
        True, False, False, True, False
    ]  # fmt: skip
    cursor.advance(Consumed(Lane.NORMAL, (11, 12, 16)))
    assert cursor.any_planned(Consumed(Lane.NORMAL, (12,)))
    assert cursor.added() == [(11, 12), (16, 16)]
    assert cursor.planned() == [(11, 16)]


async def test_ranges_go_when_the_position_moves_over_them(subject, connection):
    """So that there are only a few; what is planned ahead stays, and so does what no transaction took in the end."""
    entries, _ = await subject.ledger.log.append([subject.entry() for _ in range(400)], [None] * 400)
    await connection.execute("SELECT nextval('log_normal_seq_seq')")  # of a transaction that failed
    rest, _ = await subject.ledger.log.append([subject.entry() for _ in range(3)], [None] * 3)
    for first, second in zip(entries[::2], entries[1::2], strict=True):
        await subject.consume(second)
        await subject.consume(first)
    await subject.consume(rest[1])
    assert await subject.ledger.log.position(Lane.NORMAL) == rest[0].seq - 1
    assert await connection.fetchval("SELECT count(*) FROM planned_ranges") <= cursors.RANGES_KEPT + 2
    assert [e.seq for e in await subject.ledger.log.read(Lane.NORMAL, 0, 10)] == [rest[0].seq, rest[2].seq]
    await subject.consume(rest[0], rest[2])
    assert await subject.ledger.log.position(Lane.NORMAL) == rest[2].seq


async def test_whoever_reads_on_misses_no_entry(subject, connection):
    """A transaction that has its positions and is not committed yet makes others wait for theirs."""
    await connection.execute("BEGIN")
    await connection.execute("SELECT pg_advisory_xact_lock(x'436C0001'::int, 2)")
    append = asyncio.create_task(subject.ledger.log.append([subject.entry()], [None]))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(append), 0.1)
    await connection.execute("COMMIT")
    ((entry,), _) = await append
    assert list(await subject.ledger.log.read(Lane.NORMAL, 0, 9)) == [entry]


async def test_who_plans_a_lane_is_told_what_another_process_appends(subject, url):
    """And does not wait for its next look, which never comes here."""
    clock, random = ManualClock(), SeededRandom()
    elsewhere = await PostgresLedger.open(
        url, vault=LocalVault(b"k" * 32, random), clock=clock, random=random
    )
    try:
        broker = SqlBroker(elsewhere.log, clock)
        async with aclosing(broker.consume(Lane.NORMAL, 9)) as batches:
            for _ in range(2):  # the second time nothing is found on the way there
                batch = asyncio.ensure_future(anext(batches))
                while clock.next_wake is None and not batch.done():  # noqa: ASYNC110 - it looks once before it waits
                    await asyncio.sleep(0.01)
                entry = subject.entry()
                await SqlBroker(subject.ledger.log, subject.clock).publish([entry])
                told = await asyncio.wait_for(batch, 30)
                assert [one.event_id for one in told.entries] == [entry.event_id]
                await broker.ack(told)
    finally:
        await elsewhere.close()


async def test_the_tail_stops_before_what_is_not_committed(subject, connection):
    """A row of the journal that is committed late is told late, and not left out."""
    await subject.plan(subject.planned())
    (told,) = await subject.ledger.records.tail(subject.tenant, 0, 9)
    await connection.execute("BEGIN")
    await connection.execute(
        "SELECT pg_advisory_xact_lock_shared(x'436C0003'::int, last_value::int) FROM journal_seq_seq"
    )
    await subject.plan(subject.planned())
    assert list(await subject.ledger.records.tail(subject.tenant, 0, 9)) == [told]
    await connection.execute("ROLLBACK")
    assert len(await subject.ledger.records.tail(subject.tenant, 0, 9)) == 2


# ── what is due ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_look_back_costs_a_small_part_of_the_time():
    """The longer it takes, the longer until the next one; a shorter look is not held up by a long one."""
    turns = QueueScan()
    assert turns.reach(0.0) == EVER_MS
    assert turns.reach(0.0) == 60_000, "somebody is at it"
    turns.looked_back(EVER_MS, 0.0, 3.0)
    turns.looked_back(60_000, 0.0, 0.1)
    assert turns.reach(3.0) == 2_000
    assert turns.reach(3.0) == LATE_MS
    turns.looked_back(LATE_MS, 3.0, 3.0)
    turns.looked_back(2_000, 3.0, 3.01)
    assert [turns.reach(at_s) for at_s in (6.0, 6.02, 40.0, 902.9, 903.1)] == [
        LATE_MS, 2_000, 60_000, LATE_MS, EVER_MS
    ]  # fmt: skip


def test_what_a_process_stores_itself_is_not_passed():
    """However late it is committed."""
    turns = QueueScan()
    turns.came(3, 4_000)
    assert turns.begin(3, LATE_MS) == 0
    turns.claimed(3, Instant(9_000), None)
    turns.came(3, 4_000)
    turns.came(3, 8_000)
    assert turns.begin(3, LATE_MS) == 4_000 - LATE_MS


def test_tenants_that_nobody_knows_lie_between_those_that_are_known():
    """So that the known ones need not be passed."""
    turns = QueueScan()
    turns.know([7, 3])
    assert list(zip(*turns.gaps(), strict=True)) == [(-1, 3), (3, 7), (7, 2**63 - 1)]
    turns.claimed(3, Instant(9_000), 5_000)
    turns.claimed(7, Instant(9_000), None)
    turns.know([3])
    assert [turns.begin(tenant, LATE_MS) for tenant in (3, 7, 9)] == [5_000 - LATE_MS, 9_000 - LATE_MS, 0]
    assert turns.begin(3, EVER_MS) == 0
    turns.last = 3
    assert turns.in_turn([3, 7, 9]) == [7, 9, 3]


async def buffers(connection, statement, *values):
    """Pages that a statement looks at; what it writes is undone."""
    await connection.execute("BEGIN")
    told = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *values)
    await connection.execute("ROLLBACK")
    return json.loads(told)[0]["Plan"]["Shared Hit Blocks"]


async def plan_due(subject, number):
    """So many messages that have been due for a minute."""
    due_at = Instant(subject.now - 60_000)
    await subject.plan(*(subject.planned(fence=0, due_at=due_at) for _ in range(number)))


async def test_a_snapshot_that_is_held_open_slows_no_claim_down(subject, connection, reader):
    """What was claimed before cannot be removed from the index then, and is not looked at again."""
    await reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    await reader.fetch("SELECT 1 FROM messages")
    for _ in range(10):
        await plan_due(subject, 300)
        held = await subject.claim(limit=300)
        assert len(held) == 300
        settled = [subject.settlement(message) for message in held]
        await subject.ledger.messages.settle(subject.worker, settled)
    await subject.plan(subject.planned(fence=0))
    claim = (message_statements.CLAIM, NORMAL_EMAIL, subject.tenant, subject.now, 1, subject.worker)
    assert await buffers(connection, *claim, 0) > 1_000
    assert await buffers(connection, *claim, subject.now - LATE_MS) < 50
    assert len(await subject.claim()) == 1


async def test_statistics_of_an_empty_table_let_no_statement_pass_all_messages(subject, connection):
    """Whoever counted the rows when all of them were deleted: what is asked for is looked for, and nothing else."""
    await connection.execute("ALTER TABLE messages SET (autovacuum_enabled = off)")  # it would count again
    await connection.execute("ALTER TABLE events SET (autovacuum_enabled = off)")
    await plan_due(subject, 1_000)
    await connection.execute("DELETE FROM messages; DELETE FROM events; ANALYZE messages, events")
    await plan_due(subject, 1_000)
    last = subject.planned(fence=0)
    await subject.plan(last)
    at, ids = subject.now, [last.id]
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    for statement, values in (
        (message_statements.CLAIM, (NORMAL_EMAIL, subject.tenant, at, 1, subject.worker, at - LATE_MS)),
        (message_statements.HELD, (ids, [0], [1], [subject.worker])),
        (message_statements.BEGIN_CALLS, (ids, ["main"], [at], [1])),
        (
            message_statements.SETTLE,
            (ids, [1], [5], [at], [1], ["main"], [True], ["expired"], [None], [0]),
        ),
        (message_statements.STOPPABLE, (ids, [0], 6)),
        (message_statements.STOP, (ids, [1], 6, "expired", at)),
        (message_statements.FREE_NAMED, (at, subject.worker, ids, [0])),
        (plans.EVENTS_OF, ([last.event_id], [last.user], [last.user])),
    ):
        assert await buffers(connection, statement, *values) < 100, statement


async def test_statements_of_the_queue_use_its_indexes(subject, connection):
    """None of them reads a whole table."""
    await subject.plan(*(subject.planned(fence=0) for _ in range(2)))
    for statement, values, index in (
        (message_statements.CLAIM, (NORMAL_EMAIL, 1, 2, 3, 4, 0), "messages_turn"),
        (message_statements.TENANTS_WAITING, (NORMAL_EMAIL, 1, 0, 9), "messages_turn"),
        (message_statements.FREE_CLAIMED, (1, 2, 3), "messages_claimed"),
        (message_statements.RELEASE, ([b"i"], 1), "messages_waiting"),
        (message_statements.HELD, ([b"i"], [1], [1], [1]), "messages_pkey"),
        (checks.USES, ([1, 2], 3), "user_messages_counted"),
    ):
        plan = await connection.fetch(f"EXPLAIN {statement}", *values)
        lines = "\n".join(line for (line,) in plan)
        assert index in lines, lines
        assert "Seq Scan" not in lines


# ── what is done together ─────────────────────────────────────────────────────────────────────────────────


class Alone:
    """A database that runs what it is given and counts transactions."""

    def __init__(self):
        self.transactions = 0

    async def write(self, work, first=""):
        self.transactions += 1
        await asyncio.sleep(0)
        return await work(None)


def alone() -> Any:
    return Alone()


async def test_what_is_asked_at_once_shares_a_transaction():
    """And each caller gets its own result."""
    database: Any = Alone()

    async def double(_, items, careful):
        assert not careful
        return [2 * item for item in items]

    combined = Combined(database, double)
    assert await asyncio.gather(*map(combined.do, range(5))) == [0, 2, 4, 6, 8]
    assert database.transactions == 1


async def test_only_the_one_at_fault_fails():
    """What fails together is done again one by one."""
    left = []

    async def divide(_, items, careful):
        return [10 // item for item in items]

    combined = Combined(alone(), divide)
    calls = [combined.do(item, leave=lambda: left.append(1)) for item in (1, 0, 5)]
    first, second, third = await asyncio.gather(*calls, return_exceptions=True)
    assert (first, third) == (10, 2)
    assert isinstance(second, ZeroDivisionError)
    assert len(left) == 3


async def test_a_server_that_is_away_is_told_to_all_and_not_asked_for_each():
    """Nobody knows of any of them whether it was stored, so all may be asked again."""
    asked = []

    async def away(_, items, careful):
        asked.append(len(items))
        raise Unavailable("away")

    combined = Combined(alone(), away)
    failed = await asyncio.gather(*map(combined.do, range(4)), return_exceptions=True)
    assert [type(one) for one in failed] == [Unavailable] * 4
    assert asked == [4]


async def test_more_than_fits_goes_into_the_next_transaction():
    """So that none becomes too long; what nobody waits for any more is done all the same."""
    sizes = []

    async def note(_, items, careful):
        sizes.append(len(items))
        return items

    combined = Combined(alone(), note)
    calls = [asyncio.create_task(combined.do(item, rows=900)) for item in range(5)]
    await asyncio.sleep(0)
    calls[4].cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    while sum(sizes) < 5:  # noqa: ASYNC110 - the last one is waited for by nobody
        await asyncio.sleep(0)
    assert sizes == [2, 2, 1]
