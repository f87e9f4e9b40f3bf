"""Schedules: each occurrence once, whatever happens and wherever the clocks change."""

from __future__ import annotations

import asyncio
from datetime import date, datetime, timedelta
from itertools import takewhile
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.adapters.ledgers.memory import MemoryLedger
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import Unavailable
from clarion.flow.ledger import Ledger
from clarion.model.ids import EventId, Instant, TenantId
from clarion.model.schedule import CatchUp, Outcome, Schedule, ScheduleState
from clarion.model.submission import Acceptance
from clarion.rules.quiet_hours import check_zone
from clarion.rules.recurrence import following, occurrences
from clarion.rules.schedules import MOST_LATE, PAST, due
from clarion.services.schedules import ScheduleService
from clarion.testing.ports import ManualClock, SeededRandom
from tests.needs import DEEP, examples

ZONES = sorted(zone for zone in available_timezones() if check_zone(zone))
CHANGING = [
    "Africa/Casablanca",
    "America/New_York",
    "Australia/Lord_Howe",
    "Europe/Dublin",
    "Pacific/Apia",
    "Asia/Gaza",
]
TENANT = TenantId(1)


@settings(max_examples=examples(60))
@given(
    st.sampled_from(ZONES if DEEP else CHANGING),
    st.dates(date(2005, 1, 1), date(2035, 1, 1)),
    st.times(),
    st.booleans(),
)
def test_a_daily_time_occurs_once_on_each_date(zone, first, time, as_rule):
    """At the wall-clock time, or behind the gap of the clock; no other schedule of that time says anything else."""
    when: dict[str, Any] = {"rrule": f"FREQ=DAILY;BYHOUR={time.hour};BYMINUTE={time.minute}"}
    if not as_rule:
        when = {"cron": f"{time.minute} {time.hour} * * *"}
    schedule = Schedule(key="k", workflow="w", recipients=("ada",), timezone=zone, **when)
    start = Instant(
        round(datetime(first.year, first.month, first.day, tzinfo=ZoneInfo(zone)).timestamp() * 1_000)
    )
    end = start + 370 * 86_400_000
    found = [
        one.at for one in takewhile(lambda one: one.at < end, occurrences(schedule, "UTC", start, start))
    ]
    walls = [datetime.fromtimestamp(at / 1_000, ZoneInfo(zone)) for at in found]
    dates = [wall.date() for wall in walls]
    missing = {dates[0] + timedelta(days=n) for n in range((dates[-1] - dates[0]).days)} - set(dates)
    assert len(dates) == len(set(dates))
    # Samoa left out this date.
    assert missing <= {date(2011, 12, 30)}
    for wall in walls:
        at_its_time = (wall.hour, wall.minute) == (time.hour, time.minute)
        a_minute_ago = datetime.fromtimestamp(wall.timestamp() - 60, ZoneInfo(zone))
        jumped = wall.replace(tzinfo=None) - a_minute_ago.replace(tzinfo=None) > timedelta(minutes=1)
        assert at_its_time or jumped


class Receiver:
    """Takes events as an engine does: each id once. It is away now and then, before or behind what it stores."""

    def __init__(self) -> None:
        self.events: dict[EventId, str] = {}
        self.faults: list[str] = []

    async def submit(self, tenant: TenantId, submissions: Any) -> list[Acceptance]:
        fault = self.faults.pop() if self.faults else ""
        await asyncio.sleep(0)
        if fault == "before":
            raise Unavailable("away")
        for one in submissions:
            known = self.events.setdefault(one.event_id, one.event_key)
            assert known == one.event_key
        if fault == "behind":
            raise Unavailable("away")
        return [Acceptance(event_id=one.event_id, accepted=1) for one in submissions]


class History:
    """Two processes on one store, and what has to come of it."""

    def __init__(self) -> None:
        self.clock, random = ManualClock(), SeededRandom(1)
        vault = LocalVault(b"k" * 32, random)
        ledger = Ledger(MemoryLedger(vault=vault, clock=self.clock, random=random))
        self.receiver = Receiver()
        schemas: Any = SimpleNamespace(check=lambda *_: None)
        self.services = [
            ScheduleService(ledger, schemas, self.receiver.submit, vault, self.clock, random)
            for _ in range(2)
        ]
        for service in self.services:
            service._check_event = self._nothing  # type: ignore[method-assign]
        self.fires: set[Instant] = set()
        self.skipped: set[Instant] = set()
        self.paused = False

    async def _nothing(self, tenant: TenantId, schedule: Schedule) -> None:
        return None

    async def play(self, steps: list[tuple[str, int]]) -> None:
        service = self.services[0]
        schedule = Schedule(
            key="k",
            workflow="w",
            recipients=("ada",),
            rrule="FREQ=MINUTELY",
            timezone="UTC",
            catch_up=CatchUp.ALL,
        )
        made = await service.put(TENANT, schedule)
        decided = self.clock.now()
        for step, number in [*steps, ("sweep", 0)]:
            self.clock.advance(number)
            now = self.clock.now()
            due = [at for at in self._minutes(made.created_at, decided, now) if not self.paused]
            if step == "sweep" or step == "race":
                who = self.services if step == "race" else self.services[number % 2 :][:1]
                await asyncio.gather(*(one.sweep() for one in who), return_exceptions=True)
                state = await service.get(TENANT, "k")
                assert state is not None
                if state.next is not None and state.next.at > now:  # else the store was away
                    self.fires.update(set(due) - self.skipped)
                    decided = now
            elif step == "pause" and not self.paused:
                await service.pause(TENANT, "k")
                self.paused, decided = True, now
            elif step == "resume" and self.paused:
                await service.resume(TENANT, "k", catch_up=False)
                self.paused, decided = False, now
            elif step == "skip":
                after = await service.skip(TENANT, "k", None)
                self.skipped.update(after.skipped)
            else:
                self.receiver.faults.append(step)
        self.receiver.faults.clear()
        for _ in range(3):
            await service.sweep()
        if not self.paused:
            rest = self._minutes(made.created_at, decided, self.clock.now())
            self.fires.update(set(rest) - self.skipped)

    def _minutes(self, made: Instant, after: Instant, until: Instant) -> list[Instant]:
        return [Instant(at) for at in range(made, until + 1, 60_000) if at > after]


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["sweep", "race", "pause", "resume", "skip", "before", "behind"]),
            st.integers(0, 120),
        ),
        max_size=20,
    )
)
def test_each_occurrence_happens_once(steps):
    """Two processes fire it, a store is away before or behind an event, people pause, resume and skip: what fires is what was due
    while it ran and was not left out, and each of it is one event."""

    async def play() -> None:
        history = History()
        await history.play(steps)
        fired = {Instant(int(key.rpartition("/")[2])) for key in history.receiver.events.values()}
        assert len(fired) == len(history.receiver.events)
        assert fired == history.fires
        state = await history.services[0].get(TENANT, "k")
        assert state is not None
        assert not state.firing
        assert len(state.past) <= PAST
        assert {one.at for one in state.past if one.outcome is Outcome.FIRED} <= fired

    # How many fire late at most is another rule, tried below.
    with patch("clarion.rules.schedules.MOST_LATE", 1_000):
        asyncio.run(play())


def test_the_newest_of_those_that_are_late_fire():
    """Not more than a few: the rest is told as missed."""
    schedule = Schedule(
        key="k",
        workflow="w",
        recipients=("ada",),
        rrule="FREQ=MINUTELY",
        timezone="UTC",
        catch_up=CatchUp.ALL,
    )
    start = Instant(1_767_614_400_000)
    first = following(schedule, "UTC", start, start)
    state = ScheduleState(schedule=schedule, created_at=start, updated_at=start, next=first)
    now = Instant(start + 15 * 60_000)
    decided = due(state, "UTC", now, lambda one: EventId(b"%d" % one.at))
    assert [one.at for one in decided.firing] == [now - 60_000 * ago for ago in reversed(range(MOST_LATE))]
    assert [one.outcome for one in decided.past[:5]] == [Outcome.MISSED] * 5
