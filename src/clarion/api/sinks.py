"""`/v1/sinks`: topics, queues and URLs of your own that are told what becomes of messages."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Router, delete, get, patch, post, put

from clarion.api import secret_fields
from clarion.api.auth import Identity
from clarion.api.conditions import one
from clarion.api.dependencies import ApiParts
from clarion.api.guards import ADMIN, Caller, Parts
from clarion.api.kind_settings import named_in, not_connected, require_usable, unmasked
from clarion.api.pages import PAGE, START, Cursor, Limit, Page, page_of_documents
from clarion.api.stored_documents import found, named, patched, shown
from clarion.api.times import Moment, instant, text_or_none
from clarion.errors import ConfigError, InvalidInput
from clarion.model.reading import WHOLE, Reading
from clarion.model.sink import Sink
from clarion.model.source import StartAt
from clarion.model.user import Value
from clarion.services.sinks import EventFilter

MOST_TESTED = 100


class SinkDocument(Sink, frozen=True, kw_only=True, omit_defaults=False):
    """A sink. Its key is in the path."""

    key: str = ""
    name: str | None = None  # type: ignore[assignment]


class SinkStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far it has come."""

    paused: bool
    lag_s: int | None
    """How many seconds the newest written event is behind, as of `updated_at`; null: nothing was written yet."""
    error: str | None
    """Why nothing can be written now; null when it can."""
    updated_at: str | None
    """Null: it was never written to."""


class SinkTest(Value, frozen=True, kw_only=True):
    """How many events to show."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_TESTED)] = 10


class SinkRewind(Value, frozen=True, kw_only=True):
    """Where to go on: exactly one of `to` and `at`."""

    to: StartAt | None = None
    """`earliest`: with the oldest change that is still kept. `latest`: with what comes from now on."""
    at: Moment | None = None
    """With the first change at or after this time."""


class SinkTested(msgspec.Struct, frozen=True, kw_only=True):
    """The receiver can be reached. Events that it would have got of late, oldest first."""

    items: tuple[dict[str, Any], ...]


@get("/", opt=ADMIN)
async def list_sinks(
    caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[SinkDocument]:
    """All sinks, secrets masked."""
    stored = parts.ledger.setup.sinks.all(caller.tenant)
    return page_of_documents(stored, lambda sink: masked(sink, parts), cursor, limit)


@get("/{key:str}", opt=ADMIN)
async def get_sink(key: str, caller: Caller, parts: Parts) -> SinkDocument:
    """One sink, secrets masked."""
    return masked(_found(key, caller, parts), parts)


@put("/{key:str}", opt=ADMIN)
async def put_sink(key: str, data: SinkDocument, caller: Caller, parts: Parts) -> SinkDocument:
    """Create or replace a sink. A new one is paused unless `paused` is false. A secret sent as `********` keeps its stored value."""
    return await _store(named(Sink, data, key), None, caller, parts)


@patch("/{key:str}", opt=ADMIN)
async def patch_sink(key: str, data: dict[str, Any], caller: Caller, parts: Parts) -> SinkDocument:
    """Change some fields (JSON merge patch): null restores the default, and fields that are not named stay, secrets too."""
    live = _found(key, caller, parts)
    return await _store(named(Sink, patched(masked(live, parts), data), key), live, caller, parts)


@delete("/{key:str}", opt=ADMIN)
async def delete_sink(key: str, caller: Caller, parts: Parts) -> None:
    """Delete a sink with its position. Its dead letters stay."""
    _found(key, caller, parts)
    await parts.services.sinks.delete(caller.tenant, key)


@get("/{key:str}/status", opt=ADMIN)
async def get_sink_status(key: str, caller: Caller, parts: Parts) -> SinkStatus:
    """How far it has come, and why it cannot go on."""
    return await _status(_found(key, caller, parts), caller, parts)


@post("/{key:str}/test", opt=ADMIN, status_code=200)
async def test_sink(key: str, data: SinkTest, caller: Caller, parts: Parts) -> SinkTested:
    """Reach the receiver, and show which of the newest events it would have got. Nothing is written."""
    sink = _found(key, caller, parts)
    try:
        events = await parts.services.sinks.test(caller.tenant, sink, data.limit)
    except ConfigError as wrong:
        raise not_connected(wrong) from None
    return SinkTested(items=tuple(msgspec.json.decode(event.body) for event in events))


@post("/{key:str}/pause", opt=ADMIN, status_code=200)
async def pause_sink(key: str, caller: Caller, parts: Parts) -> SinkDocument:
    """Write no more. Events that are being written still arrive."""
    _found(key, caller, parts)
    return masked(await parts.services.sinks.pause(caller.tenant, key, paused=True), parts)


@post("/{key:str}/resume", opt=ADMIN, status_code=200)
async def resume_sink(key: str, caller: Caller, parts: Parts) -> SinkDocument:
    """Go on where it stopped: with everything that happened meanwhile."""
    _found(key, caller, parts)
    return masked(await parts.services.sinks.pause(caller.tenant, key, paused=False), parts)


@post("/{key:str}/rewind", opt=ADMIN, status_code=200)
async def rewind_sink(key: str, data: SinkRewind, caller: Caller, parts: Parts) -> SinkStatus:
    """Go on from another place. Events that were written are written again, with the same ids."""
    sink = _found(key, caller, parts)
    if (data.to is None) == (data.at is None):
        raise InvalidInput("send one of `to` and `at`.", pointer="#")
    to = data.to if data.at is None else instant(data.at)
    assert to is not None
    await parts.services.sinks.rewind(caller.tenant, key, to)
    return await _status(sink, caller, parts)


async def _status(sink: Sink, caller: Identity, parts: ApiParts) -> SinkStatus:
    readings = (await parts.services.sinks.readings(caller.tenant)).get(sink.key, {})
    reading = readings.get(WHOLE, Reading())
    return SinkStatus(
        paused=sink.paused,
        lag_s=reading.lag,
        error=reading.trouble or None,
        updated_at=text_or_none(reading.at),
    )


def _found(key: str, caller: Identity, parts: ApiParts) -> Sink:
    return found(parts.ledger.setup.sinks, caller.tenant, key, "sink")


async def _store(sent: Sink, made_from: Sink | None, caller: Identity, parts: ApiParts) -> SinkDocument:
    """Keep the sink. `made_from`: Conflict when something else is live by now."""
    kind = named_in("kind", sent.kind, parts.services.sinks.kinds)
    stored = made_from or parts.ledger.setup.sinks.all(caller.tenant).get(sent.key)
    connection = unmasked(sent, stored, kind)
    require_usable(connection, kind, parts.services.sinks.tools)
    EventFilter(sent)
    whole = msgspec.structs.replace(sent, connection=connection)
    # A stored secret that was replaced since it was read must not come back.
    before = stored if whole != sent else made_from
    return masked(await parts.services.setup.put(caller.tenant, whole, before), parts)


def masked(sink: Sink, parts: ApiParts) -> SinkDocument:
    """The sink with every secret replaced."""
    kind = parts.services.sinks.kinds.get(sink.kind)
    connection = secret_fields.masked(sink.connection, None if kind is None else kind.secrets)
    return shown(SinkDocument, msgspec.structs.replace(sink, connection=connection))


router = Router(
    "/v1/sinks",
    route_handlers=[
        list_sinks,
        get_sink,
        put_sink,
        patch_sink,
        delete_sink,
        get_sink_status,
        test_sink,
        pause_sink,
        resume_sink,
        rewind_sink,
    ],
    opt=one("sink"),
    tags=["Sources and sinks"],
)
