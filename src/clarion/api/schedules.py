"""`/v1/schedules`: start a workflow at one time, or again and again."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, ClassVar

import msgspec
from litestar import Router, delete, get, patch, post, put

from clarion.api.auth import Identity
from clarion.api.conditions import ADDS, one
from clarion.api.dependencies import ApiParts
from clarion.api.guards import ADMIN, READ, SEND, Caller, Parts
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.api.references import suggest
from clarion.api.stored_documents import patched
from clarion.api.times import Moment, instant_or_none, moment_or_none, text_or_none
from clarion.errors import NotFound, UnknownReference, check_all
from clarion.flow.intake.recipients import MAX_RECIPIENTS
from clarion.model.channel import Lane
from clarion.model.ids import Instant, id_text
from clarion.model.schedule import CatchUp, Occurrence, Outcome, Schedule, ScheduleState
from clarion.model.submission import Recipient
from clarion.model.user import Value
from clarion.rules import validation
from clarion.rules.time_format import rfc3339

MOST_WITHIN_S = 7 * 86_400


class ScheduleBody(Value, frozen=True, kw_only=True, omit_defaults=False):
    """When a workflow starts, and for whom. Send `rrule` or `cron` to repeat; with neither it starts once, at `starts_at`."""

    EXAMPLE: ClassVar = '{"workflow": "weekly-news", "recipients": [{"topic": "readers"}], "cron": "0 9 * * mon", "timezone": "recipient"}'

    name: str | None = None
    workflow: Annotated[str, msgspec.Meta(min_length=1)]
    recipients: Annotated[tuple[str | Recipient, ...], msgspec.Meta(min_length=1, max_length=MAX_RECIPIENTS)]
    """User ids, `{"user_id": ...}`, `{"topic": ...}`, `{"segment": ...}` or `{"object": {"type": ..., "id": ...}}`. A topic, a segment or
    an object means those who are its members when the schedule occurs."""
    data: dict[str, Any] = {}
    """The data of each event: a JSON object."""
    lane: Lane | None = None
    """Null: the workflow's own lane."""
    rrule: Annotated[str, msgspec.Meta(max_length=2_000)] | None = None
    """A recurrence rule (RFC 5545): `FREQ=WEEKLY;BYDAY=MO;BYHOUR=9;BYMINUTE=0`. Further lines may be `EXDATE:` and `RDATE:`."""
    cron: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    """Minute, hour, day of the month, month and day of the week: `0 9 * * mon`."""
    timezone: str | None = None
    """An IANA time zone; `recipient`: by the clock of each recipient; null: the zone of the tenant."""
    starts_at: Moment | None = None
    """Nothing occurs before. A rule counts from here, and takes its time of day from here where it names none. Null: when the
    schedule was created."""
    ends_at: Moment | None = None
    """Nothing occurs after it."""
    catch_up: CatchUp = CatchUp.ONCE
    """What happens to occurrences that Clarion could not start in time, because it was down."""
    catch_up_within_s: Annotated[int, msgspec.Meta(ge=60, le=MOST_WITHIN_S)] = 3_600
    """An occurrence that is later than this is missed."""


class ScheduleView(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule, and when it occurs next."""

    key: str
    name: str | None
    workflow: str
    recipients: tuple[str | Recipient, ...]
    data: dict[str, Any]
    lane: Lane | None
    rrule: str | None
    cron: str | None
    timezone: str | None
    starts_at: str | None
    ends_at: str | None
    catch_up: CatchUp
    catch_up_within_s: int
    next_at: str | None
    """When the next event is made. With the clock of each recipient, shortly before it is time in the first place on earth. Null: it
    is paused, or over."""
    next_local: str | None
    """With the clock of each recipient: what that shows then."""
    last_at: str | None
    """When it last started its workflow."""
    paused_at: str | None
    created_at: str
    updated_at: str


class OccurrenceView(msgspec.Struct, frozen=True, kw_only=True):
    """One time at which a schedule starts its workflow."""

    at: str
    local: str | None
    """With the clock of each recipient: what that shows."""
    outcome: Outcome
    event_id: str | None
    """The event that it made."""
    error: str | None
    """Why its event was refused."""


class ScheduleResume(Value, frozen=True, kw_only=True):
    """How to go on."""

    catch_up: bool = False
    """Whether the schedule's `catch_up` decides about the occurrences of the pause; else they do not happen."""


class ScheduleSkip(Value, frozen=True, kw_only=True):
    """Which occurrence to leave out."""

    at: Moment | None = None
    """As `GET .../occurrences` shows it. Default: the next one."""


class ScheduleStarted(msgspec.Struct, frozen=True, kw_only=True):
    """The workflow starts."""

    event_id: str | None
    """Null in a dry run."""


@get("/", opt=READ)
async def list_schedules(
    caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[ScheduleView]:
    """All schedules, by key."""
    found, following = await parts.services.schedules.page(caller.tenant, cursor.after(""), limit)
    return Page(items=[_view(state) for state in found], next_cursor=cursor.to(following))


@get("/{key:str}", opt=READ)
async def get_schedule(key: str, caller: Caller, parts: Parts) -> ScheduleView:
    """One schedule, and when it occurs next."""
    return _view(await _found(key, caller, parts))


@put("/{key:str}", opt=ADMIN)
async def put_schedule(key: str, data: ScheduleBody, caller: Caller, parts: Parts) -> ScheduleView:
    """Create or replace a schedule. A schedule that is paused stays so."""
    return await _store(key, data, None, caller, parts)


@patch("/{key:str}", opt=ADMIN)
async def patch_schedule(key: str, data: dict[str, Any], caller: Caller, parts: Parts) -> ScheduleView:
    """Change some fields (JSON merge patch): null restores the default, and fields that are not named stay."""
    stored = (await _found(key, caller, parts)).schedule
    return await _store(key, patched(body(stored), data), stored, caller, parts)


@delete("/{key:str}", opt=ADMIN)
async def delete_schedule(key: str, caller: Caller, parts: Parts) -> None:
    """Delete a schedule. What it started goes on."""
    if not await parts.services.schedules.delete(caller.tenant, key):
        raise _missing(key)


@post("/{key:str}/pause", opt=SEND, status_code=200)
async def pause_schedule(key: str, caller: Caller, parts: Parts) -> ScheduleView:
    """Start nothing from the answer on."""
    return _view(await parts.services.schedules.pause(caller.tenant, key))


@post("/{key:str}/resume", opt=SEND, status_code=200)
async def resume_schedule(
    key: str, caller: Caller, parts: Parts, data: ScheduleResume | None = None
) -> ScheduleView:
    """Go on with the next occurrence."""
    catch_up = (data or ScheduleResume()).catch_up
    return _view(await parts.services.schedules.resume(caller.tenant, key, catch_up=catch_up))


@post("/{key:str}/skip", opt=SEND, status_code=200)
async def skip_occurrence(
    key: str, caller: Caller, parts: Parts, data: ScheduleSkip | None = None
) -> ScheduleView:
    """Leave out one occurrence to come. You may repeat the call with the same `at`."""
    at = instant_or_none((data or ScheduleSkip()).at)
    return _view(await parts.services.schedules.skip(caller.tenant, key, at))


@post("/{key:str}/run", opt=SEND | ADDS, status_code=202)
async def run_schedule(key: str, caller: Caller, parts: Parts) -> ScheduleStarted:
    """Start the workflow now, beside the occurrences. Also while the schedule is paused."""
    started = await parts.services.schedules.start(caller.tenant, key)
    return ScheduleStarted(event_id=None if started is None else id_text(started.event_id))


@get("/{key:str}/occurrences", opt=READ)
async def list_occurrences(
    key: str, caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[OccurrenceView]:
    """When it occurs, the earliest first. The first page begins with the newest occurrences that are over, at most 20."""
    service = parts.services.schedules
    state = await _found(key, caller, parts)
    # What is due belongs to those to come until it is decided.
    now = parts.clock.now() if state.next is None else min(parts.clock.now(), state.next.at - 1)
    after = Instant(cursor.after(int(now)))
    found = service.to_come(caller.tenant, state, after, limit) if state.paused_at is None else []
    following = found[-1].at if len(found) == limit else None
    shown = found if cursor else [*_past(state), *(one for one in found if _is_new(one, state))]
    return Page(items=[_occurrence(one) for one in shown], next_cursor=cursor.to(following))


def _past(state: ScheduleState) -> list[Occurrence]:
    """Those that are over. One whose event is not accepted yet is still to come."""
    firing = {one.at for one in state.firing}
    planned = Outcome.PLANNED
    return [msgspec.structs.replace(one, outcome=planned) if one.at in firing else one for one in state.past]


def _is_new(one: Occurrence, state: ScheduleState) -> bool:
    return all(one.at != past.at for past in state.past)


async def _found(key: str, caller: Identity, parts: ApiParts) -> ScheduleState:
    state = await parts.services.schedules.get(caller.tenant, key)
    if state is None:
        raise _missing(key)
    return state


def _missing(key: str) -> NotFound:
    return NotFound(f"There is no schedule {key!r}.")


async def _store(
    key: str, body: ScheduleBody, made_from: Schedule | None, caller: Identity, parts: ApiParts
) -> ScheduleView:
    validation.check_key(key, "#/key")
    check_all(
        partial(validation.check_recipient, recipient, f"#/recipients/{index}")
        for index, recipient in enumerate(body.recipients)
    )
    fields = msgspec.structs.asdict(body) | {
        "name": body.name or "",
        "starts_at": instant_or_none(body.starts_at),
        "ends_at": instant_or_none(body.ends_at),
    }
    schedule = Schedule(key=key, **fields)
    try:
        return _view(await parts.services.schedules.put(caller.tenant, schedule, made_from))
    except UnknownReference as wrong:
        await suggest(parts.ledger.directory, caller.tenant, (wrong,))
        raise


def body(schedule: Schedule) -> ScheduleBody:
    """The schedule as it can be sent back."""
    fields = msgspec.structs.asdict(schedule) | {
        "name": schedule.name or None,
        "starts_at": moment_or_none(schedule.starts_at),
        "ends_at": moment_or_none(schedule.ends_at),
    }
    del fields["key"]
    return ScheduleBody(**fields)


def _view(state: ScheduleState) -> ScheduleView:
    schedule, found = state.schedule, state.next
    fired = [one.at for one in _past(state) if one.outcome is Outcome.FIRED]
    fields = msgspec.structs.asdict(schedule) | {
        "name": schedule.name or None,
        "starts_at": text_or_none(schedule.starts_at),
        "ends_at": text_or_none(schedule.ends_at),
    }
    return ScheduleView(
        **fields,
        next_at=None if found is None else rfc3339(found.at),
        next_local=None if found is None else found.local,
        last_at=rfc3339(fired[-1]) if fired else None,
        paused_at=text_or_none(state.paused_at),
        created_at=rfc3339(state.created_at),
        updated_at=rfc3339(state.updated_at),
    )


def _occurrence(one: Occurrence) -> OccurrenceView:
    return OccurrenceView(
        at=rfc3339(one.at),
        local=one.local,
        outcome=one.outcome,
        event_id=None if one.event_id is None else id_text(one.event_id),
        error=one.error,
    )


router = Router(
    "/v1/schedules",
    route_handlers=[
        list_schedules,
        get_schedule,
        put_schedule,
        patch_schedule,
        delete_schedule,
        pause_schedule,
        resume_schedule,
        skip_occurrence,
        run_schedule,
        list_occurrences,
    ],
    opt=one("schedule"),
    tags=["Schedules"],
)
