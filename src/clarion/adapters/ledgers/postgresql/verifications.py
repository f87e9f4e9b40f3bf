"""One-time codes, by their hashes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clarion.adapters.ledgers.postgresql.database import Database
from clarion.adapters.ledgers.postgresql.locks import VERIFICATIONS, lock, of_hash
from clarion.adapters.ledgers.verification_rows import COLUMNS, row_of, verification_of
from clarion.model.ids import Instant, TenantId
from clarion.model.verification import Resend, Verification, VerificationId, VerificationStatus
from clarion.rules.exact import checked, finished, resent

ADD = f"""
    INSERT INTO verifications ({COLUMNS})
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
"""
CHANGE = """
    UPDATE verifications SET hash = $2, status = $3, sends = $4, checks = $5, sent_at = $6, finished_at = $7
    WHERE id = $1
"""
GET = f"SELECT {COLUMNS} FROM verifications WHERE id = $1 AND tenant = $2"
HELD = f"{GET} FOR UPDATE"
LATELY = "SELECT count(*) FROM verifications WHERE tenant = $1 AND contact = $2 AND created_at >= $3"
PENDING = f"""
    SELECT {COLUMNS} FROM verifications WHERE tenant = $1 AND contact = $2 AND status = 'pending'
    ORDER BY id FOR UPDATE
"""


class PostgresVerifications:
    """Implements `ports.ledger.Verifications`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, verification: Verification, since: Instant, most: int) -> bool:
        async def add(connection: Any) -> bool:
            address = (verification.tenant, verification.contact)
            await lock(connection, VERIFICATIONS, [of_hash(verification.contact)])
            if await connection.fetchval(LATELY, *address, since) >= most:
                return False
            for row in await connection.fetch(PENDING, *address):
                before = verification_of(row)
                await _change(
                    connection, finished(before, VerificationStatus.CANCELED, verification.created_at)
                )
            await connection.execute(ADD, *row_of(verification))
            return True

        return await self._database.write(add)

    async def get(self, tenant: TenantId, verification_id: VerificationId) -> Verification | None:
        row = await self._database.row(GET, verification_id, tenant)
        return None if row is None else verification_of(row)

    async def count_check(
        self, tenant: TenantId, verification_id: VerificationId, at: Instant, most: int
    ) -> Verification | None:
        return await self._changed(tenant, verification_id, lambda one: checked(one, at, most))

    async def resend(
        self, tenant: TenantId, verification_id: VerificationId, resend: Resend
    ) -> Verification | None:
        return await self._changed(tenant, verification_id, lambda one: resent(one, resend))

    async def finish(
        self, tenant: TenantId, verification_id: VerificationId, status: VerificationStatus, at: Instant
    ) -> Verification | None:
        return await self._changed(tenant, verification_id, lambda one: finished(one, status, at))

    async def _changed(
        self,
        tenant: TenantId,
        verification_id: VerificationId,
        to: Callable[[Verification], Verification | None],
    ) -> Verification | None:
        async def change(connection: Any) -> Verification | None:
            row = await connection.fetchrow(HELD, verification_id, tenant)
            before = None if row is None else verification_of(row)
            after = None if before is None else to(before)
            if after is not None and after != before:
                await _change(connection, after)
            return after

        return await self._database.write(change)


async def _change(connection: Any, one: Verification) -> None:
    state = (one.hash, one.status.value, one.sends, one.checks, one.sent_at, one.finished_at)
    await connection.execute(CHANGE, one.id, *state)
