"""Campaigns on their way: members are planned once, at their pace, and not while the campaign is paused."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from clarion.adapters.ledgers.memory import Tables
from clarion.errors import Conflict, InvalidInput, UnknownReference
from clarion.flow.plan import campaigns as planning
from clarion.model.audience import Segment
from clarion.model.campaign import Audience, Campaign, CampaignStatus
from clarion.model.channel import Lane
from clarion.model.plan import PlanCommit
from clarion.model.setup import Category
from clarion.model.status import ACTIVE, Reason, Status
from clarion.model.topic import Topic
from clarion.model.user import Preferences, PreferenceSet
from clarion.services.campaigns import SAMPLE
from clarion.testing.ports import ManualClock
from tests.engine import Engine, engine, workflow

READERS = Audience(topic="readers")


def sale(**fields: Any) -> Campaign:
    """One for the members of a topic, unless the fields say otherwise."""
    return Campaign(**{"workflow": "sale", "audience": READERS, "data": {"text": "20 %"}, **fields})


SALE = sale()


@pytest.fixture
async def one():
    """An engine with a workflow and a topic."""
    async with engine(Tables()) as running:
        await running.create_setup(workflow("sale"), categories=(Category(key="news"),))
        await running.ledger.topics.put(running.tenant, Topic(key="readers", name=""))
        yield running


async def join(one: Engine, *names: str, zone: str = "UTC") -> None:
    """These are members of the topic from now on."""
    users = [(await one.put_user(name, zone=zone)).no for name in names]
    await one.ledger.topics.subscribe(one.tenant, "readers", users)


async def told(one: Engine) -> Counter[str]:
    """How many messages each user has, by name."""
    messages = (await one.messages()).values()
    users = await one.ledger.users.get([message.user for message in messages])
    return Counter(users[message.user].id for message in messages)


async def begin(one: Engine, campaign: Campaign = SALE) -> bytes:
    """The id of a campaign that is started."""
    found = await one.services.campaigns.create(one.tenant, campaign)
    await one.services.campaigns.start(one.tenant, found.row.id)
    return bytes(found.row.id)


async def status(one: Engine, id_: bytes) -> CampaignStatus:
    """Where it is, once somebody has looked."""
    await one.pass_time(2)
    found = await one.services.campaigns.get(one.tenant, id_)
    return CampaignStatus(found.row.status)


async def test_each_member_gets_one_message_and_the_campaign_is_done(one):
    """A draft sends nothing; who is in the topic when members are planned gets it."""
    await join(one, "ada", "bob")
    draft = await one.services.campaigns.create(one.tenant, SALE)
    await one.pass_time(5)
    assert not await one.messages()
    await join(one, "eve")
    await one.services.campaigns.start(one.tenant, draft.row.id)
    await one.pass_time(5)
    assert await told(one) == {"ada": 1, "bob": 1, "eve": 1}
    assert {m.status for m in (await one.messages()).values()} == {Status.SENT}
    assert {m.lane for m in (await one.messages()).values()} == {Lane.BULK}
    assert await status(one, draft.row.id) is CampaignStatus.DONE
    found = await one.services.campaigns.get(one.tenant, draft.row.id)
    assert (found.row.rank, found.row.due_at) == (3, None)
    assert found.state.finished_at is not None
    counts = await one.services.campaigns.counts([found.row])
    assert counts[found.row.id].statuses == {Status.SENT: 3}


async def test_a_list_of_users_is_an_audience(one):
    """Each once; whom nobody knows is refused with the place."""
    for name in ("ada", "bob"):
        await one.put_user(name)
    await begin(one, sale(audience=Audience(user_ids=("bob", "ada", "bob"))))
    await one.pass_time(5)
    assert await told(one) == {"ada": 1, "bob": 1}
    with pytest.raises(UnknownReference) as refused:
        await begin(one, sale(audience=Audience(user_ids=("ada", "zoe"))))
    assert [name.pointer for name in refused.value.unknown] == ["#/audience/user_ids/1"]
    with pytest.raises(UnknownReference):
        await begin(one, sale(audience=Audience(topic="none")))
    with pytest.raises(InvalidInput, match="no workflow"):
        await begin(one, sale(workflow="sail"))


async def test_a_rate_is_kept_in_every_second(one):
    """Members are due one after another, and planned shortly before."""
    await join(one, *(f"u{n:02}" for n in range(40)))
    id_ = await begin(one, sale(rate_per_s=2))
    start = one.clock.now()
    await one.pass_time(0.2)
    early = await one.messages()
    assert 0 < len(early) <= 24
    for _ in range(30):
        await one.pass_time(1)
    assert await told(one) == {f"u{n:02}": 1 for n in range(40)}
    seconds = Counter((m.updated_at - start) // 1_000 for m in (await one.messages()).values())
    assert max(seconds.values()) <= 4  # the clock moves a second at a time
    assert await status(one, id_) is CampaignStatus.DONE


async def test_nothing_is_planned_or_sent_while_it_is_paused(one):
    """What was planned waits with the reason; everybody gets it once after it goes on."""
    await join(one, *(f"u{n:02}" for n in range(40)))
    id_ = await begin(one, sale(rate_per_s=2))
    await one.pass_time(3)
    await one.services.campaigns.pause(one.tenant, id_)
    await one.until_idle()
    before = Counter(m.status for m in (await one.messages()).values())
    await one.pass_time(60)
    during = list((await one.messages()).values())
    assert Counter(m.status for m in during)[Status.SENT] == before[Status.SENT]
    assert len(during) == sum(before.values()) < 40
    assert {m.reason for m in during if m.status is Status.DEFERRED} == {Reason.CAMPAIGN_PAUSED}
    assert await one.services.campaigns.pause(one.tenant, id_)
    await one.services.campaigns.resume(one.tenant, id_)
    for _ in range(40):
        await one.pass_time(10)
    assert await told(one) == {f"u{n:02}": 1 for n in range(40)}
    assert await status(one, id_) is CampaignStatus.DONE


async def test_the_test_share_goes_first_and_the_others_when_it_is_started_again(one):
    """Both together are everybody, each once."""
    names = [f"u{n:02}" for n in range(60)]
    await join(one, *names)
    id_ = await begin(one, sale(test_share=0.3))
    await one.pass_time(10)
    first = await told(one)
    assert 5 <= len(first) <= 32
    assert await status(one, id_) is CampaignStatus.TESTED
    await one.pass_time(60)
    assert await told(one) == first
    await one.services.campaigns.start(one.tenant, id_)
    await one.pass_time(10)
    assert await told(one) == dict.fromkeys(names, 1)
    assert await status(one, id_) is CampaignStatus.DONE
    with pytest.raises(Conflict):
        await one.services.campaigns.start(one.tenant, id_)


async def test_who_joins_an_open_campaign_later_gets_it_too(one):
    """Nobody gets it twice, until it is closed."""
    await join(one, "bob")
    id_ = await begin(one, sale(keep_open=True))
    await one.pass_time(10)
    await join(one, "ada", "eve")
    await one.pass_time(601)
    assert await told(one) == {"ada": 1, "bob": 1, "eve": 1}
    found = await one.services.campaigns.get(one.tenant, id_)
    assert found.row.status is CampaignStatus.RUNNING
    closed = sale()
    await one.services.campaigns.change(one.tenant, id_, found.state.campaign, closed)
    await one.pass_time(601)
    await one.pass_time(5)
    assert await status(one, id_) is CampaignStatus.DONE
    assert await told(one) == {"ada": 1, "bob": 1, "eve": 1}


async def test_a_canceled_campaign_sends_nothing_more(one):
    """What waits is canceled, and nobody else is planned."""
    await join(one, *(f"u{n:02}" for n in range(40)))
    id_ = await begin(one, sale(rate_per_s=2))
    await one.pass_time(3)
    await one.services.campaigns.cancel(one.tenant, id_)
    await one.pass_time(60)
    messages = list((await one.messages()).values())
    assert len(messages) < 40
    assert {m.status for m in messages} == {Status.SENT, Status.CANCELED}
    assert await status(one, id_) is CampaignStatus.CANCELED
    with pytest.raises(Conflict):
        await one.services.campaigns.resume(one.tenant, id_)
    await one.services.campaigns.delete(one.tenant, id_)
    assert len(await one.messages()) == len(messages)


async def test_an_opt_out_during_a_campaign_holds(one):
    """Whoever left is told nothing from then on, although they were planned."""
    await join(one, *(f"u{n:02}" for n in range(40)))
    await begin(one, sale(rate_per_s=2))
    await one.pass_time(0.2)
    planned = {m.user for m in (await one.messages()).values() if m.status in ACTIVE}
    users = await one.ledger.users.get(list(planned))
    off = Preferences(categories={"news": PreferenceSet(enabled=False)})
    for user in users.values():
        await one.put_user(user.id, off)
    for _ in range(30):
        await one.pass_time(1)
    ended = {m.user: m.status for m in (await one.messages()).values()}
    assert {ended[no] for no in users} == {Status.SUPPRESSED}
    assert Counter(ended.values())[Status.SENT] == 40 - len(users)


async def test_a_local_time_begins_with_the_first_place_on_earth(one):
    """Each gets it by their own clock; who moved west meanwhile gets it by the new one."""
    await join(one, "ada", zone="Pacific/Auckland")
    await join(one, "bob", "eve", zone="Europe/Berlin")
    id_ = await begin(one, sale(send_at_local="2026-01-06T09:00"))
    found = await one.services.campaigns.get(one.tenant, id_)
    assert found.row.due_at is not None
    await one.pass_time((found.row.due_at - one.clock.now()) / 1_000 + 1)
    assert await told(one) == {"ada": 1, "bob": 1, "eve": 1}
    await one.put_user("eve", zone="America/New_York")
    sent: dict[str, int] = {}
    for hour in range(26):
        for message in (await one.messages()).values():
            if message.status is Status.SENT:
                name = (await one.ledger.users.get([message.user]))[message.user].id
                sent.setdefault(name, hour)
        await one.pass_time(3_600)
    assert sent == {"ada": sent["ada"], "bob": sent["ada"] + 12, "eve": sent["ada"] + 18}


async def test_a_preview_counts_and_plans_a_fair_sample(one):
    """Nothing is stored; what would not be sent is counted with its reason."""
    await join(one, *(f"u{n:03}" for n in range(SAMPLE + 50)))
    off = Preferences(categories={"news": PreferenceSet(enabled=False)})
    for n in range(0, SAMPLE + 50, 2):
        await one.put_user(f"u{n:03}", off)
    draft = await one.services.campaigns.create(one.tenant, SALE)
    seen = await one.services.campaigns.preview(one.tenant, draft.row.id)
    assert (seen.people, seen.sampled) == (SAMPLE + 50, SAMPLE)
    assert seen.channels["sms"] + seen.not_sent[Reason.OPTED_OUT] == SAMPLE
    assert 60 <= seen.channels["sms"] <= 140
    assert not await one.messages()


async def test_only_a_draft_can_be_changed_altogether(one):
    """Afterwards its name and rate can, until it is over."""
    await join(one, *(f"u{n:02}" for n in range(40)))
    slow = sale(rate_per_s=1)
    id_ = await begin(one, slow)
    change = one.services.campaigns.change
    with pytest.raises(Conflict, match="only `name`"):
        await change(one.tenant, id_, slow, sale(data={"text": "x"}))
    with pytest.raises(Conflict, match="changed meanwhile"):
        await change(one.tenant, id_, SALE, slow)
    await change(one.tenant, id_, slow, sale(rate_per_s=1_000))
    for _ in range(12):
        await one.pass_time(1)
    assert len(await told(one)) == 40
    with pytest.raises(Conflict, match="cancel it first"):
        await one.services.campaigns.delete(one.tenant, await begin(one, slow))


async def test_members_of_a_campaign_are_planned_once_by_several_processes_that_die(tmp_path):
    """Each takes over where the one before was killed."""
    clock, tables = ManualClock(), Tables()
    async with engine(tables, clock=clock) as first:
        await first.create_setup(workflow("sale"), categories=(Category(key="news"),))
        await first.ledger.topics.put(first.tenant, Topic(key="readers", name=""))
        await join(first, *(f"u{n:02}" for n in range(60)))
        id_ = await begin(first, sale(rate_per_s=2))
        await first.pass_time(2)
        await first.crash()
    for number in range(3):
        async with engine(tables, clock=clock, seed=number + 2) as other:
            if number == 1:
                await other.services.campaigns.pause(other.tenant, id_)
                await other.pass_time(2)
                await other.services.campaigns.resume(other.tenant, id_)
            await other.pass_time(2)
            await other.crash()
    async with engine(tables, clock=clock, seed=9) as last:
        for _ in range(40):
            await last.pass_time(20)
        assert await told(last) == {f"u{n:02}": 1 for n in range(60)}
        assert await status(last, id_) is CampaignStatus.DONE


async def test_processes_plan_ranges_of_a_large_audience_side_by_side(monkeypatch):
    """Each takes ranges of its own; in a pause none is planned, and what a process leaves behind when it dies the others take over."""
    monkeypatch.setattr(planning, "RANGE", 6)
    monkeypatch.setattr(planning, "FANOUT_PAGE", 2)
    monkeypatch.setattr(planning, "RANGES", 1)
    names = [f"u{n:02}" for n in range(60)]
    clock, tables = ManualClock(), Tables()
    async with engine(tables, clock=clock) as first:
        await first.create_setup(workflow("sale"), categories=(Category(key="news"),))
        await first.ledger.topics.put(first.tenant, Topic(key="readers", name=""))
        await join(first, *names)
        async with (
            engine(tables, clock=clock, seed=2) as second,
            engine(tables, clock=clock, seed=3) as third,
        ):
            plans = Counter[int]()
            ledger = first.ledger.store

            async def committed(plan: PlanCommit, commit: Any = ledger.plans.commit) -> Any:
                result = await commit(plan)
                plans[plan.worker] += len(plan.runs)
                if sum(plans.values()) == 24 and plan.runs:
                    await first.services.campaigns.pause(first.tenant, id_)
                return result

            for one in (first, second, third):
                monkeypatch.setattr(one.ledger.plans, "commit", committed)
            id_ = await begin(first)
            await first.pass_time(10)
            found = await first.services.campaigns.get(first.tenant, id_)
            assert found.row.status is CampaignStatus.PAUSED
            assert found.row.rank == len(await first.messages()) < 60
            assert found.row.ranges
            await second.crash()
            await first.services.campaigns.resume(first.tenant, id_)
            for _ in range(8):
                await first.pass_time(60)
            assert await told(first) == dict.fromkeys(names, 1)
            assert await status(first, id_) is CampaignStatus.DONE
            assert (await first.services.campaigns.get(first.tenant, id_)).row.rank == 60
            assert len(plans) > 1


async def test_a_segment_is_an_audience(one):
    """Its users when they are planned; a segment that nobody knows is refused."""
    await join(one, "ada", "bob")
    await one.services.segments.put(one.tenant, Segment(key="named", where="user.id == 'ada'"), None)
    await begin(one, sale(audience=Audience(segment="named")))
    for _ in range(20):
        await one.pass_time(1)
    assert await told(one) == {"ada": 1}
    with pytest.raises(UnknownReference):
        await begin(one, sale(audience=Audience(segment="name")))
