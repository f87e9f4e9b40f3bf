"""What a schedule does when it is looked at: which occurrences fire, and which are missed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice, takewhile

from msgspec.structs import replace

from clarion.errors import InvalidInput
from clarion.model.ids import EventId, Instant
from clarion.model.schedule import CatchUp, Occurrence, Outcome, ScheduleState
from clarion.rules.recurrence import following, occurrences

ON_TIME_MS = 60_000
"""An occurrence that fires within this time is not late."""
MOST_LATE = 10
"""Occurrences that `catch_up: all` fires late at most."""
PAST = 20
"""Occurrences that are kept."""
MOST_LISTED = 1_000
"""How far ahead an occurrence can be skipped."""


def due(
    state: ScheduleState, zone: str, now: Instant, event_id: Callable[[Occurrence], EventId]
) -> ScheduleState:
    """The schedule after everything until `now` was decided: what fires is in `firing`, each with the id of its event.
    The same object when nothing is due. `zone`: the tenant's."""
    if state.next is None or state.next.at > now:
        return state
    schedule = state.schedule
    within = 0 if schedule.catch_up is CatchUp.SKIP else schedule.catch_up_within_s * 1_000
    since = max(state.next.at, Instant(now - max(within, ON_TIME_MS)))
    missed = list(islice(_between(state, zone, state.next.at, Instant(since - 1)), PAST))
    found = list(_between(state, zone, since, now))
    fires = _firing([one for one in found if one.at not in state.skipped], schedule.catch_up, now)
    past = [replace(one, outcome=Outcome.MISSED) for one in missed]
    firing = []
    for one in found:
        if one.at in state.skipped:
            past.append(replace(one, outcome=Outcome.SKIPPED))
        elif one.at in fires:
            firing.append(replace(one, outcome=Outcome.FIRED, event_id=event_id(one)))
            past.append(firing[-1])
        else:
            past.append(replace(one, outcome=Outcome.MISSED))
    return replace(
        state,
        next=following(schedule, zone, state.created_at, now),
        firing=tuple(firing),
        skipped=tuple([at for at in state.skipped if at > now]),
        past=(*state.past, *past)[-PAST:],
    )


def paused(state: ScheduleState, zone: str, now: Instant) -> ScheduleState:
    """The schedule in a pause: what was due and is not decided yet is missed."""
    due_before = () if state.next is None else islice(_between(state, zone, state.next.at, now), PAST)
    missed = [replace(one, outcome=Outcome.MISSED) for one in due_before]
    return replace(state, paused_at=now, next=None, past=(*state.past, *missed)[-PAST:])


def after_pause(state: ScheduleState, zone: str, now: Instant, *, catch_up: bool) -> ScheduleState:
    """The schedule when it goes on: from its pause if something of that is to be caught up, else from now."""
    since = state.paused_at if catch_up and state.paused_at is not None else now
    found = following(state.schedule, zone, state.created_at, since)
    return replace(state, paused_at=None, next=found)


def without(state: ScheduleState, zone: str, now: Instant, at: Instant | None) -> ScheduleState:
    """The schedule without an occurrence to come; None: without the next one that is not left out yet."""
    to_come = islice(occurrences(state.schedule, zone, state.created_at, now), MOST_LISTED)
    found = next(
        (one for one in to_come if (one.at == at if at is not None else one.at not in state.skipped)),
        None,
    )
    if found is None:
        raise InvalidInput(
            "nothing occurs at this time: see GET /v1/schedules/{key}/occurrences.", pointer="#/at"
        )
    if found.at in state.skipped:
        return state
    return replace(state, skipped=tuple(sorted((*state.skipped, found.at))))


def _between(state: ScheduleState, zone: str, first: Instant, last: Instant) -> Iterator[Occurrence]:
    found = occurrences(state.schedule, zone, state.created_at, Instant(first - 1))
    return takewhile(lambda one: one.at <= last, found)


def _firing(found: list[Occurrence], catch_up: CatchUp, now: Instant) -> set[Instant]:
    if catch_up is CatchUp.ONCE:
        return {one.at for one in found[-1:]}
    if catch_up is CatchUp.ALL:
        return {one.at for one in found[-MOST_LATE:]}
    return {one.at for one in found if one.at >= now - ON_TIME_MS}
