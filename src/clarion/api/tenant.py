"""`/v1/tenant`: the tenant's own defaults and limits."""

from __future__ import annotations

import re
from math import isfinite
from typing import Any

import msgspec
from litestar import Router, get, patch

from clarion.api import bodies
from clarion.api.access import ADMIN, READ, Parts, Who
from clarion.api.categories import check_caps
from clarion.api.users import merge
from clarion.errors import InvalidInput
from clarion.model.channel import Channel
from clarion.model.setup import FrequencyCap, Tenant
from clarion.model.user import Value
from clarion.rules import people

MOST_SEGMENTS = 255
"""A text message cannot have more parts: their number is one octet (3GPP TS 23.040, 9.2.3.24.1)."""
_COUNTRY = re.compile(r"[A-Z]{2}")


class TenantDocument(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The tenant. Its key is given once, by whoever runs the server."""

    key: str
    name: str = ""
    locale: str = "en"
    """For users who have none."""
    timezone: str = "UTC"
    """For users who have none."""
    channels: dict[Channel, bool] = {}
    """Default per channel for all categories; a channel not named is on."""
    caps: tuple[FrequencyCap, ...] = ()
    """Caps over all non-critical categories together."""
    required_locales: tuple[str, ...] = ()
    """Every template must have these before it can be published."""
    sms_segments: int = 0
    """Most segments one text message may take; 0: no limit of the tenant's own."""
    sms_smart: bool = False
    """Write text messages in GSM-7 where that looks the same: straight quotes, plain dashes and spaces."""
    sms_prices: dict[str, float] = {}
    """Price of one segment by ISO 3166 country code, in the tenant's own currency."""


@get("/", opt=READ)
async def get_tenant(caller: Who, parts: Parts) -> TenantDocument:
    """The tenant this key belongs to."""
    return _document(parts.ledger.setup.tenants.all()[caller.tenant])


@patch("/", opt=ADMIN)
async def patch_tenant(data: dict[str, Any], caller: Who, parts: Parts) -> TenantDocument:
    """Change some fields (JSON merge patch): null restores the default, what is not named stays.

    Templates that are live already stay live: new rules count from the next publishing.
    """
    tenants = parts.ledger.setup.tenants
    stored = tenants.all()[caller.tenant]
    wanted = bodies.convert(merge(msgspec.to_builtins(_document(stored)), data), TenantDocument)
    if wanted.key != stored.key:
        raise InvalidInput("the key of a tenant cannot be changed.", pointer="#/key")
    check(wanted)
    changed = msgspec.structs.replace(stored, **msgspec.structs.asdict(wanted))
    return _document(await tenants.put(changed))


def check(wanted: TenantDocument) -> None:
    """Everything in it can be worked with."""
    people.check_locale(wanted.locale, "#/locale")
    people.check_timezone(wanted.timezone, "#/timezone")
    check_caps(wanted.caps)
    for index, locale in enumerate(wanted.required_locales):
        people.check_locale(locale, f"#/required_locales/{index}")
    if not 0 <= wanted.sms_segments <= MOST_SEGMENTS:
        raise InvalidInput(f"must be between 0 (no limit) and {MOST_SEGMENTS}.", pointer="#/sms_segments")
    for country, price in wanted.sms_prices.items():
        if not _COUNTRY.fullmatch(country):
            raise InvalidInput(
                "a country is two capital letters (ISO 3166), like `DE`.", pointer=f"#/sms_prices/{country}"
            )
        if not (isfinite(price) and price >= 0):
            raise InvalidInput("a price is a number, not below 0.", pointer=f"#/sms_prices/{country}")


def _document(tenant: Tenant) -> TenantDocument:
    return TenantDocument(**{name: getattr(tenant, name) for name in TenantDocument.__struct_fields__})


router = Router("/v1/tenant", route_handlers=[get_tenant, patch_tenant], tags=["Set-up"])
