"""Mail and callbacks kept for manual review."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clarion.adapters.ledgers.postgresql.database import Database
from clarion.model.ids import TenantId
from clarion.model.quarantine import MOST, Quarantined, QuarantineFilter, QuarantineKind

NEWEST = 2**62

_COLUMNS = "seq, tenant, kind, why, integration, digest, sealed, at"
ADD = """
    INSERT INTO strays (tenant, digest, why, sealed, at, kind, integration) VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT DO NOTHING
"""
PURGE = """
    DELETE FROM strays WHERE tenant = $1 AND kind = $2 AND seq <= (
        SELECT seq FROM strays WHERE tenant = $1 AND kind = $2 ORDER BY seq DESC LIMIT 1 OFFSET $3
    )
"""
DROP = "DELETE FROM strays WHERE tenant = $1 AND seq = $2 RETURNING seq"
GET = f"SELECT {_COLUMNS} FROM strays WHERE tenant = $1 AND seq = $2"
PAGE = f"""
    SELECT {_COLUMNS} FROM strays
    WHERE tenant = $1 AND seq < $2 AND ($3::text IS NULL OR kind = $3) AND ($4::text IS NULL OR why = $4)
        AND at >= $5 AND at < $6
    ORDER BY seq DESC LIMIT $7
"""


class PostgresQuarantine:
    """Implements `ports.ledger.Quarantine`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, mail: Quarantined) -> None:
        kind = mail.kind.value
        values = (mail.tenant, mail.digest, mail.why, mail.sealed, mail.at, kind, mail.integration)

        async def keep(connection: Any) -> None:
            await connection.execute(ADD, *values)
            await connection.execute(PURGE, mail.tenant, kind, MOST)

        await self._database.write(keep)

    async def get(self, tenant: TenantId, seq: int) -> Quarantined | None:
        row = await self._database.row(GET, tenant, seq)
        return None if row is None else _quarantined(row)

    async def page(
        self, tenant: TenantId, where: QuarantineFilter, before: int | None, limit: int
    ) -> Sequence[Quarantined]:
        found = await self._database.lists.rows(
            PAGE,
            tenant,
            NEWEST if before is None else before,
            None if where.kind is None else where.kind.value,
            where.why,
            where.since or 0,
            NEWEST if where.before is None else where.before,
            limit,
        )
        return [_quarantined(row) for row in found]

    async def drop(self, tenant: TenantId, seq: int) -> bool:
        return bool(await self._database.write(lambda connection: connection.fetch(DROP, tenant, seq)))


def _quarantined(row: Any) -> Quarantined:
    return Quarantined(**dict(row) | {"kind": QuarantineKind(row["kind"])})
