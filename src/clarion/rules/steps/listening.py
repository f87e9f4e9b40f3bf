"""What a run listens for while it waits, and what it makes of the events that come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

import msgspec

from clarion.model.event import Event
from clarion.model.ids import Instant
from clarion.model.run import EventWait, RunState, RunStatus
from clarion.model.setup import AwaitedEvent, Since, Step, StepType
from clarion.model.status import Reason
from clarion.rules.expressions import ExpressionError, compiled
from clarion.rules.keys import signal_key
from clarion.rules.steps.walk import Advance, Walk, event_variables
from clarion.rules.time_format import rfc3339

LONGEST_MS = 400 * 86_400_000
"""A run listens no longer."""
LARGEST = 16_384
"""Bytes of the data of an event that steps can ask for."""

_decode = msgspec.json.Decoder().decode


class _Listener(NamedTuple):
    """A step of a run, or its workflow, that listens."""

    step: Step
    """For the workflow: one that stands for it."""
    event: AwaitedEvent
    key: bytes
    since: Instant
    until: Instant
    ends: Reason | None = None
    """Why the run is over when the event comes; None: the step is."""


def value_of(awaited: AwaitedEvent, event: Event) -> Any:
    """What the events that `by` brings together have in common. Raises ExpressionError."""
    if awaited.by is None:
        return None
    data = _decode(event.data)
    found = compiled(awaited.by, ("data", "event")).value({"data": data, "event": event_variables(event)})
    if found in (None, ""):
        raise ExpressionError("its value is empty")
    return found


def heard(walk: Walk, state: RunState) -> Advance | None:
    """Look at what has come while the run waited: where the run ends by it. What a step waits for is kept for it."""
    listeners = [*_listeners(walk, state)]
    for wake, event in sorted(walk.facts.wakes, key=lambda one: (one[0].at, one[0].event_id)):
        if event is None or event.id == walk.facts.event.id:
            continue
        for one in listeners:
            fits = one.key == wake.key and one.since <= wake.at < one.until
            if not fits or one.step.key in walk.early or not _matches(walk, one, event):
                continue
            said = {"event": event_variables(event)["id"], "event_type": event.type}
            if one.ends is not None:
                walk.say(one.step, "ended", reason=one.ends.value, **said)
                status = RunStatus.FINISHED if one.ends is Reason.SUCCESS_EVENT else RunStatus.CANCELED
                planned = tuple(chain.from_iterable(walk.messages.values()))
                return walk.end(state.step, status, one.ends)._replace(stops=planned)
            walk.early[one.step.key] = _kept(event)
            walk.say(one.step, "matched", **said)
    return None


def waits(walk: Walk, state: RunState) -> tuple[EventWait, ...]:
    """What the run listens for while it waits so."""
    found: dict[bytes, EventWait] = {}
    for one in _listeners(walk, state):
        since, until = one.since, one.until
        if (before := found.get(one.key)) is not None:
            since, until = min(since, before.since), max(until, before.until)
        found[one.key] = EventWait(key=one.key, since=since, until=until)
    return tuple(found.values())


def key_of(walk: Walk, awaited: AwaitedEvent) -> bytes:
    """Raises ExpressionError when there is no value to listen by."""
    facts = walk.facts
    return signal_key(facts.tenant.id, awaited, facts.user.no, value_of(awaited, facts.event), facts.hash)


def _listeners(walk: Walk, state: RunState) -> Iterator[_Listener]:
    workflow, began = walk.program.workflow, walk.facts.event.at
    furthest = Instant(began + LONGEST_MS)
    ends = [("success_event", workflow.success_event, Reason.SUCCESS_EVENT)]
    ends += [(f"stop_on/{number}", one, Reason.STOP_EVENT) for number, one in enumerate(workflow.stop_on)]
    for name, awaited, reason in ends:
        if awaited is not None and (key := _key(walk, awaited)) is not None:
            yield _Listener(Step(key=name, type=StepType.WAIT), awaited, key, began, furthest, reason)
    place = walk.program.places[state.step]
    for step in walk.program.listening:
        if step.event is None or step.key in walk.early or walk.program.places[step.key] < place:
            continue
        here = step.key == state.step
        if (here or step.since is Since.RUN) and (key := _key(walk, step.event)) is not None:
            since = began if step.since is Since.RUN else state.anchor or began
            yield _Listener(step, step.event, key, since, state.due_at if here else furthest)


def _key(walk: Walk, awaited: AwaitedEvent) -> bytes | None:
    try:
        return key_of(walk, awaited)
    except ExpressionError:
        return None  # The step says so when the run comes to it.


def _matches(walk: Walk, one: _Listener, event: Event) -> bool:
    if one.event.match is None:
        return True
    arriving = {**event_variables(event), "data": _decode(event.data)}
    return walk.is_true(one.step, one.event.match, event=arriving)


def _kept(event: Event) -> Mapping[str, Any]:
    """What steps see of it. Data that are too large are left out, and say so."""
    plain = {**event_variables(event), "at": rfc3339(event.at)}
    if len(event.data) > LARGEST:
        return {**plain, "data": {}, "data_too_large": True}
    return {**plain, "data": _decode(event.data), "data_too_large": False}
