"""`/v1/tenants`: the tenants of this installation, for operators."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Router, get, patch, post

from clarion.api import tenant
from clarion.api.conditions import one
from clarion.api.dependencies import ApiParts
from clarion.api.guards import OPERATOR, Caller, Parts
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.api.tenant import TenantDocument
from clarion.errors import NotFound, UnknownName
from clarion.model.ids import TenantId
from clarion.model.setup import Scope, Tenant
from clarion.rules import validation
from clarion.rules.match import closest


class NewTenant(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant just created, and the key to set it up with."""

    tenant: TenantDocument
    admin_key: Annotated[str, msgspec.Meta(description="An admin key of the tenant, shown this once.")]


@get("/", opt=OPERATOR)
async def list_tenants(
    caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[TenantDocument]:
    """All tenants by key."""
    after = cursor.after("")
    behind = sorted(key for key in _by_key(parts) if key > after)[: limit + 1]
    found = [tenant.document(_by_key(parts)[key]) for key in behind[:limit]]
    return Page(items=found, next_cursor=cursor.to(behind[limit - 1]) if len(behind) > limit else None)


@post("/", opt=OPERATOR)
async def create_tenant(data: TenantDocument, caller: Caller, parts: Parts) -> NewTenant:
    """Create a tenant. It has the in-app integration `inbox`; everything else is set up with its admin key."""
    validation.check_key(data.key, "#/key")
    tenant.check(data)
    made = await parts.services.setup.create_tenant(Tenant(id=TenantId(0), **tenant.fields_of(data)))
    _, text = await parts.services.api_keys.create(made.id, "created with the tenant", Scope.ADMIN)
    return NewTenant(tenant=tenant.document(made), admin_key=text)


@get("/{key:str}", opt=OPERATOR)
async def get_one_tenant(key: str, caller: Caller, parts: Parts) -> TenantDocument:
    """One tenant."""
    return tenant.document(_found(parts, key))


@patch("/{key:str}", opt=OPERATOR)
async def patch_one_tenant(key: str, data: dict[str, Any], caller: Caller, parts: Parts) -> TenantDocument:
    """Change some fields (JSON merge patch)."""
    changed = await parts.services.setup.change_tenant(
        _found(parts, key).id, lambda stored: tenant.patched(stored, data)
    )
    return tenant.document(changed)


def _by_key(parts: ApiParts) -> dict[str, Tenant]:
    return {one.key: one for one in parts.ledger.setup.tenants.all().values()}


def _found(parts: ApiParts, key: str) -> Tenant:
    known = _by_key(parts)
    if key not in known:
        raise NotFound(str(UnknownName("tenant", key, "", near=closest(key, known))))
    return known[key]


router = Router(
    "/v1/tenants",
    route_handlers=[list_tenants, create_tenant, get_one_tenant, patch_one_tenant],
    opt=one("tenant_by_key"),
    tags=["Access"],
)
