"""`/v1/endpoints`: webhook endpoints, and the log of calls to them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Router, delete, get, patch, post, put

from clarion.api.conditions import one
from clarion.api.dependencies import ApiParts
from clarion.api.guards import READ, SEND, Caller, Parts, listed_id, the_user
from clarion.api.messages import ByUser, Since, Until, VersionChoice
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.api.stored_documents import patched
from clarion.api.times import Moment, instant, instant_of, text_or_none
from clarion.errors import InvalidInput, NotFound, SealBroken
from clarion.model.endpoint import Delivery, DeliveryFilter
from clarion.model.ids import id_text, parse_id
from clarion.model.user import Value
from clarion.rules.endpoints import TENANT_USER
from clarion.rules.time_format import rfc3339
from clarion.services.webhook_endpoints import Owned, Wanted

MOST_RETRIED = 1_000


class EndpointChange(Value, frozen=True, kw_only=True):
    """The changed endpoint."""

    url: Annotated[str, msgspec.Meta(max_length=2_048)]
    """Where to: `https://`, and a public address unless the operator allows its range."""
    events: tuple[str, ...] = ()
    """Event types it receives: `order.shipped`, `order.*`; empty: all. A triggered workflow's type is its key."""
    description: Annotated[str, msgspec.Meta(max_length=500)] | None = None


class EndpointBody(EndpointChange, frozen=True, kw_only=True):
    """A new endpoint."""

    user_id: str | None = None
    """The user it belongs to; null: the tenant's own (recipient `$tenant`)."""
    secret: str | None = None
    """`whsec_<base64>`, if the receiver already has a secret. Default: a new one."""


class SigningSecretBody(Value, frozen=True, kw_only=True):
    """The next secret."""

    secret: str | None = None
    """`whsec_<base64>`; left out: a new one."""


class EndpointRetry(Value, frozen=True, kw_only=True):
    """Either `since` or `ids`."""

    since: Moment | None = None
    """Messages of events accepted since this time."""
    ids: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=MOST_RETRIED)] | None = None
    """Exactly these messages."""
    template_version: VersionChoice = "live"
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_RETRIED)] = MOST_RETRIED
    """With `since`: at most this many in one call; repeat while `more` is true."""


class EndpointView(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint. Its secrets are never shown again."""

    id: str
    user_id: str | None
    """Null: the tenant's own."""
    url: str
    events: tuple[str, ...]
    description: str | None
    created_at: str
    enabled: bool
    disabled_at: str | None
    """Since when nothing is sent."""
    disabled_reason: str | None
    """Why: `failing` for days, `address_gone` (its receiver answered 410), or `by_hand`."""
    failing_since: str | None
    """The first failed call after the last one that was accepted."""


class EndpointSecretView(EndpointView, frozen=True, kw_only=True):
    """An endpoint with its new secret: this is the only time it is shown."""

    secret: str


class RequestView(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent, without the signature."""

    url: str
    headers: dict[str, str]
    body: str
    cut: bool
    """The body was longer than what is kept (16 KiB)."""


class ResponseView(msgspec.Struct, frozen=True, kw_only=True):
    """What was answered."""

    status: int
    headers: dict[str, str]
    body: str
    cut: bool
    """The body was longer than what is kept (4 KiB)."""


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """What a delivery holds sealed."""

    request: RequestView
    response: ResponseView | None = None
    error: str | None = None


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """One call of an endpoint."""

    message_id: str
    created_at: str
    ok: bool
    took_ms: int
    request: RequestView
    response: ResponseView | None
    """Null: there was none."""
    error: str | None
    """Why there was no response."""


class EndpointRetried(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages are sent again."""

    retried: int
    more: bool
    """There are more messages to retry: call again."""


@get("/", opt=READ)
async def list_endpoints(
    caller: Caller, parts: Parts, user_id: ByUser = None, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[EndpointView]:
    """All endpoints, newest first."""
    of_user = await the_user(parts, caller, user_id) if user_id is not None else None
    before = cursor.after(b"") if cursor else None
    owned, following = await parts.services.webhook_endpoints.page(caller.tenant, of_user, before, limit)
    return Page(items=[view(one) for one in owned], next_cursor=cursor.to(following))


@post("/", opt=SEND)
async def create_endpoint(data: EndpointBody, caller: Caller, parts: Parts) -> EndpointSecretView:
    """Create an endpoint, enabled. The answer shows its secret once."""
    owner = await the_user(parts, caller, data.user_id, "#/user_id") if data.user_id else None
    owned = await parts.services.webhook_endpoints.create(caller.tenant, owner, _wanted(data), data.secret)
    return _with_secret(owned)


@get("/{endpoint_id:str}", opt=READ)
async def get_endpoint(endpoint_id: str, caller: Caller, parts: Parts) -> EndpointView:
    """One endpoint."""
    return view(await parts.services.webhook_endpoints.get(caller.tenant, _id(endpoint_id)))


@put("/{endpoint_id:str}", opt=SEND)
async def put_endpoint(endpoint_id: str, data: EndpointChange, caller: Caller, parts: Parts) -> EndpointView:
    """Change URL, filter and description. Waiting messages go to the new URL."""
    return view(await parts.services.webhook_endpoints.change(caller.tenant, _id(endpoint_id), _wanted(data)))


@patch("/{endpoint_id:str}", opt=SEND)
async def patch_endpoint(
    endpoint_id: str, data: dict[str, Any], caller: Caller, parts: Parts
) -> EndpointView:
    """Change some of them (JSON merge patch): null restores the default, what is not named stays."""
    seen = await parts.services.webhook_endpoints.get(caller.tenant, _id(endpoint_id))
    now = EndpointChange(
        url=seen.endpoint.url, events=seen.endpoint.events, description=seen.endpoint.description or None
    )
    wanted = _wanted(patched(now, data))
    return view(await parts.services.webhook_endpoints.change(caller.tenant, _id(endpoint_id), wanted, seen))


@delete("/{endpoint_id:str}", opt=SEND)
async def delete_endpoint(endpoint_id: str, caller: Caller, parts: Parts) -> None:
    """Delete an endpoint. Messages that wait for it end as suppressed."""
    await parts.services.webhook_endpoints.delete(caller.tenant, _id(endpoint_id))


@post("/{endpoint_id:str}/rotate-secret", opt=SEND, status_code=200)
async def rotate_secret(
    endpoint_id: str, caller: Caller, parts: Parts, data: SigningSecretBody | None = None
) -> EndpointSecretView:
    """Replace the secret. For 24 hours calls are signed with both secrets, so that receivers can switch."""
    secret = (data or SigningSecretBody()).secret
    return _with_secret(
        await parts.services.webhook_endpoints.rotate(caller.tenant, _id(endpoint_id), secret)
    )


@post("/{endpoint_id:str}/enable", opt=SEND, status_code=200)
async def enable_endpoint(endpoint_id: str, caller: Caller, parts: Parts) -> EndpointView:
    """Enable an endpoint, whatever had disabled it. To send what it missed, use `retry`."""
    return view(await parts.services.webhook_endpoints.switch(caller.tenant, _id(endpoint_id), on=True))


@post("/{endpoint_id:str}/disable", opt=SEND, status_code=200)
async def disable_endpoint(endpoint_id: str, caller: Caller, parts: Parts) -> EndpointView:
    """Disable an endpoint: nothing is sent to it, and its messages end as suppressed."""
    return view(await parts.services.webhook_endpoints.switch(caller.tenant, _id(endpoint_id), on=False))


@get("/{endpoint_id:str}/deliveries", opt=READ)
async def list_deliveries(
    endpoint_id: str,
    caller: Caller,
    parts: Parts,
    status: Literal["succeeded", "failed"] | None = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = PAGE,
    cursor: Cursor = START,
) -> Page[DeliveryView]:
    """Every call with request and response, newest first, as long as `/v1/retention` says."""
    owned = await parts.services.webhook_endpoints.get(caller.tenant, _id(endpoint_id))
    where = DeliveryFilter(
        ok=None if status is None else status == "succeeded",
        since=instant_of(since, "since"),
        before=instant_of(until, "until"),
    )
    start = cursor.after(0) or None
    found = await parts.ledger.deliveries.page(caller.tenant, owned.endpoint.id, where, start, limit)
    items = [shown for one in found if (shown := _delivery(parts, owned, one)) is not None]
    return Page(items=items, next_cursor=cursor.to(found[-1].seq) if len(found) == limit else None)


@post("/{endpoint_id:str}/retry", opt=SEND, status_code=200)
async def retry_endpoint(
    endpoint_id: str, data: EndpointRetry, caller: Caller, parts: Parts
) -> EndpointRetried:
    """Retry messages that failed or were suppressed, with fresh attempts: all `since` a time, or these `ids`."""
    where, version = (caller.tenant, _id(endpoint_id)), data.template_version
    if data.ids is not None and data.since is None:
        ids = [listed_id(text, index) for index, text in enumerate(data.ids)]
        done = await parts.services.webhook_endpoints.retry(*where, ids, version)
    elif data.since is not None and data.ids is None:
        done = await parts.services.webhook_endpoints.retry_since(
            *where, instant(data.since), data.limit, version
        )
    else:
        raise InvalidInput(
            'Send either `ids` or `since`, like {"since": "2026-05-01T09:30:00Z"}.', pointer="#"
        )
    return EndpointRetried(retried=done.retried, more=done.more)


def view(owned: Owned) -> EndpointView:
    """An endpoint as callers see it."""
    endpoint, state = owned.endpoint, owned.state
    off = state.disabled_at
    return EndpointView(
        id=id_text(endpoint.id),
        user_id=None if owned.user.id == TENANT_USER else owned.user.id,
        url=endpoint.url,
        events=endpoint.events,
        description=endpoint.description or None,
        created_at=rfc3339(endpoint.created_at),
        enabled=off is None,
        disabled_at=text_or_none(off),
        disabled_reason=None if off is None else state.disabled_reason,
        failing_since=text_or_none(state.failing_since),
    )


def _with_secret(owned: Owned) -> EndpointSecretView:
    fields = msgspec.structs.asdict(view(owned))
    return EndpointSecretView(**fields, secret=owned.endpoint.secrets[0].text)


def _delivery(parts: ApiParts, owned: Owned, one: Delivery) -> DeliveryView | None:
    """A call, opened; None when its user's key is gone."""
    try:
        inside = _EXCHANGE.decode(parts.vault.open(owned.user.key, one.sealed))
    except SealBroken:
        return None
    return DeliveryView(
        message_id=id_text(one.message_id),
        created_at=rfc3339(one.at),
        ok=one.ok,
        took_ms=one.took_ms,
        request=inside.request,
        response=inside.response,
        error=inside.error,
    )


def _wanted(data: EndpointChange) -> Wanted:
    return Wanted(url=data.url, events=data.events, description=data.description or "")


def _id(text: str) -> bytes:
    try:
        return parse_id(text)
    except ValueError:
        raise NotFound("There is no such endpoint: an id is a UUID.") from None


_EXCHANGE = msgspec.json.Decoder(Exchange)

router = Router(
    "/v1/endpoints",
    route_handlers=[
        list_endpoints,
        create_endpoint,
        get_endpoint,
        put_endpoint,
        patch_endpoint,
        delete_endpoint,
        rotate_secret,
        enable_endpoint,
        disable_endpoint,
        list_deliveries,
        retry_endpoint,
    ],
    opt=one("endpoint", "endpoint_id"),
    tags=["Webhooks"],
)
