"""The base of steps that have something done outside of the plan, and go on with what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

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
    outside = False
    """It is done by a service of somebody else, which may be slow or away."""

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

    def within_s(self, step: Step) -> int | None:
        """How long it is tried; None: until it is done."""
        return None

    def instead(self, step: Step) -> Mapping[str, Any] | None:
        """What expressions see when it cannot be done; None: the step has failed then."""
        return None

    def enter(self, walk: Walk, step: Step, targets: Sequence[int]) -> Advance | None:
        """It is asked for once; an expression without a value is a failure of the step."""
        try:
            request = self.request(walk, step)
        except ExpressionError as wrong:
            return self._over(
                walk, step, CallResult(reason=Reason.EXPRESSION_ERROR, told={"error": str(wrong)})
            )
        walk.outputs[step.key] = self.output
        return walk.call(step, request, self.within_s(step))

    def resume(self, walk: Walk, step: Step, state: RunState) -> Advance | None:
        """With what came of it."""
        result = walk.facts.result
        if result is None or state.call is None:
            return walk.still(state)
        if result.again_at is None:
            return self._over(walk, step, result)
        call = replace(state.call, attempts=result.attempts)
        said = "repeats" if call.attempts > state.call.attempts else "queues"
        return walk.wait(step, result.again_at, said=said, call=call, **result.told)

    def _over(self, walk: Walk, step: Step, result: CallResult) -> Advance | None:
        instead = self.instead(step)
        walk.outputs[step.key] = {
            **self.output,
            **(instead or {}),
            **result.output,
            "ok": result.reason is None,
        }
        if result.reason is None:
            walk.say(step, "done", **result.told)
            return None
        if instead is None:
            return walk.fail(step, result.reason, **result.told)
        walk.say(step, "fallback", reason=result.reason.value, **result.told)
        return None
