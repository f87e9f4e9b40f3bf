"""How bulk operations go on: a store applies these inside the transaction of a step."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Literal, NamedTuple

from msgspec.structs import replace

from clarion.errors import Conflict
from clarion.model.ids import Instant, MessageId
from clarion.model.message import Message
from clarion.model.operation import (
    UPLOADED_WITHIN_MS,
    FileStep,
    Operation,
    OperationKind,
    OperationStatus,
    OperationStep,
    ended,
)
from clarion.model.status import RETRYABLE_BY_HAND, Reason, Status

LINES_KEPT_MS = 7 * 86_400_000
"""How long the lines that failed can be had, and tried again."""
EXPORT_KEPT_MS = 86_400_000
"""How long what was exported can be had."""


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
    if kind is OperationKind.WITHDRAW_MESSAGES:
        if (message.status, message.reason) == (Status.CANCELED, Reason.WITHDRAWN):
            return None
        return StepRefusal("conflict", f"The message is {message.status}: there is nothing to withdraw.")
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


def filed(operation: Operation, step: FileStep) -> Operation:
    """An operation with a file behind a step. Without `file_bytes` its file is to be deleted."""
    after = replace(
        operation,
        status=OperationStatus.RUNNING,
        job=step.job or operation.job,
        total=operation.total if step.total is None else step.total,
        done=operation.done + step.done,
        failed=operation.failed + step.failed,
        cursor=step.cursor or operation.cursor,
        swept=operation.swept or step.swept,
        file_bytes=operation.file_bytes + step.size,
        updated_at=step.at,
        started_at=operation.started_at or step.at,
    )
    if step.close is None:
        return after
    exported = operation.kind is OperationKind.EXPORT_USERS and step.close is not OperationStatus.CANCELED
    until = step.at + (EXPORT_KEPT_MS if exported else LINES_KEPT_MS)
    return replace(
        after,
        status=step.close,
        total=after.total if step.close is OperationStatus.CANCELED else after.done + after.failed,
        uploading=False,
        file_bytes=after.file_bytes if exported else 0,
        file_until=Instant(until) if exported or after.failed else None,
        finished_at=step.at,
    )


def uploaded(operation: Operation, start: int, size: int, at: Instant, *, complete: bool) -> Operation:
    """Behind another piece of its file. Raises Conflict when that does not belong there."""
    if not operation.uploading:
        raise Conflict("The file of this operation is complete: nothing can be added to it.")
    if start != operation.file_bytes:
        raise Conflict(
            f"The file goes on at byte {operation.file_bytes}, not at {start}: send what follows there."
        )
    return replace(
        operation,
        uploading=not complete,
        file_bytes=operation.file_bytes + size,
        file_until=None if complete else Instant(at + UPLOADED_WITHIN_MS),
        updated_at=at,
    )


def outlived(operation: Operation, at: Instant) -> Operation:
    """Behind the time of its file: what is still uploading ends."""
    over = replace(operation, file_bytes=0, file_until=None, uploading=False)
    if operation.finished_at is not None:
        return over
    return replace(over, status=OperationStatus.CANCELED, updated_at=at, finished_at=at)
