"""Files that operations read and write, in sealed pieces."""

from __future__ import annotations

from collections.abc import Sequence

from clarion.adapters.ledgers.postgresql import topics
from clarion.adapters.ledgers.postgresql.database import Connection, Database
from clarion.adapters.ledgers.postgresql.operations import locked_operation, outlived_files, store_operation
from clarion.adapters.ledgers.postgresql.users import PostgresUserRows
from clarion.adapters.ledgers.user_cache import UserCache
from clarion.model.ids import Instant, TenantId
from clarion.model.operation import FileProgress, FileStep, Operation, OperationError, OperationId
from clarion.model.user import User
from clarion.rules.exact import filed, outlived, uploaded

ADD = "INSERT INTO operation_pieces (operation, start, size, sealed) VALUES ($1, $2, $3, $4)"
ONE = "SELECT sealed, size FROM operation_pieces WHERE operation = $1 AND start = $2"
DROP = "DELETE FROM operation_pieces WHERE operation = $1"
AGAIN = """
    SELECT number, code, detail, line FROM operation_errors WHERE operation = $1 AND again = 1 ORDER BY number LIMIT $2
"""
FAIL = """
    INSERT INTO operation_errors (operation, number, message_id, code, detail, again, line)
    SELECT $1, number, '', code, detail, 0, line
    FROM unnest($2::bigint[], $3::text[], $4::text[], $5::bytea[]) AS new (number, code, detail, line)
    ON CONFLICT (operation, number)
    DO UPDATE SET again = 0, code = excluded.code, detail = excluded.detail, line = excluded.line
"""
MENDED = "DELETE FROM operation_errors WHERE operation = $1 AND number = ANY($2::bigint[])"
FORGET_LINES = "UPDATE operation_errors SET line = '' WHERE operation = $1 AND line <> ''"


class PostgresOperationFiles:
    """Implements `ports.ledger.OperationFiles`."""

    def __init__(self, database: Database, user_cache: UserCache, user_rows: PostgresUserRows) -> None:
        self._database = database
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
        async def append(connection: Connection) -> Operation | None:
            found = await locked_operation(connection, tenant, operation_id)
            if found is None:
                return None
            after = uploaded(found, start, size, at, complete=complete)
            await connection.execute(ADD, operation_id, start, size, sealed)
            return await store_operation(connection, after)

        return await self._database.write(append)

    async def read(self, operation_id: OperationId, start: int) -> tuple[bytes, int] | None:
        row = await self._database.row(ONE, operation_id, start)
        return None if row is None else (row["sealed"], row["size"])

    async def again(self, operation: Operation, limit: int) -> Sequence[OperationError]:
        found = await self._database.rows(AGAIN, operation.id, limit)
        return [
            OperationError(index=number, code=code, detail=detail, line=line)
            for number, code, detail, line in found
        ]

    async def advance(self, operation: Operation, step: FileStep) -> FileProgress:
        async def advance(connection: Connection) -> tuple[FileProgress, Sequence[User]]:
            now = await locked_operation(connection, operation.tenant, operation.id)
            if now != operation:
                return FileProgress(operation=now or operation, taken=False), ()
            users = await self._written(connection, operation.tenant, step)
            errors = [(one.index, one.code, one.detail, one.line) for one in step.errors]
            if errors:
                await connection.execute(FAIL, operation.id, *zip(*errors, strict=True))
            if step.mended:
                await connection.execute(MENDED, operation.id, step.mended)
            if step.piece:
                await connection.execute(ADD, operation.id, operation.file_bytes, step.size, step.piece)
            after = filed(operation, step)
            if not after.file_bytes:
                await connection.execute(DROP, operation.id)
            await store_operation(connection, after)
            return FileProgress(operation=after, taken=True), users

        progress, _ = await self._database.write(advance, after=lambda done: self._user_cache.keep(done[1]))
        return progress

    async def expire(self, now: Instant, limit: int) -> int:
        async def expire(connection: Connection) -> int:
            over = await outlived_files(connection, now, limit)
            for operation in over:
                await connection.execute(DROP, operation.id)
                await connection.execute(FORGET_LINES, operation.id)
                await store_operation(connection, outlived(operation, now))
            return len(over)

        return await self._database.write(expire)

    async def _written(self, connection: Connection, tenant: TenantId, step: FileStep) -> Sequence[User]:
        users = await self._user_rows.put(connection, tenant, step.users) if step.users else []
        numbers = {user.id: user.no for user in users}
        for topic, members in sorted(step.topics.items()):
            await topics.subscribe(connection, tenant, topic, [numbers[member] for member in members])
        return users
