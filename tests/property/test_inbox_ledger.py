"""Whatever comes into an inbox in whatever order and is marked however: the ledger tells every client what it missed.

The reference is an inbox in a dict. Items arrive in the order of their messages or behind newer ones, one by one or
several at once; between steps the ledger may forget what it remembers of an inbox and has to read it again.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.adapters.ledgers.memory import MemoryLedger
from clarion.adapters.ledgers.sqlite import SqliteLedger
from clarion.adapters.vaults.local import LocalVault
from clarion.model.channel import Channel
from clarion.model.ids import MessageId
from clarion.model.inbox import InboxCounts, InboxItem
from clarion.model.message import Message
from clarion.model.plan import PlanCommit
from clarion.model.status import Status
from clarion.ports.ledger import Store
from clarion.testing.ledger_contract.subject import LedgerSubject
from clarion.testing.ports import ManualClock, SeededRandom
from tests.inboxes import marked_as
from tests.ledger_files import new_ledger

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("plan"), st.integers(1, 3)),
        st.tuples(st.just("deliver"), st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True)),
        st.tuples(
            st.sampled_from(("seen", "read", "unread", "archived", "unarchived")),
            st.lists(st.integers(0, 12), min_size=1, max_size=4, unique=True),
        ),
        st.tuples(st.just("forget"), st.none()),
    ),
    max_size=25,
)


class Story:
    """One person's inbox in the ledger, and what it has to be."""

    def __init__(self, subject: LedgerSubject) -> None:
        self.subject = subject
        self.waiting: list[Message] = []
        self.items: dict[MessageId, InboxItem] = {}
        self.offset = 0

    async def plan(self, number: int) -> None:
        for _ in range(number):
            self.subject.clock.advance(1)
            message = self.subject.planned(channel=Channel.IN_APP)
            await self.subject.plan(message)
            self.waiting.append(message)

    async def deliver(self, places: list[int]) -> None:
        chosen = [self.waiting[place] for place in places if place < len(self.waiting)]
        if not chosen:
            return
        self.waiting = [message for message in self.waiting if message not in chosen]
        records = [self.subject.item(message, sealed=message.id[-4:]) for message in chosen]
        settled = await self.subject.ledger.messages.settle(
            self.subject.worker,
            [
                self.subject.settlement(message, Status.DELIVERED, record=record)
                for message, record in zip(chosen, records, strict=True)
            ],
        )
        (change,) = settled.inbox
        assert {item.message_id for item in change.items} == {message.id for message in chosen}
        self.follow(change.items)
        assert change.counts == self.counts()

    async def mark(self, action, places: list[int]) -> None:
        ids = [number for place, number in enumerate(sorted(self.items)) if place in places]
        self.subject.clock.advance(1)
        now = self.subject.now
        change = await self.subject.ledger.inboxes.mark(self.subject.ada.no, action, ids, now)
        after = {number: marked_as(self.items[number], action, now) for number in ids}
        wanted = {number: new for number, new in after.items() if new != self.items[number]}
        if change is None:
            assert wanted == {}
            return
        assert {item.message_id for item in change.items} == wanted.keys()
        for item in change.items:
            new = wanted[item.message_id]
            assert (item.seen_at, item.read_at, item.archived_at) == (
                new.seen_at,
                new.read_at,
                new.archived_at,
            )
        self.follow(change.items)
        assert change.counts == self.counts()

    def follow(self, items: tuple[InboxItem, ...]) -> None:
        for item in items:
            self.offset += 1
            assert item.offset == self.offset
            self.items[item.message_id] = item

    async def forget(self) -> None:
        await self.subject.ledger.plans.preview(PlanCommit(worker=self.subject.worker, runs=(), messages=()))

    def counts(self) -> InboxCounts:
        alive = [item for item in self.items.values() if item.archived_at is None]
        return InboxCounts(
            unseen=sum(item.seen_at is None for item in alive),
            unread=sum(item.read_at is None for item in alive),
            total=len(alive),
        )

    async def check(self) -> None:
        """Every look at the inbox shows what it has to be."""
        inboxes, ada = self.subject.ledger.inboxes, self.subject.ada.no
        assert await inboxes.head(ada) == (self.offset, self.counts())
        by_offset = sorted(self.items.values(), key=lambda item: item.offset)
        for after in range(self.offset + 1):
            missed = [item for item in by_offset if item.offset > after]
            assert list(await inboxes.since(ada, after, 100)) == missed
            assert list(await inboxes.since(ada, after, 2)) == missed[:2]
        newest = sorted(self.items.values(), key=lambda item: item.message_id, reverse=True)
        for archived in (False, True):
            for unread in (False, True):
                fits = [
                    item
                    for item in newest
                    if (item.archived_at is not None) is archived and not (unread and item.read_at)
                ]
                assert list(await inboxes.page(ada, None, 100, archived=archived, unread=unread)) == fits
                for item in fits[:1]:
                    before = item.message_id
                    page = await inboxes.page(ada, before, 2, archived=archived, unread=unread)
                    assert list(page) == fits[1:3]
                ids = await inboxes.matching(ada, archived=archived, unread=unread)
                assert list(ids) == [item.message_id for item in fits]


def in_sqlite(directory: Path, clock: ManualClock, random: SeededRandom) -> Store:
    path = new_ledger(directory / "clarion.db")
    return SqliteLedger.open(path, vault=LocalVault(b"k" * 32, random), clock=clock, random=random)


def in_memory(directory: Path, clock: ManualClock, random: SeededRandom) -> Store:
    return MemoryLedger(vault=LocalVault(b"k" * 32, random), clock=clock, random=random)


async def tell(story: Story, steps: list) -> None:
    """The whole story, with a look after every step."""
    for what, which in steps:
        if what == "plan":
            await story.plan(which)
        elif what == "deliver":
            await story.deliver(which)
        elif what == "forget":
            await story.forget()
        else:
            await story.mark(what, which)
        await story.check()


async def told(open_ledger, steps: list) -> None:
    """The story, with a ledger of its own."""
    with TemporaryDirectory() as directory:
        clock, random = ManualClock(), SeededRandom()
        ledger = open_ledger(Path(directory), clock, random)
        try:
            await tell(Story(await LedgerSubject(ledger, clock, random).create_setup()), steps)
        finally:
            await ledger.close()


@pytest.mark.parametrize("open_ledger", [in_sqlite, in_memory])
@settings(max_examples=30, deadline=None)
@given(steps=STEPS)
def test_the_ledger_tells_every_client_what_it_missed(open_ledger, steps):
    """Each item once and at its latest change, offsets without gaps, counters exact at every moment."""
    asyncio.run(told(open_ledger, steps))
