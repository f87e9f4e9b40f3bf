"""What a message costs, from the tenant's price lists. Money is exact."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from clarion.model.channel import PHONES, Channel
from clarion.model.setup import Money, Tenant
from clarion.rules import phone_numbers

PRICED = (Channel.SMS, Channel.VOICE, Channel.WHATSAPP, Channel.EMAIL)
"""Channels whose messages cost something each."""
ANYWHERE = "*"
"""The place of a price that holds wherever no other does."""
_AMOUNT = re.compile(r"(?:0|[1-9][0-9]{0,9})(?:\.[0-9]{1,10})?", re.ASCII)
_NO_PRICES: Mapping[str, Money] = {}


def price(tenant: Tenant, channel: Channel, provider: str, address: str) -> Money | None:
    """Of one segment of a text, one call or one email to this address through this provider; None: it has no price.

    The longest prefix goes first, then the country, then everywhere. At the same place the provider's own price goes
    before the general one.
    """
    own = tenant.provider_prices.get(provider, {}).get(channel, _NO_PRICES)
    general = tenant.prices.get(channel, _NO_PRICES)
    if not (own or general):
        return None
    for place in _places(channel, address):
        found = own.get(place) or general.get(place)
        if found is not None:
            return found
    return None


def has_prices(tenant: Tenant, channel: Channel) -> bool:
    """Whether anything on this channel has a price."""
    return bool(tenant.prices.get(channel)) or any(
        lists.get(channel) for lists in tenant.provider_prices.values()
    )


def row(phone: str, prices: Mapping[str, Money]) -> str:
    """The place in a list of text prices that a number falls under; empty when none does."""
    return next((place for place in _places(Channel.SMS, phone) if place in prices), "")


def cost(units: int, price: Money) -> Money:
    """Exactly: 3 at 0.07 are 0.21."""
    return Money(amount=f"{Decimal(price.amount) * units:f}", currency=price.currency)


def total(amounts: Iterable[Money]) -> list[Money]:
    """The sum in each currency, in their order."""
    sums: dict[str, Decimal] = {}
    for one in amounts:
        sums[one.currency] = sums.get(one.currency, Decimal(0)) + Decimal(one.amount)
    return [Money(amount=f"{amount:f}", currency=currency) for currency, amount in sorted(sums.items())]


def is_amount(text: str) -> bool:
    """A decimal number as text: digits, and at most ten behind the point."""
    return bool(_AMOUNT.fullmatch(text))


def is_place(name: str) -> bool:
    """A country that has telephone numbers, the beginning of numbers, or everywhere."""
    return bool(phone_numbers.PREFIX.fullmatch(name)) or phone_numbers.is_country(name) or name == ANYWHERE


def is_currency(code: str) -> bool:
    """One that CLDR knows (ISO 4217)."""
    from babel.core import get_global

    return code in get_global("all_currencies")


def _places(channel: Channel, address: str) -> Iterator[str]:
    if channel in PHONES and address:
        yield from phone_numbers.prefixes(address)
        yield phone_numbers.country(address)
    yield ANYWHERE
