"""`/v1/tenant`: the tenant's own defaults and limits."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec
from litestar import Router, get, patch

from clarion.api import nulls, request_bodies
from clarion.api.categories import check_caps
from clarion.api.conditions import one
from clarion.api.guards import ADMIN, READ, Caller, Parts
from clarion.api.merging import merge
from clarion.errors import InvalidInput, check_all
from clarion.model.channel import Channel
from clarion.model.setup import FrequencyCap, Replies, Tenant
from clarion.model.user import Value
from clarion.rules import validation

MOST_SEGMENTS = 255
"""A text message cannot have more parts: their number is one octet (3GPP TS 23.040, 9.2.3.24.1)."""


class TenantDocument(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The tenant. Its key cannot be changed."""

    key: str
    name: str | None = None
    locale: str = "en"
    """For users who have none."""
    timezone: str = "UTC"
    """For users who have none."""
    channels: dict[Channel, bool] = {}
    """Default per channel for all categories. A channel that is not named is on."""
    caps: tuple[FrequencyCap, ...] = ()
    """Caps over all non-critical categories together."""
    required_locales: tuple[str, ...] = ()
    """Languages that every template must have before it can be published."""
    sms_segments: int = 0
    """Most segments of a text message; 0: no limit of the tenant's own."""
    sms_smart: bool = False
    """Write text messages in GSM-7 where that looks the same: straight quotes, plain dashes and spaces."""
    replies: Replies = msgspec.field(default_factory=Replies)
    """What people are answered who write STOP, START or HELP: `{"help": {"en": "...", "de": "..."}}`."""
    require_if_match: bool = False
    """Refuse a change of a resource without `If-Match`."""


@get("/", opt=READ)
async def get_tenant(caller: Caller, parts: Parts) -> TenantDocument:
    """The tenant this key belongs to."""
    return document(parts.ledger.setup.tenants.all()[caller.tenant])


@patch("/", opt=ADMIN)
async def patch_tenant(data: dict[str, Any], caller: Caller, parts: Parts) -> TenantDocument:
    """Change some fields (JSON merge patch): null restores the default, what is not named stays.

    Live templates stay live: new rules apply from the next publication.
    """
    return document(
        await parts.services.setup.change_tenant(caller.tenant, lambda stored: patched(stored, data))
    )


def patched(stored: Tenant, patch: Mapping[str, Any]) -> Tenant:
    """The tenant after a JSON merge patch (RFC 7396)."""
    wanted = request_bodies.convert(merge(msgspec.to_builtins(document(stored)), patch), TenantDocument)
    if wanted.key != stored.key:
        raise InvalidInput("the key of a tenant cannot be changed.", pointer="#/key")
    check(wanted)
    return msgspec.structs.replace(stored, **fields_of(wanted))


def check(wanted: TenantDocument) -> None:
    """Everything in it can be worked with."""
    check_all(
        [
            partial(validation.check_locale, wanted.locale, "#/locale"),
            partial(validation.check_timezone, wanted.timezone, "#/timezone"),
            partial(check_caps, wanted.caps),
            *(
                partial(validation.check_locale, locale, f"#/required_locales/{index}")
                for index, locale in enumerate(wanted.required_locales)
            ),
            *(
                partial(validation.check_locale, locale, f"#/replies/{reply}/{locale}")
                for reply in Replies.__struct_fields__
                for locale in getattr(wanted.replies, reply)
            ),
            partial(_check_segments, wanted),
        ]
    )


def _check_segments(wanted: TenantDocument) -> None:
    if not 0 <= wanted.sms_segments <= MOST_SEGMENTS:
        raise InvalidInput(f"must be between 0 (no limit) and {MOST_SEGMENTS}.", pointer="#/sms_segments")


def document(tenant: Tenant) -> TenantDocument:
    """The tenant as callers see it."""
    fields = nulls.shown(tenant)
    return TenantDocument(**{name: fields[name] for name in TenantDocument.__struct_fields__})


def fields_of(wanted: TenantDocument) -> dict[str, Any]:
    """The document as fields of a tenant."""
    return nulls.stored(Tenant, msgspec.structs.asdict(wanted))


router = Router("/v1/tenant", route_handlers=[get_tenant, patch_tenant], opt=one("tenant"), tags=["Set-up"])
