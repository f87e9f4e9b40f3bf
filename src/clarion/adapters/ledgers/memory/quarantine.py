"""Mail and callbacks kept for manual review."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.ids import TenantId
from clarion.model.quarantine import ANY_QUARANTINED, MOST, Quarantined, QuarantineFilter


class MemoryQuarantine:
    """Implements `ports.ledger.Quarantine`."""

    def __init__(self, tables: Tables, transactions: Transactions) -> None:
        self._tables = tables
        self._transactions = transactions

    async def keep(self, mail: Quarantined) -> None:
        def keep() -> None:
            if all(one.digest != mail.digest for one in self._of(mail.tenant, ANY_QUARANTINED)):
                seq = self._tables.next("quarantine")
                self._tables.quarantine[seq] = replace(mail, seq=seq)
            for place, one in enumerate(self._of(mail.tenant, QuarantineFilter(kind=mail.kind))):
                if place >= MOST:
                    del self._tables.quarantine[one.seq]

        await self._transactions.write(keep)

    async def get(self, tenant: TenantId, seq: int) -> Quarantined | None:
        one = self._tables.quarantine.get(seq)
        return one if one is not None and one.tenant == tenant else None

    async def page(
        self, tenant: TenantId, where: QuarantineFilter, before: int | None, limit: int
    ) -> Sequence[Quarantined]:
        return [one for one in self._of(tenant, where) if before is None or one.seq < before][:limit]

    async def drop(self, tenant: TenantId, seq: int) -> bool:
        def drop() -> bool:
            mine = any(one.seq == seq for one in self._of(tenant, ANY_QUARANTINED))
            if mine:
                del self._tables.quarantine[seq]
            return mine

        return await self._transactions.write(drop)

    def _of(self, tenant: TenantId, where: QuarantineFilter) -> list[Quarantined]:
        """Newest first."""
        found = [
            one
            for one in self._tables.quarantine.values()
            if one.tenant == tenant and where.kind in (None, one.kind) and where.why in (None, one.why)
            if where.since is None or one.at >= where.since
            if where.before is None or one.at < where.before
        ]
        return sorted(found, key=lambda one: -one.seq)
