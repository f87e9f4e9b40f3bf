"""`/v1/live`: one state that a lock screen, a progress notification, a browser and an inbox card show until it ends."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import msgspec
from litestar import Router, delete, get, post, put

from clarion.api import cloudevents
from clarion.api.auth import Identity
from clarion.api.conditions import ADDS, one
from clarion.api.dependencies import ApiParts
from clarion.api.devices import DeviceView, view
from clarion.api.guards import READ, SEND, Caller, Parts, the_user
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.api.references import suggest
from clarion.api.submissions import RAW_OBJECT
from clarion.api.times import Moment, instant_or_none, text_or_none
from clarion.errors import InvalidInput, NotFound, UnknownReference, check_all
from clarion.flow.intake.recipients import MAX_RECIPIENTS
from clarion.model.live import Live
from clarion.model.submission import Recipient
from clarion.model.user import Value
from clarion.rules import validation
from clarion.rules.live import activity_address
from clarion.rules.time_format import rfc3339
from clarion.services.lives import LiveState

Sequence = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
State = Annotated[msgspec.Raw, RAW_OBJECT]


class LiveBody(Value, frozen=True, kw_only=True):
    """The whole of a live resource."""

    workflow: Annotated[str, msgspec.Meta(min_length=1)]
    """Its category, channels and templates are used. It stays the same until the end."""
    recipients: Annotated[tuple[str | Recipient, ...], msgspec.Meta(min_length=1, max_length=MAX_RECIPIENTS)]
    """User ids, `{"user_id": ...}` or `{"topic": ...}`. It starts for those who are new, and ends for those who are gone."""
    state: State = msgspec.field(default_factory=cloudevents.no_data)
    """A JSON object: the data of the templates, and what a Live Activity shows (`content-state`)."""
    sequence: Sequence | None = None
    """Grows with every state. A state that is not newer is refused, so calls may overtake each other. Default: the next one."""
    stale_at: Moment | None = None
    """It ends by itself then, unless another state comes before."""


class LiveEndBody(Value, frozen=True, kw_only=True):
    """The last state."""

    state: State = msgspec.field(default_factory=msgspec.Raw)
    """Default: the state as it is."""
    sequence: Sequence | None = None
    """As in `PUT`. Default: the next one."""
    dismiss_at: Moment | None = None
    """When devices take it off the screen; a time in the past: at once. Default: they decide, a Live Activity stays for up to four hours."""


class LiveDeviceBody(Value, frozen=True, kw_only=True):
    """Where a Live Activity runs."""

    user_id: str
    device_id: str
    """The user's device, as it was registered."""
    address: str
    """What updates this one Live Activity: `apns:TOKEN`, `apns:com.example.app/TOKEN`, `fcm:REGISTRATION/TOKEN`, or a
    broadcast channel: `apns-channel:CHANNEL`."""


class LiveView(msgspec.Struct, frozen=True, kw_only=True):
    """A live resource as it is now."""

    key: str
    workflow: str
    recipients: tuple[str | Recipient, ...]
    state: State
    sequence: int
    stale_at: str | None
    dismiss_at: str | None
    created_at: str
    updated_at: str
    ended_at: str | None
    """null: it goes on."""


@get("/", opt=READ)
async def list_live(
    caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START, ended: bool | None = None
) -> Page[LiveView]:
    """Live resources by key: those that go on, and for 30 days those that have ended."""
    found, following = await parts.services.lives.page(caller.tenant, ended, cursor.after(""), limit)
    return Page(items=list(map(_view, found)), next_cursor=cursor.to(following) if following else None)


@get("/{key:str}", opt=READ)
async def get_live(key: str, caller: Caller, parts: Parts) -> LiveView:
    """One live resource."""
    return _view(await _live(parts, caller, key))


@put("/{key:str}", opt=SEND)
async def put_live(key: str, data: LiveBody, caller: Caller, parts: Parts) -> LiveView:
    """Start a live resource, or give it a new state. The newest state of a second goes out; it replaces the one that
    devices show."""
    validation.check_key(key, "#")
    check_all(
        partial(validation.check_recipient, recipient, f"#/recipients/{index}")
        for index, recipient in enumerate(data.recipients)
    )
    given = LiveState(
        workflow=data.workflow,
        recipients=data.recipients,
        state=cloudevents.checked_data(data.state, "#/state"),
        sequence=data.sequence,
        stale_at=instant_or_none(data.stale_at),
    )
    if given.stale_at is not None and given.stale_at <= parts.clock.now():
        raise InvalidInput("`stale_at` is in the past: it would end at once.", pointer="#/stale_at")
    try:
        return _view(await parts.services.lives.put(caller.tenant, key, given))
    except UnknownReference as wrong:
        await suggest(parts.ledger.directory, caller.tenant, (wrong,))
        raise
    except NotFound as wrong:  # The workflow stands in the body, not in the path.
        raise InvalidInput(
            wrong.detail, pointer="#/workflow", code=UnknownReference.code, status=UnknownReference.status
        ) from None


@post("/{key:str}/end", opt=SEND, status_code=200)
async def end_live(key: str, caller: Caller, parts: Parts, data: LiveEndBody | None = None) -> LiveView:
    """End a live resource, with a last state if you send one. What has ended already stays as it is."""
    body = data or LiveEndBody()
    ended = await parts.services.lives.end(
        caller.tenant,
        key,
        state=None
        if bytes(body.state) in (b"", cloudevents.NULL)
        else cloudevents.checked_data(body.state, "#/state"),
        sequence=body.sequence,
        dismiss_at=instant_or_none(body.dismiss_at),
    )
    return _view(ended)


@delete("/{key:str}", opt=SEND)
async def delete_live(key: str, caller: Caller, parts: Parts) -> None:
    """End a live resource if it goes on, take it off all screens, and delete it. Its inbox cards stay."""
    if not await parts.services.lives.delete(caller.tenant, key):
        raise _missing(key)


@post("/{key:str}/devices", opt=SEND | ADDS, status_code=200)
async def add_live_device(key: str, data: LiveDeviceBody, caller: Caller, parts: Parts) -> DeviceView:
    """Say where a Live Activity runs: it gets the state at once, and every later one. The address belongs to the device,
    and goes with it when its user logs out."""
    live = await _live(parts, caller, key)
    user = await the_user(parts, caller, data.user_id, "#/user_id")
    address = activity_address(live.key, data.address, "#/address")
    await parts.services.lives.add_device(live, user, data.device_id, address)
    return view(await parts.services.devices.get(user, data.device_id))


async def _live(parts: ApiParts, caller: Identity, key: str) -> Live:
    found = await parts.services.lives.get(caller.tenant, key)
    if found is None:
        raise _missing(key)
    return found


def _missing(key: str) -> NotFound:
    return NotFound(f"There is no live resource {key!r}.")


def _view(live: Live) -> LiveView:
    return LiveView(
        key=live.key,
        workflow=live.workflow,
        recipients=live.recipients,
        state=live.state,
        sequence=live.sequence,
        stale_at=text_or_none(live.stale_at),
        dismiss_at=text_or_none(live.dismiss_at),
        created_at=rfc3339(live.created_at),
        updated_at=rfc3339(live.updated_at),
        ended_at=text_or_none(live.ended_at),
    )


router = Router(
    "/v1/live",
    route_handlers=[list_live, get_live, put_live, end_live, delete_live, add_live_device],
    opt=one("live"),
    tags=["Live"],
)
