"""`/v1/keys`: the API keys of a tenant."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Router, delete, get, post

from clarion.api.conditions import one
from clarion.api.guards import ADMIN, Caller, Parts
from clarion.api.pages import PAGE, START, Cursor, Limit, Page, page_of_all
from clarion.api.times import Moment, instant_or_none, text_or_none
from clarion.model.setup import ApiKey, Scope
from clarion.model.user import Value
from clarion.rules.time_format import rfc3339


class KeyBody(Value, frozen=True, kw_only=True):
    """A key to create."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    """What the key is for, so that you know what breaks when you revoke it."""
    scope: Scope
    expires_at: Moment | None = None


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key, without the key."""

    id: str
    name: str
    scope: Scope
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None


class NewKey(KeyView, frozen=True, kw_only=True):
    """A key just created."""

    key: str
    """The key itself, shown this once."""


@get("/", opt=ADMIN)
async def list_keys(
    caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[KeyView]:
    """All keys, newest first. `last_used_at` may be up to a minute late."""
    keys = [view(key) for key in await parts.ledger.setup.keys.page(caller.tenant)]
    return page_of_all(keys, lambda key: key.id, cursor, limit)


@post("/", opt=ADMIN)
async def create_key(data: KeyBody, caller: Caller, parts: Parts) -> NewKey:
    """Create a key. Several keys may be valid at once, so that you can replace one without a gap."""
    key, text = await parts.services.api_keys.create(
        caller.tenant, data.name, data.scope, instant_or_none(data.expires_at)
    )
    return NewKey(key=text, **msgspec.structs.asdict(view(key)))


@delete("/{key_id:str}", opt=ADMIN)
async def revoke_key(key_id: str, caller: Caller, parts: Parts) -> None:
    """Revoke a key: this process refuses it at once, others within ten seconds."""
    await parts.services.api_keys.revoke(caller.tenant, key_id)


def view(key: ApiKey) -> KeyView:
    """A key as callers see it."""
    return KeyView(
        id=key.id,
        name=key.name,
        scope=key.scope,
        created_at=rfc3339(key.created_at),
        expires_at=text_or_none(key.expires_at),
        last_used_at=text_or_none(key.last_used_at),
        revoked_at=text_or_none(key.revoked_at),
    )


router = Router(
    "/v1/keys", route_handlers=[list_keys, create_key, revoke_key], opt=one("key", "key_id"), tags=["Access"]
)
