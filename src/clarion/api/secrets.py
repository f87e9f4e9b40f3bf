"""`/v1/secrets`: values that other documents name. They are written and never read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import msgspec
from litestar import Router, delete, get, put

from clarion.api.conditions import one
from clarion.api.dependencies import ApiParts
from clarion.api.guards import ADMIN, Caller, Parts
from clarion.api.pages import PAGE, START, Cursor, Limit, Page, page_of_documents
from clarion.api.stored_documents import found
from clarion.errors import Conflict
from clarion.model.connection import LONGEST_SECRET, Secret
from clarion.model.ids import TenantId
from clarion.model.user import Value
from clarion.rules import validation
from clarion.rules.time_format import rfc3339


class SecretBody(Value, frozen=True, kw_only=True):
    """What it is from now on."""

    CONFIDENTIAL: ClassVar = True

    value: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_SECRET)]
    """Nobody can read it again."""

    def __repr__(self) -> str:
        """Without its value."""
        return "SecretBody(value)"


class SecretUse(msgspec.Struct, frozen=True, kw_only=True):
    """A document that names a secret."""

    kind: str
    """Such as `connections`."""
    key: str


class SecretView(msgspec.Struct, frozen=True, kw_only=True):
    """A secret, without its value."""

    key: str
    updated_at: str
    used_by: list[SecretUse]


@get("/", opt=ADMIN)
async def list_secrets(
    caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[SecretView]:
    """All secrets by key, without their values."""
    stored, used = parts.ledger.setup.secrets.all(caller.tenant), uses(caller.tenant, parts)
    return page_of_documents(stored, lambda secret: _view(secret, used), cursor, limit)


@get("/{key:str}", opt=ADMIN)
async def get_secret(key: str, caller: Caller, parts: Parts) -> SecretView:
    """When a secret was written and what names it. Nobody can read its value."""
    secret = found(parts.ledger.setup.secrets, caller.tenant, key, "secret")
    return _view(secret, uses(caller.tenant, parts))


@put("/{key:str}", opt=ADMIN)
async def put_secret(key: str, data: SecretBody, caller: Caller, parts: Parts) -> SecretView:
    """Create a secret or replace its value. What names it uses the new value from now on."""
    validation.check_key(key, "#/key")
    secret = Secret(key=key, value=data.value, updated_at=parts.clock.now())
    await parts.services.setup.put(caller.tenant, secret, None)
    return _view(secret, uses(caller.tenant, parts))


@delete("/{key:str}", opt=ADMIN)
async def delete_secret(key: str, caller: Caller, parts: Parts) -> None:
    """Delete a secret that nothing names."""
    if used := uses(caller.tenant, parts).get(key):
        names = ", ".join(f"{one.kind}/{one.key}" for one in used)
        raise Conflict(f"The secret is used by {names}: change those first.")
    await parts.services.setup.delete(caller.tenant, Secret, key)


def uses(tenant: TenantId, parts: ApiParts) -> Mapping[str, list[SecretUse]]:
    """By key of a secret, the documents that name it."""
    used: dict[str, list[SecretUse]] = {}
    for key, connection in sorted(parts.ledger.setup.connections.all(tenant).items()):
        for secret in dict.fromkeys(connection.secrets().values()):
            used.setdefault(secret, []).append(SecretUse(kind="connections", key=key))
    return used


def _view(secret: Secret, used: Mapping[str, list[SecretUse]]) -> SecretView:
    return SecretView(key=secret.key, updated_at=rfc3339(secret.updated_at), used_by=used.get(secret.key, []))


router = Router(
    "/v1/secrets",
    route_handlers=[list_secrets, get_secret, put_secret, delete_secret],
    opt=one("secret"),
    tags=["Set-up"],
)
