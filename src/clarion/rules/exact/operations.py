"""How bulk operations go on: a store applies these inside the transaction of a step."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Literal, NamedTuple

from msgspec.structs import replace

from clarion.model.ids import Instant, MessageId
from clarion.model.message import Message
from clarion.model.operation import Operation, OperationKind, OperationStatus, OperationStep, ended
from clarion.model.status import RETRYABLE_BY_HAND, Status


class StepRefusal(NamedTuple):
    """Why a message is not where an operation wanted it."""

    code: Literal["conflict", "not_found", "internal"]
    detail: str


_BROKEN = StepRefusal(
    "internal", "It was stopped by an error of ours, which the log tells; retry what failed."
)


def refused(
    operation: Operation, step: OperationStep, moved: Set[MessageId], stored: Mapping[MessageId, Message]
) -> Mapping[bytes, StepRefusal]:
    """Those of the step that are not where they were to go, by whoever's hand. `stored`: messages as they are now, those that
    were not moved."""
    if operation.runs is not None:
        if step.broken:
            return dict.fromkeys(step.ids, _BROKEN)
        return {one: StepRefusal("conflict", why) for one, why in step.left.items()}
    left = [MessageId(one) for one in step.ids if one not in moved]
    judged = [(one, _refusal(operation.kind, stored.get(one), step)) for one in left]
    return {one: refusal for one, refusal in judged if refusal is not None}


def _refusal(kind: OperationKind, message: Message | None, step: OperationStep) -> StepRefusal | None:
    if message is None:
        return StepRefusal("not_found", "The message does not exist any more.")
    if step.broken:
        return _BROKEN
    if kind is OperationKind.RETRY_MESSAGES:
        gone = message.status not in RETRYABLE_BY_HAND
        return (
            None if gone else StepRefusal("conflict", f"The message is {message.status}: it was not retried.")
        )
    if message.status is Status.CANCELED:
        return None
    why = "Its call has begun" if message.id in step.begun else f"The message is {message.status}"
    return StepRefusal("conflict", f"{why}: only what has not started to be sent can be canceled.")


def stepped(operation: Operation, step: OperationStep, *, done: int, failed: int) -> Operation:
    """Behind a step by which so many more are done, and so many more (or, tried again, fewer) failed."""
    return replace(
        operation,
        status=OperationStatus.RUNNING,
        total=step.total if operation.total is None else operation.total,
        done=operation.done + done,
        failed=operation.failed + failed,
        cursor=step.following or operation.cursor,
        swept=operation.swept or step.following is None,
        updated_at=step.at,
        started_at=operation.started_at or step.at,
    )


def closed(operation: Operation, at: Instant) -> Operation:
    """Nothing is left of it, or it was canceled."""
    if operation.status is OperationStatus.CANCELED:
        return replace(operation, finished_at=at)
    return replace(
        operation,
        status=ended(operation.done, operation.failed),
        # What was counted before may have moved by itself meanwhile.
        total=operation.done + operation.failed,
        updated_at=at,
        finished_at=at,
    )
