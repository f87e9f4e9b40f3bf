"""Bulk operations: each step changes messages and counts them in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from clarion.adapters.ledgers.operation_rows import COLUMNS, operation_of, row_of
from clarion.adapters.ledgers.postgresql.database import Connection, Database
from clarion.adapters.ledgers.postgresql.records import PostgresRecords
from clarion.model.ids import BEHIND_ALL, Instant, MessageId, TenantId, first_id_at
from clarion.model.message import MessageFilter
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

_SELECT = f"SELECT {', '.join(COLUMNS)} FROM operations"
_VALUES = ", ".join(f"${place}" for place in range(1, len(COLUMNS) + 1))
ADD = f"INSERT INTO operations ({', '.join(COLUMNS)}) VALUES ({_VALUES})"
CHANGE = f"UPDATE operations SET ({', '.join(COLUMNS)}) = ROW ({_VALUES}) WHERE id = $1"
ONE = f"{_SELECT} WHERE tenant = $1 AND id = $2"
PAGE = f"""
    {_SELECT} WHERE tenant = $1 AND id < $2 AND id >= $3 AND ($4::text IS NULL OR kind = $4)
        AND ($5::text[] = '{{}}' OR status = ANY($5))
    ORDER BY id DESC LIMIT $6
"""
TENANT_LOCK = "SELECT 1 FROM tenants WHERE id = $1 FOR NO KEY UPDATE"
UNFINISHED = "SELECT count(*) FROM operations WHERE tenant = $1 AND finished_at IS NULL"
WAITING = f"""
    SELECT DISTINCT ON (tenant) {", ".join(COLUMNS)} FROM operations
    WHERE finished_at IS NULL AND uploading = 0 AND tenant > $1 ORDER BY tenant, id LIMIT $2
"""
FAIL = """
    INSERT INTO operation_errors (operation, number, message_id, code, detail, again)
    SELECT $1, number, message_id, code, detail, 0
    FROM unnest($2::bigint[], $3::bytea[], $4::text[], $5::text[]) AS new (number, message_id, code, detail)
    ON CONFLICT (operation, number) DO UPDATE SET again = 0, code = excluded.code, detail = excluded.detail
"""
ERRORS = """
    SELECT number, message_id, code, detail, line FROM operation_errors
    WHERE operation = $1 AND number > $2 ORDER BY number LIMIT $3
"""
AGAIN = """
    SELECT number, message_id FROM operation_errors WHERE operation = $1 AND again = 1 ORDER BY number LIMIT $2
"""
OVER = f"{_SELECT} WHERE file_until <= $1 ORDER BY file_until LIMIT $2 FOR UPDATE"
ASK_AGAIN = "UPDATE operation_errors SET again = 1 WHERE operation = $1"
MENDED = "DELETE FROM operation_errors WHERE operation = $1 AND number = ANY($2::bigint[])"


class PostgresOperations:
    """Implements `ports.ledger.Operations`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, operation: Operation, most: int) -> bool:
        async def add(connection: Connection) -> bool:
            await connection.execute(TENANT_LOCK, operation.tenant)  # Nobody adds another one meanwhile.
            if await connection.fetchval(UNFINISHED, operation.tenant) >= most:
                return False
            await connection.execute(ADD, *row_of(operation).values())
            return True

        return await self._database.write(add)

    async def get(self, tenant: TenantId, operation_id: OperationId) -> Operation | None:
        row = await self._database.row(ONE, tenant, operation_id)
        return None if row is None else operation_of(row)

    async def page(
        self, tenant: TenantId, where: OperationFilter, before: OperationId | None, limit: int
    ) -> Sequence[Operation]:
        highest = BEHIND_ALL if where.before is None else first_id_at(where.before)
        found = await self._database.lists.rows(
            PAGE,
            tenant,
            highest if before is None else min(highest, before),
            b"" if where.since is None else first_id_at(where.since),
            where.kind and where.kind.value,
            [status.value for status in where.statuses],
            limit,
        )
        return [operation_of(row) for row in found]

    async def errors(
        self, tenant: TenantId, operation_id: OperationId, after: int, limit: int
    ) -> Sequence[OperationError]:
        if await self.get(tenant, operation_id) is None:
            return []
        found = await self._database.rows(ERRORS, operation_id, after, limit)
        return [
            OperationError(index=number, item_id=item, code=code, detail=detail, line=line)
            for number, item, code, detail, line in found
        ]

    async def cancel(self, tenant: TenantId, operation_id: OperationId, at: Instant) -> Operation | None:
        async def cancel(connection: Connection) -> Operation | None:
            found = await locked_operation(connection, tenant, operation_id)
            if found is None or found.status.is_finished:
                return found
            canceled = OperationStatus.CANCELED
            return await store_operation(
                connection, replace(found, status=canceled, updated_at=at, uploading=False)
            )

        return await self._database.write(cancel)

    async def retry_failed(
        self, tenant: TenantId, operation_id: OperationId, at: Instant
    ) -> Operation | None:
        async def retry(connection: Connection) -> Operation | None:
            found = await locked_operation(connection, tenant, operation_id)
            if found is None or not found.status.has_failures:
                return found
            await connection.execute(ASK_AGAIN, operation_id)
            queued = OperationStatus.QUEUED
            return await store_operation(
                connection, replace(found, status=queued, updated_at=at, finished_at=None, file_until=None)
            )

        return await self._database.write(retry)


class PostgresOperationSteps:
    """Implements `ports.ledger.OperationSteps`."""

    def __init__(self, database: Database, records: PostgresRecords) -> None:
        self._database = database
        self._records = records

    async def waiting(self, after: TenantId, limit: int) -> Sequence[Operation]:
        return [operation_of(row) for row in await self._database.rows(WAITING, after, limit)]

    async def count(self, operation: Operation, before: MessageId | None) -> tuple[int, MessageId | None]:
        return await self._records.count(operation.tenant, operation.where, before)

    async def again(self, operation: Operation, limit: int) -> Sequence[bytes]:
        found = await self._database.rows(AGAIN, operation.id, limit)
        return [item for _, item in found]

    async def advance(self, operation: Operation, step: OperationStep) -> OperationProgress:
        async def advance(connection: Connection) -> OperationProgress:
            now = await locked_operation(connection, operation.tenant, operation.id)
            if now is None or now != operation:
                return OperationProgress(operation=now or operation)
            if not step.ids and (operation.swept or operation.status is OperationStatus.CANCELED):
                return OperationProgress(
                    operation=await store_operation(connection, closed(operation, step.at))
                )
            moved = frozenset() if step.broken else await self._moved(connection, operation, step)
            left = [] if operation.runs is not None else [one for one in step.messages if one not in moved]
            stored = await self._records.stored(connection, operation.tenant, left)
            wrong = refused(operation, step, moved, stored)
            count = _recount if operation.swept else _count
            changed = await store_operation(connection, await count(connection, operation, step, wrong))
            return OperationProgress(operation=changed, moved=moved)

        return await self._database.write(advance)

    async def _moved(
        self, connection: Connection, operation: Operation, step: OperationStep
    ) -> frozenset[MessageId]:
        if operation.runs is not None:
            return frozenset()  # They were changed before.
        if operation.kind is OperationKind.CANCEL_MESSAGES:
            messages = await self._records.stored(connection, operation.tenant, step.messages)
            return await self._records.canceled(connection, list(messages.values()), step.at, step.begun)
        if operation.kind is OperationKind.WITHDRAW_MESSAGES:
            messages = await self._records.stored(connection, operation.tenant, step.messages)
            return await self._records.withdrawn(connection, list(messages.values()), step.at, step.begun)
        where = MessageFilter(statuses=operation.where.statuses)
        return await self._records.requeued(
            connection, operation.tenant, where, step.messages, step.at, len(step.ids), step.versions
        )


Wrong = Mapping[bytes, StepRefusal]


async def _count(
    connection: Connection, operation: Operation, step: OperationStep, wrong: Wrong
) -> Operation:
    """The operation behind a part of what its filter found."""
    first = operation.done + operation.failed
    await _fail(connection, operation, [(first + place, one) for place, one in enumerate(step.ids)], wrong)
    return stepped(operation, step, done=len(step.ids) - len(wrong), failed=len(wrong))


async def _recount(
    connection: Connection, operation: Operation, step: OperationStep, wrong: Wrong
) -> Operation:
    """The operation behind a part of what had failed and was tried again."""
    tried = {*step.ids}
    again = [tuple(row) for row in await connection.fetch(AGAIN, operation.id, len(tried))]
    await _fail(connection, operation, again, wrong)
    mended = [number for number, message in again if message in tried and message not in wrong]
    await connection.execute(MENDED, operation.id, mended)
    return stepped(operation, step, done=len(mended), failed=-len(mended))


async def _fail(
    connection: Connection, operation: Operation, places: Sequence[tuple[int, bytes]], wrong: Wrong
) -> None:
    rows = [(number, one, *wrong[one]) for number, one in places if one in wrong]
    if rows:
        await connection.execute(FAIL, operation.id, *zip(*rows, strict=True))


async def locked_operation(
    connection: Connection, tenant: TenantId, operation_id: OperationId
) -> Operation | None:
    """As it is until the transaction ends."""
    row = await connection.fetchrow(f"{ONE} FOR UPDATE", tenant, operation_id)
    return None if row is None else operation_of(row)


async def store_operation(connection: Connection, operation: Operation) -> Operation:
    """In the transaction: it is like this now."""
    await connection.execute(CHANGE, *row_of(operation).values())
    return operation


async def outlived_files(connection: Connection, until: Instant, limit: int) -> list[Operation]:
    """Those whose file, or whose lines that failed, were kept until then."""
    return [operation_of(row) for row in await connection.fetch(OVER, until, limit)]
