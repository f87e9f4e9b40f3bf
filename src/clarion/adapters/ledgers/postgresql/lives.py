"""Live resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clarion.adapters.ledgers.postgresql.database import Database
from clarion.adapters.ledgers.postgresql.users import storable
from clarion.model.ids import Instant, TenantId
from clarion.model.live import LiveRow

_COLUMNS = "tenant, key, id, sequence, sealed, sealed_for, ended_at, due_at"
ADD = f"""
    INSERT INTO lives ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING key
"""
REPLACE = """
    UPDATE lives SET sequence = $4, sealed = $5, sealed_for = $6, ended_at = $7, due_at = $8
    WHERE tenant = $1 AND key = $2 AND id = $3 AND sequence = $9 RETURNING key
"""
LOOKED_AT = """
    UPDATE lives SET due_at = $5 WHERE tenant = $1 AND key = $2 AND id = $3 AND sequence = $4
"""
DROP = "DELETE FROM lives WHERE tenant = $1 AND key = $2 AND id = $3 RETURNING key"
NAMED = f"SELECT {_COLUMNS} FROM lives WHERE tenant = $1 AND key = ANY($2::text[])"
PAGE = f"""
    SELECT {_COLUMNS} FROM lives
    WHERE tenant = $1 AND key > $2 AND ($3::bool IS NULL OR (ended_at IS NOT NULL) = $3) ORDER BY key LIMIT $4
"""
DUE = f"SELECT {_COLUMNS} FROM lives WHERE due_at <= $1 ORDER BY due_at LIMIT $2"


class PostgresLives:
    """Implements `ports.ledger.Lives`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, row: LiveRow, after: int | None) -> bool:
        place = (row.tenant, row.key, row.id)
        values = (*place, row.sequence, row.sealed, row.sealed_for, row.ended_at, row.due_at)
        statement = (ADD, *values) if after is None else (REPLACE, *values, after)
        return bool(await self._database.write(lambda connection: connection.fetch(*statement)))

    async def get(self, tenant: TenantId, keys: Sequence[str]) -> Mapping[str, LiveRow]:
        wanted = [key for key in keys if storable(key)]
        return {row["key"]: LiveRow(**row) for row in await self._database.rows(NAMED, tenant, wanted)}

    async def page(self, tenant: TenantId, ended: bool | None, after: str, limit: int) -> Sequence[LiveRow]:
        return [LiveRow(**row) for row in await self._database.lists.rows(PAGE, tenant, after, ended, limit)]

    async def drop(self, tenant: TenantId, key: str, id: bytes) -> bool:
        return bool(await self._database.write(lambda connection: connection.fetch(DROP, tenant, key, id)))

    async def due(self, now: Instant, limit: int) -> Sequence[LiveRow]:
        return [LiveRow(**row) for row in await self._database.rows(DUE, now, limit)]

    async def looked_at(
        self, tenant: TenantId, key: str, id: bytes, sequence: int, due_at: Instant | None
    ) -> None:
        state = (tenant, key, id, sequence, due_at)
        await self._database.write(lambda connection: connection.execute(LOOKED_AT, *state))
