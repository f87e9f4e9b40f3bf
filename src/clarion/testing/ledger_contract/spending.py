"""What a ledger does about money: calls are paid for once, budgets hold exactly, and what sent nothing is given back."""

from __future__ import annotations

import asyncio
from typing import Any

from clarion.model.channel import Channel
from clarion.model.ids import MessageId
from clarion.model.message import Message
from clarion.model.setup import Money
from clarion.model.spending import BudgetLimit, Charge, MessageCost, Spent
from clarion.model.status import Reason, Status
from clarion.testing.ledger_contract.subject import LedgerSubject

DAY, NEXT = "2030-05-04", "2030-05-05"


def euro(amount: str) -> Money:
    """An amount in euros."""
    return Money(amount=amount, currency="EUR")


def budget(amount: str = "0.21", **fields: Any) -> BudgetLimit:
    """A budget for three messages, for all channels and countries unless told otherwise."""
    wanted: dict[str, Any] = {"key": "texts", "channel": None, "country": None} | fields
    return BudgetLimit(limit=euro(amount), **wanted)


def charge(subject: LedgerSubject, message: Message | MessageId, **fields: Any) -> Charge:
    """Seven cents to Germany."""
    of = message if isinstance(message, bytes) else message.id
    wanted: dict[str, Any] = {
        "attempt": 0,
        "day": DAY,
        "channel": Channel.SMS,
        "country": "DE",
        "integration": "main",
        "cost": euro("0.07"),
        "budgets": (budget(),),
    } | fields
    return Charge(message_id=of, tenant=subject.tenant, **wanted)


def ids(count: int) -> list[MessageId]:
    """Messages that nobody has to look up."""
    return [MessageId(number.to_bytes(16)) for number in range(1, count + 1)]


async def spent(subject: LedgerSubject, day: str = DAY) -> list[tuple[str, str, int]]:
    """By country: how much on the day, and for how many calls."""
    found = await subject.ledger.spending.spent(subject.tenant, day, day + "~")
    return [(one.country, one.cost.amount, one.calls) for one in found]


async def a_budget_is_never_exceeded(subject: LedgerSubject) -> None:
    """Whoever comes too late is refused, with the budget and its numbers; the next day begins anew."""
    charges = [charge(subject, one) for one in ids(5)]
    charged = await subject.ledger.spending.charge(charges)
    assert list(charged.refused) == ids(5)[3:]
    refusal = charged.refused[ids(5)[4]]
    assert refusal.reason is Reason.BUDGET_EXCEEDED
    assert refusal.detail == (
        "budget texts: 0.21 of 0.21 EUR is spent on 2030-05-04, and this message costs 0.07"
    )
    assert [(one.key, one.spent.amount, one.exhausted) for one in charged.budgets] == [
        ("texts", "0.21", True)
    ]
    later = await subject.ledger.spending.charge([charge(subject, ids(6)[5], day=NEXT)])
    assert (later.refused, [one.exhausted for one in later.budgets]) == ({}, [False])
    assert await spent(subject) == [("DE", "0.21", 3)]
    assert await spent(subject, NEXT) == [("DE", "0.07", 1)]


async def a_budget_holds_however_many_ask_at_once(subject: LedgerSubject) -> None:
    """Exactly so many pay as it has room for."""
    answers = await asyncio.gather(
        *[subject.ledger.spending.charge([charge(subject, one)]) for one in ids(20)]
    )
    assert sum(not answer.refused for answer in answers) == 3
    assert await spent(subject) == [("DE", "0.21", 3)]


async def a_call_is_paid_for_once(subject: LedgerSubject) -> None:
    """Asking again changes nothing, also when the budget is used up by then; the next call of the message is another."""
    first = [charge(subject, one) for one in ids(3)]
    for _ in range(2):
        assert (await subject.ledger.spending.charge(first)).refused == {}
    assert await spent(subject) == [("DE", "0.21", 3)]
    again = [charge(subject, ids(1)[0], attempt=1)]
    assert list((await subject.ledger.spending.charge(again)).refused) == ids(1)


async def a_budget_counts_what_it_covers(subject: LedgerSubject) -> None:
    """Its country, its channel and its currency; several budgets must all have room."""
    german = budget("0.07", key="germany", country="DE")
    calls = budget("0.01", key="calls", channel=Channel.VOICE)
    of_all = (german, calls, budget("0.14"))
    one, two, three, four = ids(4)
    charged = await subject.ledger.spending.charge(
        [
            charge(subject, one, budgets=of_all),
            charge(subject, two, budgets=of_all),
            charge(subject, three, country="FR", budgets=(of_all[2],)),
            charge(subject, four, country="FR", budgets=(of_all[2],)),
        ]
    )
    assert {message: said.detail.split(":")[0] for message, said in charged.refused.items()} == {
        two: "budget germany",
        four: "budget texts",
    }
    dollars = charge(subject, ids(5)[4], cost=Money(amount="9", currency="USD"), budgets=())
    assert (await subject.ledger.spending.charge([dollars])).refused == {}
    assert await spent(subject) == [("DE", "0.07", 1), ("DE", "9", 1), ("FR", "0.07", 1)]


async def what_sent_nothing_is_given_back(subject: LedgerSubject) -> None:
    """A refused call is, in the transaction that settles it; one that was sent, or may have been, is not."""
    sent, refused, doubt, free = [subject.planned() for _ in range(4)]
    await subject.plan(sent, refused, doubt, free)
    paid = [sent, refused, doubt]
    await subject.ledger.spending.charge([charge(subject, m) for m in paid])
    await subject.settle(sent, paid=True, outcome="accepted")
    await subject.settle(
        refused, Status.REJECTED, reason=Reason.PROVIDER_REJECTED, outcome="rejected", paid=True
    )
    await subject.settle(doubt, Status.FAILED, reason=Reason.OUTCOME_UNKNOWN, outcome="unknown", paid=True)
    await subject.settle(free, Status.REJECTED, reason=Reason.PROVIDER_REJECTED, outcome="rejected")
    assert await spent(subject) == [("DE", "0.14", 2)]
    costs = await subject.ledger.spending.costs([m.id for m in (*paid, free)])
    assert sorted(costs, key=lambda one: one.message_id) == sorted(
        [MessageCost(message_id=m.id, country="DE", cost=euro("0.07")) for m in (sent, doubt)],
        key=lambda one: one.message_id,
    )
    retried = await subject.ledger.spending.charge([charge(subject, ids(1)[0])])
    assert retried.refused == {}


async def a_refused_settlement_gives_nothing_back(subject: LedgerSubject) -> None:
    """Somebody else holds the message, and goes on with what was paid."""
    message = subject.planned()
    await subject.plan(message)
    await subject.ledger.spending.charge([charge(subject, message)])
    await subject.replace_worker()
    late = await subject.settle(message, Status.REJECTED, reason=Reason.PROVIDER_REJECTED, paid=True)
    assert late.refused == {message.id}
    assert await spent(subject) == [("DE", "0.07", 1)]


async def what_was_spent_is_told_by_day(subject: LedgerSubject) -> None:
    """The oldest first; amounts are exact, and another tenant's are its own."""
    one, two, three = ids(3)
    await subject.ledger.spending.charge([charge(subject, one, cost=euro("0.1"), budgets=())])
    await subject.ledger.spending.charge([charge(subject, two, cost=euro("0.2"), budgets=())])
    await subject.ledger.spending.charge([charge(subject, three, day=NEXT, integration="other", budgets=())])
    found = await subject.ledger.spending.spent(subject.tenant, DAY, "2030-06-01")
    assert list(found) == [
        Spent(day=DAY, channel=Channel.SMS, country="DE", integration="main", cost=euro("0.3"), calls=2),
        Spent(day=NEXT, channel=Channel.SMS, country="DE", integration="other", cost=euro("0.07"), calls=1),
    ]
    assert list(await subject.ledger.spending.spent(subject.tenant, DAY, NEXT)) == [found[0]]


SPENDING_CONTRACT = (
    a_budget_is_never_exceeded,
    a_budget_holds_however_many_ask_at_once,
    a_call_is_paid_for_once,
    a_budget_counts_what_it_covers,
    what_sent_nothing_is_given_back,
    a_refused_settlement_gives_nothing_back,
    what_was_spent_is_told_by_day,
)
