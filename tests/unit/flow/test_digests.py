"""Digests: what comes in a while goes on as one, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from clarion.errors import Unavailable
from clarion.model.channel import Channel
from clarion.model.content import SmsContent
from clarion.model.ids import Instant, id_text
from clarion.model.run import RunFilter, RunStatus
from clarion.model.setup import (
    Case,
    Category,
    Dedupe,
    Flush,
    FlushWhat,
    KeptItems,
    SendAll,
    Step,
    StepType,
    Template,
    Workflow,
)
from clarion.model.status import Reason, Status
from clarion.model.user import Day, DigestEvery, DigestFrequency, Preferences, PreferenceSet, Window
from clarion.testing.ports import ManualClock
from tests.engine import Engine, engine, workflow

MINUTE = 60
DIGEST = Template(
    key="digest",
    channels={
        Channel.SMS: {
            "en": {"text": "{{ data.total }}:{% for one in data['items'] %} {{ one.data.n }}{% endfor %}"}
        }
    },
    example_data={"total": 1, "items": [{"data": {"n": 1}}]},
)


def collect(key: str = "collect", window_s: int = 10 * MINUTE, **more: Any) -> Step:
    """Collects."""
    return Step(key=key, type=StepType.DIGEST, window_s=window_s, **more)


def tell(key: str = "tell", **more: Any) -> Step:
    """Sends what was collected."""
    return Step(**{"key": key, "template": "digest", "to": SendAll(channels=(Channel.SMS,)), **more})


def digesting(*steps: Step, **more: Any) -> Workflow:
    """Collects, and sends."""
    return workflow("w", steps=steps or (collect(), tell()), **more)


async def create(clarion: Engine, *workflows: Workflow, **more: Any) -> None:
    """The set-up of most tests: somebody, and workflows that collect."""
    await clarion.create_setup(*(workflows or (digesting(),)), **more)
    await clarion.ledger.setup.templates.put(clarion.tenant, DIGEST)
    await clarion.put_user("ada")


async def trigger(clarion: Engine, n: int, key: str = "w", **data: Any) -> Any:
    """An event for ada."""
    told = msgspec.Raw(msgspec.json.encode({"n": n, **data}))
    accepted = await clarion.trigger(key, "ada", data=told)
    await clarion.until_idle()
    clarion.clock.advance(0.001)  # Of one millisecond, any order is as good.
    return accepted


def texts(clarion: Engine) -> list[str]:
    """What was sent, in order."""
    found = (one.content for one in clarion.provider.effects)
    return [one.text for one in found if isinstance(one, SmsContent)]


async def traces(clarion: Engine, event_id: Any) -> list[tuple[str, str]]:
    """What each step of the only run of an event did."""
    parts = await clarion.ledger.plans.runs_of(clarion.tenant, event_id, None)
    return [(one.step, one.result) for part in parts for one in part.steps]


async def rows(clarion: Engine, **where: Any) -> list[Any]:
    """The runs that wait or have waited."""
    if (status := where.pop("status", None)) is not None:
        where["statuses"] = frozenset({status})
    found, _ = await clarion.ledger.runs.page(clarion.tenant, RunFilter(**where), None, 50)
    return list(found)


async def test_events_of_a_while_become_one_message(store):
    """In the order of the events, and none twice; what comes after the end opens the next. Everything says what became of it."""
    async with engine(store, clock=ManualClock()) as clarion:
        await create(clarion)
        events = []
        for n in (1, 2, 3):
            events.append((await trigger(clarion, n)).event_id)
            await clarion.pass_time(MINUTE)
        (row,) = await rows(clarion)
        assert (row.status, row.step) == (RunStatus.WAITING, "collect")
        assert texts(clarion) == []
        await clarion.pass_time(8 * MINUTE)
        assert texts(clarion) == ["3: 1 2 3"]
        assert [await traces(clarion, one) for one in events] == [
            [("collect", result)] for result in ("opened", "joined", "joined")
        ]
        (told,) = await clarion.ledger.plans.runs_of(clarion.tenant, row.event_id, None)
        assert [(one.step, one.result) for one in told.steps] == [("collect", "closed"), ("tell", "sent")]
        assert told.steps[0].inputs["events"] == [id_text(one) for one in events]
        await trigger(clarion, 4)
        await clarion.pass_time(11 * MINUTE)
        assert texts(clarion) == ["3: 1 2 3", "1: 4"]
        assert [one.status for one in await rows(clarion)] == [RunStatus.FINISHED] * 2


async def test_an_item_at_exactly_closes_at_comes_to_the_next_window(store):
    """The old one fires without it, even if the timer is an hour late."""
    async with engine(store, clock=ManualClock()) as clarion:
        await create(clarion)
        await trigger(clarion, 1)
        (row,) = await rows(clarion)

        async def nothing(*_: Any) -> tuple[()]:
            return ()

        runs: Any = clarion.ledger.runs
        runs.claim = nothing
        clarion.clock.advance((row.due_at - clarion.clock.now()) / 1_000)
        await trigger(clarion, 2)
        await clarion.pass_time(3_600)
        assert texts(clarion) == []
        del runs.claim
        await clarion.pass_time(MINUTE)
        assert sorted(texts(clarion)) == ["1: 1", "1: 2"]


async def test_digests_of_the_left_and_the_right_branch_are_two(store):
    """With the same key."""
    left, right = collect("left", by="/order"), collect("right", by="/order")
    fork = Step(
        key="fork",
        type=StepType.BRANCH,
        cases=(
            Case(when="data.n > 1.0", steps=(left, tell("l"))),
            Case(steps=(right, tell("r"))),
        ),
    )
    async with engine(store, clock=ManualClock()) as clarion:
        await create(clarion, digesting(fork))
        for n in (1, 2, 3):
            await trigger(clarion, n, order="A")
        assert len(await rows(clarion)) == 2
        await clarion.pass_time(11 * MINUTE)
        assert sorted(texts(clarion)) == ["1: 1", "2: 2 3"]


async def test_a_digest_after_a_digest_after_a_wait_collects_the_digests_of_the_first(store):
    """Each fires, and the totals add up."""
    steps = (
        collect("first", by="/order"),
        Step(key="pause", type=StepType.WAIT, for_s=MINUTE),
        collect("second", 30 * MINUTE),
        tell(template="totals"),
    )
    async with engine(store, clock=ManualClock()) as clarion:
        await create(clarion, digesting(*steps))
        totals = {Channel.SMS: {"en": {"text": "{{ data.total }} in {{ data['items'] | length }}"}}}
        both = msgspec.structs.replace(DIGEST, key="totals", channels=totals)
        await clarion.ledger.setup.templates.put(clarion.tenant, both)
        for n, order in ((1, "A"), (2, "A"), (3, "B")):
            await trigger(clarion, n, order=order)
        await clarion.pass_time(11 * MINUTE)
        await clarion.pass_time(2 * MINUTE)
        assert texts(clarion) == []
        await clarion.pass_time(31 * MINUTE)
        await clarion.pass_time(5)
        assert texts(clarion) == ["3 in 2"]
        statuses = [one.status for one in await rows(clarion)]
        assert sorted(statuses) == sorted([RunStatus.FINISHED, *[RunStatus.MERGED] * 2])


async def test_a_key_that_is_missing_is_an_error_of_the_step(store):
    """Never one big window: the run has failed, and says why."""
    async with engine(store, clock=ManualClock()) as clarion:
        await create(clarion, digesting(collect(by="/order/id"), tell()))
        accepted = await trigger(clarion, 1, order="A")
        (row,) = await rows(clarion)
        assert (row.status, row.reason) == (RunStatus.FAILED, Reason.KEY_MISSING)
        assert await traces(clarion, accepted.event_id) == [("collect", "failed")]
        await trigger(clarion, 2, order={"id": 7})
        await trigger(clarion, 3, order={"id": 7.0})
        await trigger(clarion, 4, order={"id": "7"})
        await clarion.pass_time(11 * MINUTE)
        assert sorted(texts(clarion)) == ["1: 4", "2: 2 3"]


async def test_a_workflow_published_with_another_key_opens_beside_the_old_window(store):
    """That fires as it was. Under the same key, items of the newer version join, and the older one renders."""
    async with engine(store, clock=ManualClock()) as clarion:
        await create(clarion, digesting(collect(by="/order"), tell()))
        await trigger(clarion, 1, order="A")
        newer = digesting(collect(window_s=60 * MINUTE, by="/order"), tell("other"))
        await clarion.ledger.setup.workflows.put(clarion.tenant, newer)
        await trigger(clarion, 2, order="A")
        await clarion.ledger.setup.workflows.put(
            clarion.tenant, digesting(collect(by="data.order"), tell("third"))
        )
        await trigger(clarion, 3, order="A")
        await clarion.pass_time(11 * MINUTE)
        assert sorted(texts(clarion)) == ["1: 3", "2: 1 2"]
        assert {one.step for one in (await clarion.messages()).values()} == {"tell", "third"}


async def test_publishing_every_minute_makes_no_second_digest(store):
    """A daily one is open, and fires once, at its time in the user's zone."""
    async with engine(store, clock=ManualClock()) as clarion:
        daily = digesting(Step(key="daily", type=StepType.DIGEST, at="daily 08:30"), tell())
        await create(clarion, daily)
        await clarion.put_user("ada", zone="Asia/Tokyo")
        for n in range(5):
            await clarion.ledger.setup.workflows.put(clarion.tenant, daily)
            await trigger(clarion, n)
            await clarion.pass_time(MINUTE)
        (row,) = await rows(clarion)
        assert datetime.fromtimestamp(row.due_at / 1_000, ZoneInfo("Asia/Tokyo")).strftime("%H:%M") == "08:30"
        await clarion.pass_time(24 * 3_600)
        assert texts(clarion) == ["5: 0 1 2 3 4"]


async def test_a_user_who_moves_east_gets_a_digest_at_once_whose_time_has_passed_there(store):
    """And the next one at the time there."""
    clock = ManualClock(Instant(1_770_062_400_000))  # 2026-02-02T20:00Z
    async with engine(store, clock=clock) as clarion:
        await create(clarion, digesting(Step(key="daily", type=StepType.DIGEST, at="daily 08:30"), tell()))
        await clarion.put_user("ada", zone="Europe/Berlin")
        await trigger(clarion, 1)
        await clarion.pass_time(10 * 3_600)  # 07:00 in Berlin, 15:00 in Tokyo
        assert texts(clarion) == []
        await clarion.put_user("ada", zone="Asia/Tokyo")
        await clarion.pass_time(60)
        assert texts(clarion) == ["1: 1"]
        await trigger(clarion, 2)
        await clarion.pass_time(17 * 3_600 + 20 * MINUTE)  # 08:21
        assert texts(clarion) == ["1: 1"]
        await clarion.pass_time(15 * MINUTE)
        assert texts(clarion) == ["1: 1", "1: 2"]


@pytest.mark.parametrize(
    ("day", "fires"),
    [("2026-03-28T12:00", "2026-03-29T01:00"), ("2026-10-24T12:00", "2026-10-25T00:30")],
    ids=["skipped", "repeated"],
)
async def test_a_daily_time_in_the_night_of_a_change_fires_once(store, day, fires):
    """At 03:00 where the clock skips 02:30, and at the first of two where it repeats."""
    at = datetime.fromisoformat(f"{day}+00:00")
    async with engine(store, clock=ManualClock(Instant(int(at.timestamp() * 1_000)))) as clarion:
        await create(clarion, digesting(Step(key="daily", type=StepType.DIGEST, at="daily 02:30"), tell()))
        await clarion.put_user("ada", zone="Europe/Berlin")
        await trigger(clarion, 1)
        (row,) = await rows(clarion)
        assert datetime.fromtimestamp(row.due_at / 1_000, UTC) == datetime.fromisoformat(f"{fires}+00:00")
        for _ in range(24):
            await clarion.pass_time(3_600)
        assert texts(clarion) == ["1: 1"]


async def test_an_item_canceled_in_an_open_window_of_one_leaves_it_empty(store):
    """No message, and the run says so; with others in it they are told without it."""
    async with engine(store, clock=ManualClock()) as clarion:
        await create(clarion)
        accepted = await trigger(clarion, 1)
        await clarion.services.cancellations.event(clarion.tenant, accepted.event_id)
        await clarion.pass_time(11 * MINUTE)
        (row,) = await rows(clarion)
        assert (row.status, row.reason) == (RunStatus.FINISHED, Reason.EMPTY_DIGEST)
        first, _ = await trigger(clarion, 2), await trigger(clarion, 3)
        await clarion.services.cancellations.event(clarion.tenant, first.event_id)
        await clarion.pass_time(11 * MINUTE)
        assert texts(clarion) == ["1: 3"]


async def test_an_empty_digest_goes_on_where_its_step_says_so(store):
    """With nothing in it."""
    async with engine(store, clock=ManualClock()) as clarion:
        await create(clarion, digesting(collect(empty_goes_on=True), tell()))
        accepted = await trigger(clarion, 1)
        await clarion.services.cancellations.event(clarion.tenant, accepted.event_id)
        await clarion.pass_time(11 * MINUTE)
        assert texts(clarion) == ["0:"]


async def test_whoever_opts_out_while_items_wait_is_asked_when_it_is_sent(store):
    """In again before the end: it is sent; out for good: it is not, and no attempt is made."""
    async with engine(store, clock=ManualClock()) as clarion:
        await create(clarion)
        out = Preferences(categories={"news": PreferenceSet(enabled=False)})
        for last, told in ((None, ["2: 1 2"]), (out, ["2: 1 2"])):
            await trigger(clarion, 1)
            await clarion.put_user("ada", out)
            await trigger(clarion, 2)
            await clarion.put_user("ada", last)
            await clarion.pass_time(11 * MINUTE)
            assert texts(clarion) == told
        found = {(m.status, m.reason) for m in (await clarion.messages()).values()}
        assert found == {(Status.SENT, None), (Status.SUPPRESSED, Reason.OPTED_OUT)}


async def test_what_does_not_wait_closes_the_window_or_goes_past_it(store):
    """With everything that is in it, or alone."""
    urgent = "data.n > 5.0"
    async with engine(store, clock=ManualClock()) as clarion:
        steps = (collect(flush=Flush(when=urgent)), tell())
        alone = (collect(flush=Flush(when=urgent, what=FlushWhat.ALONE)), tell())
        await create(clarion, digesting(*steps), workflow("alone", steps=alone))
        for n in (1, 7, 2):
            await trigger(clarion, n)
        await clarion.pass_time(1)
        assert texts(clarion) == ["2: 1 7"]
        for n in (3, 8, 4):
            await trigger(clarion, n, "alone")
        await clarion.pass_time(1)
        assert texts(clarion) == ["2: 1 7", "1: 8"]
        await clarion.pass_time(11 * MINUTE)
        assert sorted(texts(clarion)[2:]) == ["1: 2", "2: 3 4"]


async def test_a_critical_category_waits_for_nothing(store):
    """Nor for a key that is missing."""
    async with engine(store, clock=ManualClock()) as clarion:
        alarm = digesting(collect(by="/missing"), tell(), category="alarms")
        await create(clarion, alarm, categories=(Category(key="alarms", critical=True),))
        await trigger(clarion, 1)
        await trigger(clarion, 2)
        await clarion.pass_time(1)
        assert sorted(texts(clarion)) == ["1: 1", "1: 2"]


async def test_only_some_items_are_kept_for_the_template(store):
    """The first or the last of all, however they came; all are counted."""
    async with engine(store, clock=ManualClock()) as clarion:
        last = workflow("last", steps=(collect(keep=KeptItems(last=2)), tell()))
        await create(clarion, digesting(collect(keep=KeptItems(first=2)), tell()), last)
        for n in (1, 2, 3):
            await trigger(clarion, n)
            await trigger(clarion, n, "last")
            clarion.clock.advance(1)
        await clarion.pass_time(11 * MINUTE)
        assert sorted(texts(clarion)) == ["3: 1 2", "3: 2 3"]


async def test_expired_items_are_not_told(store):
    """Their time is over before the digest closes."""
    async with engine(store, clock=ManualClock()) as clarion:
        await create(clarion)
        soon = Instant(clarion.clock.now() + MINUTE * 1_000)
        await clarion.trigger("w", "ada", data=msgspec.Raw(b'{"n":1}'), expires_at=soon)
        await trigger(clarion, 2)
        await clarion.pass_time(11 * MINUTE)
        assert texts(clarion) == ["1: 2"]


async def test_an_event_that_is_scheduled_is_collected_at_its_time(store):
    """Nothing of it goes before."""
    async with engine(store, clock=ManualClock()) as clarion:
        await create(clarion)
        await clarion.trigger("w", "ada", data=msgspec.Raw(b'{"n":1}'), delay_s=3_600)
        await trigger(clarion, 2)
        await clarion.pass_time(11 * MINUTE)
        assert texts(clarion) == ["1: 2"]
        await clarion.pass_time(3_600)
        await clarion.pass_time(11 * MINUTE)
        assert texts(clarion) == ["1: 2", "1: 1"]


async def test_a_clock_set_back_after_a_window_fired_makes_no_second_fire(store):
    """New items open a window that closes by the new clock."""
    async with engine(store, clock=ManualClock()) as clarion:
        await create(clarion)
        await trigger(clarion, 1)
        await clarion.pass_time(11 * MINUTE)
        clarion.clock._started = Instant(clarion.clock._started - 7_200_000)
        await trigger(clarion, 2)
        await clarion.pass_time(MINUTE)
        assert texts(clarion) == ["1: 1"]
        await clarion.pass_time(10 * MINUTE)
        assert texts(clarion) == ["1: 1", "1: 2"]


async def test_a_window_that_closes_in_quiet_hours_is_one_message_afterwards(store):
    """The message is deferred."""
    clock = ManualClock(Instant(1_770_087_600_000))  # 2026-02-03T03:00Z
    async with engine(store, clock=clock) as clarion:
        await create(clarion)
        quiet = Preferences(quiet_hours=(Window(start="22:00", end="08:00"),))
        await clarion.put_user("ada", quiet)
        await trigger(clarion, 1)
        await clarion.pass_time(11 * MINUTE)
        assert texts(clarion) == []
        await clarion.pass_time(5 * 3_600)
        assert texts(clarion) == ["1: 1"]


NIGHT = Instant(1_770_087_600_000)
"""2026-02-03T03:00Z, a Tuesday."""
QUIET = (Window(start="22:00", end="08:00"),)


async def test_a_digest_through_quiet_hours_collects_until_they_are_over(store):
    """One message in the morning holds the items of the night, whether its end is fixed or moves."""
    async with engine(store, clock=ManualClock(NIGHT)) as clarion:
        through = collect(through_quiet_hours=True)
        moves = collect(max_s=6 * 3_600, through_quiet_hours=True)
        await create(clarion, digesting(through, tell()), workflow("moves", steps=(moves, tell())))
        await clarion.put_user("ada", Preferences(quiet_hours=QUIET))
        for n in (1, 2, 3):
            await trigger(clarion, n)
            await trigger(clarion, n, "moves")
            await clarion.pass_time(3_600)
        assert texts(clarion) == []
        await clarion.pass_time(2 * 3_600 - MINUTE)
        assert texts(clarion) == []
        await clarion.pass_time(2 * MINUTE)
        assert texts(clarion) == ["3: 1 2 3"] * 2


async def test_a_digest_through_quiet_hours_lasts_no_longer_than_its_step_says(store):
    """Its message waits for the morning, and what comes later is the next one."""
    async with engine(store, clock=ManualClock(NIGHT)) as clarion:
        await create(clarion, digesting(collect(max_s=3_600, through_quiet_hours=True), tell()))
        await clarion.put_user("ada", Preferences(quiet_hours=QUIET))
        await trigger(clarion, 1)
        await clarion.pass_time(3_700)
        (row,) = await rows(clarion)
        assert row.status is RunStatus.FINISHED
        assert {one.reason for one in (await clarion.messages()).values()} == {Reason.QUIET_HOURS}


async def test_quiet_hours_that_change_move_the_end_of_an_open_digest(store):
    """Sooner or later; without them it closes at its own time."""
    async with engine(store, clock=ManualClock(NIGHT)) as clarion:
        await create(clarion, digesting(collect(through_quiet_hours=True), tell()))
        await clarion.put_user("ada", Preferences(quiet_hours=QUIET))
        await trigger(clarion, 1)
        for end, hour in (("09:00", 6), ("06:00", 3), ("07:00", 4)):
            await clarion.put_user("ada", Preferences(quiet_hours=(Window(start="22:00", end=end),)))
            await clarion.pass_time(1)
            (row,) = await rows(clarion)
            assert row.due_at == NIGHT + hour * 3_600_000
        await clarion.put_user("ada", Preferences(quiet_hours=()))
        await clarion.pass_time(11 * MINUTE)
        assert texts(clarion) == ["1: 1"]


async def test_a_digest_through_quiet_hours_also_waits_for_a_send_window(store):
    """That of its category, as of its workflow."""
    async with engine(store, clock=ManualClock(NIGHT)) as clarion:
        office = (Window(start="09:00", end="17:00"),)
        digest = digesting(collect(through_quiet_hours=True), tell(), send_window=office)
        await create(clarion, digest)
        await trigger(clarion, 1)
        (row,) = await rows(clarion)
        assert row.due_at == NIGHT + 6 * 3_600_000


WANTED = digesting(Step(key="wanted", type=StepType.DIGEST, at="preference"), tell())


def chosen(every: DigestEvery, **more: Any) -> Preferences:
    """What a user wants of the category."""
    frequency = DigestFrequency(every=every, **more)
    return Preferences(categories={"news": PreferenceSet(digest=frequency)})


@pytest.mark.parametrize(
    ("preferences", "closes"),
    [
        (chosen(DigestEvery.HOURLY), "2026-02-03T04:00"),
        (chosen(DigestEvery.DAILY, at="18:30"), "2026-02-03T18:30"),
        (chosen(DigestEvery.WEEKLY, at="07:00", day=Day.FRI), "2026-02-06T07:00"),
        (Preferences(digest=DigestFrequency(every=DigestEvery.DAILY, at="06:00")), "2026-02-03T06:00"),
    ],
    ids=["hourly", "daily", "weekly", "of everything"],
)
async def test_a_digest_closes_when_its_user_wants_it(store, preferences, closes):
    """By the choice for the category, else by that for everything."""
    async with engine(store, clock=ManualClock(NIGHT)) as clarion:
        await create(clarion, WANTED)
        await clarion.put_user("ada", preferences)
        for n in (1, 2):
            await trigger(clarion, n)
        (row,) = await rows(clarion)
        assert datetime.fromtimestamp(row.due_at / 1_000, UTC) == datetime.fromisoformat(f"{closes}+00:00")
        await clarion.pass_time((row.due_at - clarion.clock.now()) / 1_000 + 1)
        assert texts(clarion) == ["2: 1 2"]


async def test_whoever_wants_no_digest_gets_everything_at_once(store):
    """As do those who have not chosen. In quiet hours the digest that goes through them still is one."""
    async with engine(store, clock=ManualClock(NIGHT)) as clarion:
        await create(clarion, WANTED)
        accepted = await trigger(clarion, 1)
        await clarion.pass_time(1)
        await trigger(clarion, 2)
        await clarion.pass_time(1)
        assert texts(clarion) == ["1: 1", "1: 2"]
        (part,) = await clarion.ledger.plans.runs_of(clarion.tenant, accepted.event_id, None)
        assert part.steps[0].inputs["closed_by"] == "time"
        through = Step(key="wanted", type=StepType.DIGEST, at="preference", through_quiet_hours=True)
        await clarion.ledger.setup.workflows.put(clarion.tenant, digesting(through, tell()))
        await clarion.put_user("ada", Preferences(quiet_hours=QUIET))
        for n in (3, 4):
            await trigger(clarion, n)
            await clarion.pass_time(MINUTE)
        await clarion.pass_time(5 * 3_600)
        assert texts(clarion) == ["1: 1", "1: 2", "2: 3 4"]


async def test_a_user_who_chooses_otherwise_gets_the_open_digest_at_the_new_time(store):
    """Later, sooner, or at once."""
    async with engine(store, clock=ManualClock(NIGHT)) as clarion:
        await create(clarion, WANTED)
        await clarion.put_user("ada", chosen(DigestEvery.DAILY, at="18:30"))
        await trigger(clarion, 1)
        for at, hours in (("20:00", 17), ("05:00", 2)):
            await clarion.put_user("ada", chosen(DigestEvery.DAILY, at=at))
            await clarion.pass_time(1)
            (row,) = await rows(clarion)
            assert row.due_at == NIGHT + hours * 3_600_000
        await clarion.put_user("ada", chosen(DigestEvery.AT_ONCE))
        await clarion.pass_time(1)
        assert texts(clarion) == ["1: 1"]


async def test_items_are_sorted_as_their_step_says(store):
    """Numbers before texts, what has neither at the end, and of the same by their time."""
    async with engine(store, clock=ManualClock()) as clarion:
        first = collect(order="data.rank", keep=KeptItems(first=4))
        await create(clarion, digesting(first, tell()))
        ranks: list[dict[str, Any]] = [{}, *({"rank": rank} for rank in ("b", 3, -2, 3, "a"))]
        for n, data in enumerate(ranks):
            await trigger(clarion, n, **data)
        await clarion.pass_time(11 * MINUTE)
        assert texts(clarion) == ["6: 3 2 4 5"]


async def test_times_are_sorted_as_times(store):
    """With and without parts of a second."""
    async with engine(store, clock=ManualClock()) as clarion:
        await create(clarion, digesting(collect(order="timestamp(data.due)"), tell()))
        for n, due in enumerate(
            ("2026-01-01T00:00:00.5Z", "2026-01-01T01:00:00+01:00", "2025-01-01T00:00:00Z")
        ):
            await trigger(clarion, n, due=due)
        await clarion.pass_time(11 * MINUTE)
        assert texts(clarion) == ["3: 2 1 0"]


async def test_a_digest_is_told_once_by_whoever_takes_over(store):
    """Its process died between closing it and storing what it told."""
    async with engine(store, clock=ManualClock()) as clarion:
        await create(clarion)
        await trigger(clarion, 1)

        async def dies(*_: Any) -> None:
            raise Unavailable("gone")

        clarion.pipeline.planner.store_claimed = dies
        await clarion.pass_time(11 * MINUTE)
        (row,) = await rows(clarion)
        (digest,) = await clarion.ledger.digests.get(clarion.tenant, [row.event_id])
        assert (digest.closed_at is not None, digest.total) == (True, None)
        await clarion.crash()
    async with engine(clarion.store, clock=clarion.clock) as again:
        await again.pass_time(30)
        assert texts(again) == ["1: 1"]
        await again.pass_time(30)
        assert texts(again) == ["1: 1"]


async def test_a_deleted_user_gets_no_digest(store):
    """And nothing of it is left to read."""
    async with engine(store, clock=ManualClock()) as clarion:
        await create(clarion)
        await trigger(clarion, 1)
        (row,) = await rows(clarion)
        await clarion.ledger.users.delete(clarion.tenant, "ada")
        assert [one.sealed for one in await clarion.ledger.digests.items([row.event_id])] == [None]
        await clarion.pass_time(11 * MINUTE)
        assert await clarion.messages() == {}
        (row,) = await rows(clarion)
        assert (row.status, row.reason) == (RunStatus.CANCELED, Reason.USER_DELETED)


async def test_a_workflow_that_was_deleted_collects_no_more(store):
    """Its digests end; one of the same name later begins anew."""
    async with engine(store, clock=ManualClock()) as clarion:
        await create(clarion)
        await trigger(clarion, 1)
        await clarion.ledger.setup.workflows.delete(clarion.tenant, "w")
        await clarion.pass_time(11 * MINUTE)
        (row,) = await rows(clarion)
        assert (row.status, row.reason) == (RunStatus.CANCELED, Reason.WORKFLOW_DELETED)
        await clarion.ledger.setup.workflows.put(clarion.tenant, digesting())
        await trigger(clarion, 2)
        await clarion.pass_time(11 * MINUTE)
        assert texts(clarion) == ["1: 2"]


async def test_ten_thousand_and_one_items_in_a_second_are_two_digests(store):
    """One is full, and a second has the last. (A smaller number stands for it.)"""
    async with engine(store, clock=ManualClock()) as clarion:
        await create(clarion, digesting(collect(max_items=40, keep=KeptItems(first=1)), tell()))
        await asyncio.gather(*(clarion.trigger("w", "ada", data=msgspec.Raw(b'{"n":1}')) for _ in range(41)))
        await clarion.until_idle()
        await clarion.pass_time(1)
        assert texts(clarion) == ["40: 1"]
        await clarion.pass_time(11 * MINUTE)
        assert texts(clarion) == ["40: 1", "1: 1"]


async def test_users_do_not_share_a_digest(store):
    """Nor does an event that repeats another one come to it twice."""
    async with engine(store, clock=ManualClock()) as clarion:
        await create(clarion, digesting(dedupe=Dedupe(key="/n")))
        await clarion.put_user("bob")
        for n in (1, 1, 2):
            told = msgspec.Raw(msgspec.json.encode({"n": n}))
            await clarion.trigger("w", "ada", "bob", data=told)
            await clarion.until_idle()
            clarion.clock.advance(0.001)
        assert len(await rows(clarion)) == 2
        await clarion.pass_time(11 * MINUTE)
        assert texts(clarion) == ["2: 1 2", "2: 1 2"]
