"""What messages cost is counted before they are sent, and budgets stop what would cost too much."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from clarion.model.channel import Channel
from clarion.model.outcome import Accepted, Rejected, Retry, Unknown
from clarion.model.setup import Budget, Category, LadderChannel, Money, SendLadder, Step
from clarion.model.status import Reason, Status
from clarion.testing.providers import HANG, Answer, RecordingProvider
from tests.engine import Engine, engine, workflow

CRITICAL = Category(key="news", critical=True)
EXCEEDED = (Status.THROTTLED, Reason.BUDGET_EXCEEDED)
SENT = (Status.SENT, None)


def euro(amount: str) -> Money:
    """An amount in euros."""
    return Money(amount=amount, currency="EUR")


async def set_up(clarion: Engine, **budgets: Budget) -> None:
    """A text costs ten cents everywhere; with these budgets."""
    await clarion.create_setup(workflow("w"), categories=(CRITICAL,))
    await change(clarion, prices={Channel.SMS: {"*": euro("0.10")}}, budgets=budgets)
    await clarion.put_user("ada")


async def change(clarion: Engine, **fields: Any) -> None:
    """Other settings of the tenant."""
    await clarion.services.setup.change_tenant(clarion.tenant, lambda tenant: replace(tenant, **fields))


async def outcomes(clarion: Engine) -> list[tuple[Status, Reason | None]]:
    """In the order the messages came in."""
    found = sorted((await clarion.messages()).values(), key=lambda m: m.id)
    return [(m.status, m.reason) for m in found]


async def spent(clarion: Engine) -> list[tuple[str, str, int]]:
    """What each day has cost, and for how many calls."""
    found = await clarion.ledger.spending.spent(clarion.tenant, "0000", "9999")
    return [(one.day, one.cost.amount, one.calls) for one in found]


async def test_a_budget_stops_messages_and_the_timeline_says_why(store):
    """Also critical ones: budgets are there for those who abuse them."""
    async with engine(store, provider=RecordingProvider(batch=50)) as clarion:
        await set_up(clarion, texts=Budget(limit=euro("0.25"), channel=Channel.SMS))
        for _ in range(3):
            await clarion.trigger("w", "ada")
        await clarion.pass_time(1)
        assert sorted(await outcomes(clarion)) == sorted([SENT, SENT, EXCEEDED])
        stopped = next(m for m in (await clarion.messages()).values() if m.status is Status.THROTTLED)
        *_, last = await clarion.ledger.records.changes(clarion.tenant, stopped.id)
        assert last.detail is not None
        assert last.detail.startswith("budget texts: 0.20 of 0.25 EUR is spent on ")
        assert [(amount, calls) for _, amount, calls in await spent(clarion)] == [("0.20", 2)]


async def test_a_budget_begins_anew_with_the_day_of_the_tenant(store):
    """At midnight in its time zone, not in that of the server."""
    async with engine(store, provider=RecordingProvider(batch=50)) as clarion:
        await set_up(clarion, texts=Budget(limit=euro("0.10")))
        await change(clarion, timezone="Pacific/Auckland")
        await clarion.trigger("w", "ada")
        await clarion.pass_time(1)
        ((today, _, _),) = await spent(clarion)
        for _ in range(13):
            await clarion.pass_time(7_200)
            await clarion.trigger("w", "ada")
            await clarion.pass_time(1)
        (first, *others) = await spent(clarion)
        assert first == (today, "0.10", 1)
        assert [one[1:] for one in others] == [("0.10", 1)]
        assert others[0][0] > today


@pytest.mark.parametrize(
    ("answer", "calls"),
    [(Rejected(), 0), (Accepted(), 1), (Unknown(), 2)],
    ids=["refused", "sent", "in doubt, then sent again"],
)
async def test_what_was_surely_not_sent_costs_nothing(store, answer: Answer, calls):
    """What may have been sent counts."""
    provider = RecordingProvider(batch=50)
    provider.otherwise = answer
    async with engine(store, provider=provider) as clarion:
        await set_up(clarion)
        await clarion.trigger("w", "ada")
        await clarion.pass_time(1)
        await clarion.pass_time(3_600)
        assert sum(one[2] for one in await spent(clarion)) == calls


async def test_every_retry_is_paid_for_when_it_is_sent(store):
    """A message that had to wait counts once, on the day it goes."""
    provider = RecordingProvider(batch=50)
    provider.otherwise = Retry()
    async with engine(store, provider=provider) as clarion:
        await set_up(clarion, texts=Budget(limit=euro("0.10")))
        await clarion.trigger("w", "ada")
        await clarion.pass_time(1)
        assert await spent(clarion) == []
        provider.otherwise = Accepted()
        await clarion.pass_time(600)
        assert [one[1:] for one in await spent(clarion)] == [("0.10", 1)]


async def test_what_a_crash_left_in_doubt_stays_paid(store):
    """The budget is not exceeded by the process that goes on."""
    provider = RecordingProvider(batch=50, otherwise=HANG)
    async with engine(store, provider=provider) as clarion:
        await set_up(clarion, texts=Budget(limit=euro("0.10")))
        await clarion.trigger("w", "ada")
        await clarion.until_idle()
        assert provider.under_way == 1
        await clarion.crash()
        provider.otherwise = Accepted()
        await clarion.open()
        await clarion.pass_time(600)
        await clarion.trigger("w", "ada")
        await clarion.pass_time(600)
        assert [one[1:] for one in await spent(clarion)] == [("0.10", 1)]
        assert [status for status, _ in await outcomes(clarion)] == [Status.THROTTLED, Status.THROTTLED]
        assert len(provider.calls) == 1


async def test_a_text_without_a_price_does_not_slip_past_a_budget(store):
    """It is not sent, and says what to do; without a budget it goes."""
    async with engine(store, provider=RecordingProvider(batch=50)) as clarion:
        await set_up(clarion, texts=Budget(limit=euro("5"), channel=Channel.SMS))
        await change(clarion, prices={Channel.SMS: {"FR": euro("0.10")}})
        await clarion.trigger("w", "ada")
        await clarion.pass_time(1)
        assert await outcomes(clarion) == [(Status.THROTTLED, Reason.NO_PRICE)]
        await change(clarion, budgets={})
        await clarion.trigger("w", "ada")
        await clarion.pass_time(1)
        assert sorted(await outcomes(clarion)) == sorted([(Status.THROTTLED, Reason.NO_PRICE), SENT])


async def test_a_budget_of_one_channel_does_not_hold_back_another(store):
    """The email beside it has no price, and goes."""
    async with engine(store, provider=RecordingProvider(batch=50)) as clarion:
        await set_up(clarion, all=Budget(limit=euro("0.05")))
        await clarion.ledger.setup.workflows.put(clarion.tenant, workflow("mail", channel=Channel.EMAIL))
        await clarion.put_user("bob")
        await clarion.trigger("w", "ada")
        await clarion.trigger("mail", "bob")
        await clarion.pass_time(1)
        assert sorted(await outcomes(clarion)) == sorted([EXCEEDED, SENT])


async def test_the_next_channel_of_a_ladder_takes_over(store):
    """A text that may not be paid for is a rung that failed."""
    ladder = Step(
        key="note",
        template="note",
        to=SendLadder(channels=(LadderChannel(channel=Channel.SMS), LadderChannel(channel=Channel.EMAIL))),
    )
    async with engine(store, provider=RecordingProvider(batch=50)) as clarion:
        await set_up(clarion, texts=Budget(limit=euro("0"), channel=Channel.SMS))
        await clarion.ledger.setup.workflows.put(clarion.tenant, workflow("ladder", steps=(ladder,)))
        await clarion.put_user("bob")
        await clarion.trigger("ladder", "bob")
        await clarion.pass_time(1)
        assert {m.channel: m.status for m in (await clarion.messages()).values()} == {
            Channel.SMS: Status.THROTTLED,
            Channel.EMAIL: Status.SENT,
        }
