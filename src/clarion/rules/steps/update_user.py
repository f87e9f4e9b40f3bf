"""`update_user`: attributes of the user change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from clarion.model.setup import Step
from clarion.rules.steps.call import CallStep
from clarion.rules.steps.kind import Asked, StepFault
from clarion.rules.steps.walk import Walk

ATTRIBUTES = 20
"""Changed by one step."""


class UpdateUserStep(CallStep):
    """Sets attributes to the values of expressions, and takes others away."""

    fields = ("set_", "unset")

    def expressions(self, step: Step) -> Iterable[Asked]:
        """The new values."""
        for name, source in step.set_.items():
            yield Asked(f"/set/{name.replace('~', '~0').replace('/', '~1')}", source, condition=False)

    def faults(self, step: Step, at: str) -> Iterator[StepFault]:
        """Nothing to change, too much, or an attribute that is both set and taken away."""
        if not step.set_ and not step.unset:
            yield StepFault(at, "a step of type `update_user` needs `set` or `unset`.", "missing")
        if len(step.set_) + len(step.unset) > ATTRIBUTES:
            yield StepFault(at, f"a step changes at most {ATTRIBUTES} attributes.")
        for number, name in enumerate(step.unset):
            if name in step.set_:
                yield StepFault(f"{at}/unset/{number}", f"the attribute {name!r} is set by the same step.")

    def request(self, walk: Walk, step: Step) -> Mapping[str, Any]:
        """The attributes with their values."""
        return {
            "set": {name: walk.value(source) for name, source in step.set_.items()},
            "unset": list(step.unset),
        }
