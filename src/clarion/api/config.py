"""`/v1/config`: everything that a tenant configures, as documents in a folder: export, plan, apply."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response, Router, get, post

from clarion.api.config_kinds import BY_NAME, KINDS
from clarion.api.config_plan import FORMAT, ConfigApplied, ConfigBody, ConfigPlan, ConfigPlanner
from clarion.api.config_schemas import schema_of
from clarion.api.guards import ADMIN, READ, Caller, Parts
from clarion.errors import NotFound
from clarion.rules.match import nearest

SCHEMA = "application/schema+json"


class ConfigView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the tenant configures."""

    format: int
    tenant: str
    """Its key."""
    settings: tuple[str, ...]
    """All kinds of which there is one document, without a key."""
    kinds: tuple[str, ...]
    """All kinds whose documents have keys."""
    documents: dict[str, dict[str, Any]]
    """ConfigKind -> key -> document; settings such as `tenant` have no key. Without secrets, what Clarion sets, and fields that
    have their defaults."""


class ConfigApplyBody(ConfigBody, frozen=True, kw_only=True):
    """The documents of a plan."""

    plan_id: str
    """Of the plan that was seen."""


@get("/", opt=ADMIN)
async def get_config(caller: Caller, parts: Parts) -> ConfigView:
    """Everything that is configured, without secrets, as it can be planned and applied here or elsewhere."""
    return ConfigView(
        format=FORMAT,
        tenant=parts.ledger.setup.tenants.all()[caller.tenant].key,
        settings=tuple(kind.name for kind in KINDS if kind.single),
        kinds=tuple(kind.name for kind in KINDS if not kind.single),
        documents=await ConfigPlanner(caller, parts).live(),
    )


@post("/plan", opt=ADMIN, status_code=200)
async def plan_config(data: ConfigBody, caller: Caller, parts: Parts) -> ConfigPlan:
    """What applying these documents would change, field by field, and everything that is wrong with them. Nothing is
    stored. Documents that are not named stay, unless `owns` names their kind."""
    return (await ConfigPlanner(caller, parts).plan(data)).plan


@post("/apply", opt=ADMIN, status_code=200)
async def apply_config(data: ConfigApplyBody, caller: Caller, parts: Parts) -> ConfigApplied:
    """Apply the changes of a plan, and no others: refused with 412 when anything in them changed since.

    In one transaction: all of them or none.
    """
    return await ConfigPlanner(caller, parts).apply(data, data.plan_id)


@get("/{kind:str}", opt=READ, media_type=SCHEMA)
async def get_schema(kind: str, caller: Caller, parts: Parts) -> Response[bytes]:
    """The JSON Schema (2020-12) of a kind's files, for editors: `clarion.json` for `clarion.yaml`."""
    name = kind.removesuffix(".json")
    found = schema_of(name, parts)
    if found is None:
        raise NotFound(f"There is no schema {kind!r}. {nearest(name, [*BY_NAME, 'clarion'])}".rstrip())
    return Response(msgspec.json.encode(found), media_type=SCHEMA)


router = Router("/v1/config", route_handlers=[get_config, plan_config, apply_config], tags=["Set-up"])
schemas = Router("/v1/schemas", route_handlers=[get_schema], opt={"one": None}, tags=["Set-up"])
