"""One-time codes, by their hashes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial

from clarion.adapters.ledgers.sqlite.files import one as single
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.adapters.ledgers.verification_rows import COLUMNS, row_of, verification_of
from clarion.model.ids import Instant, TenantId
from clarion.model.verification import Resend, Verification, VerificationId, VerificationStatus
from clarion.rules.exact import checked, finished, resent

PUT = f"INSERT OR REPLACE INTO verifications ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
GET = f"SELECT {COLUMNS} FROM verifications WHERE id = ? AND tenant = ?"
LATELY = "SELECT count(*) FROM verifications WHERE tenant = ? AND contact = ? AND created_at >= ?"
PENDING = f"SELECT {COLUMNS} FROM verifications WHERE tenant = ? AND contact = ? AND status = 'pending'"


class SqliteVerifications:
    """Implements `ports.ledger.Verifications`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def add(self, verification: Verification, since: Instant, most: int) -> bool:
        def add(connection: sqlite3.Connection) -> bool:
            address = (verification.tenant, verification.contact)
            if single(connection, LATELY, (*address, since)) >= most:
                return False
            for row in connection.execute(PENDING, address).fetchall():
                before = verification_of(row)
                _put(connection, finished(before, VerificationStatus.CANCELED, verification.created_at))
            _put(connection, verification)
            return True

        return bool(await self._writer.call(add))

    async def get(self, tenant: TenantId, verification_id: VerificationId) -> Verification | None:
        return await self._readers.call(partial(_get, tenant=tenant, verification_id=verification_id))

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
        def change(connection: sqlite3.Connection) -> Verification | None:
            before = _get(connection, tenant, verification_id)
            after = None if before is None else to(before)
            if after is not None and after != before:
                _put(connection, after)
            return after

        changed: Verification | None = await self._writer.call(change)
        return changed


def _get(
    connection: sqlite3.Connection, tenant: TenantId, verification_id: VerificationId
) -> Verification | None:
    row = connection.execute(GET, (verification_id, tenant)).fetchone()
    return None if row is None else verification_of(row)


def _put(connection: sqlite3.Connection, one: Verification) -> None:
    connection.execute(PUT, row_of(one))
