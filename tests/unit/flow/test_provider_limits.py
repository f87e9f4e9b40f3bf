"""Limits of providers are one budget: obeyed by all processes, without losing a message or an attempt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from clarion.adapters.ledgers.memory import Tables
from clarion.model.channel import Channel
from clarion.model.outcome import Accepted, Retry
from clarion.model.setup import Integration, IntegrationLimits, WarmUp
from clarion.model.status import Reason, Status
from clarion.testing.ports import ManualClock
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine, engine, workflow
from tests.several_providers import SeveralProviders

PEOPLE = [f"user{n}" for n in range(20)]
DAY_S = 86_400


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request, tmp_path):
    """Both engines: what is used is a row."""
    return Tables() if request.param == "memory" else tmp_path


async def prepare(clarion: Engine, **limits) -> None:
    """One integration with limits, and people."""
    await clarion.create_setup(workflow("hello"))
    await clarion.ledger.setup.integrations.put(
        clarion.tenant,
        Integration(
            key="main-sms", channel=Channel.SMS, provider="recording", limits=IntegrationLimits(**limits)
        ),
    )
    for one in PEOPLE:
        await clarion.put_user(one)


async def by_status(clarion: Engine) -> dict[tuple[Status, Reason | None, int], int]:
    """How many messages are where, and after how many attempts."""
    found: dict[tuple[Status, Reason | None, int], int] = {}
    for one in (await clarion.messages()).values():
        key = one.status, one.reason, one.attempt
        found[key] = found.get(key, 0) + 1
    return found


def tomorrow(clarion: Engine) -> datetime:
    now = datetime.fromtimestamp(clarion.clock.now() / 1_000, UTC)
    return datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)


async def test_what_exceeds_the_quota_of_a_day_is_held_until_it_resets(ledger):
    """No attempt is counted, nobody asks again before, and then it goes."""
    async with engine(ledger) as clarion:
        await prepare(clarion, per_day=12)
        await clarion.trigger("hello", *PEOPLE)
        await clarion.pass_time(1)
        assert await by_status(clarion) == {
            (Status.SENT, None, 1): 12,
            (Status.DEFERRED, Reason.DAILY_QUOTA, 0): 8,
        }
        resets_at = round(tomorrow(clarion).timestamp() * 1_000)
        held = [m for m in (await clarion.messages()).values() if m.due_at is not None]
        assert all(resets_at <= m.due_at <= resets_at + 61_000 for m in held if m.due_at)
        (health,) = [
            one
            for one in clarion.pipeline.integrations.health(clarion.tenant)
            if one.integration.key == "main-sms"
        ]
        assert (health.per_day, health.used_today) == (12, 12)
        assert health.trouble == "its quota of the day is used up"
        await clarion.pass_time(DAY_S / 4)
        assert len(clarion.provider.effects) == 12
        await clarion.pass_time(DAY_S)
        assert await by_status(clarion) == {(Status.SENT, None, 1): 20}


async def test_another_integration_takes_over_when_a_quota_is_used_up(ledger):
    """At once: nobody waits for tomorrow."""
    providers = SeveralProviders(a=RecordingProvider(batch=50), b=RecordingProvider(batch=50))
    async with engine(ledger, provider=providers) as clarion:
        await prepare(clarion)
        await providers.create_integrations(clarion)
        small = Integration(
            key="a",
            channel=Channel.SMS,
            provider="recording",
            limits=IntegrationLimits(per_day=3),
            weight=9_999,
        )
        await clarion.ledger.setup.integrations.put(clarion.tenant, small)
        await clarion.trigger("hello", *PEOPLE)
        await clarion.pass_time(2)
        assert {key: len(one.effects) for key, one in providers.by_key.items()} == {"a": 3, "b": 17}
        taken = next(m for m in (await clarion.messages()).values() if m.integration == "b")
        changes = await clarion.ledger.records.changes(clarion.tenant, taken.id)
        assert changes[-1].choice == "b 100; not a: its quota of the day is used up"


async def test_a_new_sender_is_warmed_up_by_its_plan(store):
    """A little more every day."""
    async with engine(store) as clarion:
        today = (tomorrow(clarion) - timedelta(days=1)).date().isoformat()
        await prepare(clarion, warm_up=WarmUp(since=today, per_day=(2, 5)))
        await clarion.trigger("hello", *PEOPLE)
        for sent in (2, 7, 20):
            await clarion.pass_time(2)
            assert len(clarion.provider.effects) == sent
            await clarion.pass_time(DAY_S)


async def test_processes_share_one_budget(ledger):
    """However the messages are spread over them, and also after a restart."""
    clock, provider = ManualClock(), RecordingProvider(batch=5)
    async with engine(ledger, provider=provider, clock=clock) as clarion:
        await prepare(clarion, per_second=4, per_day=15)
        other = await Engine(ledger, clock, provider, 2).work_on(clarion.ledger.store)
        for one in PEOPLE[:10]:
            await clarion.trigger("hello", one)
            await other.trigger("hello", PEOPLE[-1])
        await clarion.until_idle()
        await other.until_idle()
        assert len(provider.effects) <= 4
        for seconds in range(1, 10):
            clock.advance(1)
            await clarion.until_idle()
            await other.until_idle()
            assert len(provider.effects) <= min(15, 4 * (seconds + 1))
        await clarion.pass_time(30)
        assert len(provider.effects) == 15
        await other.leave()
        await clarion.crash()
        async with engine(ledger, provider=provider, clock=clock) as again:
            await again.trigger("hello", "user1")
            await again.pass_time(30)
            assert len(provider.effects) == 15


async def test_what_a_provider_asks_for_holds_for_all_messages(ledger):
    """`Retry-After`: the others do not even try, and nothing ends however long it takes."""
    provider = RecordingProvider(batch=1, otherwise=Retry(reason=Reason.RATE_LIMITED, after_s=1_200))
    async with engine(ledger, provider=provider) as clarion:
        await prepare(clarion)
        await clarion.trigger("hello", PEOPLE[0])
        await clarion.until_idle()
        assert len(provider.calls) == 1
        await clarion.trigger("hello", *PEOPLE[1:])
        for _ in range(10):
            await clarion.pass_time(60)
        assert len(provider.calls) == 1
        provider.otherwise = Accepted()
        await clarion.pass_time(1_300)
        await clarion.pass_time(1_300)
        assert {status for status, _, _ in await by_status(clarion)} == {Status.SENT}
        assert len(provider.calls) == 1 + len(PEOPLE)


async def test_others_take_over_while_a_provider_asks_to_wait(store):
    """A rate limit of one is not the end of the channel."""
    providers = SeveralProviders(
        a=RecordingProvider(batch=50, otherwise=Retry(reason=Reason.RATE_LIMITED, after_s=600)),
        b=RecordingProvider(batch=50),
    )
    async with engine(store, provider=providers) as clarion:
        await prepare(clarion)
        await providers.create_integrations(clarion)
        await clarion.trigger("hello", *PEOPLE)
        await clarion.pass_time(2)
        assert {status for status, _, _ in await by_status(clarion)} == {Status.SENT}
        calls = len(providers.by_key["a"].calls)
        await clarion.trigger("hello", *PEOPLE)
        await clarion.pass_time(2)
        assert len(providers.by_key["a"].calls) == calls


async def test_a_destination_that_asks_to_wait_stops_nobody_else(store):
    """It speaks for one address, not for the provider."""
    patient = Retry(reason=Reason.RATE_LIMITED, after_s=600, of_address=True)
    provider = RecordingProvider(batch=50, otherwise=patient)
    async with engine(store, provider=provider) as clarion:
        await prepare(clarion)
        await clarion.trigger("hello", PEOPLE[0])
        await clarion.until_idle()
        provider.otherwise = Accepted()
        await clarion.trigger("hello", *PEOPLE[1:])
        await clarion.until_idle()
        assert len(provider.effects) == len(PEOPLE) - 1
