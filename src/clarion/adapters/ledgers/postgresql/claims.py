"""Answers that are given again to whoever repeats a call under the same key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clarion.adapters.ledgers.claims import Claimed
from clarion.adapters.ledgers.postgresql.database import Connection, Database
from clarion.model.event import IdempotencyRecord, IdempotencyResult
from clarion.model.ids import Instant, TenantId
from clarion.ports.clock import Clock

PURGED_PER_CLAIM = 2
"""Expired claims that are deleted for each new one, so that they go faster than they come."""
PURGE_EVERY = 500
"""New claims."""

FIND = """
    SELECT claims.tenant, claims.key, fingerprint, answer
    FROM unnest($1::bigint[], $2::bytea[]) AS wanted (tenant, key) JOIN claims USING (tenant, key)
    WHERE expires_at > $3
"""
ADD = """
    INSERT INTO claims (tenant, key, fingerprint, answer, expires_at)
    SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bigint[])
    ON CONFLICT (tenant, key) DO UPDATE SET fingerprint = excluded.fingerprint, answer = excluded.answer,
        expires_at = excluded.expires_at WHERE claims.expires_at <= $6
    RETURNING tenant, key
"""
"""Those that were free."""
PURGE = """
    DELETE FROM claims WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM claims WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED
    ))
"""


class PostgresClaims:
    """Implements `ports.ledger.IdempotencyStore`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._since = 0
        """Claims since some were purged."""

    async def claimed(
        self, tenant: TenantId, keys: Sequence[bytes], now: Instant
    ) -> Mapping[bytes, IdempotencyResult]:
        if not keys:
            return {}
        found = await self._database.rows(FIND, [tenant] * len(keys), keys, now)
        return {key: _held(fingerprint, answer) for _, key, fingerprint, answer in found}

    async def hold(self, claim: IdempotencyRecord) -> IdempotencyResult:
        held = await self._database.write(lambda connection: self.claim(connection, [claim]))
        fresh = IdempotencyResult(fresh=True, fingerprint=claim.fingerprint, answer=claim.answer)
        return held.get((claim.tenant, claim.key), fresh)

    # -- inside a transaction ---------------------------------------------------------------------------------

    async def claim(self, connection: Connection, claims: Sequence[IdempotencyRecord]) -> Claimed:
        """Claims what is free, each key once; what somebody else holds."""
        now = self._clock.now()
        ordered = sorted(claims, key=lambda claim: (claim.tenant, claim.key))
        free = await connection.fetch(
            ADD,
            [c.tenant for c in ordered],
            [c.key for c in ordered],
            [c.fingerprint for c in ordered],
            [c.answer for c in ordered],
            [c.expires_at for c in ordered],
            now,
        )
        self._since += len(free)
        if self._since >= PURGE_EVERY:
            await connection.execute(PURGE, now, PURGED_PER_CLAIM * self._since)
            self._since = 0
        if len(free) == len(claims):
            return {}
        ours = {(tenant, key) for tenant, key in free}
        wanted = [place for c in ordered if (place := (c.tenant, c.key)) not in ours]
        tenants, keys = zip(*wanted, strict=True)
        # With the clock at 0: it may expire between the two statements, and then it was not free a moment ago.
        found = await connection.fetch(FIND, tenants, keys, 0)
        return {(tenant, key): _held(fingerprint, answer) for tenant, key, fingerprint, answer in found}


def _held(fingerprint: bytes, answer: bytes) -> IdempotencyResult:
    return IdempotencyResult(fresh=False, fingerprint=fingerprint, answer=answer)
