"""When people wrote last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.ids import Instant, TenantId
from clarion.model.whatsapp import Heard


class MemoryConversations:
    """Implements `ports.ledger.Conversations`."""

    def __init__(self, tables: Tables, transactions: Transactions) -> None:
        self._rows = tables.conversations
        self._transactions = transactions

    async def hear(self, heard: Sequence[Heard], forget_before: Instant) -> None:
        await self._transactions.write(lambda: self._hear(heard, forget_before))

    async def heard(
        self, tenant: TenantId, integration: str, contacts: Sequence[bytes]
    ) -> Mapping[bytes, Instant]:
        found = {contact: self._rows.get((tenant, integration, contact)) for contact in contacts}
        return {contact: at for contact, at in found.items() if at is not None}

    def _hear(self, heard: Sequence[Heard], forget_before: Instant) -> None:
        for one in heard:
            place = (one.tenant, one.integration, one.contact)
            self._rows[place] = max(one.at, self._rows.get(place, one.at))
        for place, at in list(self._rows.items()):
            if at < forget_before:
                del self._rows[place]
