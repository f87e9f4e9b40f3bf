"""Bulk operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from clarion.model.ids import Instant, MessageId, TenantId
from clarion.model.operation import (
    FileProgress,
    FileStep,
    Operation,
    OperationError,
    OperationFilter,
    OperationId,
    OperationProgress,
    OperationStep,
)


class Operations(Protocol):
    """Work on many messages, runs or users: asked for, looked at, and stopped. Finished ones stay as long as `Retention` says."""

    async def add(self, operation: Operation, most: int) -> bool:
        """Durable when this returns. False, and nothing is stored, when the tenant has `most` unfinished ones."""

    async def get(self, tenant: TenantId, operation_id: OperationId) -> Operation | None:
        """One of them."""

    async def page(
        self, tenant: TenantId, where: OperationFilter, before: OperationId | None, limit: int
    ) -> Sequence[Operation]:
        """Newest first, cursor is the id."""

    async def errors(
        self, tenant: TenantId, operation_id: OperationId, after: int, limit: int
    ) -> Sequence[OperationError]:
        """What failed, by `index`, behind `after` (-1: from the first)."""

    async def cancel(self, tenant: TenantId, operation_id: OperationId, at: Instant) -> Operation | None:
        """Do nothing more of it, if it is not finished; how it is now. No step that ends later changes anything."""

    async def retry_failed(
        self, tenant: TenantId, operation_id: OperationId, at: Instant
    ) -> Operation | None:
        """Queue what failed once more, if it is finished and something failed; how it is now."""


class OperationSteps(Protocol):
    """The other side: operations are done step by step, in turns of the tenants."""

    async def waiting(self, after: TenantId, limit: int) -> Sequence[Operation]:
        """The oldest of each tenant behind `after` that has no `finished_at` and is not `uploading`, by tenant."""

    async def count(self, operation: Operation, before: MessageId | None) -> tuple[int, MessageId | None]:
        """How many messages match, and where to go on counting (None: that was all): the scan per call is bounded."""

    async def again(self, operation: Operation, limit: int) -> Sequence[bytes]:
        """What failed and is to be tried again."""

    async def advance(self, operation: Operation, step: OperationStep) -> OperationProgress:
        """One transaction: messages are changed, and the operation counts them; runs were changed before. Nothing is done when the
        operation is not any more as it was given: somebody canceled it, or this step was done. Without `ids`, when
        nothing is left or it is canceled: it is finished."""


class OperationFiles(Protocol):
    """What operations read from files, and what they write to them. Pieces are sealed; a file goes with the end of its import, with
    `file_until` of its operation, and with the operation."""

    async def append(
        self,
        tenant: TenantId,
        operation_id: OperationId,
        start: int,
        sealed: bytes,
        size: int,
        at: Instant,
        *,
        complete: bool,
    ) -> Operation | None:
        """Add a piece of `size` bytes that begins at `start`; the operation, or None when there is none. Raises Conflict unless
        the file ends there, and when it is complete."""

    async def read(self, operation_id: OperationId, start: int) -> tuple[bytes, int] | None:
        """The piece that begins there, sealed, and its size. None: the file has ended, or is gone."""

    async def again(self, operation: Operation, limit: int) -> Sequence[OperationError]:
        """The lines that failed and are to be tried again."""

    async def advance(self, operation: Operation, step: FileStep) -> FileProgress:
        """One transaction: users are written and subscribed, a piece is added, lines are noted, and the operation counts. Nothing is
        done when the operation is not any more as it was given. Raises Conflict when a user was changed since their `revision`."""

    async def expire(self, now: Instant, limit: int) -> int:
        """Delete files, and lines that failed, whose time is over, of all tenants; of how many operations."""
