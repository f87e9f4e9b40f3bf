"""People opt out while a campaign goes to everybody of a topic: no attempt starts after the opt-out was answered (I8)."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from clarion.adapters.system import SystemClock
from clarion.flow.dispatch.recheck import CHECK_FRESH_S
from clarion.flow.plan import campaigns as planning
from clarion.model.campaign import Audience, Campaign, CampaignStatus
from clarion.model.channel import Channel
from clarion.model.consent import ConsentSource
from clarion.model.message import MessageFilter
from clarion.model.outcome import Outcome
from clarion.model.outgoing import Outgoing
from clarion.model.setup import Category, ConsentRule
from clarion.model.status import Reason, Status
from clarion.model.topic import Topic
from clarion.model.user import Contact, Profile, UserPut
from clarion.services.last_checks import LastChecks
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine, workflow
from tests.needs import DEEP
from tests.postgresql_ledgers import new_database

MEMBERS, LEAVING = (200_000, 10_000) if DEEP else (240, 60)
AT_ONCE = 20
"""Opt-outs under way."""
BATCH = 1_000


class StartTimes(RecordingProvider):
    """Notes when each attempt starts."""

    def __init__(self) -> None:
        super().__init__(batch=20, idempotent=True)
        self.started: dict[int, float] = {}

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        now = asyncio.get_running_loop().time()
        for outgoing in batch:
            self.started[outgoing.message.user] = now
        await asyncio.sleep(0)
        return await super().send(batch)


async def opened(store: Any, provider: StartTimes, seed: int) -> Engine:
    """An engine on the clock of the machine, which answers opt-outs as one of several processes does."""
    clock: Any = SystemClock()
    one = Engine(store, clock, provider, seed)
    one.last_checks = LastChecks(clock, CHECK_FRESH_S)
    return await one.open()


async def everybody(clarion: Engine) -> list[int]:
    """The members of the topic, each with an email address."""
    numbers: list[int] = []
    await clarion.ledger.topics.put(clarion.tenant, Topic(key="all", name=""))
    for first in range(0, MEMBERS, BATCH):
        puts = [
            UserPut(
                id=f"u{n}",
                profile=Profile(contacts=(Contact(channel=Channel.EMAIL, address=f"u{n}@example.org"),)),
            )
            for n in range(first, min(first + BATCH, MEMBERS))
        ]
        users = await clarion.ledger.users.put(clarion.tenant, puts)
        await clarion.ledger.topics.subscribe(clarion.tenant, "all", [user.no for user in users])
        numbers += [user.no for user in users]
    return numbers


async def leave(clarion: Engine, numbers: list[int], answered: dict[int, float]) -> None:
    """One after another, each noting when the opt-out was answered."""
    links, now = clarion.services.unsubscribe, asyncio.get_running_loop().time
    while numbers:
        no = numbers.pop()
        choice = await links.read(links.token(clarion.tenant, no, "news"))
        await links.leave(choice, ConsentSource.UNSUBSCRIBE_LINK)
        answered[no] = now()


async def page(clarion: Engine, **where: Any) -> list[Any]:
    """A few of the messages that match, if there are any."""
    found, cursor = await clarion.ledger.records.page(clarion.tenant, MessageFilter(**where), None, 5)
    while not found and cursor is not None:
        found, cursor = await clarion.ledger.records.page(clarion.tenant, MessageFilter(**where), cursor, 5)
    return list(found)


async def all_done(engines: list[Engine]) -> None:
    """Everybody was planned once, and nothing is left to send."""
    while True:
        (found,), _ = await engines[0].services.campaigns.page(engines[0].tenant, None, None, 1)
        if found.row.status is CampaignStatus.DONE:
            assert found.row.rank == MEMBERS
            return
        await asyncio.sleep(0.05)


@pytest.mark.timeout(1_500 if DEEP else 120)
@pytest.mark.parametrize("several", [False, True])
async def test_no_attempt_starts_after_its_opt_out_was_answered(tmp_path, request, monkeypatch, several):
    """Whoever was asked first: those who left before their turn are told why nothing came; everybody else gets the message. On SQLite,
    and by two processes on PostgreSQL."""
    if not DEEP:
        monkeypatch.setattr(planning, "RANGE", 40)
        monkeypatch.setattr(planning, "FANOUT_PAGE", 10)
    store = await new_database(request.getfixturevalue("postgresql")) if several else tmp_path
    providers = [StartTimes() for _ in range(2 if several else 1)]
    engines = [await opened(store, provider, seed) for seed, provider in enumerate(providers)]
    try:
        clarion = engines[0]
        await clarion.create_setup(
            workflow("hello", channel=Channel.EMAIL),
            categories=(Category(key="news", consent=ConsentRule.OPT_OUT),),
        )
        numbers = await everybody(clarion)
        leaving = numbers[:: MEMBERS // LEAVING][:LEAVING]
        answered: dict[int, float] = {}
        left, count = list(reversed(leaving)), AT_ONCE
        audience, data = Audience(topic="all"), {"text": "hello"}
        asked = Campaign(workflow="hello", audience=audience, data=data)
        draft = await clarion.services.campaigns.create(clarion.tenant, asked)
        await leave(clarion, [left.pop()], answered)
        await clarion.services.campaigns.start(clarion.tenant, draft.row.id)
        await asyncio.gather(*(leave(engines[n % len(engines)], left, answered) for n in range(count)))
        async with asyncio.timeout(1_200 if DEEP else 60):
            await all_done(engines)
        started = {no: at for provider in providers for no, at in provider.started.items()}
        assert len(answered) == LEAVING
        late = {no: started[no] - at for no, at in answered.items() if started.get(no, at) > at}
        assert late == {}
        spared = answered.keys() - started.keys()
        assert spared, "everybody was sent the message before they left"
        stopped = await page(clarion, statuses=frozenset({Status.SUPPRESSED}))
        assert {one.reason for one in stopped} == {Reason.OPTED_OUT}
    finally:
        for one in engines:
            await one.pipeline.drain(5.0)
            await one.ledger.close()
