"""The base of steps that have something done outside of the plan, and go on with what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clarion.model.run import CallResult, RunState, StepCall
from clarion.model.setup import Step
from clarion.model.status import Reason
from clarion.model.user import User
from clarion.rules.expressions import ExpressionError
from clarion.rules.steps.kind import StepKind
from clarion.rules.steps.walk import Advance, Walk


class CallStep(StepKind):
    """Stops the run until something is done. What it asks for has the values of the moment when it is reached, so that it is
    the same however often it is done."""

    output: Mapping[str, Any] = {"ok": False}

    def request(self, walk: Walk, step: Step) -> Mapping[str, Any]:
        """What is asked for, as JSON. Raises ExpressionError."""
        raise NotImplementedError

    def assumed(self, call: StepCall, user: User) -> tuple[CallResult, User]:
        """What comes of it where it is only rehearsed and nothing fails, and the user as they are then."""
        return CallResult(output=self.gives(call), told=self.tells(call)), user

    def gives(self, call: StepCall) -> Mapping[str, Any]:
        """What expressions see once it is done."""
        return {}

    def tells(self, call: StepCall) -> Mapping[str, Any]:
        """What the explanation says of it, whatever comes of it."""
        return {}

    def enter(self, walk: Walk, step: Step, targets: Sequence[int]) -> Advance | None:
        """It is asked for once; an expression without a value is a failure of the step."""
        walk.outputs[step.key] = self.output
        try:
            request = self.request(walk, step)
        except ExpressionError as wrong:
            return walk.fail(step, Reason.EXPRESSION_ERROR, error=str(wrong))
        return walk.call(step, request)

    def resume(self, walk: Walk, step: Step, state: RunState) -> Advance | None:
        """With what came of it."""
        result = walk.facts.result
        if result is None:
            return walk.still(state)
        walk.outputs[step.key] = {**self.output, **result.output, "ok": result.reason is None}
        if result.reason is not None:
            return walk.fail(step, result.reason, **result.told)
        walk.say(step, "done", **result.told)
        return None
