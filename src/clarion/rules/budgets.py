"""Which budgets cover a message, and which of them have just reached a share of their limit."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.setup import Budget, Money, Tenant
from clarion.model.spending import BudgetLimit, BudgetState
from clarion.rules import prices


def covering(tenant: Tenant, channel: Channel, country: str) -> tuple[BudgetLimit, ...]:
    """The tenant's budgets that count a message on this channel to this country. Those of no channel in particular count
    on channels that have prices."""
    if not tenant.budgets:
        return ()
    channels = (None, channel) if prices.has_prices(tenant, channel) else (channel,)
    return tuple(
        [
            limit_of(key, budget)
            for key, budget in tenant.budgets.items()
            if budget.channel in channels and budget.country in (None, country)
        ]
    )


def limit_of(key: str, budget: Budget) -> BudgetLimit:
    """A budget as charges are counted against it."""
    return BudgetLimit(key=key, channel=budget.channel, country=budget.country, limit=budget.limit)


def day_of(tenant: Tenant, at: Instant) -> str:
    """The day in the tenant's time zone: `2026-05-04`."""
    moment = datetime.fromtimestamp(at / 1000, UTC)
    return moment.astimezone(ZoneInfo(tenant.timezone)).date().isoformat()


def obstacle(budgets: tuple[BudgetLimit, ...], price: Money | None, country: str) -> str:
    """Why the cost of a message cannot be counted in the budgets that cover it; empty: it can."""
    for budget in budgets:
        where = country or "this address"
        if price is None:
            return (
                f"budget {budget.key} covers it, and there is no price for {where}: add one to the price list"
            )
        if price.currency != budget.limit.currency:
            return (
                f"budget {budget.key} is in {budget.limit.currency}, and the price for {where} is in "
                f"{price.currency}: use one currency"
            )
    return ""


def is_warning(state: BudgetState, warn_share: float) -> bool:
    """Whether so much is spent that somebody should know."""
    return Decimal(state.spent.amount) >= Decimal(state.limit.amount) * Decimal(str(warn_share))


def share(state: BudgetState) -> float:
    """How much of it is spent, from 0 to 1; one of nothing is used up."""
    limit = Decimal(state.limit.amount)
    return float(Decimal(state.spent.amount) / limit) if limit else 1.0
