"""Budgets, counted exactly: a message is paid for before its call, if every budget that covers it has enough left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from decimal import Decimal
from typing import NamedTuple

from clarion.model.ids import MessageId, TenantId
from clarion.model.settlement import Settlement
from clarion.model.setup import Money
from clarion.model.spending import BudgetLimit, BudgetState, Charge, Charged, ChargeRefusal, Spent
from clarion.model.status import Reason
from clarion.rules.exact.counts import counts_from

Day = tuple[TenantId, str]


class StoredSpending(NamedTuple):
    """What is stored about some charges."""

    paid: Set[tuple[MessageId, int]]
    """The calls among them that are paid for already."""
    spent: Mapping[Day, Sequence[Spent]]
    """On their days, by their tenants."""


class ChargeDecisions(NamedTuple):
    """What is to be written, in the transaction that loaded what is stored."""

    paid: Sequence[Charge]
    """To be added, and to be added up."""
    result: Charged


class _Open:
    """A budget on a day, while charges are decided."""

    def __init__(self, day: Day, budget: BudgetLimit, spent: Iterable[Spent]) -> None:
        self.day, self.budget = day, budget
        self.limit = Decimal(budget.limit.amount)
        self.spent = sum((Decimal(one.cost.amount) for one in spent if budget.counts(one)), Decimal(0))
        self.exhausted = False

    def state(self) -> BudgetState:
        """As it is by now."""
        tenant, day = self.day
        return BudgetState(
            tenant=tenant,
            key=self.budget.key,
            day=day,
            spent=Money(amount=f"{self.spent:f}", currency=self.budget.limit.currency),
            limit=self.budget.limit,
            exhausted=self.exhausted,
        )


def charge(charges: Sequence[Charge], stored: StoredSpending) -> ChargeDecisions:
    """One after the other, as if each had been stored alone."""
    budgets: dict[tuple[Day, BudgetLimit], _Open] = {}
    for one in charges:
        day = (one.tenant, one.day)
        for budget in one.budgets:
            if (day, budget) not in budgets:
                budgets[day, budget] = _Open(day, budget, stored.spent.get(day, ()))
    known = set(stored.paid)
    paid: list[Charge] = []
    refused: dict[MessageId, ChargeRefusal] = {}
    for one in charges:
        call = (one.message_id, one.attempt)
        if call in known:
            continue
        cost, day = Decimal(one.cost.amount), (one.tenant, one.day)
        covering = [budgets[day, budget] for budget in one.budgets if budget.counts(one)]
        over = [its for its in covering if its.spent + cost > its.limit]
        if over:
            over[0].exhausted = True
            refused[one.message_id] = ChargeRefusal(
                reason=Reason.BUDGET_EXCEEDED, detail=_over(over[0].state(), one.cost)
            )
            continue
        known.add(call)
        paid.append(one)
        for its in budgets.values():
            if its.day == day and its.budget.counts(one):
                its.spent += cost
    states = tuple([its.state() for its in budgets.values()])
    return ChargeDecisions(paid, Charged(refused=refused, budgets=states))


def given_back(settlements: Iterable[Settlement]) -> list[tuple[MessageId, int]]:
    """The calls that were paid for and sent nothing."""
    return [
        (s.message.id, s.message.attempt)
        for s in settlements
        if s.paid and counts_from(s.status, s.outcome, s.at) is None
    ]


def _over(state: BudgetState, cost: Money) -> str:
    limit = state.limit
    return (
        f"budget {state.key}: {state.spent.amount} of {limit.amount} {limit.currency} is spent on {state.day}, "
        f"and this message costs {cost.amount}"
    )
