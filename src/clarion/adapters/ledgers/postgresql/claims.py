"""Answers that are given again to whoever repeats a call under the same key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clarion.adapters.ledgers.claims import Claimed, first_claims, reserve
from clarion.adapters.ledgers.postgresql.database import Connection, Database
from clarion.model.event import IdempotencyRecord, IdempotencyResult, Reserved
from clarion.model.ids import Instant, TenantId
from clarion.ports.clock import Clock

PURGED_PER_CLAIM = 2
"""Expired claims that are deleted for each new one, so that they go faster than they come."""
PURGE_EVERY = 500
"""New claims."""

_UNCONFIRMED = "EXISTS (SELECT 1 FROM reservations WHERE no = claims.reservation)"
FIND = f"""
    SELECT claims.tenant, claims.key, fingerprint, answer, NOT {_UNCONFIRMED}
    FROM unnest($1::bigint[], $2::bytea[]) AS wanted (tenant, key) JOIN claims USING (tenant, key)
    WHERE expires_at > $3
"""
_ADD = """
    INSERT INTO claims (tenant, key, fingerprint, answer, expires_at, reservation)
    SELECT *, $7::bigint FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bigint[])
    ON CONFLICT (tenant, key) DO UPDATE SET fingerprint = excluded.fingerprint, answer = excluded.answer,
        expires_at = excluded.expires_at, reservation = excluded.reservation WHERE {free}
    RETURNING tenant, key
"""
_EXPIRED = "claims.expires_at <= $6"
ADD = _ADD.format(free=f"{_EXPIRED} OR {_UNCONFIRMED}")
"""Those that were free, or not confirmed."""
RESERVE = _ADD.format(free=_EXPIRED)
"""Those that were free."""
RESERVE_AGAIN = """
    UPDATE claims SET reservation = $3 FROM unnest($1::bigint[], $2::bytea[]) AS again (tenant, key)
    WHERE claims.tenant = again.tenant AND claims.key = again.key
"""
OPEN = "INSERT INTO reservations (expires_at) VALUES ($1) RETURNING no"
CONFIRM = "DELETE FROM reservations WHERE no = ANY($1) OR expires_at <= $2"
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
        found = _held(await self._database.rows(FIND, [tenant] * len(keys), keys, now))
        return {key: result for (_, key), result in found.items() if result.confirmed}

    async def hold(self, claim: IdempotencyRecord) -> IdempotencyResult:
        held = await self._database.write(lambda connection: self.claim(connection, [claim]))
        fresh = IdempotencyResult(fresh=True, fingerprint=claim.fingerprint, answer=claim.answer)
        return held.get((claim.tenant, claim.key), fresh)

    async def reserve(self, claims: Sequence[IdempotencyRecord], published: Sequence[int]) -> Reserved:
        return await self._database.write(lambda connection: self._reserve(connection, claims, published))

    # -- inside a transaction ---------------------------------------------------------------------------------

    async def _reserve(
        self, connection: Connection, claims: Sequence[IdempotencyRecord], published: Sequence[int]
    ) -> Reserved:
        await connection.execute(CONFIRM, list(published), self._clock.now())
        if not claims:
            return Reserved(number=0, results=())
        number = await connection.fetchval(OPEN, max(claim.expires_at for claim in claims))
        held = await self._add(connection, RESERVE, first_claims(claims), number)
        results, new, again = reserve(claims, held)
        if again:
            await connection.execute(RESERVE_AGAIN, [c.tenant for c in again], [c.key for c in again], number)
        elif not new:
            await connection.execute(CONFIRM, [number], 0)
            number = 0
        return Reserved(number=number, results=results)

    async def claim(self, connection: Connection, claims: Sequence[IdempotencyRecord]) -> Claimed:
        """Claims what is free or not confirmed, each key once; what somebody else holds."""
        return await self._add(connection, ADD, claims, None)

    async def _add(
        self, connection: Connection, add: str, claims: Sequence[IdempotencyRecord], reservation: int | None
    ) -> Claimed:
        """`add` those that are free, each key once; what somebody else holds."""
        now = self._clock.now()
        ordered = sorted(claims, key=lambda claim: (claim.tenant, claim.key))
        free = await connection.fetch(
            add,
            [c.tenant for c in ordered],
            [c.key for c in ordered],
            [c.fingerprint for c in ordered],
            [c.answer for c in ordered],
            [c.expires_at for c in ordered],
            now,
            reservation,
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
        return _held(await connection.fetch(FIND, tenants, keys, 0))


def _held(rows: Sequence[Any]) -> Claimed:
    return {
        (tenant, key): IdempotencyResult(
            fresh=False, fingerprint=fingerprint, answer=answer, confirmed=confirmed
        )
        for tenant, key, fingerprint, answer, confirmed in rows
    }
