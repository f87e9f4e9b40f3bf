"""New messages of users are written in order of time and moved later: whoever reads never sees the difference."""

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from clarion.adapters.ledgers.joined_ids import ID_BYTES
from clarion.adapters.ledgers.sqlite import inbox_statements, recent_messages
from clarion.adapters.ledgers.sqlite.files import one_moment, open_reader, rows
from clarion.model.channel import Channel
from clarion.model.ids import MessageId
from clarion.model.plan import PlanCommit
from clarion.model.status import Status
from clarion.ports import terms
from clarion.ports.terms import Terms
from clarion.testing.ledger_contract import LedgerSubject

STEPS, ROWS_A_STEP = 4, 3


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A few rows are a round, and five of a user fill a page."""
    monkeypatch.setattr(recent_messages, "GROUP", 1)
    monkeypatch.setattr(recent_messages, "STEPS", STEPS)
    monkeypatch.setattr(recent_messages, "ROWS_A_STEP", ROWS_A_STEP)
    monkeypatch.setattr(recent_messages, "PAGE", 5 * ID_BYTES)


async def deliver(subject: LedgerSubject, count: int = 1, *, bob: bool = False) -> list[MessageId]:
    """So many new inbox items, one after the other; newest first."""
    delivered = []
    for _ in range(count):
        subject.clock.advance(1)
        message = subject.planned(subject.bob if bob else subject.ada, channel=Channel.IN_APP)
        settled = subject.settlement(message, Status.DELIVERED, record=subject.item(message))
        plan = subject.plan_of(message)
        await subject.ledger.plans.commit(
            PlanCommit(worker=subject.worker, runs=plan.runs, messages=plan.messages, settled=(settled,))
        )
        delivered.append(message.id)
    return delivered[::-1]


async def shown(subject: LedgerSubject, *, bob: bool = False) -> list[MessageId]:
    """The inbox from the newest on; its counters and what came in since the beginning say the same."""
    user = (subject.bob if bob else subject.ada).no
    page = [item.message_id for item in await subject.ledger.inboxes.page(user, None, 1_000)]
    since = [item.message_id for item in await subject.ledger.inboxes.since(user, 0, 1_000)]
    offset, counts = await subject.ledger.inboxes.head(user)
    assert (since[::-1], offset, counts.unread) == (page, len(page), len(page))
    assert list(await subject.ledger.inboxes.matching(user)) == page
    return page


def stored(path) -> dict[str, list[bytes]]:
    """The messages in either table."""
    with closing(sqlite3.connect(path)) as file:
        return {
            table: [found for (found,) in file.execute(f"SELECT id FROM {table} ORDER BY id")]
            for table in ("recent_messages", "user_messages")
        }


async def test_a_message_is_in_the_inbox_before_it_is_moved_and_afterwards(subject, path):
    """After every message all so far are there; the file has the oldest in their place and the newest apart."""
    expected: list[MessageId] = []
    for _ in range(40):
        expected = await deliver(subject) + expected
        assert await shown(subject) == expected
    found = stored(path)
    assert found["user_messages"][0] == expected[-1]
    assert found["recent_messages"][-1] == expected[0]
    assert expected[0] not in found["user_messages"]


async def test_the_messages_of_a_user_are_moved_when_they_fill_a_page(subject, path, monkeypatch):
    """Also when no step was due."""
    monkeypatch.setattr(recent_messages, "ROWS_A_STEP", 100)
    some = await deliver(subject, 4)
    assert stored(path)["user_messages"] == []
    some += await deliver(subject)
    assert stored(path)["user_messages"] == sorted(some)


@pytest.mark.parametrize("before", range(1, 40, 6))
async def test_inboxes_are_whole_after_a_restart_wherever_the_round_was(
    opened, subject, clock, random, before
):
    """What was moved, what was not, and what is in both."""
    ada, bob = await deliver(subject, before), await deliver(subject, 2, bob=True)
    await subject.ledger.close()
    again = LedgerSubject(opened(), clock, random)
    again.worker = await again.open_worker()
    again.ada, again.bob, again.tenant = subject.ada, subject.bob, subject.tenant
    try:
        assert (await shown(again), await shown(again, bob=True)) == (ada, bob)
        ada = await deliver(again, 9) + ada
        assert (await shown(again), await shown(again, bob=True)) == (ada, bob)
    finally:
        await again.ledger.close()


async def test_what_is_undone_loses_nothing(ledger, subject):
    """A dry run and a call that fails, which came to move and delete rows."""
    ada = await deliver(subject, 7)
    bob = await deliver(subject, 2, bob=True)
    terms.enter(Terms(dry=True))
    await deliver(subject, 1, bob=True)
    terms.leave()

    def broken(connection):
        ledger._recent.bring_all(connection, (subject.ada.no, subject.bob.no))
        raise ValueError("after all of it")

    with pytest.raises(ValueError, match="after all of it"):
        await ledger._writer.call(broken)
    assert (await shown(subject), await shown(subject, bob=True)) == (ada, bob)
    ada = await deliver(subject, 20) + ada
    assert (await shown(subject), await shown(subject, bob=True)) == (ada, bob)


class Rows(list[Any]):
    """What was found."""

    def fetchone(self) -> Any:
        return self[0] if self else None


class Slow:
    """A connection that is held up between the moment it sees and the look at what memory knows."""

    def __init__(self, connection: sqlite3.Connection, meanwhile: Any) -> None:
        self._connection = connection
        self._meanwhile = [meanwhile]

    def execute(self, statement: str) -> Any:
        found = self._connection.execute(statement).fetchall()
        if "meta" in statement and self._meanwhile:
            self._meanwhile.pop()()
        return Rows(found)


async def test_who_reads_while_rows_are_moved_sees_each_once(ledger, subject, path):
    """It began to read before they were moved, and looks where they are afterwards."""
    await deliver(subject, 4)
    loop, user = asyncio.get_running_loop(), subject.ada.no

    def meanwhile() -> None:
        asyncio.run_coroutine_threadsafe(deliver(subject, 8), loop).result()

    def read() -> list[Any]:
        with closing(open_reader(path)) as connection, one_moment(connection):
            recent = ledger._recent.of(Slow(connection, meanwhile), (user,))
            return rows(connection, inbox_statements.INBOX_MATCHING, (user, False, False, *recent))

    found = [bytes.fromhex(one) for (one,) in await asyncio.to_thread(read)]
    assert found == await shown(subject)
    assert len(found) == 12


async def test_whoever_is_erased_has_no_row_left_in_either_table(subject, path):
    """Nor a copy of one that was moved before."""
    await deliver(subject, 6, bob=True)
    ada = await deliver(subject, 2)
    await subject.ledger.users.delete(subject.tenant, "bob")
    left = stored(path)
    assert sorted({*left["recent_messages"], *left["user_messages"]}) == sorted(ada)
    assert await shown(subject) == ada


async def test_memory_and_the_table_keep_no_more_than_some_rounds(ledger, subject, path):
    """However many come: memory knows those of two rounds, and the table those of three."""
    for place in range(120):
        await deliver(subject, bob=place % 2 == 0)
    a_round = STEPS * ROWS_A_STEP
    known = sum(len(ids) // 16 for users in ledger._recent._groups.values() for ids in users.values())
    assert known <= 2 * a_round
    assert len(stored(path)["recent_messages"]) <= 3 * a_round
