"""Charges, decided exactly: a call is paid for before it is made, if no range of its number is blocked and every budget
that covers it has enough left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from decimal import Decimal
from typing import NamedTuple

from clarion.model.ids import MessageId, TenantId
from clarion.model.settlement import Settlement
from clarion.model.setup import Money
from clarion.model.spending import (
    BudgetLimit,
    BudgetState,
    Charge,
    Charged,
    ChargeRefusal,
    NumberRange,
    RangeLimit,
    Spent,
)
from clarion.model.status import Reason
from clarion.rules.exact import number_ranges
from clarion.rules.exact.counts import counts_from

Day = tuple[TenantId, str]


class StoredSpending(NamedTuple):
    """What is stored about some charges."""

    paid: Set[tuple[MessageId, int]]
    """The calls among them that are paid for already."""
    spent: Mapping[Day, Sequence[Spent]]
    """On their days, by their tenants."""
    ranges: Mapping[tuple[TenantId, str], NumberRange] = {}
    """What is known about the ranges of their numbers."""


class ChargeDecisions(NamedTuple):
    """What is to be written, in the transaction that loaded what is stored."""

    paid: Sequence[Charge]
    """To be added, and to be added up where it costs something."""
    ranges: Sequence[NumberRange]
    """As they are from now on."""
    result: Charged


class _Open:
    """A budget on a day, while charges are decided."""

    def __init__(self, day: Day, budget: BudgetLimit, spent: Iterable[Spent]) -> None:
        self.day, self.budget = day, budget
        self.limit = Decimal(budget.limit.amount)
        self.spent = sum([Decimal(one.cost.amount) for one in spent if budget.counts(one)], Decimal(0))
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
    decisions = _Charging(charges, stored)
    for one in charges:
        decisions.decide(one)
    return decisions.result()


class _Charging:
    """The charges of one transaction."""

    def __init__(self, charges: Sequence[Charge], stored: StoredSpending) -> None:
        self._known = set(stored.paid)
        self._ranges = dict(stored.ranges)
        self._changed: dict[tuple[TenantId, str], NumberRange] = {}
        self._blocked: dict[tuple[TenantId, str], NumberRange] = {}
        self._paid: list[Charge] = []
        self._refused: dict[MessageId, ChargeRefusal] = {}
        self._observed = 0
        self._budgets: dict[tuple[Day, BudgetLimit], _Open] = {}
        for one in charges:
            day = (one.tenant, one.day)
            for budget in one.budgets:
                if (day, budget) not in self._budgets:
                    self._budgets[day, budget] = _Open(day, budget, stored.spent.get(day, ()))

    def decide(self, one: Charge) -> None:
        """The guard first, then the budgets; what is refused is counted nowhere."""
        call = (one.message_id, one.attempt)
        if call in self._known:
            return
        guarded = self._guard(one)
        if guarded is not None and one.blocks:
            self._refused[one.message_id] = guarded
            return
        self._observed += guarded is not None
        day = (one.tenant, one.day)
        if one.cost is not None:
            cost = Decimal(one.cost.amount)
            covering = [self._budgets[day, budget] for budget in one.budgets if budget.counts(one)]
            over = [its for its in covering if its.spent + cost > its.limit]
            if over:
                over[0].exhausted = True
                detail = _over(over[0].state(), one.cost)
                self._refused[one.message_id] = ChargeRefusal(reason=Reason.BUDGET_EXCEEDED, detail=detail)
                return
            for its in self._budgets.values():
                if its.day == day and its.budget.counts(one):
                    its.spent += cost
        self._known.add(call)
        self._paid.append(one)
        if not one.attempt:
            for limit in one.ranges:
                self._change(one.tenant, number_ranges.sent(self._range(one, limit), limit))

    def result(self) -> ChargeDecisions:
        """What came of it, when all are decided."""
        charged = Charged(
            refused=self._refused,
            budgets=tuple([its.state() for its in self._budgets.values()]),
            blocked=tuple(self._blocked.values()),
            observed=self._observed,
        )
        return ChargeDecisions(self._paid, list(self._changed.values()), charged)

    def _guard(self, one: Charge) -> ChargeRefusal | None:
        """Whether a range of its number is blocked, or has to be now."""
        ranges = [(limit, self._range(one, limit)) for limit in one.ranges]
        for _, known in ranges:
            if number_ranges.is_blocked(known, one.at):
                return _is_blocked(known)
        if one.attempt:
            return None
        for limit, known in ranges:
            if number_ranges.is_full(known, limit):
                now = number_ranges.blocked(known, limit, one.at)
                self._change(one.tenant, now)
                self._blocked[one.tenant, limit.digits] = now
                return _is_blocked(now)
        return None

    def _range(self, one: Charge, limit: RangeLimit) -> NumberRange:
        known = self._ranges.get((one.tenant, limit.digits))
        known = known or NumberRange(tenant=one.tenant, digits=limit.digits, at=one.at)
        return number_ranges.sunk(known, limit, one.at)

    def _change(self, tenant: TenantId, known: NumberRange) -> None:
        self._ranges[tenant, known.digits] = self._changed[tenant, known.digits] = known


def given_back(settlements: Iterable[Settlement]) -> list[tuple[MessageId, int]]:
    """The calls that were paid for and sent nothing."""
    return [
        (s.message.id, s.message.attempt)
        for s in settlements
        if s.paid and counts_from(s.status, s.outcome, s.at) is None
    ]


def _is_blocked(known: NumberRange) -> ChargeRefusal:
    return ChargeRefusal(
        reason=Reason.RANGE_BLOCKED,
        detail=f"numbers that begin with {known.digits} are blocked: {known.sent} codes were sent there, and "
        f"{known.confirmed} were entered",
    )


def _over(state: BudgetState, cost: Money) -> str:
    limit = state.limit
    return (
        f"budget {state.key}: {state.spent.amount} of {limit.amount} {limit.currency} is spent on {state.day}, "
        f"and this message costs {cost.amount}"
    )
