"""`send`: messages over channels, at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clarion.model.message import Message
from clarion.model.setup import Step
from clarion.model.status import Status
from clarion.rules.steps.kind import StepKind
from clarion.rules.steps.walk import Walk

NOTHING: Mapping[str, Any] = {"status": "", "reason": "", "seen": False, "read": False, "clicked": False}

_FURTHEST = (
    *(Status.DELIVERED, Status.SENT, Status.SENDING, Status.QUEUED, Status.DEFERRED),
    *(Status.BOUNCED, Status.REJECTED, Status.UNDELIVERED, Status.FAILED, Status.DEAD_LETTERED),
    *(Status.THROTTLED, Status.SUPPRESSED, Status.MERGED, Status.CANCELED, Status.EXPIRED),
)


class SendStep(StepKind):
    """Plans messages."""

    fields = ("template", "to")
    needs = fields
    output = NOTHING

    def enter(self, walk: Walk, step: Step, targets: Sequence[int]) -> None:
        """The run does not wait for what becomes of them."""
        messages = list(walk.send(step, walk.name(step), None))
        earlier = walk.messages.get(step.key, ())  # of rounds before this one
        walk.messages[step.key] = (*earlier, *(one.id for one in messages))
        walk.outputs[step.key] = output_of(messages)
        walk.say(step, "sent", messages=len(messages))


def output_of(messages: Iterable[Message]) -> Mapping[str, Any]:
    """What expressions see of a step that sent: the status of the message that came furthest."""
    found = sorted(messages, key=lambda one: _FURTHEST.index(one.status))
    if not found:
        return NOTHING
    return {
        "status": found[0].status.value,
        "reason": found[0].reason.value if found[0].reason is not None else "",
        "seen": any(one.seen_at is not None for one in found),
        "read": any(one.read_at is not None for one in found),
        "clicked": any(one.clicked_at is not None for one in found),
    }
