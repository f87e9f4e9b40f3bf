"""When people wrote last."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.row_encoding import encoded, id_at, keys
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.ids import Instant, TenantId
from clarion.model.whatsapp import Heard

HEAR = f"""
    INSERT INTO conversations (tenant, integration, contact, heard_at)
    SELECT value ->> 0, value ->> 1, {id_at(0, 1)}, value ->> 2 FROM json_each(?1) WHERE true
    ON CONFLICT DO UPDATE SET heard_at = max(heard_at, excluded.heard_at)
"""
FORGET = "DELETE FROM conversations WHERE heard_at < ?"
HEARD = f"""
    SELECT json_group_array(json_array(hex(contact), heard_at)) FROM conversations
    WHERE tenant = ?3 AND integration = ?4 AND contact IN (SELECT {id_at(0, 1)} FROM json_each(?1))
"""


class SqliteConversations:
    """Implements `ports.ledger.Conversations`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def hear(self, heard: Sequence[Heard], forget_before: Instant) -> None:
        rows = encoded([(one.tenant, one.integration, one.at) for one in heard])
        contacts = b"".join([one.contact for one in heard])

        def hear(connection: sqlite3.Connection) -> None:
            connection.execute(HEAR, (rows, contacts))
            connection.execute(FORGET, (forget_before,))

        await self._writer.call(hear, rows=len(heard))

    async def heard(
        self, tenant: TenantId, integration: str, contacts: Sequence[bytes]
    ) -> Mapping[bytes, Instant]:
        found = await self._readers.rows(HEARD, (*keys(contacts), tenant, integration))
        return {bytes.fromhex(contact): Instant(at) for contact, at in found}
