"""Work on many things at once, asked for in one call: what it can be, and where it is."""

from __future__ import annotations

from enum import StrEnum
from typing import NewType

OperationId = NewType("OperationId", bytes)


class OperationKind(StrEnum):
    """What is done to each."""

    RETRY_MESSAGES = "messages.retry"
    CANCEL_MESSAGES = "messages.cancel"


class OperationStatus(StrEnum):
    """Where an operation is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTLY_FAILED = "partly_failed"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def is_finished(self) -> bool:
        """Nothing more is done, unless somebody asks for it."""
        return self not in (OperationStatus.QUEUED, OperationStatus.RUNNING)

    @property
    def has_failures(self) -> bool:
        """What failed may be tried again."""
        return self in (OperationStatus.PARTLY_FAILED, OperationStatus.FAILED)


def ended(done: int, failed: int) -> OperationStatus:
    """The status of an operation that went through everything."""
    if not failed:
        return OperationStatus.SUCCEEDED
    return OperationStatus.PARTLY_FAILED if done else OperationStatus.FAILED
