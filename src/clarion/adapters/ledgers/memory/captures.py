"""Messages captured instead of sent."""

from __future__ import annotations

from collections.abc import Sequence

from clarion.adapters.ledgers.memory.tables import Tables
from clarion.model.ids import MessageId, TenantId
from clarion.model.inbox import Captured, CaptureFilter


class MemoryCaptures:
    """Implements `ports.ledger.Captures`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def page(
        self, tenant: TenantId, where: CaptureFilter, before: int | None, limit: int
    ) -> Sequence[Captured]:
        found = [
            one
            for one in self._tables.captures.values()
            if one.tenant == tenant and where.user in (None, one.user)
            if before is None or one.seq < before
            if not where.channels or one.channel in where.channels
            if where.since is None or one.at >= where.since
            if where.before is None or one.at < where.before
        ]
        return sorted(found, key=lambda one: -one.seq)[:limit]

    async def of(self, tenant: TenantId, message_id: MessageId) -> Sequence[Captured]:
        found = [
            one
            for one in self._tables.captures.values()
            if one.tenant == tenant and one.message_id == message_id
        ]
        return sorted(found, key=lambda one: one.seq)
