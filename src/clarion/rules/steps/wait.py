"""`wait`: until some time has passed, a time has come, or an event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from clarion.model.ids import Instant
from clarion.model.run import RunState
from clarion.model.setup import AwaitedEvent, Since, Step
from clarion.model.status import Reason
from clarion.rules import moments
from clarion.rules.expressions import ExpressionError
from clarion.rules.match import check_pattern
from clarion.rules.moments import Moment, MomentError
from clarion.rules.quiet_hours import local_clock
from clarion.rules.steps.clock import RECIPIENT, zone_faults, zone_for
from clarion.rules.steps.kind import Asked, StepFault, StepKind
from clarion.rules.steps.listening import key_of
from clarion.rules.steps.walk import Advance, Walk

WAYS = ("for_s", "for", "until", "event")
"""What a wait may end by: one of them."""
LONGEST_S = 90 * 86_400
PATIENCE_MS = 30_000
"""How long after its time a run waits for events that were accepted before it and are not planned yet."""
LOOK_AGAIN_MS = 500
"""How long an event is waited for, unless the step says it."""
_CALENDAR = ("timezone", "earliest_s", "at_most_s")


class _Due(NamedTuple):
    """When a wait ends."""

    at: Instant
    inputs: dict[str, Any]
    """What the trace says of it."""


class WaitStep(StepKind):
    """Stops the run."""

    fields = ("for_s", "for_", "until", "event", "since", "timeout_s", *_CALENDAR)
    output = {"matched": False, "event": {}}

    def expressions(self, step: Step) -> Iterable[Asked]:
        """The time that data say, where `until` is no time in words; what tells the event."""
        if step.event is not None:
            yield from of_event(step.event, "/event", reads_steps=step.since is Since.STEP)
        if step.until is not None and not moments.in_words(step.until):
            yield Asked("/until", step.until, condition=False)

    def faults(self, step: Step, at: str) -> Iterator[StepFault]:
        """Not exactly one way to end, or a time that is none."""
        given = [
            name
            for name, value in zip(WAYS, (step.for_s, step.for_, step.until, step.event), strict=True)
            if value is not None
        ]
        if not given:
            detail = "a step of type `wait` needs one of `for_s`, `for`, `until` and `event`."
            yield StepFault(at, detail, "missing")
        for more in given[1:]:
            yield StepFault(f"{at}/{more}", f"a wait has one of `{given[0]}` and `{more}`, not both.")
        yield from _of_another_way(step, at)
        if step.event is not None and (wrong := check_pattern(step.event.type)) is not None:
            yield StepFault(f"{at}/event/type", f"{wrong}.")
        try:
            _moment(step)
        except MomentError as wrong:
            yield StepFault(f"{at}/{given[0]}", f"{wrong}.")
        yield from zone_faults(step, at)
        if step.earliest_s is not None and step.at_most_s is not None and step.earliest_s > step.at_most_s:
            yield StepFault(f"{at}/at_most_s", "`at_most_s` is at least `earliest_s`.")

    def enter(self, walk: Walk, step: Step, targets: Sequence[int]) -> Advance | None:
        """It counts from when it is reached. A time that has passed is over at once, and so is an event that has come."""
        if step.event is not None:
            return _listen(walk, step, step.event)
        try:
            due = _due(walk, step, walk.anchor)
        except (ExpressionError, MomentError) as wrong:
            return walk.fail(step, Reason.EXPRESSION_ERROR, until=step.until, error=str(wrong))
        if due is None:
            return walk.fail(step, Reason.NEVER, until=step.until or step.for_)
        if due.at <= walk.now:
            walk.say(step, "over", due_at=due.at, **due.inputs)
            return None
        return walk.wait(step, due.at, anchor=walk.anchor, zoned=_zoned(step), **due.inputs)

    def resume(self, walk: Walk, step: Step, state: RunState) -> Advance | None:
        """Where its user has moved to another zone, or its run to another version, the time is that of the new one; when it has
        passed, the wait is over."""
        if step.event is not None:
            return _listened(walk, step, state)
        due = _Due(state.due_at, {})
        if (state.zoned or state.recount) and state.anchor is not None:
            due = _due(walk, step, state.anchor) or due
        if walk.now >= due.at:
            walk.say(step, "over", late_ms=walk.now - due.at)
            return None
        if due.at == state.due_at:
            return walk.still(state)
        return walk.wait(step, due.at, anchor=state.anchor, zoned=_zoned(step), **due.inputs)


def of_event(awaited: AwaitedEvent, place: str, *, reads_steps: bool = False) -> Iterable[Asked]:
    """What tells the event that is awaited from others."""
    if awaited.match is not None:
        yield Asked(f"{place}/match", awaited.match, arriving=True, reads_steps=reads_steps)
    if awaited.by is not None:
        yield Asked(f"{place}/by", awaited.by, condition=False, reads_steps=False)


def _of_another_way(step: Step, at: str) -> Iterator[StepFault]:
    """Fields that go with another way to end."""
    calendar = step.for_ is not None or step.until is not None
    for name in () if calendar else _CALENDAR:
        if getattr(step, name) not in (None, RECIPIENT):
            yield StepFault(f"{at}/{name}", f"`{name}` goes with `for` and `until`.")
    for name in ("timeout_s", "since") if step.event is None else ():
        if getattr(step, name) not in (None, Since.RUN):
            yield StepFault(f"{at}/{name}", f"`{name}` goes with `event`.")


def _listen(walk: Walk, step: Step, awaited: AwaitedEvent) -> Advance | None:
    """Until the event comes, or the time is over. Where everything behind has expired before, until then."""
    try:
        key_of(walk, awaited)
    except ExpressionError as wrong:
        return walk.fail(step, Reason.KEY_MISSING, by=awaited.by, error=str(wrong))
    if step.key in walk.early:
        _matched(walk, step)
        return None
    walk.outputs[step.key] = WaitStep.output
    due_at = _until(walk, step, walk.anchor)
    return walk.wait(step, due_at, anchor=walk.anchor, event_type=awaited.type)


def _until(walk: Walk, step: Step, anchor: Instant) -> Instant:
    """Until when an event is waited for."""
    due_at = Instant(anchor + (step.timeout_s or LONGEST_S) * 1_000)
    expires_at = walk.facts.expires_at
    return Instant(expires_at - 1) if expires_at is not None and walk.now < expires_at <= due_at else due_at


def _listened(walk: Walk, step: Step, state: RunState) -> Advance | None:
    """One of the two ends it: the event, or the time."""
    if step.key in walk.early:
        _matched(walk, step)
        return None
    due_at = state.due_at
    if state.recount and state.anchor is not None:
        due_at = _until(walk, step, state.anchor)
    state = msgspec.structs.replace(state, due_at=due_at)
    if walk.now < due_at:
        return walk.still(state)
    known = walk.facts.planned_until
    if known is not None and known < due_at and walk.now < due_at + PATIENCE_MS:
        return walk.still(state, look_at=Instant(walk.now + LOOK_AGAIN_MS))
    walk.say(step, "timed_out", late_ms=walk.now - due_at)
    return None


def _matched(walk: Walk, step: Step) -> None:
    event = walk.early.pop(step.key)
    walk.outputs[step.key] = {"matched": True, "event": event}
    walk.say(step, "over", event=event["id"])


def _zoned(step: Step) -> bool:
    """Its time goes by the clock of the user."""
    return step.for_s is None and step.timezone == RECIPIENT


def _due(walk: Walk, step: Step, anchor: Instant) -> _Due | None:
    """None: never. Raises ExpressionError and MomentError."""
    if step.for_s is not None:
        return _Due(Instant(anchor + step.for_s * 1_000 + jitter(walk, step)), {})
    zone = zone_for(step, walk.facts.user, walk.facts.tenant)
    at = _instant(walk, step, zone, anchor)
    latest = None if step.at_most_s is None else Instant(anchor + step.at_most_s * 1_000)
    if at is None:
        at = latest
    elif at > anchor:
        at = Instant(at + jitter(walk, step))
    if at is None:
        return None
    if latest is not None:
        at = min(at, latest)
    said = {"until": step.until or step.for_, "timezone": zone, "local": local_clock(zone, at)}
    return _Due(at, said)


def _instant(walk: Walk, step: Step, zone: str, anchor: Instant) -> Instant | None:
    earliest_ms = (step.earliest_s or 0) * 1_000
    moment = _moment(step)
    if moment is not None:
        return moments.instant_of(moment, zone, anchor, earliest_ms)
    at = moments.given(walk.value(step.until or ""), zone)
    return max(at, Instant(anchor + earliest_ms)) if earliest_ms else at


def _moment(step: Step) -> Moment | None:
    """The time that the document says; None: data say it. Raises MomentError."""
    if step.for_ is not None:
        return moments.period(step.for_)
    return moments.parsed(step.until) if step.until is not None and moments.in_words(step.until) else None


def jitter(walk: Walk, step: Step) -> int:
    """How many milliseconds later than its time a step wakes the run: another number for every run, always the same."""
    most_ms = walk.program.workflow.jitter_s * 1_000
    if not most_ms:
        return 0
    drawn = blake2b(step.key.encode(), key=walk.facts.run, digest_size=8).digest()
    return int.from_bytes(drawn, "big") % most_ms
