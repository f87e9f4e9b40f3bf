"""`/v1/sources`: topics, queues and streams of your own, whose records start workflows."""

from __future__ import annotations

from datetime import datetime
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
from clarion.flow.intake.record_mapping import RecordMapping
from clarion.model.ids import Instant
from clarion.model.source import Source, StartAt
from clarion.model.status import Reason, Status
from clarion.model.submission import Recipient
from clarion.model.user import Value
from clarion.ports.source import Position
from clarion.services.sources import RecordTested

MOST_TESTED = 100
CUT = 16_384
"""Characters of a record that cannot be read, as far as a test shows it."""


class SourceDocument(Source, frozen=True, kw_only=True, omit_defaults=False):
    """A source. Its key is in the path."""

    key: str = ""
    name: str | None = None  # type: ignore[assignment]


class ReadingStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far it has come."""

    paused: bool
    position: dict[str, str]
    """By partition, the offset of the last record that is done. Empty: the server keeps the position, or nothing was
    read yet."""
    lag: int | None
    """Records that wait, as of `updated_at`; null: not known."""
    readers: int
    """Processes that read it now."""
    error: str | None
    """Why it cannot be read now; null when it can."""
    updated_at: str | None
    """Null: it was never read."""


class SourceTest(Value, frozen=True, kw_only=True):
    """How many records to try."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_TESTED)] = 10


class SourceRewind(Value, frozen=True, kw_only=True):
    """Where to read on: exactly one of `to`, `at` and `position`."""

    to: StartAt | None = None
    """One of its ends."""
    at: Moment | None = None
    """The first record at or after this time."""
    position: dict[str, str] | None = None
    """By partition, the offset of the last record that is done. Partitions that are not named begin with their oldest
    record."""
    send_again: bool = False
    """Records that started something before start it again. Without it they are passed over for 24 hours."""


class MessageTested(msgspec.Struct, frozen=True, kw_only=True):
    """A message that would be made."""

    user_id: str
    workflow: str
    channel: str
    status: Status
    reason: Reason | None


class TestedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a record would start."""

    place: str
    """Topic, partition and offset, or what the server calls it."""
    key: str | None
    created_at: str | None
    data: Any
    """What it says; text that could not be read as it came."""
    outcome: str
    """`starts`, `passed_over` (the condition `when` is false) or `refused`."""
    workflow: str | None
    type: str | None
    recipients: tuple[str | Recipient, ...]
    messages: tuple[MessageTested, ...]
    """What is decided about each message now."""
    reason: str | None
    """Why it is refused."""
    detail: str | None
    pointer: str | None
    """The field of the source whose expression is to blame."""


class SourceTested(msgspec.Struct, frozen=True, kw_only=True):
    """The last records, oldest first."""

    items: tuple[TestedRecord, ...]


@get("/", opt=ADMIN)
async def list_sources(
    caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[SourceDocument]:
    """All sources, secrets masked."""
    stored = parts.ledger.setup.sources.all(caller.tenant)
    return page_of_documents(stored, lambda source: masked(source, parts), cursor, limit)


@get("/{key:str}", opt=ADMIN)
async def get_source(key: str, caller: Caller, parts: Parts) -> SourceDocument:
    """One source, secrets masked."""
    return masked(_found(key, caller, parts), parts)


@put("/{key:str}", opt=ADMIN)
async def put_source(key: str, data: SourceDocument, caller: Caller, parts: Parts) -> SourceDocument:
    """Create or replace a source. A new one is paused unless `paused` is false. A secret sent as `********` keeps its stored value."""
    return await _store(named(Source, data, key), None, caller, parts)


@patch("/{key:str}", opt=ADMIN)
async def patch_source(key: str, data: dict[str, Any], caller: Caller, parts: Parts) -> SourceDocument:
    """Change some fields (JSON merge patch): null restores the default, and fields that are not named stay, secrets too."""
    live = _found(key, caller, parts)
    return await _store(named(Source, patched(masked(live, parts), data), key), live, caller, parts)


@delete("/{key:str}", opt=ADMIN)
async def delete_source(key: str, caller: Caller, parts: Parts) -> None:
    """Delete a source with its position. Its dead letters stay."""
    _found(key, caller, parts)
    await parts.services.sources.delete(caller.tenant, key)


@get("/{key:str}/status", opt=ADMIN)
async def get_source_status(key: str, caller: Caller, parts: Parts) -> ReadingStatus:
    """How far it has been read, and how much waits."""
    return await _status(_found(key, caller, parts), caller, parts)


@post("/{key:str}/test", opt=ADMIN, status_code=200)
async def test_source(key: str, data: SourceTest, caller: Caller, parts: Parts) -> SourceTested:
    """Try the last real records: what each would start, or why not. Nothing is taken, stored or sent."""
    source = _found(key, caller, parts)
    try:
        tested = await parts.services.sources.test(caller.tenant, source, data.limit)
    except ConfigError as wrong:
        raise not_connected(wrong) from None
    return SourceTested(items=tuple(map(_tested, tested)))


@post("/{key:str}/pause", opt=ADMIN, status_code=200)
async def pause_source(key: str, caller: Caller, parts: Parts) -> SourceDocument:
    """Stop reading. Records that were already fetched are still done."""
    _found(key, caller, parts)
    return masked(await parts.services.sources.pause(caller.tenant, key, paused=True), parts)


@post("/{key:str}/resume", opt=ADMIN, status_code=200)
async def resume_source(key: str, caller: Caller, parts: Parts) -> SourceDocument:
    """Read on from where it stopped."""
    _found(key, caller, parts)
    return masked(await parts.services.sources.pause(caller.tenant, key, paused=False), parts)


@post("/{key:str}/rewind", opt=ADMIN, status_code=200)
async def rewind_source(key: str, data: SourceRewind, caller: Caller, parts: Parts) -> ReadingStatus:
    """Read on from another position, backwards or forwards. Queues that forget what was taken cannot be rewound."""
    source = _found(key, caller, parts)
    try:
        await parts.services.sources.rewind(caller.tenant, key, _wanted(data), repeat=data.send_again)
    except ConfigError as wrong:
        raise not_connected(wrong) from None
    return await _status(source, caller, parts)


async def _status(source: Source, caller: Identity, parts: ApiParts) -> ReadingStatus:
    service = parts.services.sources
    known = (await service.readings(caller.tenant)).get(source.key, {})
    readings = sorted(known.values(), key=lambda one: one.at or 0)
    read = [one for one in readings if one.reader is not None]
    lags = [one.lag for one in readings if one.lag is not None]
    if service.competing(source):  # each process counts the whole queue
        lags = lags[-1:]
    return ReadingStatus(
        paused=source.paused,
        position={name: offset for one in known.values() for name, offset in one.position.items()},
        lag=sum(lags) if lags else None,
        readers=len({one.reader for one in read}),
        error=next((one.trouble for one in read or readings if one.trouble), None),
        updated_at=text_or_none(readings[-1].at if readings else None),
    )


def _wanted(asked: SourceRewind) -> StartAt | Instant | Position:
    given = [one for one in (asked.to, asked.at, asked.position) if one is not None]
    if len(given) != 1:
        raise InvalidInput("send one of `to`, `at` and `position`.", pointer="#")
    return instant(given[0]) if isinstance(given[0], datetime) else given[0]


def _found(key: str, caller: Identity, parts: ApiParts) -> Source:
    return found(parts.ledger.setup.sources, caller.tenant, key, "source")


async def _store(sent: Source, made_from: Source | None, caller: Identity, parts: ApiParts) -> SourceDocument:
    """Keep the source. `made_from`: Conflict when something else is live by now."""
    kind = named_in("kind", sent.kind, parts.services.sources.kinds)
    format_ = named_in("format", sent.format, parts.services.sources.formats)
    stored = made_from or parts.ledger.setup.sources.all(caller.tenant).get(sent.key)
    connection = unmasked(sent, stored, kind)
    known = stored.schema_registry if stored is not None else {}
    registry = secret_fields.unmasked(sent.schema_registry, known, format_.secrets, "schema_registry")
    require_usable(connection, kind, parts.services.sources.tools)
    secret_fields.check(registry, format_.config, "schema_registry", format_.title)
    RecordMapping(sent)
    whole = msgspec.structs.replace(sent, connection=connection, schema_registry=registry)
    # A stored secret that was replaced since it was read must not come back.
    before = stored if whole != sent else made_from
    return masked(await parts.services.setup.put(caller.tenant, whole, before), parts)


def masked(source: Source, parts: ApiParts) -> SourceDocument:
    """The source with every secret replaced."""
    kind = parts.services.sources.kinds.get(source.kind)
    format_ = parts.services.sources.formats.get(source.format)
    hidden = msgspec.structs.replace(
        source,
        connection=secret_fields.masked(source.connection, None if kind is None else kind.secrets),
        schema_registry=secret_fields.masked(
            source.schema_registry, None if format_ is None else format_.secrets
        ),
    )
    return shown(SourceDocument, hidden)


def _tested(one: RecordTested) -> TestedRecord:
    record, submission, refused = one.record, one.submission, one.refused
    outcome = "refused" if refused is not None else "passed_over" if submission is None else "starts"
    return TestedRecord(
        place=record.place,
        key=record.key,
        created_at=text_or_none(record.at),
        data=record.value[:CUT].decode(errors="replace") if one.decoded is None else one.decoded.data,
        outcome=outcome,
        workflow=None if submission is None else submission.workflow,
        type=(submission.type or None) if submission is not None else None,
        recipients=() if submission is None else submission.recipients,
        messages=tuple(
            MessageTested(
                user_id=user_id,
                workflow=run.workflow,
                channel=decision.channel,
                status=decision.status,
                reason=decision.reason,
            )
            for user_id, run in one.runs
            for decision in run.channels
        ),
        reason=None if refused is None else refused.reason,
        detail=None if refused is None else refused.detail,
        pointer=None if refused is None else refused.pointer,
    )


router = Router(
    "/v1/sources",
    route_handlers=[
        list_sources,
        get_source,
        put_source,
        patch_source,
        delete_source,
        get_source_status,
        test_source,
        pause_source,
        resume_source,
        rewind_source,
    ],
    opt=one("source"),
    tags=["Sources and sinks"],
)
