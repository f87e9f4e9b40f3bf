"""Campaigns against a model: whatever people do and however often processes die, each member is planned once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from clarion.adapters.ledgers.memory import Tables
from clarion.errors import Conflict
from clarion.flow.plan import campaigns as planning
from clarion.model.campaign import Audience, Campaign, CampaignStatus
from clarion.model.setup import Category
from clarion.model.status import Status
from clarion.model.topic import Topic
from clarion.services.campaigns import FoundCampaign
from clarion.testing.ports import ManualClock
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine, workflow
from tests.needs import examples
from tests.unit.flow.test_campaigns import READERS, join, sale, told

MEMBERS = [f"u{n:02}" for n in range(24)]
LISTED = Audience(user_ids=tuple(MEMBERS))
ACTS = ("pass", "pause", "resume", "start", "crash", "join", "slower", "cancel")
STEPS = st.tuples(st.sampled_from(ACTS), st.integers(1, 12))
SLOW = 2
"""Members a second, once somebody made it slower."""
AGAIN_S = planning.KEEP_OPEN_MS / 1_000
"""Between two passes through an audience that stays open."""


class Play:
    """A campaign on its way, and what people and crashes do to it."""

    def __init__(self) -> None:
        self.clock, self.tables = ManualClock(), Tables()
        self.late: list[str] = []
        """Who joined the audience after it was started."""
        self.seed = 0

    async def open(self) -> None:
        """The next process."""
        self.seed += 1
        self.one = await Engine(self.tables, self.clock, RecordingProvider(batch=50), self.seed).open()

    async def start(self, asked: Campaign) -> None:
        """With all members in the topic."""
        await self.open()
        one = self.one
        await one.create_setup(workflow("sale"), categories=(Category(key="news"),))
        await one.ledger.topics.put(one.tenant, Topic(key="readers", name=""))
        await join(one, *MEMBERS)
        self.id = bytes((await one.services.campaigns.create(one.tenant, asked)).row.id)
        await one.services.campaigns.start(one.tenant, self.id)

    async def found(self) -> FoundCampaign:
        """As it is now."""
        return await self.one.services.campaigns.get(self.one.tenant, self.id)

    async def act(self, step: str) -> None:
        """Do it, if it can be done now."""
        service, tenant = self.one.services.campaigns, self.one.tenant
        if step == "crash":
            await self.one.crash()
            await self.open()
        elif step == "join":
            self.late.append(f"late{len(self.late)}")
            await join(self.one, self.late[-1])
        elif step != "pass":
            with suppress(Conflict):
                if step != "slower":
                    await getattr(service, step)(tenant, self.id)
                elif (before := (await self.found()).state.campaign).rate_per_s is not None:
                    await service.change(tenant, self.id, before, replace(before, rate_per_s=SLOW))

    async def finish(self) -> None:
        """All that is left to do, and another pass if it stays open."""
        for _ in range(3):
            for step in ("resume", "start"):
                await self.act(step)
                await self.one.pass_time(400)
        await self.one.pass_time(AGAIN_S)
        await self.one.pass_time(400)

    async def due(self) -> list[int]:
        """When each member who was planned was due, in order."""
        event_id = (await self.found()).row.event_id
        assert event_id is not None
        runs = await self.one.ledger.plans.runs_of(self.one.tenant, event_id, None)
        return sorted(run.channels[0].due_at or 0 for run in runs)

    async def check(self, asked: Campaign) -> None:
        """Who got it, and what it says of itself."""
        got, status = await told(self.one), (await self.found()).row.status
        assert set(got.values()) <= {1}
        if status is CampaignStatus.CANCELED:
            return
        everybody = {*MEMBERS, *self.late}
        if asked.audience is LISTED:
            everybody = set(MEMBERS)
        assert set(MEMBERS) <= set(got) <= everybody
        if asked.keep_open:
            assert set(got) == everybody
        assert {m.status for m in (await self.one.messages()).values()} == {Status.SENT}
        assert status is (CampaignStatus.RUNNING if asked.keep_open else CampaignStatus.DONE)


@settings(max_examples=examples(8), deadline=None)
@given(
    st.lists(STEPS, max_size=6),
    st.sampled_from([None, 3, 50]),
    st.sampled_from([None, 0.4]),
    st.booleans(),
    st.sampled_from([READERS, LISTED]),
)
def test_each_member_is_planned_once(steps, rate_per_s, test_share, keep_open, audience):
    """Nobody while it is paused, in no second more than the rate allows, and everybody in the end, who joined meanwhile too if it
    stays open. Of a list nobody else. Nothing more is sent once it is canceled."""
    asked = sale(rate_per_s=rate_per_s, test_share=test_share, keep_open=keep_open, audience=audience)

    async def play() -> None:
        campaign = Play()
        await campaign.start(asked)
        for step, seconds in steps:
            await campaign.act(step)
            found, before = await campaign.found(), await told(campaign.one)
            await campaign.one.pass_time(seconds)
            if found.row.status in {CampaignStatus.PAUSED, CampaignStatus.CANCELED}:
                assert await told(campaign.one) == before
        await campaign.finish()
        await campaign.check(asked)
        if rate_per_s is not None:
            planned = await campaign.due()
            pairs = zip(planned, planned[rate_per_s + 1 :], strict=False)
            assert all(later - earlier >= 1_000 for earlier, later in pairs)
        await campaign.one.stop()

    with patch.multiple(planning, RANGE=5, FANOUT_PAGE=2):  # Two members a page, five a range.
        asyncio.run(play())
