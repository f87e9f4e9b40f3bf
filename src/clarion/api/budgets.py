"""`/v1/budgets`: what may be spent on messages in a day, and what is spent today."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from litestar import Router, get, patch, put

from clarion.api import faults, request_bodies
from clarion.api.auth import Identity
from clarion.api.conditions import one
from clarion.api.dependencies import ApiParts
from clarion.api.guards import ADMIN, READ, Caller, Parts
from clarion.api.merging import merge
from clarion.errors import InvalidInput
from clarion.model.channel import PHONES, Channel
from clarion.model.setup import Budget, Money, Tenant
from clarion.model.user import Value
from clarion.rules import budgets, phone_numbers, prices
from clarion.rules.validation import check_key

MOST_BUDGETS = 100


class BudgetView(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A budget, and what is spent of it."""

    limit: Money
    channel: Channel | None
    country: str | None
    warn_share: float
    spent: Money
    """On this day, in the time zone of the tenant."""
    day: str


class BudgetViews(Value, frozen=True, kw_only=True, omit_defaults=False):
    """All budgets, by key."""

    budgets: dict[str, BudgetView]


class BudgetList(Value, frozen=True, kw_only=True, omit_defaults=False):
    """All budgets, by key."""

    budgets: dict[str, Budget] = {}


@get("/", opt=READ)
async def get_budgets(caller: Caller, parts: Parts) -> BudgetViews:
    """The budgets by key, each with what is spent of it today."""
    return await _views(parts, caller)


@put("/", opt=ADMIN)
async def put_budgets(data: BudgetList, caller: Caller, parts: Parts) -> BudgetViews:
    """Replace all budgets. What was spent today counts from the first message on."""
    check(data.budgets)
    await parts.services.setup.change_tenant(caller.tenant, lambda tenant: _changed(tenant, data.budgets))
    return await _views(parts, caller)


@patch("/", opt=ADMIN)
async def patch_budgets(data: dict[str, Any], caller: Caller, parts: Parts) -> BudgetViews:
    """Change some budgets (JSON merge patch): null removes one, what is not named stays."""

    def patched(tenant: Tenant) -> Tenant:
        merged = merge(msgspec.to_builtins(BudgetList(budgets=tenant.budgets)), data)
        wanted = request_bodies.convert(merged, BudgetList).budgets
        check(wanted)
        return _changed(tenant, wanted)

    await parts.services.setup.change_tenant(caller.tenant, patched)
    return await _views(parts, caller)


def check(wanted: dict[str, Budget]) -> None:
    """Everything in it can be counted."""
    if len(wanted) > MOST_BUDGETS:
        raise InvalidInput(f"at most {MOST_BUDGETS} budgets.", pointer="#/budgets")
    for key, budget in wanted.items():
        place = faults.pointer(["budgets", key[:40]])
        check_key(key, place)
        if not prices.is_amount(budget.limit.amount):
            raise InvalidInput(
                'an amount is a decimal number as text, like "25.00".', pointer=f"{place}/limit/amount"
            )
        if not prices.is_currency(budget.limit.currency):
            raise InvalidInput(
                "a currency is an ISO 4217 code, like `EUR`.", pointer=f"{place}/limit/currency"
            )
        if budget.country is not None and not phone_numbers.is_country(budget.country):
            raise InvalidInput(
                "give a country in two capital letters (ISO 3166), like `DE`.", pointer=f"{place}/country"
            )
        if budget.channel is not None and budget.channel not in prices.PRICED:
            allowed = ", ".join(prices.PRICED)
            raise InvalidInput(
                f"messages on this channel have no price: use {allowed}.", pointer=f"{place}/channel"
            )
        if budget.country is not None and budget.channel not in (None, *PHONES):
            raise InvalidInput("messages on this channel go to no country.", pointer=f"{place}/country")
        if not 0 < budget.warn_share <= 1:
            raise InvalidInput("must be a share above 0 and up to 1.", pointer=f"{place}/warn_share")


def check_currencies(tenant: Tenant) -> None:
    """A budget counts only its own currency: every price that it covers is in that."""
    lists = (tenant.prices, *tenant.provider_prices.values())
    for key, budget in tenant.budgets.items():
        for table in lists:
            for channel, rows in table.items():
                if budget.channel not in (None, channel):
                    continue
                for place, price in rows.items():
                    if price.currency != budget.limit.currency and budget.country in (None, place):
                        raise InvalidInput(
                            f"the budget {key} is in {budget.limit.currency}, and the price of {channel.value} for "
                            f"{place} is in {price.currency}: use one currency for both.",
                            pointer="#",
                        )


def _changed(tenant: Tenant, wanted: dict[str, Budget]) -> Tenant:
    stored = msgspec.structs.replace(tenant, budgets=wanted)
    check_currencies(stored)
    return stored


async def _views(parts: ApiParts, caller: Identity) -> BudgetViews:
    tenant = parts.ledger.setup.tenants.all()[caller.tenant]
    day = budgets.day_of(tenant, parts.clock.now())
    spent = await parts.ledger.spending.spent(caller.tenant, day, day + "~")
    views: dict[str, BudgetView] = {}
    for key, budget in tenant.budgets.items():
        limit = budgets.limit_of(key, budget)
        amount = sum((Decimal(one.cost.amount) for one in spent if limit.counts(one)), Decimal(0))
        views[key] = BudgetView(
            limit=budget.limit,
            channel=budget.channel,
            country=budget.country,
            warn_share=budget.warn_share,
            spent=Money(amount=f"{amount:f}", currency=budget.limit.currency),
            day=day,
        )
    return BudgetViews(budgets=views)


router = Router(
    "/v1/budgets",
    route_handlers=[get_budgets, put_budgets, patch_budgets],
    opt=one("tenant"),
    tags=["Set-up"],
)
