"""Files that operations read and write, in sealed pieces."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from clarion.adapters.ledgers.sqlite import topics
from clarion.adapters.ledgers.sqlite.operations import outlived_files, store_operation, stored_operation
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.users import UserRows
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.adapters.ledgers.user_cache import UserCache
from clarion.model.ids import Instant, TenantId
from clarion.model.operation import FileProgress, FileStep, Operation, OperationError, OperationId
from clarion.model.user import User
from clarion.rules.exact import filed, outlived, uploaded

ADD = "INSERT INTO operation_pieces (operation, start, size, sealed) VALUES (?, ?, ?, ?)"
ONE = "SELECT sealed, size FROM operation_pieces WHERE operation = ? AND start = ?"
DROP = "DELETE FROM operation_pieces WHERE operation = ?"
AGAIN = """
    SELECT number, code, detail, line FROM operation_errors WHERE operation = ? AND again = 1 ORDER BY number LIMIT ?
"""
FAIL = """
    INSERT OR REPLACE INTO operation_errors (operation, number, message_id, code, detail, again, line)
    VALUES (?, ?, x'', ?, ?, 0, ?)
"""
MENDED = "DELETE FROM operation_errors WHERE operation = ? AND number = ?"
FORGET_LINES = "UPDATE operation_errors SET line = x'' WHERE operation = ? AND line <> x''"


class SqliteOperationFiles:
    """Implements `ports.ledger.OperationFiles`."""

    def __init__(self, writer: Writer, readers: Readers, user_cache: UserCache, user_rows: UserRows) -> None:
        self._writer = writer
        self._readers = readers
        self._user_cache = user_cache
        self._user_rows = user_rows

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
        def append(connection: sqlite3.Connection) -> Operation | None:
            found = stored_operation(connection, tenant, operation_id)
            if found is None:
                return None
            after = uploaded(found, start, size, at, complete=complete)
            connection.execute(ADD, (operation_id, start, size, sealed))
            return store_operation(connection, after)

        return await self._writer.call(append)

    async def read(self, operation_id: OperationId, start: int) -> tuple[bytes, int] | None:
        found: tuple[bytes, int] | None = await self._readers.call(
            lambda connection: connection.execute(ONE, (operation_id, start)).fetchone()
        )
        return found

    async def again(self, operation: Operation, limit: int) -> Sequence[OperationError]:
        found = await self._readers.call(
            lambda connection: connection.execute(AGAIN, (operation.id, limit)).fetchall()
        )
        return [
            OperationError(index=number, code=code, detail=detail, line=line)
            for number, code, detail, line in found
        ]

    async def advance(self, operation: Operation, step: FileStep) -> FileProgress:
        def advance(connection: sqlite3.Connection) -> tuple[FileProgress, Sequence[User]]:
            now = stored_operation(connection, operation.tenant, operation.id)
            if now != operation:
                return FileProgress(operation=now or operation, taken=False), ()
            users = self._written(connection, operation.tenant, step)
            connection.executemany(
                FAIL, [(operation.id, e.index, e.code, e.detail, e.line) for e in step.errors]
            )
            connection.executemany(MENDED, [(operation.id, number) for number in step.mended])
            if step.piece:
                connection.execute(ADD, (operation.id, operation.file_bytes, step.size, step.piece))
            after = filed(operation, step)
            if not after.file_bytes:
                connection.execute(DROP, (operation.id,))
            store_operation(connection, after)
            return FileProgress(operation=after, taken=True), users

        progress, _ = await self._writer.call(
            advance, rows=len(step.users) + 1, after=lambda done: self._user_cache.write(done[1])
        )
        return progress

    async def expire(self, now: Instant, limit: int) -> int:
        def expire(connection: sqlite3.Connection) -> int:
            over = outlived_files(connection, now, limit)
            for operation in over:
                connection.execute(DROP, (operation.id,))
                connection.execute(FORGET_LINES, (operation.id,))
                store_operation(connection, outlived(operation, now))
            return len(over)

        return await self._writer.call(expire)

    def _written(self, connection: sqlite3.Connection, tenant: TenantId, step: FileStep) -> Sequence[User]:
        users = self._user_rows.put(connection, tenant, step.users) if step.users else []
        numbers = {user.id: user.no for user in users}
        for topic, members in step.topics.items():
            topics.subscribe(connection, tenant, topic, [numbers[member] for member in members])
        return users
