"""`throttle`: lets so many runs through in some time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from clarion.model.run import RunState, ThrottleUse
from clarion.model.setup import Step, ThrottleElse, ThrottleWindow
from clarion.model.status import Reason
from clarion.rules.expressions import ExpressionError
from clarion.rules.keys import throttle_slot
from clarion.rules.match import check_pointer
from clarion.rules.steps.keyed import key_by
from clarion.rules.steps.kind import Asked, StepFault, StepKind
from clarion.rules.steps.walk import Advance, Walk


class ThrottleStep(StepKind):
    """Stops the run until the store has counted it, which is at once."""

    fields = ("by", "limit", "per_s", "window", "else_")
    needs = ("limit", "per_s")
    output = {"allowed": True}

    def expressions(self, step: Step) -> Iterable[Asked]:
        """What is counted together, where it is no pointer."""
        if step.by is not None and not step.by.startswith("/"):
            yield Asked("/by", step.by, condition=False)

    def faults(self, step: Step, at: str) -> Iterator[StepFault]:
        """A pointer that is none."""
        if step.by is not None and step.by.startswith("/") and (wrong := check_pointer(step.by)) is not None:
            yield StepFault(f"{at}/by", f"{wrong}.")

    def enter(self, walk: Walk, step: Step, targets: Sequence[int]) -> Advance | None:
        """It is counted when it is reached, and before an event's `send_at` not sooner than then. What is critical passes."""
        if walk.facts.category.critical:
            walk.outputs[step.key] = self.output
            walk.say(step, "critical")
            return None
        return walk.wait(step, walk.anchor) if walk.anchor > walk.now else _count(walk, step)

    def resume(self, walk: Walk, step: Step, state: RunState) -> Advance | None:
        """The store has decided."""
        if walk.now < state.due_at:
            return walk.still(state)
        if state.anchor is None:
            return _count(walk, step)
        walk.outputs[step.key] = {"allowed": walk.facts.passes}
        walk.say(step, "allowed" if walk.facts.passes else "throttled", limit=step.limit, per_s=step.per_s)
        if walk.facts.passes or step.else_ is ThrottleElse.CONTINUE:
            return None
        return walk.end(step.key, reason=Reason.WORKFLOW_THROTTLE)


def _count(walk: Walk, step: Step) -> Advance | None:
    try:
        value = b"" if step.by is None else key_by(walk, step.by)
    except ExpressionError as wrong:
        return walk.fail(step, Reason.KEY_MISSING, by=step.by, error=str(wrong))
    facts = walk.facts
    where = facts.tenant.id, facts.user.no, walk.program.workflow.key, step.key
    use = ThrottleUse(
        slot=throttle_slot(*where, step.by or "", value, facts.hash),
        limit=step.limit or 0,
        per_ms=(step.per_s or 0) * 1_000,
        fixed=step.window is ThrottleWindow.FIXED,
    )
    return walk.wait(step, walk.now, said="counted", anchor=walk.now)._replace(use=use)
