"""Events that could not be planned, set aside for manual review."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.log import MemoryLog
from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.event import Consumed, Entry, SetAside
from clarion.model.ids import Instant, TenantId


class MemorySetAsides:
    """Implements `ports.ledger.SetAsides`."""

    def __init__(self, tables: Tables, transactions: Transactions, log: MemoryLog) -> None:
        self._tables = tables
        self._transactions = transactions
        self._log = log

    async def keep(
        self, events: Sequence[SetAside], consumed: Sequence[Consumed], bodies: Sequence[Entry]
    ) -> None:
        def keep() -> None:
            self._log.add_planned(bodies)
            for entries in consumed:
                self._log.advance(entries)
            known = {(one.event_id, one.workflow) for one in self._tables.set_aside.values()}
            for one in events:
                if (one.event_id, one.workflow) not in known:
                    seq = self._tables.next("set_aside")
                    self._tables.set_aside[seq] = replace(one, seq=seq)

        await self._transactions.write(keep)

    async def page(self, tenant: TenantId, before: int | None, limit: int) -> Sequence[SetAside]:
        found = [
            one
            for one in self._tables.set_aside.values()
            if one.tenant == tenant and one.discarded_at is None and (before is None or one.seq < before)
        ]
        return sorted(found, key=_newest)[:limit]

    async def named(self, tenant: TenantId, seqs: Sequence[int]) -> Sequence[SetAside]:
        return [one for seq in dict.fromkeys(seqs) if (one := self._get(tenant, seq)) is not None]

    async def forget(self, tenant: TenantId, seqs: Sequence[int]) -> None:
        def forget() -> None:
            for one in [self._get(tenant, seq) for seq in seqs]:
                if one is not None:
                    self._tables.set_aside.pop(one.seq, None)

        await self._transactions.write(forget)

    async def discard(self, tenant: TenantId, seq: int, at: Instant) -> bool:
        def discard() -> bool:
            one = self._get(tenant, seq)
            if one is None or one.discarded_at is not None:
                return False
            self._tables.set_aside[seq] = replace(one, discarded_at=at)
            return True

        return await self._transactions.write(discard)

    async def waiting(self) -> int:
        return sum(one.discarded_at is None for one in self._tables.set_aside.values())

    def _get(self, tenant: TenantId, seq: int) -> SetAside | None:
        one = self._tables.set_aside.get(seq)
        return one if one is not None and one.tenant == tenant else None


def _newest(one: SetAside) -> int:
    return -one.seq
