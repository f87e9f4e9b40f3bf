"""`/v1/prices`: what messages cost. Money is a decimal string with its currency."""

from __future__ import annotations

from collections.abc import Callable
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
from clarion.content.sms import prices
from clarion.errors import InvalidInput
from clarion.model.channel import Channel
from clarion.model.setup import Money, Prices, Tenant
from clarion.model.user import Value

MOST_PRICES = 2000
MOST_EXPENSIVE = 1_000_000
"""More than a segment costs in the smallest currency."""


class PriceList(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What messages cost. Previews tell the cost by it."""

    sms: dict[str, Money] = {}
    """One segment, by ISO 3166 country (`DE`) or by the beginning of numbers (`+1787`), which goes first."""


@get("/", opt=READ)
async def get_prices(caller: Caller, parts: Parts) -> PriceList:
    """The price list, by channel."""
    return _document(parts.ledger.setup.tenants.all()[caller.tenant])


@put("/", opt=ADMIN)
async def put_prices(data: PriceList, caller: Caller, parts: Parts) -> PriceList:
    """Replace the whole price list."""
    check(data)
    return await _store(parts, caller, lambda _: data)


@patch("/", opt=ADMIN)
async def patch_prices(data: dict[str, Any], caller: Caller, parts: Parts) -> PriceList:
    """Change some prices (JSON merge patch): null takes one out, what is not named stays."""

    def patched(stored: PriceList) -> PriceList:
        wanted = request_bodies.convert(merge(msgspec.to_builtins(stored), data), PriceList)
        check(wanted)
        return wanted

    return await _store(parts, caller, patched)


def check(table: PriceList) -> None:
    """Every row names a place, a decimal amount and a currency."""
    if len(table.sms) > MOST_PRICES:
        raise InvalidInput(f"at most {MOST_PRICES} prices.", pointer="#/sms")
    for row, money in table.sms.items():
        _check(row, money, faults.pointer(["sms", row[:40]]))


def _check(row: str, money: Money, place: str) -> None:
    if not prices.is_row(row):
        raise InvalidInput(
            "give a country in two capital letters (ISO 3166), like `DE`, or the beginning of numbers, like `+1787`.",
            pointer=place,
        )
    if not prices.is_amount(money.amount) or Decimal(money.amount) > MOST_EXPENSIVE:
        raise InvalidInput(
            f'an amount is a decimal number from 0 to {MOST_EXPENSIVE} as text, like "0.0750".',
            pointer=f"{place}/amount",
        )
    if not prices.is_currency(money.currency):
        raise InvalidInput("a currency is an ISO 4217 code, like `EUR`.", pointer=f"{place}/currency")


async def _store(parts: ApiParts, caller: Identity, to: Callable[[PriceList], PriceList]) -> PriceList:
    def changed(tenant: Tenant) -> Tenant:
        return msgspec.structs.replace(tenant, prices=_stored(to(_document(tenant))))

    return _document(await parts.services.setup.change_tenant(caller.tenant, changed))


def _document(tenant: Tenant) -> PriceList:
    return PriceList(sms=tenant.prices.get(Channel.SMS, {}))


def _stored(table: PriceList) -> Prices:
    return {Channel.SMS: table.sms} if table.sms else {}


router = Router(
    "/v1/prices", route_handlers=[get_prices, put_prices, patch_prices], opt=one("tenant"), tags=["Set-up"]
)
