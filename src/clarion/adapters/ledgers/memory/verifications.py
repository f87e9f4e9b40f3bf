"""One-time codes, by their hashes."""

from __future__ import annotations

from collections.abc import Callable

from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.ids import Instant, TenantId
from clarion.model.verification import Resend, Verification, VerificationId, VerificationStatus
from clarion.rules.exact import checked, finished, resent


class MemoryVerifications:
    """Implements `ports.ledger.Verifications`."""

    def __init__(self, tables: Tables, transactions: Transactions) -> None:
        self._tables = tables
        self._transactions = transactions

    async def add(self, verification: Verification, since: Instant, most: int) -> bool:
        def add() -> bool:
            table, at = self._tables.verifications, verification.created_at
            same = [
                one
                for one in table.values()
                if one.tenant == verification.tenant and one.contact == verification.contact
            ]
            if sum(one.created_at >= since for one in same) >= most:
                return False
            for one in same:
                table[one.id] = finished(one, VerificationStatus.CANCELED, at)
            table[verification.id] = verification
            return True

        return await self._transactions.write(add)

    async def get(self, tenant: TenantId, verification_id: VerificationId) -> Verification | None:
        return self._one(tenant, verification_id)

    async def count_check(
        self, tenant: TenantId, verification_id: VerificationId, at: Instant, most: int
    ) -> Verification | None:
        return await self._change(tenant, verification_id, lambda one: checked(one, at, most))

    async def resend(
        self, tenant: TenantId, verification_id: VerificationId, resend: Resend
    ) -> Verification | None:
        return await self._change(tenant, verification_id, lambda one: resent(one, resend))

    async def finish(
        self, tenant: TenantId, verification_id: VerificationId, status: VerificationStatus, at: Instant
    ) -> Verification | None:
        return await self._change(tenant, verification_id, lambda one: finished(one, status, at))

    async def _change(
        self,
        tenant: TenantId,
        verification_id: VerificationId,
        to: Callable[[Verification], Verification | None],
    ) -> Verification | None:
        def change() -> Verification | None:
            before = self._one(tenant, verification_id)
            after = None if before is None else to(before)
            if after is not None:
                self._tables.verifications[verification_id] = after
            return after

        return await self._transactions.write(change)

    def _one(self, tenant: TenantId, verification_id: VerificationId) -> Verification | None:
        one = self._tables.verifications.get(verification_id)
        return one if one is not None and one.tenant == tenant else None
