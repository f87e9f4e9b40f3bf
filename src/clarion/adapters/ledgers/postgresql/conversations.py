"""When people wrote last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clarion.adapters.ledgers.postgresql.database import Database
from clarion.model.ids import Instant, TenantId
from clarion.model.whatsapp import Heard

HEAR = """
    INSERT INTO conversations (tenant, integration, contact, heard_at)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::bigint[])
    ON CONFLICT (tenant, integration, contact)
        DO UPDATE SET heard_at = greatest(conversations.heard_at, excluded.heard_at)
"""
FORGET = "DELETE FROM conversations WHERE heard_at < $1"
HEARD = """
    SELECT contact, heard_at FROM conversations
    WHERE tenant = $1 AND integration = $2 AND contact = ANY($3::bytea[])
"""


class PostgresConversations:
    """Implements `ports.ledger.Conversations`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def hear(self, heard: Sequence[Heard], forget_before: Instant) -> None:
        last: dict[tuple[TenantId, str, bytes], Instant] = {}
        for one in heard:
            place = (one.tenant, one.integration, one.contact)
            last[place] = max(one.at, last.get(place, one.at))
        rows = [(*place, at) for place, at in sorted(last.items())]
        columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]

        async def hear(connection: Any) -> None:
            await connection.execute(HEAR, *columns)
            await connection.execute(FORGET, forget_before)

        await self._database.write(hear)

    async def heard(
        self, tenant: TenantId, integration: str, contacts: Sequence[bytes]
    ) -> Mapping[bytes, Instant]:
        found = await self._database.rows(HEARD, tenant, integration, contacts)
        return {row["contact"]: Instant(row["heard_at"]) for row in found}
