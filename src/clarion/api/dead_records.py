"""`/v1/dead-letters/records`: records of sources, and events for sinks, that could not be done."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Router, get, post
from litestar.params import Parameter

from clarion.api.conditions import RECORD
from clarion.api.dependencies import ApiParts
from clarion.api.guards import ADMIN, READ, SEND, Caller, Parts
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.errors import InvalidInput, NotFound
from clarion.model.ids import TenantId
from clarion.model.reading import DeadRecord, DeadRecordFilter, DeadRecordKind
from clarion.model.user import Value
from clarion.rules.time_format import rfc3339

MOST_AT_ONCE = 1_000

ByKind = Annotated[DeadRecordKind | None, Parameter(description="Only of this kind")]
ByOrigin = Annotated[str | None, Parameter(description="Only of the source or sink with this key")]


class DeadRecordView(msgspec.Struct, frozen=True, kw_only=True):
    """A record or an event that could not be done."""

    id: str
    kind: DeadRecordKind
    origin: str
    """Key of the source or the sink."""
    place: str
    """Topic, partition and offset of the record, or the id of the event."""
    reason: str
    """`unreadable_record`, `mapping_failed`, `refused_by_receiver`, `condition_failed`, or the code of the error that a trigger
    got."""
    detail: str
    created_at: str


class DeadRecordsChosen(Value, frozen=True, kw_only=True):
    """Either `ids` or `all`."""

    ids: Annotated[tuple[str, ...], msgspec.Meta(max_length=MOST_AT_ONCE)] | None = None
    all: bool = False
    """The newest 1,000 that match `kind` and `origin`."""
    kind: DeadRecordKind | None = None
    origin: str | None = None


class RefusedAgain(msgspec.Struct, frozen=True, kw_only=True):
    """One that could not be done again."""

    id: str
    reason: str
    detail: str


class DeadRecordsRetried(msgspec.Struct, frozen=True, kw_only=True):
    """What became of them."""

    retried: int
    refused: tuple[RefusedAgain, ...]


class DeadRecordsDiscarded(msgspec.Struct, frozen=True, kw_only=True):
    """How many left the list."""

    discarded: int


@get("/", opt=READ)
async def list_dead_records(
    caller: Caller,
    parts: Parts,
    kind: ByKind = None,
    origin: ByOrigin = None,
    limit: Limit = PAGE,
    cursor: Cursor = START,
) -> Page[DeadRecordView]:
    """Records and events that wait for a person, newest first. A source with 1,000 of them is not read on."""
    where = DeadRecordFilter(kind=kind, origin=origin)
    found = await parts.ledger.dead_records.page(caller.tenant, where, cursor.after(0) or None, limit)
    return Page(
        items=[_view(one) for one in found],
        next_cursor=cursor.to(found[-1].seq) if len(found) == limit else None,
    )


@get("/{record:str}", opt=READ | RECORD)
async def get_dead_record(record: str, caller: Caller, parts: Parts) -> DeadRecordView:
    """One of them."""
    for one in await parts.ledger.dead_records.named(caller.tenant, [_number(record)]):
        return _view(one)
    raise _missing(record)


@post("/retry", opt=SEND, status_code=200)
async def retry_dead_records(data: DeadRecordsChosen, caller: Caller, parts: Parts) -> DeadRecordsRetried:
    """Do them again, as their source or sink is set up by now. Those that are refused again stay."""
    done, refused = [], []
    for one in await _chosen(data, caller.tenant, parts):
        why = await _again(one, parts)
        if why is None:
            done.append(one.seq)
        else:
            refused.append(why)
    await parts.services.sources.dead.discard(caller.tenant, done)
    return DeadRecordsRetried(retried=len(done), refused=tuple(refused))


@post("/discard", opt=ADMIN, status_code=200)
async def discard_dead_records(data: DeadRecordsChosen, caller: Caller, parts: Parts) -> DeadRecordsDiscarded:
    """Discard them: nothing is sent, and they leave the list."""
    seqs = [one.seq for one in await _chosen(data, caller.tenant, parts)]
    return DeadRecordsDiscarded(discarded=await parts.services.sources.dead.discard(caller.tenant, seqs))


async def _again(one: DeadRecord, parts: ApiParts) -> RefusedAgain | None:
    """Why it is refused again; None: it is done."""
    if one.kind is DeadRecordKind.SOURCE_RECORD:
        why = await parts.services.sources.retry(one)
        return None if why is None else RefusedAgain(id=str(one.seq), reason=why.reason, detail=why.detail)
    refused = await parts.services.sinks.retry(one)
    return None if refused is None else RefusedAgain(id=str(one.seq), reason=one.reason, detail=refused)


async def _chosen(data: DeadRecordsChosen, tenant: TenantId, parts: ApiParts) -> list[DeadRecord]:
    if (data.ids is None) == (not data.all):
        raise InvalidInput('Send either `ids` or `{"all": true}`.', pointer="#")
    if data.ids is not None:
        numbers = [_number(text) for text in data.ids]
        found = await parts.ledger.dead_records.named(tenant, numbers)
        there = {one.seq for one in found}
        for place, number in enumerate(numbers):
            if number not in there:
                raise NotFound(_missing(data.ids[place]).detail, pointer=f"#/ids/{place}")
        return list(found)
    where = DeadRecordFilter(kind=data.kind, origin=data.origin)
    return list(await parts.ledger.dead_records.page(tenant, where, None, MOST_AT_ONCE))


def _view(one: DeadRecord) -> DeadRecordView:
    return DeadRecordView(
        id=str(one.seq),
        kind=one.kind,
        origin=one.origin,
        place=one.place,
        reason=one.reason,
        detail=one.detail,
        created_at=rfc3339(one.at),
    )


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise _missing(text)
    return int(text)


def _missing(text: str) -> NotFound:
    return NotFound(f"There is no dead record {text!r}: it was retried or discarded.")


router = Router(
    "/v1/dead-letters/records",
    route_handlers=[list_dead_records, get_dead_record, retry_dead_records, discard_dead_records],
    tags=["Sources and sinks"],
)
