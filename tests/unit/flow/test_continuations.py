"""Events to long topics: planned page by page, by any worker, whatever happens between two pages."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from clarion.errors import Unavailable
from clarion.flow.plan import planner
from clarion.model.channel import Lane
from clarion.model.status import Reason, Status
from clarion.model.submission import Recipient
from clarion.testing.ports import ManualClock
from tests.engine import Engine, engine, workflow

PEOPLE = 9


@pytest.fixture(autouse=True)
def short_pages(monkeypatch):
    """Two members are a page."""
    monkeypatch.setattr(planner, "FANOUT_PAGE", 2)


async def topic_of(clarion: Engine) -> None:
    """A workflow, and a topic with people."""
    await clarion.create_setup(workflow("w"))
    people = [(await clarion.put_user(f"u{n}")).no for n in range(PEOPLE)]
    await clarion.ledger.topics.subscribe(clarion.tenant, "t", people)


async def done_by_user(clarion: Engine) -> Counter[int]:
    """How many messages each person was sent, once nothing is left."""
    await clarion.pass_time(40)
    found = (await clarion.messages()).values()
    assert {m.status for m in found} == {Status.SENT}
    return Counter(m.user for m in found)


@pytest.mark.parametrize("pages", range(1, 6))
async def test_a_crash_behind_any_page_loses_and_repeats_nobody(store, monkeypatch, pages):
    """What is left is due again, for whoever works then."""
    async with engine(store, clock=ManualClock()) as clarion:
        await topic_of(clarion)
        committed, stored = clarion.ledger.plans.commit, asyncio.Event()
        commits = 0

        async def commit(plan):
            nonlocal commits
            result = await committed(plan)
            commits += 1
            if commits == pages:
                stored.set()
                await asyncio.Event().wait()  # The process hangs, and is killed.
            return result

        monkeypatch.setattr(clarion.ledger.plans, "commit", commit)
        await clarion.trigger("w", Recipient(topic="t"))

        async def hangs() -> bool:
            return stored.is_set()

        assert await clarion.until(hangs)
        await clarion.crash()
        await clarion.open()
        by_user = await done_by_user(clarion)
        assert len(by_user) == PEOPLE
        assert {*by_user.values()} == {1}


async def test_a_store_that_is_away_between_two_pages_costs_nobody_a_message(store, monkeypatch):
    """Also when the answer to a claim was lost: the page is claimed again."""
    async with engine(store, clock=ManualClock()) as clarion:
        await topic_of(clarion)
        claimed, failed = clarion.ledger.continuations.claim, 0

        async def claim(*asked):
            nonlocal failed
            found = await claimed(*asked)
            if found and failed < 3:
                failed += 1
                raise Unavailable("the store went away")
            return found

        monkeypatch.setattr(clarion.ledger.continuations, "claim", claim)
        await clarion.trigger("w", Recipient(topic="t"))
        by_user = await done_by_user(clarion)
        assert (len(by_user), {*by_user.values()}, failed) == (PEOPLE, {1}, 3)


async def test_canceling_an_event_stops_who_is_not_planned_yet(store):
    """Each of them has a message that says so, and the counts of the event tell of all."""
    async with engine(store, clock=ManualClock()) as clarion:
        await topic_of(clarion)
        await clarion.pipeline.loops.stop("continue-")
        accepted = await clarion.trigger("w", Recipient(topic="t"))
        await clarion.pass_time(1)
        found = await clarion.ledger.events.found(clarion.tenant, accepted.event_id, None, 10, 10)
        assert found is not None
        assert (len(found.messages), found.waits) == (2, True)
        await clarion.ledger.events.cancel(accepted.event_id, clarion.clock.now(), frozenset())
        while await clarion.pipeline._continuations.sweep(Lane.NORMAL):
            pass
        ((shown, *_), _) = await clarion.ledger.events.page(clarion.tenant, None, b"\xff" * 17, 10)
        assert shown.counts == {Status.SENT: 2, Status.CANCELED: PEOPLE - 2}
        canceled = await clarion.messages(statuses=frozenset([Status.CANCELED]))
        assert {m.reason for m in canceled.values()} == {Reason.CANCELED_BY_CALLER}


async def test_what_is_left_of_an_event_that_cannot_be_planned_is_set_aside(store, monkeypatch):
    """It holds up nobody, and planned again it goes on from the beginning, to nobody twice."""
    async with engine(store, clock=ManualClock()) as clarion:
        await topic_of(clarion)
        members, broken = clarion.ledger.topics.members, True

        async def fails(tenant, topic, after, limit):
            if after and broken:
                raise RuntimeError("for now")
            return await members(tenant, topic, after, limit)

        monkeypatch.setattr(clarion.ledger.topics, "members", fails)
        await clarion.trigger("w", Recipient(topic="t"))

        async def is_set_aside() -> bool:
            return await clarion.ledger.set_aside.waiting() == 1

        assert await clarion.until(is_set_aside)
        (kept,) = await clarion.ledger.set_aside.page(clarion.tenant, None, 10)
        assert (kept.workflow, kept.reason, kept.detail) == ("w", Reason.INTERNAL_ERROR, "RuntimeError")
        assert len(await clarion.messages()) == 2
        broken = False
        assert await clarion.services.set_aside_events.plan_again(clarion.tenant, [kept.seq]) == 1
        by_user = await done_by_user(clarion)
        assert (len(by_user), {*by_user.values()}) == (PEOPLE, {1})
