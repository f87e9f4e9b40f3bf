"""Digests on every engine and histories of all kinds, held against a model that knows no database."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from clarion.adapters.ledgers.memory import MemoryLedger
from clarion.adapters.ledgers.postgresql import digests
from clarion.adapters.ledgers.postgresql.ledger import PostgresLedger
from clarion.adapters.ledgers.sqlite import SqliteLedger
from clarion.adapters.vaults.local import LocalVault
from clarion.model.channel import Lane
from clarion.model.digest import DigestClose, DigestItem, DigestRule, DigestTotal
from clarion.model.ids import EventId, Instant, WorkerId
from clarion.model.run import RunFilter, RunRow
from clarion.model.user import DigestEvery, DigestFrequency, Preferences, UserPut
from clarion.ports.ledger import Store
from clarion.testing.ledger_contract.digests import an_item, its_run
from clarion.testing.ledger_contract.subject import LedgerSubject
from clarion.testing.ports import ManualClock, SeededRandom
from tests.ledger_files import new_ledger
from tests.needs import DEEP, examples
from tests.postgresql_ledgers import new_database

SLOTS = 2
RULES = (
    DigestRule(window_ms=10_000),
    DigestRule(window_ms=5_000, most_ms=12_000),
    DigestRule(window_ms=8_000, look_back_ms=9_000),
    DigestRule(window_ms=10_000, most_items=3),
)
CLOSES = (None, None, None, DigestClose.FLUSH, DigestClose.ALONE, DigestClose.TIME)
QUIET = (None, None, (4_000, 15_000), (0, 7_000))
"""From when until when nothing is sent, counted from the item's time."""
FULL = [("plan", [(0, 3, 0, 0, 0)] * 4)]
"""More than fill a digest, before its time is over."""


# -- the model ---------------------------------------------------------------------------------------------------


class Window:
    """One open digest of the model."""

    def __init__(self, now: int, rule: DigestRule) -> None:
        self.opened, self.rule = now, rule
        self.closes = now
        self.move(now, rule)
        self.items: list[DigestItem] = []

    def move(self, now: int, rule: DigestRule) -> None:
        """By an item: later, not into quiet hours, and not beyond the latest end."""
        ends = now + self.rule.window_ms
        if rule.quiet is not None and ends in range(*rule.quiet):
            ends = rule.quiet[1]
        if self.rule.most_ms is not None:
            ends = min(ends, self.opened + self.rule.most_ms)
        self.closes = max(self.closes, ends)


class Model:
    """What must come of items: serial, no ids used again, no database."""

    def __init__(self) -> None:
        self.open: dict[bytes, Window] = {}
        self.closed: dict[bytes, int] = {}
        self.now: dict[bytes, int] = {}
        self.canceled: set[EventId] = set()
        self.seen: set[bytes] = set()
        self.told: list[tuple[bytes, int, tuple[EventId, ...]]] = []

    def plan(self, item: DigestItem) -> None:
        """One item comes to its digest."""
        if item.run in self.seen or item.event_id in self.canceled:
            return
        self.seen.add(item.run)
        slot = item.slot
        now = max(item.now, self.now.get(slot, 0))
        window = self.open.get(slot)
        if window is not None and now >= window.closes:
            self.fire(slot, window.closes)
            self.now[slot] = now
            window = None
        if item.closes is DigestClose.ALONE:
            self.tell(slot, now, [item])
            return
        self.now[slot] = now
        if window is None:
            last, back = self.closed.get(slot), item.rule.look_back_ms
            if back is not None and (last is None or now - last >= back):
                self.closed[slot] = now
                self.tell(slot, now, [item])
                return
            window = self.open[slot] = Window(now, item.rule)
        elif window.rule.most_ms is not None:
            window.move(now, item.rule)
        window.items.append(item)
        if (
            item.closes in (DigestClose.FLUSH, DigestClose.TIME)
            or len(window.items) >= window.rule.most_items
        ):
            self.fire(slot, now)

    def fire(self, slot: bytes, at: int) -> None:
        """A digest closes."""
        window = self.open.pop(slot)
        self.closed[slot] = at
        self.tell(slot, at, window.items)

    def tell(self, slot: bytes, at: int, items: list[DigestItem]) -> None:
        """Of what was not canceled."""
        live = sorted((one.at, one.event_id) for one in items if one.event_id not in self.canceled)
        if live:
            self.told.append((slot, at, tuple(event_id for _, event_id in live)))

    def choose(self, now: int, later_ms: int) -> None:
        """The user wants what is open so much later than now."""
        for window in self.open.values():
            window.closes = now + later_ms

    def look(self, now: int) -> None:
        """Timers run."""
        for slot, window in list(self.open.items()):
            if window.closes <= now:
                self.fire(slot, window.closes)
                self.now[slot] = max(self.now[slot], now)


# -- the same on an engine ---------------------------------------------------------------------------------------


class Story:
    """A history on one store."""

    def __init__(self, subject: LedgerSubject, model: Model, number: int) -> None:
        self.subject = subject
        self.model = model
        self.slots = [b"%015d%d" % (number, one) for one in range(SLOTS)]
        self.items: list[DigestItem] = []
        self.plans: list[tuple[WorkerId, list[DigestItem]]] = []
        self.held: list[RunRow] = []
        self.chosen = 0
        """How often the user chose another time."""

    async def plan(self, drawn: list[tuple[int, int, int, int, int]]) -> None:
        """Items that came together, planned a little while ago."""
        items = []
        for slot, rule, closes, quiet, early in drawn:
            at = Instant(self.subject.now - early)
            hours = QUIET[quiet]
            until = None if hours is None else (Instant(at + hours[0]), Instant(at + hours[1]))
            fields: dict[str, Any] = {
                "rule": replace(RULES[rule], quiet=until),
                "closes": CLOSES[closes],
            }
            item = an_item(self.subject, self.slots[slot], now=at, at=at, **fields)
            items.append(replace(item, opens=replace(item.opens, zoned=self.subject.ada.revision)))
        self.items += items
        self.plans.append((self.subject.worker, items))
        await self.commit(items)

    async def again(self, which: int) -> None:
        """A plan whose answer was lost, or that comes from the broker again."""
        if self.plans:
            await self.commit(self.plans[which % len(self.plans)][1])

    async def commit(self, items: list[DigestItem]) -> None:
        """Store a plan."""
        runs = tuple(map(its_run, items))
        await self.subject.plan(runs=runs, items=tuple(items))
        for item in items:
            self.model.plan(item)

    async def cancel(self, which: int) -> None:
        """Whatever comes of an event is canceled."""
        if self.items:
            event_id = self.items[which % len(self.items)].event_id
            await self.subject.ledger.events.cancel(event_id, self.subject.now, frozenset())
            self.model.canceled.add(event_id)

    async def choose(self, later_ms: int) -> None:
        """The user chooses another time: what is open is due in the same transaction, and closes then."""
        subject = self.subject
        known = (await subject.ledger.users.get([subject.ada.no]))[subject.ada.no].profile
        self.chosen += 1
        chosen = DigestFrequency(every=DigestEvery.DAILY, at=f"{self.chosen:02d}:00")
        profile = replace(known, preferences=Preferences(digest=chosen))
        (subject.ada,) = await subject.ledger.users.put(subject.tenant, [UserPut(id="ada", profile=profile)])
        self.model.choose(subject.now, later_ms)
        await self.look(True, later_ms)

    async def look(self, tells: bool, later_ms: int | None = None) -> None:
        """Timers run. Not `tells`: the process dies between closing and telling. `later_ms`: when what is open closes now."""
        subject = self.subject
        claimed = await subject.ledger.runs.claim(subject.worker, Lane.NORMAL, 100, subject.now)
        if not claimed:
            return
        at = Instant(subject.now + (later_ms or 0))
        moved = {} if later_ms is None else {row.event_id: at for row in claimed}
        found = await subject.ledger.digests.close(subject.worker, claimed, moved, subject.now)
        self.model.look(subject.now)
        closed = {row.run for row in found if row.closed_at is not None}
        going = [row for row in claimed if row.id in closed]
        self.held += going
        if not tells:
            await subject.replace_worker()
            return
        for row in going:
            await self.tell(row)

    async def tell(self, row: RunRow) -> None:
        """The run of a closed digest goes on to its end."""
        items = await self.subject.ledger.digests.items([row.event_id])
        live = [one for one in items if one.withdrawn_at is None]
        told = DigestTotal(run=row.id, digest=row.event_id, total=len(live))
        await self.subject.plan(
            runs=(self.subject.going_on(row),), run_rows=(self.subject.over(row),), digest_totals=(told,)
        )

    async def zombie(self, which: int) -> None:
        """Somebody who stood still tells what was told, or is another's by now."""
        if self.held:
            await self.tell(self.held[which % len(self.held)])

    async def step(self, kind: str, drawn: Any) -> None:
        """One step of the history."""
        if kind == "pass":
            self.subject.clock.advance(drawn / 1_000)
        else:
            await getattr(self, kind)(drawn)

    async def finish(self) -> None:
        """Everything closes, and is held against the model."""
        for _ in range(2):
            self.subject.clock.advance(120)
            await self.look(True)
        ledger, tenant = self.subject.ledger, self.subject.tenant
        slots = {item.run: item.slot for item in self.items}
        rows = await ledger.digests.get(tenant, [one.opens.event_id for one in self.items])
        told = []
        places = Counter[bytes]()
        for row in rows:
            items = await ledger.digests.items([row.id])
            places.update(one.run for one in items)
            live = [one for one in items if one.withdrawn_at is None]
            assert row.total == len(live)
            assert (row.items, row.withdrawn) == (len(items), len(items) - len(live))
            assert len(await ledger.plans.runs_of(tenant, row.id, None)) == 1
            if live:
                events = tuple(one.event_id for one in sorted(live, key=lambda one: (one.at, one.event_id)))
                told.append((slots[live[0].run], row.closed_at, events))
                assert {slots[one.run] for one in live} == {slots[live[0].run]}
        assert max(places.values(), default=0) <= 1
        assert places.keys() == self.model.seen
        assert sorted(told) == sorted(self.model.told)


ITEM = st.tuples(
    st.integers(0, SLOTS - 1),
    st.integers(0, len(RULES) - 1),
    st.integers(0, len(CLOSES) - 1),
    st.integers(0, len(QUIET) - 1),
    st.integers(0, 6_000),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("plan"), st.lists(ITEM, min_size=1, max_size=4)),
        st.tuples(st.just("plan"), st.lists(ITEM, min_size=1, max_size=4)),
        st.tuples(st.just("pass"), st.sampled_from([1, 900, 2_500, 5_000, 9_999, 10_000])),
        st.tuples(st.just("look"), st.sampled_from([True, True, False])),
        st.tuples(st.just("again"), st.integers(0, 9)),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.just("zombie"), st.integers(0, 9)),
        st.tuples(st.just("choose"), st.sampled_from([0, 1, 6_000, 20_000])),
    ),
    min_size=2,
    max_size=14,
)


async def agrees(subject: LedgerSubject, number: int, steps: list[tuple[str, Any]]) -> None:
    """A history on a store tells what the model tells."""
    story = Story(subject, Model(), number)
    for kind, drawn in steps:
        await story.step(kind, drawn)
    await story.finish()


async def on(ledger: Store, clock: ManualClock, random: SeededRandom, steps: list[tuple[str, Any]]) -> None:
    """On a new one."""
    try:
        await agrees(await LedgerSubject(ledger, clock, random).create_setup(), 0, steps)
    finally:
        await ledger.close()


def tools() -> tuple[ManualClock, SeededRandom, dict[str, Any]]:
    """What a ledger is opened with."""
    clock, random = ManualClock(), SeededRandom()
    return clock, random, {"vault": LocalVault(b"k" * 32, random), "clock": clock, "random": random}


@given(STEPS)
@example(FULL)
@settings(max_examples=100_000 if DEEP else examples(40), deadline=None)
def test_digests_in_memory_agree_with_the_model(steps):
    """Whatever comes, is canceled, is planned again or dies: the same digests at the same times, each told once."""
    clock, random, given = tools()
    asyncio.run(on(MemoryLedger(**given), clock, random, steps))


@given(STEPS)
@settings(max_examples=examples(8), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_digests_in_a_file_agree_with_the_model(steps):
    """Just so."""
    clock, random, given = tools()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        ledger = SqliteLedger.open(new_ledger(Path(folder) / "clarion.db"), **given)
        asyncio.run(on(ledger, clock, random, steps))


@given(steps=STEPS)
@settings(
    max_examples=examples(4),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_digests_on_a_server_agree_with_the_model(postgresql, steps):
    """Just so."""

    async def run() -> None:
        clock, random, given = tools()
        ledger = await PostgresLedger.open(await new_database(postgresql), **given)
        await on(ledger, clock, random, steps)

    asyncio.run(run())


async def test_planners_and_timers_at_the_same_time_lose_and_double_nothing(postgresql):
    """Four connections plan, two look after timers, on the same slots: as if one had come after the other."""
    rounds = 40 if DEEP else 6
    clock, random, given = tools()
    url = await new_database(postgresql)
    ledgers = [await PostgresLedger.open(url, **given) for _ in range(4)]
    subjects = [LedgerSubject(one, clock, random) for one in ledgers]
    await subjects[0].create_setup()
    for one in subjects[1:]:
        one.tenant, one.ada, one.bob = subjects[0].tenant, subjects[0].ada, subjects[0].bob
        one.worker = await one.open_worker()
    items: list[DigestItem] = []

    async def plans(subject: LedgerSubject) -> None:
        for _ in range(rounds):
            some = [an_item(subject, b"%016d" % (n % 3), rule=RULES[n % 4]) for n in range(8)]
            items.extend(some)
            await subject.plan(runs=tuple(map(its_run, some)), items=tuple(some))
            clock.advance(0.7)

    async def looks(subject: LedgerSubject) -> None:
        story = Story(subject, Model(), 0)
        for _ in range(2 * rounds):
            await story.look(True)
            clock.advance(0.3)

    await asyncio.gather(*map(plans, subjects), *map(looks, subjects[:2]))
    clock.advance(600)
    await Story(subjects[0], Model(), 0).look(True)
    await Story(subjects[1], Model(), 0).look(True)
    ledger = ledgers[0]
    rows = await ledger.digests.get(subjects[0].tenant, [one.opens.event_id for one in items])
    held = await ledger.digests.items([row.id for row in rows])
    assert Counter(one.run for one in held) == Counter(one.run for one in items)
    assert sum(row.total or 0 for row in rows) == len(items)
    for row in rows:
        assert row.total == row.items
        assert len(await ledger.plans.runs_of(subjects[0].tenant, row.id, None)) == 1
    by_slot = sorted((row.slot or b"", row.number, row.opened_at, row.closed_at or 0) for row in rows)
    for (slot, number, _, closed), (after, following, opened, _) in pairwise(by_slot):
        if slot == after:
            assert (following, opened >= closed) == (number + 1, True)
    for opened_ledger in ledgers:
        await opened_ledger.close()


async def test_a_digest_that_is_canceled_while_an_item_joins_takes_it_or_leaves_it_to_the_next(postgresql):
    """Whoever cancels waits for nobody, and no item is told of by nobody."""
    clock, random, given = tools()
    url = await new_database(postgresql)
    first, second = [await PostgresLedger.open(url, **given) for _ in range(2)]
    subject, other = LedgerSubject(first, clock, random), LedgerSubject(second, clock, random)
    await subject.create_setup()
    opener, joins = an_item(subject), an_item(subject)
    await subject.plan(runs=(its_run(opener),), items=(opener,))
    looked = asyncio.Event()
    latest = digests.latest

    async def slowly(*asked: Any) -> Any:
        found = await latest(*asked)
        if not looked.is_set():
            looked.set()
            await other.ledger.runs.cancel(subject.tenant, RunFilter(), clock.now(), 9)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digests, "latest", slowly)
        await subject.plan(runs=(its_run(joins),), items=(joins,))
    rows = await first.digests.get(subject.tenant, [one.opens.event_id for one in (opener, joins)])
    assert sorted((row.number, row.items, row.cause) for row in rows) == [
        (1, 1, DigestClose.CANCELED),
        (2, 1, None),
    ]
    await first.close()
    await second.close()
