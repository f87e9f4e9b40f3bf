"""What is left of the limits of providers."""

from __future__ import annotations

from typing import Any

from clarion.adapters.ledgers.postgresql.database import Database
from clarion.model.ids import Instant, TenantId
from clarion.model.quota import QuotaAsk, QuotaGrant, QuotaState
from clarion.rules.exact import take

QUOTA = "SELECT tokens, at, day, used FROM quotas WHERE tenant = $1 AND integration = $2 FOR UPDATE"
QUOTA_NEW = """
    INSERT INTO quotas (tenant, integration, tokens, at, day, used) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT DO NOTHING
"""
QUOTA_IS = """
    UPDATE quotas SET tokens = $3, at = $4, day = $5, used = $6 WHERE tenant = $1 AND integration = $2
"""


class PostgresQuotas:
    """Implements `ports.ledger.Quotas`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, tenant: TenantId, integration: str, ask: QuotaAsk, now: Instant) -> QuotaGrant:
        async def taken(connection: Any) -> QuotaGrant:
            row = await connection.fetchrow(QUOTA, tenant, integration)
            if row is None:
                new = QuotaState()
                await connection.execute(
                    QUOTA_NEW, tenant, integration, new.tokens, new.at, new.day, new.used
                )
                row = await connection.fetchrow(QUOTA, tenant, integration)
            state, grant = take(QuotaState(**row), ask, now)
            await connection.execute(
                QUOTA_IS, tenant, integration, state.tokens, state.at, state.day, state.used
            )
            return grant

        return await self._database.write(taken)
