"""`repeat`: steps run again and again, until somebody has acknowledged, or so many times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from clarion.model.ids import Instant
from clarion.model.run import RunState
from clarion.model.setup import Step, StepType, channels_of, every
from clarion.rules.steps.kind import Asked, StepFault, StepKind
from clarion.rules.steps.walk import Advance, Walk

ACKNOWLEDGED, READ = "acknowledged", "read"
"""What `until` may say instead of a condition."""
EXECUTED = 1_000
"""Steps that the rounds of one repetition execute."""
SENDS = 200
"""Messages that they send."""


class RepeatStep(StepKind):
    """Runs its steps, waits, and runs them again."""

    fields = ("steps", "every_s", "at_most", "until")
    needs = fields
    repeatable = False
    output = {"rounds": 0, "by": ""}

    def expressions(self, step: Step) -> Iterable[Asked]:
        """The condition that ends it, which may ask for what its steps left."""
        if step.until not in (None, ACKNOWLEDGED, READ):
            yield Asked("/until", step.until or "", behind=True)

    def faults(self, step: Step, at: str) -> Iterator[StepFault]:
        """More than a run can be asked to do."""
        inside, rounds = list(every(step.steps)), step.at_most or 0
        if rounds * len(inside) > EXECUTED:
            detail = f"{rounds} rounds of {len(inside)} steps are more than {EXECUTED:,}."
            yield StepFault(f"{at}/at_most", detail)
        sends = sum(len(channels_of(one)) for one in inside if one.type is StepType.SEND)
        if rounds * sends > SENDS:
            yield StepFault(f"{at}/at_most", f"{rounds} rounds of {sends} messages are more than {SENDS}.")

    def enter(self, walk: Walk, step: Step, targets: Sequence[int]) -> Advance | None:
        """A round begins, or has come to its end."""
        begin, behind = targets
        if walk.at == behind:
            return self._ended(walk, step)
        if is_over(walk, step):
            return None
        _begin(walk, step, 1, begin)
        return None

    def resume(self, walk: Walk, step: Step, state: RunState) -> Advance | None:
        """The time for another round has come, unless it is over."""
        if walk.now < state.due_at:
            return walk.still(state)
        if (by := _over_by(walk, step)) is not None:
            _leave(walk, step, by)
            return None
        if walk.rounds[step.key] >= (step.at_most or 0):
            _leave(walk, step, "at_most")
            return None
        begin, _ = walk.program.instructions[walk.program.places[step.key]].targets
        _begin(walk, step, walk.rounds[step.key] + 1, begin)
        return None

    def _ended(self, walk: Walk, step: Step) -> Advance | None:
        """A condition is asked for at once."""
        if (by := _over_by(walk, step)) is not None:
            _leave(walk, step, by)
            return None
        return walk.wait(step, Instant(walk.anchor + (step.every_s or 0) * 1_000))


def acknowledgeable(steps: Iterable[Step]) -> frozenset[str]:
    """The keys of the steps that are repeated until somebody acknowledges."""
    return frozenset(
        inner.key
        for step in every(steps)
        if step.type is StepType.REPEAT and step.until == ACKNOWLEDGED
        for inner in every(step.steps)
    )


def is_over(walk: Walk, step: Step) -> bool:
    """Whether somebody has acknowledged what a step belongs to; the run is behind that then."""
    repeat = walk.program.repeats.get(step.key)
    if repeat is None or repeat.until != ACKNOWLEDGED or walk.acknowledged is None:
        return False
    _leave(walk, repeat, ACKNOWLEDGED)
    return True


def _over_by(walk: Walk, step: Step) -> str | None:
    """Why no other round begins; None: one does."""
    if step.until == ACKNOWLEDGED:
        return None  # Whose run is acknowledged is behind it.
    if step.until == READ:
        sent = (one.key for one in every(step.steps) if one.type is StepType.SEND)
        return READ if any(walk.outputs.get(key, {}).get("read") for key in sent) else None
    return "condition" if walk.is_true(step, step.until or "") else None


def _begin(walk: Walk, step: Step, number: int, begin: int) -> None:
    walk.rounds[step.key] = number
    walk.outputs[step.key] = {"rounds": number, "by": ""}
    walk.say(step, "round", round=number, of=step.at_most)
    walk.at = begin


def _leave(walk: Walk, step: Step, by: str) -> None:
    rounds = walk.rounds.get(step.key, 0)
    walk.outputs[step.key] = {"rounds": rounds, "by": by}
    walk.say(step, "repeated", rounds=rounds, by=by)
    walk.at = walk.program.places[step.key] + 1
