"""Calls under way in the file: one row for a batch, none when it is over, and what earlier versions wrote."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from clarion.adapters.ledgers.migrate import migrate
from clarion.adapters.ledgers.schema import CODES
from clarion.model.ids import Instant
from clarion.model.message import MessageFilter
from clarion.model.retention import RetentionKind
from clarion.model.status import Reason, Status
from clarion.testing.ledger_contract import LedgerSubject
from clarion.testing.ledger_contract.subject import together


@pytest.fixture
async def subject(opened, clock, random):
    subject = await LedgerSubject(opened(), clock, random).create_setup()
    yield subject
    await subject.ledger.close()


def rows(path, sql="SELECT count(*) FROM calls"):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


async def test_a_batch_is_one_row_and_rewrites_no_message(subject, path):
    """However many messages it has."""
    messages = [subject.planned() for _ in range(500)]
    await subject.plan(*messages)
    before = rows(path, "SELECT * FROM messages")
    await subject.call(*messages)
    assert rows(path) == [(1,)]
    assert rows(path, "SELECT * FROM messages") == before
    assert (await subject.stored(messages[7])).status is Status.SENDING


async def test_more_than_fit_into_one_record_are_a_few_rows(subject):
    """A batch of a size that no provider has."""
    messages = [subject.planned() for _ in range(2_500)]
    await subject.plan(*messages)
    await subject.call(*messages)
    found, _ = await subject.ledger.records.page(
        subject.tenant, MessageFilter(statuses=frozenset({Status.SENDING})), None, 5_000
    )
    assert len(found) == 2_500
    assert await subject.timeline(messages[-1]) == [(Status.QUEUED, None), (Status.SENDING, None)]


async def test_the_row_goes_with_the_last_of_its_messages(subject, path):
    """Settled, given back, erased, or reported about: in whatever order, in one transaction or in several."""
    settled, retried, back, reported, erased = [subject.planned() for _ in range(4)] + [
        subject.planned(subject.bob)
    ]
    batch = (settled, retried, back, reported, erased)
    await subject.plan(*batch)
    await subject.call(*batch)
    await subject.settle(settled)
    await subject.settle(retried, Status.DEFERRED, reason=Reason.RETRY, due_at=Instant(subject.now + 9_000))
    await subject.ledger.users.delete(subject.tenant, "bob")
    assert rows(path) == [(1,)]
    await together(
        subject.ledger.leases.give_back(subject.worker, [back], subject.now),
        subject.settle(reported),
        subject.settle(erased),
    )
    assert rows(path) == [(0,)]


async def test_a_row_that_only_erased_messages_were_in_goes_with_their_refused_answers(subject, path):
    """Nothing else would ever take it away."""
    message = subject.planned(subject.bob)
    await subject.plan(message)
    await subject.call(message)
    await subject.ledger.users.delete(subject.tenant, "bob")
    assert (await subject.settle(message)).refused == {message.id}
    assert rows(path) == [(0,)]


async def test_the_rows_of_a_dead_worker_go_with_it(subject, path):
    """When all it held is due; until then they say what is in doubt."""
    planned, claimed = subject.planned(), subject.planned(fence=0)
    await subject.plan(planned, claimed)
    (held,) = await subject.claim()
    await subject.call(planned, held)
    assert await subject.replace_worker() == 2
    assert rows(path) == [(0,)]
    assert {m.status for m in await subject.claim()} == {Status.SENDING}


async def test_what_failed_to_be_stored_leaves_the_call_as_it_was(subject, path):
    """A settlement that cannot be stored is undone whole: its message is still being called."""
    message = subject.planned()
    await subject.plan(message)
    await subject.call(message)
    odd = subject.settlement(message, took_ms=2**70)
    with pytest.raises(OverflowError):
        await subject.ledger.messages.settle(subject.worker, [odd])
    assert rows(path) == [(1,)]
    assert (await subject.stored(message)).status is Status.SENDING
    assert (await subject.settle(message)).refused == frozenset()


async def test_retention_leaves_what_is_being_called(subject):
    """However old it is, with its timeline."""
    message, over = subject.planned(), subject.planned()
    await subject.plan(message, over)
    await subject.call(message, over)
    await subject.settle(over)
    subject.clock.advance(90 * 86_400)
    for kind in RetentionKind:
        after = None
        while True:
            swept = await subject.ledger.retention.sweep(
                kind, {subject.tenant: subject.now}, after, dry=False
            )
            if (after := swept.following) is None:
                break
    assert await subject.timeline(message) == [(Status.QUEUED, None), (Status.SENDING, None)]
    assert await subject.ledger.records.get(subject.tenant, over.id) is None


def columns_of(path: Path) -> dict[str, set[str]]:
    """What the tables of a database have."""
    with closing(sqlite3.connect(path)) as file:
        tables = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: {row[1] for row in file.execute(f"PRAGMA table_info({table})")} for table in tables}


def indexes_of(path: Path) -> set[str]:
    """What was created beside the tables."""
    with closing(sqlite3.connect(path)) as file:
        made = "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        return {name for (name,) in file.execute(made)}


async def test_what_an_earlier_version_was_sending_is_in_doubt(opened, clock, random, path):
    """It noted it in the message itself; the migration leaves the note, and whoever claims the message sees it."""
    subject = await LedgerSubject(opened(), clock, random).create_setup()
    message, other = subject.planned(), subject.planned()
    await subject.plan(message, other)
    await subject.ledger.close()
    older = path.with_name("older.db")
    migrate(older, to="0029")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE messages SET status = ? WHERE id = ?", (CODES[Status.SENDING], message.id))
        now, then = columns_of(path), columns_of(older)
        for table in now.keys() - then.keys():
            connection.execute(f"DROP TABLE {table}")
        for index in indexes_of(path) - indexes_of(older):
            connection.execute(f"DROP INDEX IF EXISTS {index}")
        for table, columns in then.items():
            for column in now[table] - columns:
                connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        connection.execute("UPDATE alembic_version SET version_num = '0029'")
        connection.commit()
    migrate(path)
    subject = LedgerSubject(opened(), clock, random)
    subject.worker = await subject.open_worker()
    assert await subject.reap() == 2
    assert {m.id: m.status for m in await subject.claim()} == {
        message.id: Status.SENDING,
        other.id: Status.QUEUED,
    }
    await subject.ledger.close()
