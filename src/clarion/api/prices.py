"""`/v1/prices`: what messages cost, by channel, place and provider. Money is a decimal string with its currency."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, patch, put

from clarion.api import faults, price_rows, request_bodies
from clarion.api.auth import Identity
from clarion.api.budgets import check_currencies
from clarion.api.conditions import one
from clarion.api.dependencies import ApiParts
from clarion.api.guards import ADMIN, READ, Caller, Parts
from clarion.api.merging import merge
from clarion.api.price_rows import PriceRow
from clarion.errors import InvalidInput
from clarion.model.channel import PHONES, Channel
from clarion.model.setup import Money, Prices, Tenant
from clarion.model.user import Value
from clarion.rules import prices
from clarion.rules.match import nearest

MOST_PRICES = 20_000
MOST_EXPENSIVE = 1_000_000
"""More than a segment costs in the smallest currency."""
READS: dict[str, Any] = {"reads": ("application/json", price_rows.MEDIA_TYPE)}


class ProviderPrices(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The same for messages through one provider."""

    sms: dict[str, Money] = {}
    voice: dict[str, Money] = {}
    whatsapp: dict[str, Money] = {}
    email: dict[str, Money] = {}


class PriceList(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What messages cost. The place is an ISO 3166 country (`DE`), the beginning of numbers (`+1787`) or `*` for
    everywhere; the longest prefix goes first."""

    sms: dict[str, Money] = {}
    """One segment of a text message, by place."""
    voice: dict[str, Money] = {}
    """One call, by place."""
    whatsapp: dict[str, Money] = {}
    """One message, by place."""
    email: dict[str, Money] = {}
    """One email; the only place is `*`."""
    providers: dict[str, ProviderPrices] = {}
    """Prices of one provider, by its name (`twilio`): at the same place they go before the general ones."""


@get("/", opt=READ)
async def get_prices(request: Request[Any, Any, Any], caller: Caller, parts: Parts) -> PriceList:
    """The price list, by channel. As CSV with `Accept: text/csv`: `channel,provider,place,amount,currency`."""
    tenant = parts.ledger.setup.tenants.all()[caller.tenant]
    return _answer(request, tenant)


@put("/", opt=ADMIN | READS)
async def put_prices(request: Request[Any, Any, Any], caller: Caller, parts: Parts) -> PriceList:
    """Replace the whole price list, with JSON or CSV."""
    body = await request.body()
    if _is_csv(request):
        rows = price_rows.read(body)
        return await _store(request, parts, caller, lambda _: _with(PriceList(), rows))
    data = request_bodies.decode(_LIST, body)
    return await _store(request, parts, caller, lambda _: data)


@patch("/", opt=ADMIN | READS)
async def patch_prices(request: Request[Any, Any, Any], caller: Caller, parts: Parts) -> PriceList:
    """Change some prices. JSON is a merge patch: null takes a price out, what is not named stays. In CSV a line
    without an amount takes its price out."""
    body = await request.body()
    if _is_csv(request):
        rows = price_rows.read(body)
        return await _store(request, parts, caller, lambda stored: _with(stored, rows))
    data = request_bodies.decode(_OBJECT, body)

    def patched(stored: PriceList) -> PriceList:
        return request_bodies.convert(merge(msgspec.to_builtins(stored), data), PriceList)

    return await _store(request, parts, caller, patched)


def check(table: PriceList) -> None:
    """Every price names a place, a decimal amount and a currency."""
    count = 0
    for steps, channel, rows in _tables(table):
        count += len(rows)
        if count > MOST_PRICES:
            raise InvalidInput(f"at most {MOST_PRICES:,} prices.", pointer=faults.pointer(steps))
        for place, money in rows.items():
            _check(channel, place, money, faults.pointer([*steps, place[:40]]))


def _tables(table: PriceList) -> Iterator[tuple[list[str], Channel, dict[str, Money]]]:
    for channel in prices.PRICED:
        yield [channel.value], channel, getattr(table, channel.value)
    for provider, its in table.providers.items():
        for channel in prices.PRICED:
            yield ["providers", provider, channel.value], channel, getattr(its, channel.value)


def _check(channel: Channel, place: str, money: Money, pointer: str) -> None:
    if channel not in PHONES and place != prices.ANYWHERE:
        raise InvalidInput("on this channel the only place is `*`.", pointer=pointer)
    if not prices.is_place(place):
        raise InvalidInput(
            "give a country in two capital letters (ISO 3166), like `DE`, the beginning of numbers, like `+1787`, "
            "or `*` for everywhere.",
            pointer=pointer,
        )
    if not prices.is_amount(money.amount) or Decimal(money.amount) > MOST_EXPENSIVE:
        raise InvalidInput(
            f'an amount is a decimal number from 0 to {MOST_EXPENSIVE} as text, like "0.0750".',
            pointer=f"{pointer}/amount",
        )
    if not prices.is_currency(money.currency):
        raise InvalidInput("a currency is an ISO 4217 code, like `EUR`.", pointer=f"{pointer}/currency")


async def _store(
    request: Request[Any, Any, Any], parts: ApiParts, caller: Identity, to: Callable[[PriceList], PriceList]
) -> PriceList:
    return _answer(request, await store(parts, caller, to))


async def store(parts: ApiParts, caller: Identity, to: Callable[[PriceList], PriceList]) -> Tenant:
    """The tenant with `to(its price list)`."""

    def changed(tenant: Tenant) -> Tenant:
        wanted = to(document(tenant))
        check(wanted)
        _check_providers(parts, wanted)
        stored = msgspec.structs.replace(
            tenant,
            prices=_stored(wanted),
            provider_prices={
                name: table for name, its in wanted.providers.items() if (table := _stored(its))
            },
        )
        check_currencies(stored)
        return stored

    return await parts.services.setup.change_tenant(caller.tenant, changed)


def _check_providers(parts: ApiParts, table: PriceList) -> None:
    for name in table.providers:
        if name not in parts.providers:
            raise InvalidInput(
                f"there is no provider {name[:40]!r}. {nearest(name, parts.providers)}".rstrip(),
                pointer=faults.pointer(["providers", name[:40]]),
            )


def _with(table: PriceList, rows: list[PriceRow]) -> PriceList:
    """The list with these prices in it."""
    whole = msgspec.to_builtins(table)
    for row in rows:
        of = whole if not row.provider else whole["providers"].setdefault(row.provider, {})
        its = of.setdefault(row.channel.value, {})
        if row.price is None:
            its.pop(row.place, None)
        else:
            its[row.place] = msgspec.to_builtins(row.price)
    return request_bodies.convert(whole, PriceList)


def document(tenant: Tenant) -> PriceList:
    """The price list of a tenant."""
    return PriceList(
        **_shown(tenant.prices),
        providers={name: ProviderPrices(**_shown(table)) for name, table in tenant.provider_prices.items()},
    )


def _shown(table: Prices) -> dict[str, dict[str, Money]]:
    return {channel.value: rows for channel, rows in table.items() if channel in prices.PRICED}


def _stored(table: PriceList | ProviderPrices) -> Prices:
    return {channel: rows for channel in prices.PRICED if (rows := getattr(table, channel.value))}


def _answer(request: Request[Any, Any, Any], tenant: Tenant) -> PriceList:
    if price_rows.MEDIA_TYPE not in request.headers.get("accept", ""):
        return document(tenant)
    text = price_rows.written(tenant.prices, tenant.provider_prices)
    return Response(text, media_type=price_rows.MEDIA_TYPE)  # type: ignore[return-value]  # the same in another form


def _is_csv(request: Request[Any, Any, Any]) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == price_rows.MEDIA_TYPE


_LIST = msgspec.json.Decoder(PriceList)
_OBJECT = msgspec.json.Decoder(dict[str, Any])

router = Router(
    "/v1/prices", route_handlers=[get_prices, put_prices, patch_prices], opt=one("tenant"), tags=["Set-up"]
)
