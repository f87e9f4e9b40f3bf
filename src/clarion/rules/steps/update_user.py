"""`update_user`: attributes of the user change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from clarion.model.run import CallResult, StepCall
from clarion.model.setup import Step
from clarion.model.user import Profile, User
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

    def tells(self, call: StepCall) -> Mapping[str, Any]:
        """Names of attributes, never values."""
        return {"set": sorted(call.request["set"]), "unset": list(call.request["unset"])}

    def assumed(self, call: StepCall, user: User) -> tuple[CallResult, User]:
        """Steps behind it see the attributes."""
        result, _ = super().assumed(call, user)
        return result, replace(user, profile=updated(user.profile, call))


def updated(profile: Profile, call: StepCall) -> Profile:
    """The profile with the values of the moment when the step was reached: set again, they are the same."""
    kept = {name: one for name, one in profile.attributes.items() if name not in call.request["unset"]}
    return replace(profile, attributes={**kept, **call.request["set"]})
