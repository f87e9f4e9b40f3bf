"""`branch`: one of several ways."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from clarion.model.setup import Step
from clarion.rules.steps.kind import Asked, StepFault, StepKind
from clarion.rules.steps.walk import Walk

CASES = 20


class BranchStep(StepKind):
    """Leads to the first case that is true."""

    fields = ("cases",)
    needs = fields
    output = {"case": -1}

    def expressions(self, step: Step) -> Iterable[Asked]:
        """The conditions of its cases."""
        for number, case in enumerate(step.cases):
            if case.when is not None:
                yield Asked(f"/cases/{number}/when", case.when)

    def faults(self, step: Step, at: str) -> Iterator[StepFault]:
        """Too many cases, or some that would never run."""
        if len(step.cases) > CASES:
            yield StepFault(f"{at}/cases", f"a branch has at most {CASES} cases.")
        for number, case in enumerate(step.cases[:-1]):
            if case.when is None:
                detail = "only the last case may have no `when`: those behind it would never run."
                yield StepFault(f"{at}/cases/{number}", detail)

    def enter(self, walk: Walk, step: Step, targets: Sequence[int]) -> None:
        """`targets`: where each case begins, and last where none is true."""
        for number, case in enumerate(step.cases):
            if case.when is None or walk.is_true(step, case.when):
                walk.outputs[step.key] = {"case": number}
                walk.say(step, "case", case=number, when=case.when or "")
                walk.at = targets[number]
                return
        walk.outputs[step.key] = {"case": -1}
        walk.say(step, "no_case")
        walk.at = targets[-1]
