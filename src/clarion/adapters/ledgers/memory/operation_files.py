"""Files that operations read and write, in sealed pieces."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.operations import NO_ERRORS, store
from clarion.adapters.ledgers.memory.tables import ErrorRow, Tables
from clarion.adapters.ledgers.memory.topics import subscribe
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.adapters.ledgers.memory.users import MemoryUsers
from clarion.model.ids import Instant, TenantId
from clarion.model.operation import FileProgress, FileStep, Operation, OperationError, OperationId
from clarion.rules.exact import filed, outlived, uploaded


class MemoryOperationFiles:
    """Implements `ports.ledger.OperationFiles`."""

    def __init__(self, tables: Tables, transactions: Transactions, users: MemoryUsers) -> None:
        self._tables = tables
        self._transactions = transactions
        self._users = users

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
        def append() -> Operation | None:
            found = self._tables.operations.get(operation_id)
            if found is None or found.tenant != tenant:
                return None
            after = uploaded(found, start, size, at, complete=complete)
            self._tables.pieces[operation_id, start] = sealed, size
            return store(self._tables, after)

        return await self._transactions.write(append)

    async def read(self, operation_id: OperationId, start: int) -> tuple[bytes, int] | None:
        return self._tables.pieces.get((operation_id, start))

    async def again(self, operation: Operation, limit: int) -> Sequence[OperationError]:
        rows = self._tables.errors.get(operation.id, NO_ERRORS)
        return [row.error for _, row in sorted(rows.items()) if row.again][:limit]

    async def advance(self, operation: Operation, step: FileStep) -> FileProgress:
        return await self._transactions.write(lambda: self._advance(operation, step))

    async def expire(self, now: Instant, limit: int) -> int:
        def expire() -> int:
            kept = [
                (one.file_until, one)
                for one in self._tables.operations.values()
                if one.file_until is not None
            ]
            over = sorted((until, one.id) for until, one in kept if until <= now)[:limit]
            for _, operation_id in over:
                rows = self._tables.errors.get(operation_id, NO_ERRORS)
                self._tables.errors[operation_id] = {
                    number: replace(row, error=replace(row.error, line=b"")) for number, row in rows.items()
                }
                drop_file(self._tables, operation_id)
                store(self._tables, outlived(self._tables.operations[operation_id], now))
            return len(over)

        return await self._transactions.write(expire)

    # -- inside a transaction ---------------------------------------------------------------------------------

    def _advance(self, operation: Operation, step: FileStep) -> FileProgress:
        tables, now = self._tables, self._tables.operations.get(operation.id)
        if now != operation:
            return FileProgress(operation=now or operation, taken=False)
        users = self._users.written(operation.tenant, step.users)
        numbers = {user.id: user.no for user in users}
        for topic, members in step.topics.items():
            subscribe(tables, operation.tenant, topic, [numbers[member] for member in members])
        rows = {
            n: row for n, row in tables.errors.get(operation.id, NO_ERRORS).items() if n not in step.mended
        }
        tables.errors[operation.id] = rows | {one.index: ErrorRow(error=one) for one in step.errors}
        if step.piece:
            tables.pieces[operation.id, operation.file_bytes] = step.piece, step.size
        after = store(tables, filed(operation, step))
        if not after.file_bytes:
            drop_file(tables, operation.id)
        return FileProgress(operation=after, taken=True)


def drop_file(tables: Tables, operation_id: OperationId) -> None:
    """Inside a transaction."""
    for place in [place for place in tables.pieces if place[0] == operation_id]:
        del tables.pieces[place]
