"""`/v1/sms-guard`: what stops whoever makes you send texts to numbers that they earn money with."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Router, delete, get, patch

from clarion.api import request_bodies
from clarion.api.conditions import one
from clarion.api.guards import ADMIN, READ, Caller, Parts
from clarion.api.merging import merge
from clarion.api.pages import PAGE, START, Cursor, Limit, Page, page_of_all
from clarion.api.times import text_or_none
from clarion.errors import InvalidInput, NotFound
from clarion.model.setup import SmsGuard, Tenant
from clarion.model.spending import NumberRange
from clarion.rules import phone_numbers

MOST = 1_000_000


class SmsGuardView(SmsGuard, frozen=True, kw_only=True, omit_defaults=False):
    """The settings, and the countries that are allowed by them."""

    seen_countries: list[str] | None = None
    """Where your own users have numbers, as far as users were stored over the API or codes were entered. null: the users
    of an earlier version are still looked through."""


class BlockView(msgspec.Struct, frozen=True, kw_only=True):
    """A range of numbers that is blocked."""

    id: str
    """The digits that its numbers begin with, without `+`."""
    sent: int
    """Messages that were sent there and count."""
    confirmed: int
    """Codes of them that were entered."""
    blocked_at: str | None
    blocked_until: str | None


@get("/", opt=READ | one("tenant"))
async def get_sms_guard(caller: Caller, parts: Parts) -> SmsGuardView:
    """The settings of the pumping guard."""
    return _view(parts.ledger.setup.tenants.all()[caller.tenant])


@patch("/", opt=ADMIN | one("tenant"))
async def patch_sms_guard(data: dict[str, Any], caller: Caller, parts: Parts) -> SmsGuardView:
    """Change some settings (JSON merge patch): null restores the default, what is not named stays."""

    def patched(tenant: Tenant) -> Tenant:
        merged = merge(msgspec.to_builtins(tenant.sms_guard), data)
        wanted = request_bodies.convert(merged, SmsGuard)
        check(wanted)
        return msgspec.structs.replace(tenant, sms_guard=wanted)

    return _view(await parts.services.setup.change_tenant(caller.tenant, patched))


@get("/blocks", opt=READ)
async def list_blocks(
    caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[BlockView]:
    """The ranges of numbers that are blocked now, in order of their digits."""
    found = await parts.ledger.number_ranges.blocked(caller.tenant, parts.clock.now())
    return page_of_all([_block(known) for known in found], lambda block: block.id, cursor, limit)


@delete("/blocks/{block_id:str}", opt=ADMIN)
async def lift_block(block_id: str, caller: Caller, parts: Parts) -> None:
    """Lift the block of a range. Its count begins anew."""
    if not await parts.services.number_ranges.unblock(caller.tenant, f"+{block_id}"):
        raise NotFound(
            f"The range {block_id!r} is not blocked: GET /v1/sms-guard/blocks lists those that are."
        )


def check(wanted: SmsGuard) -> None:
    """Everything in it can be counted."""
    for name in ("range_limit", "prefix_limit", "window_s", "block_s"):
        if not 1 <= getattr(wanted, name) <= MOST:
            raise InvalidInput(f"must be between 1 and {MOST:,}.", pointer=f"#/{name}")
    for index, code in enumerate(wanted.countries or ()):
        if not phone_numbers.is_country(code):
            raise InvalidInput(
                "give a country in two capital letters (ISO 3166), like `DE`.", pointer=f"#/countries/{index}"
            )


def _view(tenant: Tenant) -> SmsGuardView:
    seen = tenant.seen_countries
    settings = msgspec.structs.asdict(tenant.sms_guard)
    return SmsGuardView(**settings, seen_countries=None if seen is None else list(seen))


def _block(known: NumberRange) -> BlockView:
    return BlockView(
        id=known.digits.removeprefix("+"),
        sent=known.sent,
        confirmed=known.confirmed,
        blocked_at=text_or_none(known.blocked_at),
        blocked_until=text_or_none(known.blocked_until),
    )


router = Router(
    "/v1/sms-guard", route_handlers=[get_sms_guard, patch_sms_guard, list_blocks, lift_block], tags=["Set-up"]
)
