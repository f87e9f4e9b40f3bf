"""All types of steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clarion.model.setup import Step, StepType
from clarion.rules.steps.ask import AskStep
from clarion.rules.steps.branch import BranchStep
from clarion.rules.steps.digest import DigestStep
from clarion.rules.steps.experiment import ExperimentStep
from clarion.rules.steps.fetch import FetchStep
from clarion.rules.steps.generate import GenerateStep
from clarion.rules.steps.kind import Asked, StepKind
from clarion.rules.steps.repeat import RepeatStep
from clarion.rules.steps.send import SendStep
from clarion.rules.steps.throttle import ThrottleStep
from clarion.rules.steps.trigger import TriggerStep
from clarion.rules.steps.update_user import UpdateUserStep
from clarion.rules.steps.wait import WaitStep

KINDS: Mapping[StepType, StepKind] = {
    StepType.SEND: SendStep(),
    StepType.WAIT: WaitStep(),
    StepType.BRANCH: BranchStep(),
    StepType.EXPERIMENT: ExperimentStep(),
    StepType.THROTTLE: ThrottleStep(),
    StepType.DIGEST: DigestStep(),
    StepType.UPDATE_USER: UpdateUserStep(),
    StepType.TRIGGER: TriggerStep(),
    StepType.ASK: AskStep(),
    StepType.REPEAT: RepeatStep(),
    StepType.FETCH: FetchStep(),
    StepType.GENERATE: GenerateStep(),
}


def expressions(step: Step) -> Iterable[Asked]:
    """The expressions of a step alone."""
    if step.when is not None:
        yield Asked("/when", step.when)
    yield from KINDS[step.type].expressions(step)
