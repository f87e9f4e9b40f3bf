"""`experiment`: arms, to which users are assigned by a hash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

import msgspec

from clarion.model.setup import Step
from clarion.rules.expressions import ExpressionError
from clarion.rules.match import closest
from clarion.rules.steps.kind import Asked, StepFault, StepKind
from clarion.rules.steps.walk import Advance, Walk
from clarion.rules.weighted_choice import choose

ARMS = 10


class ExperimentStep(StepKind):
    """Assigns an arm."""

    fields = ("arms", "by", "holdout")
    needs = ("arms",)
    output = {"arm": ""}

    def expressions(self, step: Step) -> Iterable[Asked]:
        """What users are assigned by."""
        if step.by is not None:
            yield Asked("/by", step.by, condition=False)

    def faults(self, step: Step, at: str) -> Iterator[StepFault]:
        """Arms that leave no choice, or a holdout that is none of them."""
        if len(step.arms) > ARMS:
            yield StepFault(f"{at}/arms", f"an experiment has at most {ARMS} arms.")
        elif len(step.arms) == 1:
            yield StepFault(f"{at}/arms", "an experiment needs at least two arms.")
        elif step.arms and not any(step.arms.values()):
            yield StepFault(f"{at}/arms", "at least one arm needs a weight above 0.")
        if step.holdout is not None and step.holdout not in step.arms:
            near = closest(step.holdout, step.arms)
            meant = f" Did you mean {near!r}?" if near else ""
            yield StepFault(f"{at}/holdout", f"there is no arm {step.holdout!r}.{meant}")

    def enter(self, walk: Walk, step: Step, targets: Sequence[int]) -> Advance | None:
        """In the arm that gets nothing the run ends."""
        by, result = _assigned_by(walk, step), "assigned"
        if by is None:
            arm, result = next(iter(step.arms)), "unassigned"
        else:
            seed = f"{walk.facts.tenant.id}/{walk.program.workflow.key}/{step.key}/{by}".encode()
            weights = [(name, float(weight)) for name, weight in step.arms.items()]
            arm = choose(weights, blake2b(seed, digest_size=32).digest(), frozenset()) or ""
            if arm == step.holdout:
                result = "held_out"
        walk.outputs[step.key] = {"arm": arm}
        walk.say(step, result, arm=arm, weights=dict(step.arms))
        return walk.end(step.key) if result == "held_out" else None


def _assigned_by(walk: Walk, step: Step) -> str | None:
    """The value behind `by`; None: there is none."""
    if step.by is None:
        return walk.facts.user.id
    try:
        found = walk.value(step.by)
    except ExpressionError as wrong:
        walk.say(step, "error", by=step.by, error=str(wrong))
        return None
    return None if found in (None, "") else msgspec.json.encode(found, order="deterministic").decode()
