"""What is left of the limits of providers."""

from __future__ import annotations

import sqlite3

from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.ids import Instant, TenantId
from clarion.model.quota import QuotaAsk, QuotaGrant, QuotaState
from clarion.rules.exact import take

QUOTA = "SELECT tokens, at, day, used FROM quotas WHERE tenant = ? AND integration = ?"
QUOTA_IS = (
    "INSERT OR REPLACE INTO quotas (tenant, integration, tokens, at, day, used) VALUES (?, ?, ?, ?, ?, ?)"
)


class SqliteQuotas:
    """Implements `ports.ledger.Quotas`."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def take(self, tenant: TenantId, integration: str, ask: QuotaAsk, now: Instant) -> QuotaGrant:
        def taken(connection: sqlite3.Connection) -> QuotaGrant:
            row = connection.execute(QUOTA, (tenant, integration)).fetchone()
            state = (
                QuotaState() if row is None else QuotaState(tokens=row[0], at=row[1], day=row[2], used=row[3])
            )
            state, grant = take(state, ask, now)
            values = (tenant, integration, state.tokens, state.at, state.day, state.used)
            connection.execute(QUOTA_IS, values)
            return grant

        return await self._writer.call(taken)
