"""Whatever came in, in whatever order, of whatever age, and however long each kind is kept: what is younger stays, what is
older goes, and what is left is whole.

The reference is what was stored, in lists. Between steps time passes, and slices are of any size.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from inspect import isawaitable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.adapters.ledgers.memory import MemoryLedger
from clarion.adapters.ledgers.postgresql import retention as server_retention
from clarion.adapters.ledgers.postgresql.ledger import PostgresLedger
from clarion.adapters.ledgers.sqlite import SqliteLedger, slice_size
from clarion.adapters.vaults.local import LocalVault
from clarion.model.channel import Channel, Lane
from clarion.model.endpoint import DeliveryFilter, Endpoint
from clarion.model.event import Consumed, EventKey
from clarion.model.ids import Instant, MessageId, first_id_at
from clarion.model.inbox import CaptureFilter, InboxCounts
from clarion.model.message import Message, MessageFilter
from clarion.model.quarantine import ANY_QUARANTINED, Quarantined
from clarion.model.retention import RetentionKind
from clarion.model.status import ACTIVE, Reason, Status
from clarion.ports.ledger import Store
from clarion.services.retention import DAY_MS, ORDER
from clarion.testing.ledger_contract.endpoints import created, delivery
from clarion.testing.ledger_contract.subject import LedgerSubject, later
from clarion.testing.ports import ManualClock, SeededRandom
from tests.ledger_files import new_ledger
from tests.postgresql_ledgers import new_database

KINDS = ("email", "captured", "called", "inbox", "waits", "unplanned", "failed", "quarantined")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(KINDS), st.integers(1, 3)),
        st.tuples(st.just("read"), st.integers(0, 5)),
        st.tuples(st.just("days"), st.integers(1, 20)),
        st.tuples(st.just("sweep"), st.dictionaries(st.sampled_from(ORDER), st.integers(0, 30))),
    ),
    max_size=25,
)


class History:
    """What was stored, and what has to be left of it."""

    def __init__(self, subject: LedgerSubject) -> None:
        self.subject = subject
        self.messages: dict[MessageId, tuple[Message, Status, Reason | None]] = {}
        self.events: dict[bytes, int] = {}
        """Where each lies in the log."""
        self.accepted: list[EventKey] = []
        """All that ever came in."""
        self.unplanned: set[bytes] = set()
        self.items: dict[MessageId, bool] = {}
        """Whether each was read."""
        self.kept: dict[RetentionKind, list[Instant]] = {
            kind: [] for kind in (RetentionKind.CAPTURES, RetentionKind.DELIVERIES, RetentionKind.QUARANTINE)
        }
        self.totals: Counter[tuple[int, Status, Reason | None]] = Counter()
        self.endpoint: Endpoint | None = None

    async def happen(self, kind: str) -> None:
        """One event and what became of it."""
        subject = self.subject
        subject.clock.advance(1)
        if kind == "quarantined":
            digest = subject.random.bytes(16)
            mail = Quarantined(
                tenant=subject.tenant, why="no_message", sealed=b"", digest=digest, at=subject.now
            )
            await subject.ledger.quarantine.keep(mail)
            self.kept[RetentionKind.QUARANTINE].append(subject.now)
            return
        ((entry,), _) = await subject.ledger.log.append([subject.entry()], [None])
        self.events[entry.event_id] = entry.seq
        self.accepted.append(entry.key)
        if kind == "unplanned" or self.unplanned:  # a lane is planned in order
            self.unplanned.add(entry.event_id)
            return
        channel = Channel.IN_APP if kind == "inbox" else Channel.EMAIL
        message = subject.planned(event_id=entry.event_id, channel=channel)
        message = later(message, 500 * 86_400) if kind == "waits" else message
        await subject.plan(message, consumed=Consumed(Lane.NORMAL, (entry.seq,)))
        status, reason = message.status, message.reason
        if kind == "inbox":
            await subject.ledger.messages.settle(subject.worker, [subject.in_inbox(message)])
            status = Status.DELIVERED
            self.items[message.id] = False
        elif kind != "waits":
            failed = kind == "failed"
            status, reason = (Status.FAILED, Reason.TEMPLATE_ERROR) if failed else (Status.SENT, None)
            await subject.settle(message, status, reason=reason, record=await self._record(kind, message))
        self.messages[message.id] = message, status, reason
        self.totals[_day(message.id), status, reason] += 1

    async def _record(self, kind: str, message: Message):
        if kind == "captured":
            self.kept[RetentionKind.CAPTURES].append(self.subject.now)
            return self.subject.captured(message)
        if kind == "called":
            self.endpoint = self.endpoint or await created(self.subject)
            self.kept[RetentionKind.DELIVERIES].append(self.subject.now)
            return delivery(self.subject, message, self.endpoint, ok=True)
        return None

    async def read(self, place: int) -> None:
        """Somebody reads an item."""
        for number in sorted(self.items)[place : place + 1]:
            await self.subject.ledger.inboxes.mark(self.subject.ada.no, "read", [number], self.subject.now)
            self.items[number] = True

    async def sweep(self, days: dict[RetentionKind, int]) -> None:
        """A round; what is not in `days` is kept for ever. A dry look says before how many go."""
        for kind in ORDER:
            if kind not in days:
                continue
            cutoff = Instant(self.subject.now - days[kind] * DAY_MS)
            expected = self.expire(kind, cutoff)
            assert await self._swept(kind, cutoff, dry=True) >= min(expected, 1)
            assert await self._swept(kind, cutoff, dry=False) == expected, kind
            assert await self._swept(kind, cutoff, dry=True) == 0, kind

    async def _swept(self, kind: RetentionKind, cutoff: Instant, *, dry: bool) -> int:
        count, after = 0, None
        while True:
            swept = await self.subject.ledger.retention.sweep(
                kind, {self.subject.tenant: cutoff}, after, dry=dry
            )
            count += swept.expired.get(self.subject.tenant, 0)
            after = swept.following
            if after is None or (dry and isinstance(self.subject.ledger, MemoryLedger)):
                return count

    def expire(self, kind: RetentionKind, cutoff: Instant) -> int:
        """Take out what has to go; how many."""
        bound = first_id_at(cutoff)
        if kind is RetentionKind.INBOX:
            read = [one for one in self.items if one < bound]
            for number in read:
                del self.items[number]
            return len(read)
        if kind is RetentionKind.MESSAGES:
            over = [
                one
                for one, (_, status, _) in self.messages.items()
                if one < bound and status not in ACTIVE and one not in self.items
            ]
            for number in over:
                del self.messages[number]
            return len(over)
        if kind is RetentionKind.EVENTS:
            needed = {m.event_id for m, status, _ in self.messages.values() if status in ACTIVE}
            old = [one for one in self.events if one < bound and one not in needed | self.unplanned]
            for event_id in old:
                del self.events[event_id]
            return len(old)
        if kind in self.kept:
            ages = self.kept[kind]
            self.kept[kind] = [at for at in ages if at >= cutoff]
            return len(ages) - len(self.kept[kind])
        return 0

    async def check(self) -> None:
        """All that is left can be found, and nothing else; it hangs together."""
        subject, ledger = self.subject, self.subject.ledger
        found, _ = await ledger.records.page(subject.tenant, MessageFilter(), None, 200)
        assert {m.id: (m.status, m.reason) for m in found} == {
            one: (status, reason) for one, (_, status, reason) in self.messages.items()
        }
        for m in found:
            timeline = await ledger.records.changes(subject.tenant, m.id)
            first = Status.DEFERRED if m.status is Status.DEFERRED else Status.QUEUED
            assert [timeline[0].status, timeline[-1].status] == [first, m.status]
            (run,) = await ledger.plans.runs_of(subject.tenant, m.event_id, None)
            assert run.event_id == m.event_id
            assert m.status not in ACTIVE or m.event_id in self.events
        bodies = await ledger.events.bodies(self.accepted)
        assert {event_id for event_id, _ in bodies} == self.events.keys()
        await self._check_inbox()
        captured = await ledger.captures.page(subject.tenant, CaptureFilter(), None, 200)
        mails = await ledger.quarantine.page(subject.tenant, ANY_QUARANTINED, None, 200)
        assert sorted(one.at for one in captured) == self.kept[RetentionKind.CAPTURES]
        assert sorted(one.at for one in mails) == self.kept[RetentionKind.QUARANTINE]
        if self.endpoint is not None:
            calls = await ledger.deliveries.page(
                subject.tenant, self.endpoint.id, DeliveryFilter(), None, 200
            )
            assert sorted(one.at for one in calls) == self.kept[RetentionKind.DELIVERIES]
        totals = await ledger.retention.totals(subject.tenant, *self._days())
        assert Counter({(one.day, one.status, one.reason): one.count for one in totals}) == self.totals

    async def _check_inbox(self) -> None:
        inboxes, ada = self.subject.ledger.inboxes, self.subject.ada.no
        page = await inboxes.page(ada, None, 200)
        assert [item.message_id for item in page] == sorted(self.items, reverse=True)
        assert {item.message_id for item in await inboxes.since(ada, 0, 200)} == self.items.keys()
        unread = sum(not read for read in self.items.values())
        _, counts = await inboxes.head(ada)
        assert counts == InboxCounts(unseen=unread, unread=unread, total=len(self.items))

    def _days(self) -> tuple[int, int]:
        days = [day for day, _, _ in self.totals] or [0]
        return min(days), max(days) + 1


def _day(message_id: bytes) -> int:
    return int.from_bytes(message_id[:6], "big") // DAY_MS


def in_sqlite(directory: Path, clock: ManualClock, random: SeededRandom) -> Store:
    path = new_ledger(directory / "clarion.db")
    return SqliteLedger.open(path, vault=LocalVault(b"k" * 32, random), clock=clock, random=random)


def in_memory(directory: Path, clock: ManualClock, random: SeededRandom) -> Store:
    return MemoryLedger(vault=LocalVault(b"k" * 32, random), clock=clock, random=random)


async def told(open_ledger, steps: list) -> None:
    """The history, in a ledger of its own, with a look after every round."""
    with TemporaryDirectory() as directory:
        clock, random = ManualClock(), SeededRandom()
        opening = open_ledger(Path(directory), clock, random)
        ledger = await opening if isawaitable(opening) else opening
        try:
            history = History(await LedgerSubject(ledger, clock, random).create_setup())
            for what, value in [*steps, ("sweep", {})]:
                if what == "days":
                    clock.advance(value * 86_400)
                elif what == "sweep":
                    await history.sweep(value)
                    await history.check()
                elif what == "read":
                    await history.read(value)
                else:
                    for _ in range(value):
                        await history.happen(what)
        finally:
            await ledger.close()


@pytest.mark.parametrize("open_ledger", [in_sqlite, in_memory])
@settings(max_examples=30, deadline=None)
@given(steps=STEPS, rows=st.integers(1, 5))
def test_the_old_goes_and_the_young_stays_whole(open_ledger, steps, rows):
    """Of every kind, in slices of any size: counters and totals are exact, and every message has its history and event."""
    with pytest.MonkeyPatch.context() as patched:
        for name in ("FIRST", "LEAST", "MOST"):
            patched.setattr(slice_size, name, rows)
        asyncio.run(told(open_ledger, steps))


@settings(max_examples=3, deadline=None)
@given(steps=STEPS, rows=st.integers(1, 5))
def test_the_old_goes_and_the_young_stays_whole_on_a_server(postgresql, steps, rows):
    """The same on PostgreSQL."""

    async def on_server(_: Path, clock: ManualClock, random: SeededRandom) -> Store:
        vault = LocalVault(b"k" * 32, random)
        return await PostgresLedger.open(
            await new_database(postgresql), vault=vault, clock=clock, random=random
        )

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(server_retention, "SLICE", rows)
        asyncio.run(told(on_server, steps))
