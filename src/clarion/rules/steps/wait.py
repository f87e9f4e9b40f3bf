"""`wait`: until some time has passed."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from clarion.model.ids import Instant
from clarion.model.run import RunState
from clarion.model.setup import Step
from clarion.rules.steps.kind import StepKind
from clarion.rules.steps.walk import Advance, Walk


class WaitStep(StepKind):
    """Stops the run."""

    fields = ("for_s",)
    needs = fields

    def enter(self, walk: Walk, step: Step, targets: Sequence[int]) -> Advance:
        """It counts from when it is reached."""
        return walk.wait(step, Instant(walk.anchor + (step.for_s or 0) * 1_000 + jitter(walk, step)))

    def resume(self, walk: Walk, step: Step, state: RunState) -> None:
        """The wait is over."""
        walk.say(step, "over", late_ms=walk.now - state.due_at)


def jitter(walk: Walk, step: Step) -> int:
    """How many milliseconds later than its time a step wakes the run: another number for every run, always the same."""
    most_ms = walk.program.workflow.jitter_s * 1_000
    if not most_ms:
        return 0
    drawn = blake2b(step.key.encode(), key=walk.facts.run, digest_size=8).digest()
    return int.from_bytes(drawn, "big") % most_ms
