"""`/v1/retention`: how long data is kept, and deleting older data."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from litestar import Router, get, patch, post

from clarion.api import request_bodies
from clarion.api.conditions import one
from clarion.api.guards import ADMIN, ADMIN_OR_OPERATOR, READ, Caller, Parts
from clarion.errors import InvalidInput
from clarion.model.retention import DEFAULT_DAYS, Days, RetentionKind
from clarion.model.setup import Scope, Tenant
from clarion.model.user import Value
from clarion.ports import terms

MOST_DAYS = 36_500
FOREVER = "forever"
_DAYS = re.compile(r"P([0-9]{1,5})D")


class Keep(Value, frozen=True, kw_only=True, omit_defaults=False):
    """How long."""

    keep: str | None = None
    """Days as an ISO 8601 duration: `P90D`, or `forever`. null in a change: the default."""


class RetentionDocument(Value, frozen=True, kw_only=True, omit_defaults=False):
    """How long each kind of data is kept."""

    events: Keep | None = None
    """What happened, as it was sent. An event stays while a message waits that is rendered from it."""
    messages: Keep | None = None
    """Messages that are over, with timelines and explanations. A message stays as long as its inbox item."""
    inbox: Keep | None = None
    """Items of in-app inboxes."""
    captures: Keep | None = None
    """What capture integrations kept."""
    deliveries: Keep | None = None
    """Calls of webhook endpoints."""
    devices: Keep | None = None
    """Devices that were not registered again: an app registers whenever it starts."""
    inbound: Keep | None = None
    """What people wrote to us: text messages, chats, answers to emails."""
    quarantine: Keep | None = None
    """Mail and callbacks kept for manual review."""
    dead_records: Keep | None = None
    """Records of sources, and events for sinks, that could not be done."""
    verifications: Keep | None = None
    """One-time codes that are over, and what is known about the ranges of numbers they went to."""
    operations: Keep | None = None
    """Finished operations, with what failed."""


class Expired(msgspec.Struct, frozen=True, kw_only=True):
    """How many of each kind are older than they are kept."""

    events: int
    messages: int
    inbox: int
    captures: int
    deliveries: int
    devices: int
    inbound: int
    quarantine: int
    dead_records: int
    verifications: int
    operations: int


class RetentionRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a run deletes, or with `dry_run=true` would delete."""

    expired: Expired


@get("/", opt=READ)
async def get_retention(caller: Caller, parts: Parts) -> RetentionDocument:
    """How long each kind of data is kept."""
    return _document(parts.ledger.setup.tenants.all()[caller.tenant])


@patch("/", opt=ADMIN)
async def patch_retention(data: dict[str, Any], caller: Caller, parts: Parts) -> RetentionDocument:
    """Change how long data is kept (JSON merge patch): null restores the default. What is older goes within an hour."""

    wanted = {RetentionKind(name): _days(name, keep) for name, keep in _changes(data).items()}

    def changed(tenant: Tenant) -> Tenant:
        days = {**tenant.retention, **wanted}
        return msgspec.structs.replace(
            tenant, retention={kind: kept for kind, kept in days.items() if kept != DEFAULT_DAYS[kind]}
        )

    return _document(await parts.services.setup.change_tenant(caller.tenant, changed))


@post("/run", opt=ADMIN_OR_OPERATOR, status_code=202)
async def run_retention(caller: Caller, parts: Parts) -> RetentionRun:
    """Delete now what is older than it is kept, instead of within an hour. Answers how much that is.

    The server deletes after it has answered. With `dry_run=true` nothing is deleted: ask so again to see how much is left.
    An operator's key does it for all tenants, any other key for its own.
    """
    everybody = caller.scope is Scope.OPERATOR
    tenants = [*parts.ledger.setup.tenants.all()] if everybody else [caller.tenant]
    expired = await parts.services.retention.expired(tenants)
    if any(expired.values()) and not terms.dry_running():
        parts.services.retention.start(tenants)
    return RetentionRun(expired=Expired(**{kind.value: count for kind, count in expired.items()}))


def changed_days(tenant: Tenant) -> RetentionDocument:
    """What the tenant keeps for another time than the default."""
    return _shown(tenant.retention)


def _document(tenant: Tenant) -> RetentionDocument:
    return _shown({**DEFAULT_DAYS, **tenant.retention})


def _shown(days: Days) -> RetentionDocument:
    return RetentionDocument(
        **{kind.value: Keep(keep=FOREVER if kept is None else f"P{kept}D") for kind, kept in days.items()}
    )


def _changes(data: dict[str, Any]) -> dict[str, str | None]:
    """What is said about each kind that is named."""
    given = request_bodies.convert(data, RetentionDocument)
    found: dict[str, str | None] = {}
    for name in data:
        keep: Keep | None = getattr(given, name)
        found[name] = None if keep is None else keep.keep
    return found


def _days(name: str, keep: str | None) -> int | None:
    if keep is None:
        return DEFAULT_DAYS[RetentionKind(name)]
    if keep == FOREVER:
        return None
    found = _DAYS.fullmatch(keep)
    if found is None or not 1 <= int(found[1]) <= MOST_DAYS:
        raise InvalidInput(
            f"give days as an ISO 8601 duration, from P1D to P{MOST_DAYS}D, or `{FOREVER}`.",
            pointer=f"#/{name}/keep",
        )
    return int(found[1])


router = Router(
    "/v1/retention",
    route_handlers=[get_retention, patch_retention, run_retention],
    opt=one("tenant"),
    tags=["Set-up"],
)
