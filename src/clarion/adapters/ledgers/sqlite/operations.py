"""Bulk operations: each step changes messages and counts them in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec.structs import replace
from sqlalchemy import bindparam, delete, func, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from clarion.adapters.ledgers import schema
from clarion.adapters.ledgers.operation_rows import operation_of, row_of
from clarion.adapters.ledgers.sqlite.ordinary import Command, Query
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.records import SqliteRecords
from clarion.adapters.ledgers.sqlite.row_encoding import encoded
from clarion.adapters.ledgers.sqlite.writer import Writer
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

_table, _errors = schema.operations, schema.operation_errors
_columns, _failed = _table.c, schema.operation_errors.c
_tenant: Any = bindparam("of_tenant")
_id: Any = bindparam("of_id")
_mine = (_columns.tenant == _tenant) & (_columns.id == _id)
_unfinished = _columns.finished_at.is_(None)
_values: dict[str, Any] = {column.name: bindparam(f"new_{column.name}") for column in _columns}

ADD = Command(insert(_table).values(_values))
CHANGE = Command(update(_table).where(_columns.id == _id).values(_values))
ONE = Query(select(_table).where(_mine).limit(1))
PAGE = Query(
    select(_table)
    .where(
        _columns.tenant == _tenant,
        _columns.id < bindparam("below"),
        _columns.id >= bindparam("lowest"),
        or_(bindparam("of_kind", type_=_columns.kind.type).is_(None), _columns.kind == bindparam("of_kind")),
        or_(
            bindparam("any_status", type_=_columns.done.type) == 1,
            _columns.status.in_(
                select(func.json_each(bindparam("of_statuses")).table_valued("value").c.value)
            ),
        ),
    )
    .order_by(_columns.id.desc())
    .limit(bindparam("most"))
)
UNFINISHED = Query(
    select(func.count()).select_from(_table).where(_columns.tenant == _tenant, _unfinished).limit(1)
)
_first = (
    select(func.min(_columns.id))
    .where(_unfinished, _columns.uploading == 0, _columns.tenant > bindparam("behind"))
    .group_by(_columns.tenant)
    .order_by(_columns.tenant)
    .limit(bindparam("most"))
)
WAITING = Query(
    select(_table).where(_columns.id.in_(_first)).order_by(_columns.tenant).limit(bindparam("most"))
)
OVER = Query(
    select(_table)
    .where(_columns.file_until <= bindparam("until"))
    .order_by(_columns.file_until)
    .limit(bindparam("most"))
)
FAIL = Command(insert(_errors).values({column.name: bindparam(f"new_{column.name}") for column in _failed}))
ERRORS = Query(
    select(_failed.number, _failed.message_id, _failed.code, _failed.detail, _failed.line)
    .where(_failed.operation == _id, _failed.number > bindparam("after"))
    .order_by(_failed.number)
    .limit(bindparam("most"))
)
AGAIN = Query(
    select(_failed.number, _failed.message_id)
    .where(_failed.operation == _id, _failed.again == 1)
    .order_by(_failed.number)
    .limit(bindparam("most"))
)
ASK_AGAIN = Command(update(_errors).where(_failed.operation == _id).values(again=1))
_one_error = (_failed.operation == _id) & (_failed.number == bindparam("of_number"))
MENDED = Command(delete(_errors).where(_one_error))
FAILED_AGAIN = Command(
    update(_errors)
    .where(_one_error)
    .values(again=0, code=bindparam("new_code"), detail=bindparam("new_detail"))
)


class SqliteOperations:
    """Implements `ports.ledger.Operations`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def add(self, operation: Operation, most: int) -> bool:
        def add(connection: sqlite3.Connection) -> bool:
            ((unfinished,),) = UNFINISHED.rows(connection, of_tenant=operation.tenant)
            if unfinished >= most:
                return False
            ADD(connection, **_bound(operation))
            return True

        return await self._writer.call(add)

    async def get(self, tenant: TenantId, operation_id: OperationId) -> Operation | None:
        return await self._readers.call(lambda connection: stored_operation(connection, tenant, operation_id))

    async def page(
        self, tenant: TenantId, where: OperationFilter, before: OperationId | None, limit: int
    ) -> Sequence[Operation]:
        highest = BEHIND_ALL if where.before is None else first_id_at(where.before)
        found = await self._readers.call(
            lambda connection: PAGE.rows(
                connection,
                of_tenant=tenant,
                below=highest if before is None else min(highest, before),
                lowest=b"" if where.since is None else first_id_at(where.since),
                of_kind=where.kind,
                any_status=int(not where.statuses),
                of_statuses=encoded(sorted(where.statuses)),
                most=limit,
            )
        )
        return [operation_of(row) for row in found]

    async def errors(
        self, tenant: TenantId, operation_id: OperationId, after: int, limit: int
    ) -> Sequence[OperationError]:
        def read(connection: sqlite3.Connection) -> list[OperationError]:
            if stored_operation(connection, tenant, operation_id) is None:
                return []
            found = ERRORS.rows(connection, of_id=operation_id, after=after, most=limit)
            return [
                OperationError(index=number, item_id=item, code=code, detail=detail, line=line)
                for number, item, code, detail, line in found
            ]

        return await self._readers.call(read)

    async def cancel(self, tenant: TenantId, operation_id: OperationId, at: Instant) -> Operation | None:
        def cancel(connection: sqlite3.Connection) -> Operation | None:
            found = stored_operation(connection, tenant, operation_id)
            if found is None or found.status.is_finished:
                return found
            canceled = OperationStatus.CANCELED
            return store_operation(
                connection, replace(found, status=canceled, updated_at=at, uploading=False)
            )

        return await self._writer.call(cancel)

    async def retry_failed(
        self, tenant: TenantId, operation_id: OperationId, at: Instant
    ) -> Operation | None:
        def retry(connection: sqlite3.Connection) -> Operation | None:
            found = stored_operation(connection, tenant, operation_id)
            if found is None or not found.status.has_failures:
                return found
            ASK_AGAIN(connection, of_id=operation_id)
            queued = OperationStatus.QUEUED
            return store_operation(
                connection, replace(found, status=queued, updated_at=at, finished_at=None, file_until=None)
            )

        return await self._writer.call(retry)


class SqliteOperationSteps:
    """Implements `ports.ledger.OperationSteps`."""

    def __init__(self, writer: Writer, readers: Readers, records: SqliteRecords) -> None:
        self._writer = writer
        self._readers = readers
        self._records = records

    async def waiting(self, after: TenantId, limit: int) -> Sequence[Operation]:
        found = await self._readers.call(
            lambda connection: WAITING.rows(connection, behind=after, most=limit)
        )
        return [operation_of(row) for row in found]

    async def count(self, operation: Operation, before: MessageId | None) -> tuple[int, MessageId | None]:
        search = self._records.search(operation.tenant, operation.where, before)
        counted, end = await self._readers.call(search.counted)
        return counted, None if end is None else MessageId(end)

    async def again(self, operation: Operation, limit: int) -> Sequence[bytes]:
        found = await self._readers.call(
            lambda connection: AGAIN.rows(connection, of_id=operation.id, most=limit)
        )
        return [item for _, item in found]

    async def advance(self, operation: Operation, step: OperationStep) -> OperationProgress:
        def advance(connection: sqlite3.Connection) -> OperationProgress:
            now = stored_operation(connection, operation.tenant, operation.id)
            if now is None or now != operation:
                return OperationProgress(operation=now or operation)
            if not step.ids and (operation.swept or operation.status is OperationStatus.CANCELED):
                return OperationProgress(operation=store_operation(connection, closed(operation, step.at)))
            moved = frozenset() if step.broken else self._moved(connection, operation, step)
            left = [] if operation.runs is not None else [one for one in step.messages if one not in moved]
            wrong = refused(operation, step, moved, self._records.stored(connection, operation.tenant, left))
            count = _recount if operation.swept else _count
            changed = store_operation(connection, count(connection, operation, step, wrong))
            return OperationProgress(operation=changed, moved=moved)

        return await self._writer.call(advance, rows=len(step.ids) + 1)

    def _moved(
        self, connection: sqlite3.Connection, operation: Operation, step: OperationStep
    ) -> frozenset[MessageId]:
        if operation.runs is not None:
            return frozenset()  # They were changed before.
        if operation.kind is OperationKind.CANCEL_MESSAGES:
            messages = self._records.stored(connection, operation.tenant, step.messages)
            return self._records.canceled(connection, list(messages.values()), step.at, step.begun)
        if operation.kind is OperationKind.WITHDRAW_MESSAGES:
            messages = self._records.stored(connection, operation.tenant, step.messages)
            return self._records.withdrawn(connection, list(messages.values()), step.at, step.begun)
        where = MessageFilter(statuses=operation.where.statuses)
        search = self._records.search(operation.tenant, where, None)
        return self._records.requeued(
            connection, search, step.messages, step.at, len(step.ids), step.versions
        )


Wrong = Mapping[bytes, StepRefusal]


def _count(
    connection: sqlite3.Connection, operation: Operation, step: OperationStep, wrong: Wrong
) -> Operation:
    """The operation behind a part of what its filter found."""
    seen = operation.done + operation.failed
    for place, one in enumerate(step.ids):
        if one in wrong:
            FAIL(
                connection,
                new_operation=operation.id,
                new_number=seen + place,
                new_message_id=one,
                new_code=wrong[one].code,
                new_detail=wrong[one].detail,
                new_again=0,
                new_line=b"",
            )
    return stepped(operation, step, done=len(step.ids) - len(wrong), failed=len(wrong))


def _recount(
    connection: sqlite3.Connection, operation: Operation, step: OperationStep, wrong: Wrong
) -> Operation:
    """The operation behind a part of what had failed and was tried again."""
    mended = 0
    tried: Collection[bytes] = set(step.ids)
    for number, message in AGAIN.rows(connection, of_id=operation.id, most=len(tried)):
        if message in wrong:
            code, detail = wrong[message]
            FAILED_AGAIN(connection, of_id=operation.id, of_number=number, new_code=code, new_detail=detail)
        elif message in tried:
            MENDED(connection, of_id=operation.id, of_number=number)
            mended += 1
    return stepped(operation, step, done=mended, failed=-mended)


def store_operation(connection: sqlite3.Connection, operation: Operation) -> Operation:
    """In a transaction of the writer: it is like this now."""
    CHANGE(connection, of_id=operation.id, **_bound(operation))
    return operation


def stored_operation(
    connection: sqlite3.Connection, tenant: TenantId, operation_id: OperationId
) -> Operation | None:
    """As it is."""
    found = ONE.rows(connection, of_tenant=tenant, of_id=operation_id)
    return operation_of(found[0]) if found else None


def _bound(operation: Operation) -> dict[str, Any]:
    return {f"new_{name}": value for name, value in row_of(operation).items()}


def outlived_files(connection: sqlite3.Connection, until: Instant, limit: int) -> list[Operation]:
    """Those whose file, or whose lines that failed, were kept until then."""
    return [operation_of(row) for row in OVER.rows(connection, until=until, most=limit)]
