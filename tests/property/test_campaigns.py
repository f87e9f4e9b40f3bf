"""Campaigns against a model: whatever people do and however often processes die, each member is planned once."""

from __future__ import annotations

import asyncio
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.adapters.ledgers.memory import Tables
from clarion.errors import Conflict
from clarion.model.campaign import CampaignStatus
from clarion.model.setup import Category
from clarion.model.status import Status
from clarion.model.topic import Topic
from clarion.rules.campaigns import LEAD_MS
from clarion.testing.ports import ManualClock
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine, workflow
from tests.needs import examples
from tests.unit.flow.test_campaigns import join, sale, told

MEMBERS = [f"u{n:02}" for n in range(24)]
STEPS = st.tuples(st.sampled_from(["pass", "pause", "resume", "start", "crash"]), st.integers(1, 12))


async def act(one: Engine, step: str, campaign: bytes) -> None:
    """Do it, if it can be done now."""
    try:
        await getattr(one.services.campaigns, step)(one.tenant, campaign)
    except Conflict:
        return


@settings(max_examples=examples(8), deadline=None)
@given(st.lists(STEPS, max_size=6), st.sampled_from([None, 3, 50]), st.sampled_from([None, 0.4]))
def test_each_member_is_planned_once(steps, rate_per_s, test_share):
    """Nobody while it is paused, at no time more than the rate allows, and everybody in the end."""

    async def play() -> None:
        clock, tables = ManualClock(), Tables()
        one = await Engine(tables, clock, RecordingProvider(batch=50), 1).open()
        await one.create_setup(workflow("sale"), categories=(Category(key="news"),))
        await one.ledger.topics.put(one.tenant, Topic(key="readers", name=""))
        await join(one, *MEMBERS)
        draft = await one.services.campaigns.create(
            one.tenant, sale(rate_per_s=rate_per_s, test_share=test_share)
        )
        id_ = bytes(draft.row.id)
        await one.services.campaigns.start(one.tenant, id_)
        for number, (step, seconds) in enumerate(steps):
            if step == "crash":
                await one.crash()
                one = await Engine(tables, clock, RecordingProvider(batch=50), number + 2).open()
            elif step != "pass":
                await act(one, step, id_)
            found = await one.services.campaigns.get(one.tenant, id_)
            before = await told(one)
            await one.pass_time(seconds)
            if found.row.status is CampaignStatus.PAUSED:
                assert await told(one) == before
            elif rate_per_s is not None:
                most = rate_per_s * (seconds + 1 + LEAD_MS // 1_000) + 1
                assert sum((await told(one)).values()) - sum(before.values()) <= most
        for _ in range(3):
            for step in ("resume", "start"):
                await act(one, step, id_)
                await one.pass_time(400)
        assert await told(one) == dict.fromkeys(MEMBERS, 1)
        assert Counter(m.status for m in (await one.messages()).values()) == {Status.SENT: len(MEMBERS)}
        assert (await one.services.campaigns.get(one.tenant, id_)).row.status is CampaignStatus.DONE
        await one.stop()

    asyncio.run(play())
