"""`/v1/tenant`: the tenant's own defaults and limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec
from litestar import Router, get, patch

from clarion.api import nulls, request_bodies
from clarion.api.conditions import one
from clarion.api.guards import ADMIN, READ, Caller, Parts
from clarion.api.merging import merge
from clarion.api.times import text_or_none
from clarion.errors import InvalidInput, check_all
from clarion.model.audience import Attribute, SearchableField
from clarion.model.channel import Channel
from clarion.model.setup import Brand, Replies, Tenant, Tracking
from clarion.model.user import FrequencyCap, Value
from clarion.rules import validation
from clarion.rules.legal import ANYWHERE

_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]{0,63}")
"""Names that a condition can write behind a dot."""
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
    attributes: dict[str, Attribute] = {}
    """What attributes of users hold, and which of them are stored unencrypted, so that conditions can ask for them:
    `{"plan": {"type": "string", "searchable": true}}`."""
    only_known_attributes: bool = False
    """Refuse attributes that are not named in `attributes`."""
    searchable: tuple[SearchableField, ...] = ()
    """What else of users is stored unencrypted, so that conditions can ask for it."""
    legal_regions: tuple[str, ...] | None = None
    """Countries (ISO 3166) whose legal rules are applied to readers there; null: all that Clarion knows."""
    tracking: dict[str, Tracking] = {}
    """What may be learned from opened emails and followed links, by country or `*`; what is not named is as the law of the
    reader's country says."""
    brand: Brand = msgspec.field(default_factory=Brand)
    """How the pages for users look."""


class SearchStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far all users were gone through."""

    running: bool
    done: int
    """Users gone through since the last change."""
    total: int
    """Users there were then."""
    refreshed_at: str | None
    """When all were gone through last; null: nothing was ever searchable."""


@get("/", opt=READ)
async def get_tenant(caller: Caller, parts: Parts) -> TenantDocument:
    """The tenant this key belongs to."""
    return document(parts.ledger.setup.tenants.all()[caller.tenant])


@get("/search", opt=READ)
async def get_search(caller: Caller, parts: Parts) -> SearchStatus:
    """How far users were gone through since `attributes` or `searchable` changed. Users who are written meanwhile are up
    to date already."""
    state = await parts.services.segments.opening(caller.tenant)
    return SearchStatus(
        running=state is not None and state.running,
        done=0 if state is None else state.done,
        total=0 if state is None else state.total,
        refreshed_at=None if state is None else text_or_none(state.refreshed_at),
    )


@patch("/", opt=ADMIN)
async def patch_tenant(data: dict[str, Any], caller: Caller, parts: Parts) -> TenantDocument:
    """Change some fields (JSON merge patch): null restores the default, what is not named stays.

    Live templates stay live: new rules apply from the next publication. A change of `attributes` or `searchable` goes
    through all users, see `GET /v1/tenant/search`.
    """

    def changed(stored: Tenant) -> Tenant:
        wanted = patched(stored, data)
        parts.services.segments.require_answered(wanted)
        return wanted

    return document(await parts.services.setup.change_tenant(caller.tenant, changed))


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
            partial(validation.check_caps, wanted.caps, "#/caps"),
            partial(validation.check_countries, wanted.legal_regions or (), "#/legal_regions"),
            partial(validation.check_countries, wanted.tracking, "#/tracking", others=ANYWHERE),
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
            partial(_check_attributes, wanted),
        ]
    )


def _check_attributes(wanted: TenantDocument) -> None:
    if len(wanted.attributes) > validation.ATTRIBUTES:
        raise InvalidInput(f"at most {validation.ATTRIBUTES} attributes.", pointer="#/attributes")
    for name in wanted.attributes:
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                "the name of an attribute has 1 to 64 letters, digits and `_`, and does not begin with a digit.",
                pointer=f"#/attributes/{name}",
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


router = Router(
    "/v1/tenant", route_handlers=[get_tenant, get_search, patch_tenant], opt=one("tenant"), tags=["Set-up"]
)
