"""`trigger`: another workflow starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from clarion.model.ids import id_text
from clarion.model.run import StepCall
from clarion.model.setup import Step
from clarion.model.status import Reason
from clarion.rules.expressions import ExpressionError
from clarion.rules.steps.call import CallStep
from clarion.rules.steps.kind import Asked
from clarion.rules.steps.walk import Advance, Walk

RECIPIENTS = 1_000
DATA_BYTES = 65_536
HOPS = 5
"""Workflows that start one another."""


class TriggerStep(CallStep):
    """Starts a workflow for the same user or for others."""

    fields = ("workflow", "recipients", "data")
    needs = ("workflow",)
    output = {"ok": False, "event_id": "", "recipients": 0}

    def expressions(self, step: Step) -> Iterable[Asked]:
        """Who, and with what."""
        for name, source in (("recipients", step.recipients), ("data", step.data)):
            if source is not None:
                yield Asked(f"/{name}", source, condition=False)

    def enter(self, walk: Walk, step: Step, targets: Sequence[int]) -> Advance | None:
        """Workflows that start one another come to an end."""
        if walk.facts.event.hops >= HOPS:
            walk.outputs[step.key] = self.output
            return walk.fail(step, Reason.TRIGGER_DEPTH, hops=HOPS)
        return super().enter(walk, step, targets)

    def request(self, walk: Walk, step: Step) -> Mapping[str, Any]:
        """The event it starts with."""
        data = None if step.data is None else walk.value(step.data)
        if data is not None and not isinstance(data, dict):
            raise ExpressionError("`data` is no map")
        if data is not None and len(msgspec.json.encode(data)) > DATA_BYTES:
            raise ExpressionError(f"`data` has more than {DATA_BYTES:,} bytes")
        return {"workflow": step.workflow, "recipients": _recipients(walk, step), "data": data}

    def gives(self, call: StepCall) -> Mapping[str, Any]:
        """Its event has the id of the call."""
        return {"event_id": id_text(call.id), "recipients": len(call.request["recipients"])}

    def tells(self, call: StepCall) -> Mapping[str, Any]:
        """Which workflow, for how many, and its event."""
        return {"workflow": call.request["workflow"], **self.gives(call)}


def _recipients(walk: Walk, step: Step) -> list[str]:
    found = walk.facts.user.id if step.recipients is None else walk.value(step.recipients)
    named = found if isinstance(found, list) else [found]
    if not all(isinstance(one, str) and one for one in named):
        raise ExpressionError("`recipients` is neither a user id nor a list of them")
    if not named:
        raise ExpressionError("`recipients` is empty")
    if len(named) > RECIPIENTS:
        raise ExpressionError(f"`recipients` are more than {RECIPIENTS:,}")
    return list(dict.fromkeys(named))
