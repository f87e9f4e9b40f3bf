"""Bulk operations: each step changes messages and counts them in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.calls import found
from clarion.adapters.ledgers.memory.records import MemoryRecords
from clarion.adapters.ledgers.memory.tables import ErrorRow, Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.ids import Instant, MessageId, TenantId, first_id_at
from clarion.model.message import Message, MessageFilter
from clarion.model.operation import (
    Operation,
    OperationError,
    OperationFilter,
    OperationId,
    OperationKind,
    OperationProgress,
    OperationStatus,
    OperationStep,
)
from clarion.rules.exact import StepRefusal, closed, refused, stepped

Wrong = Mapping[bytes, StepRefusal]
NO_ERRORS: Mapping[int, ErrorRow] = {}


class MemoryOperations:
    """Implements `ports.ledger.Operations`."""

    def __init__(self, tables: Tables, transactions: Transactions) -> None:
        self._tables = tables
        self._transactions = transactions

    async def add(self, operation: Operation, most: int) -> bool:
        def add() -> bool:
            ours = [one for one in self._tables.operations.values() if one.tenant == operation.tenant]
            if sum(one.finished_at is None for one in ours) >= most:
                return False
            self._tables.operations[operation.id] = operation
            return True

        return await self._transactions.write(add)

    async def get(self, tenant: TenantId, operation_id: OperationId) -> Operation | None:
        return self._get(tenant, operation_id)

    async def page(
        self, tenant: TenantId, where: OperationFilter, before: OperationId | None, limit: int
    ) -> Sequence[Operation]:
        found = [
            one
            for one in self._tables.operations.values()
            if one.tenant == tenant and where.kind in (None, one.kind)
            if not where.statuses or one.status in where.statuses
            if before is None or one.id < before
            if where.since is None or one.id >= first_id_at(where.since)
            if where.before is None or one.id < first_id_at(where.before)
        ]
        return sorted(found, key=lambda one: one.id, reverse=True)[:limit]

    async def errors(
        self, tenant: TenantId, operation_id: OperationId, after: int, limit: int
    ) -> Sequence[OperationError]:
        if self._get(tenant, operation_id) is None:
            return []
        rows = self._tables.errors.get(operation_id, NO_ERRORS)
        return [row.error for index, row in sorted(rows.items()) if index > after][:limit]

    async def cancel(self, tenant: TenantId, operation_id: OperationId, at: Instant) -> Operation | None:
        def cancel() -> Operation | None:
            found = self._get(tenant, operation_id)
            if found is None or found.status.is_finished:
                return found
            canceled = replace(found, status=OperationStatus.CANCELED, updated_at=at, uploading=False)
            return store(self._tables, canceled)

        return await self._transactions.write(cancel)

    async def retry_failed(
        self, tenant: TenantId, operation_id: OperationId, at: Instant
    ) -> Operation | None:
        def retry() -> Operation | None:
            found = self._get(tenant, operation_id)
            if found is None or not found.status.has_failures:
                return found
            rows = self._tables.errors.get(found.id, NO_ERRORS)
            self._tables.errors[found.id] = {n: replace(row, again=True) for n, row in rows.items()}
            queued = OperationStatus.QUEUED
            after = replace(found, status=queued, updated_at=at, finished_at=None, file_until=None)
            return store(self._tables, after)

        return await self._transactions.write(retry)

    def _get(self, tenant: TenantId, operation_id: OperationId) -> Operation | None:
        found = self._tables.operations.get(operation_id)
        return found if found is not None and found.tenant == tenant else None


class MemoryOperationSteps:
    """Implements `ports.ledger.OperationSteps`."""

    def __init__(self, tables: Tables, transactions: Transactions, records: MemoryRecords) -> None:
        self._tables = tables
        self._transactions = transactions
        self._records = records

    async def waiting(self, after: TenantId, limit: int) -> Sequence[Operation]:
        oldest: dict[TenantId, Operation] = {}
        for _, one in sorted(self._tables.operations.items()):
            if one.finished_at is None and not one.uploading and one.tenant > after:
                oldest.setdefault(one.tenant, one)
        return [one for _, one in sorted(oldest.items())][:limit]

    async def count(self, operation: Operation, before: MessageId | None) -> tuple[int, MessageId | None]:
        return len(self._records.matching(operation.tenant, operation.where, before)), None

    async def again(self, operation: Operation, limit: int) -> Sequence[bytes]:
        return [row.error.item_id for _, row in self._again(operation)][:limit]

    async def advance(self, operation: Operation, step: OperationStep) -> OperationProgress:
        return await self._transactions.write(lambda: self._advance(operation, step))

    def _again(self, operation: Operation) -> list[tuple[int, ErrorRow]]:
        rows = self._tables.errors.get(operation.id, NO_ERRORS)
        return [(index, row) for index, row in sorted(rows.items()) if row.again]

    # -- inside a transaction ---------------------------------------------------------------------------------

    def _advance(self, operation: Operation, step: OperationStep) -> OperationProgress:
        now = self._tables.operations.get(operation.id)
        if now != operation:
            return OperationProgress(operation=now or operation)
        if not step.ids and (operation.swept or operation.status is OperationStatus.CANCELED):
            return OperationProgress(operation=store(self._tables, closed(operation, step.at)))
        moved = frozenset() if step.broken else self._move(operation, step)
        wrong = refused(operation, step, moved, {m.id: m for m in self._ours(operation, step.messages)})
        counted = self._recount if operation.swept else self._count
        return OperationProgress(operation=store(self._tables, counted(operation, step, wrong)), moved=moved)

    def _move(self, operation: Operation, step: OperationStep) -> frozenset[MessageId]:
        if operation.runs is not None:
            return frozenset()  # They were changed before.
        if operation.kind is OperationKind.CANCEL_MESSAGES:
            return self._records.canceled(self._ours(operation, step.messages), step.at, step.begun)
        if operation.kind is OperationKind.WITHDRAW_MESSAGES:
            return self._records.withdrawn(self._ours(operation, step.messages), step.at, step.begun)
        where = MessageFilter(statuses=operation.where.statuses)
        return self._records.requeued(
            operation.tenant, where, step.messages, step.at, len(step.ids), step.versions
        )

    def _ours(self, operation: Operation, ids: Iterable[MessageId]) -> list[Message]:
        named = [found(self._tables, one) for one in ids]
        return [m for m in named if m is not None and m.tenant == operation.tenant]

    def _count(self, operation: Operation, step: OperationStep, wrong: Wrong) -> Operation:
        """The operation behind a part of what its filter found."""
        rows = dict(self._tables.errors.get(operation.id, NO_ERRORS))
        for index, one in enumerate(step.ids, operation.done + operation.failed):
            if one in wrong:
                rows[index] = _row(index, one, wrong[one])
        self._tables.errors[operation.id] = rows
        return stepped(operation, step, done=len(step.ids) - len(wrong), failed=len(wrong))

    def _recount(self, operation: Operation, step: OperationStep, wrong: Wrong) -> Operation:
        """The operation behind a part of what had failed and was tried again."""
        rows = dict(self._tables.errors.get(operation.id, NO_ERRORS))
        mended = 0
        for index, row in self._again(operation):
            one = row.error.item_id
            if one in wrong:
                rows[index] = _row(index, one, wrong[one])
            elif one in step.ids:
                del rows[index]
                mended += 1
        self._tables.errors[operation.id] = rows
        return stepped(operation, step, done=mended, failed=-mended)


def store(tables: Tables, operation: Operation) -> Operation:
    """Inside a transaction: the operation is like this now."""
    tables.operations[operation.id] = operation
    return operation


def _row(index: int, item_id: bytes, wrong: StepRefusal) -> ErrorRow:
    error = OperationError(index=index, item_id=item_id, code=wrong.code, detail=wrong.detail)
    return ErrorRow(error=error)
