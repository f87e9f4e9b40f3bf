"""Bulk operations: work on many things that one call asked for, and its progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from enum import StrEnum
from typing import Literal, NewType

import msgspec

from clarion.model.ids import Instant, MessageId, TenantId
from clarion.model.message import MessageFilter
from clarion.model.run import RunFilter

OperationId = NewType("OperationId", bytes)


class OperationKind(StrEnum):
    """What is done to each."""

    RETRY_MESSAGES = "messages.retry"
    CANCEL_MESSAGES = "messages.cancel"
    RETRY_RUNS = "runs.retry"
    CANCEL_RUNS = "runs.cancel"
    MIGRATE_RUNS = "runs.migrate"

    @property
    def of_runs(self) -> bool:
        """Its items are runs; of the others, messages."""
        return self.value.startswith("runs.")


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


class RunSelection(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs an operation is about."""

    where: RunFilter
    to_version: int | None = None
    """The version of the workflow that they go on with from then."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """Work on all messages or runs that match a filter, newest first, and how far it is."""

    id: OperationId
    tenant: TenantId
    kind: OperationKind
    where: MessageFilter = MessageFilter()
    runs: RunSelection | None = None
    """It is about runs."""
    template_version: Literal["live", "planned"] = "live"
    status: OperationStatus = OperationStatus.QUEUED
    total: int | None = None
    """None until they are counted."""
    done: int = 0
    failed: int = 0
    cursor: bytes | None = None
    """What begins here was gone through."""
    swept: bool = False
    """All were gone through: what is left is what failed and is tried again."""
    created_at: Instant
    updated_at: Instant
    started_at: Instant | None = None
    finished_at: Instant | None = None


class OperationFilter(msgspec.Struct, frozen=True, kw_only=True):
    """All given fields must match."""

    kind: OperationKind | None = None
    statuses: frozenset[OperationStatus] = frozenset()
    since: Instant | None = None
    before: Instant | None = None


class OperationError(msgspec.Struct, frozen=True, kw_only=True):
    """A message or a run that an operation could not do."""

    index: int
    """Its place in the order in which they were gone through, from 0."""
    item_id: bytes
    code: Literal["conflict", "not_found", "internal"]
    detail: str


class OperationStep(msgspec.Struct, frozen=True, kw_only=True):
    """The next part of an operation."""

    ids: Sequence[bytes]
    following: bytes | None = None
    """Where the part behind it begins; None: this is the last one."""
    at: Instant
    versions: Mapping[str, int] = {}
    """As for `MessageRecords.requeue`."""
    begun: Set[MessageId] = frozenset()
    """As for `MessageRecords.cancel`."""
    left: Mapping[bytes, str] = {}
    """Runs that were left as they are, and why; the others are done before the step is counted."""
    total: int | None = None
    """How many there are, once they were counted."""
    broken: bool = False
    """It cannot be done because of an error of ours: all of it failed."""

    @property
    def messages(self) -> list[MessageId]:
        """Its ids, where they are those of messages."""
        return [MessageId(one) for one in self.ids]


class OperationProgress(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a step."""

    operation: Operation
    moved: frozenset[MessageId] = frozenset()
    """The messages that were changed, the later channels of a ladder among them."""
