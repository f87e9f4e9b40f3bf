"""Addresses that must not be used again, by keyed hash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clarion.adapters.ledgers.postgresql.database import Database
from clarion.adapters.ledgers.suppression_rows import KEEP_LASTING, page_values, suppression_of
from clarion.model.channel import Channel
from clarion.model.ids import Instant, TenantId
from clarion.model.suppression import Suppression, SuppressionFilter
from clarion.rules.exact import outlasts

_COLUMNS = "tenant, hash, channel, reason, at, source, expires_at"
ADD = f"""
    INSERT INTO suppressions (tenant, channel, hash, reason, at, source, expires_at)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::text[], $5::bigint[], $6::text[], $7::bigint[])
    {KEEP_LASTING}
"""
ALLOW = "DELETE FROM suppressions WHERE tenant = $1 AND hash = $2 AND channel = $3 RETURNING hash"
FIND = f"SELECT {_COLUMNS} FROM suppressions WHERE tenant = $1 AND hash = $2"
HELD = f"{FIND} FOR UPDATE"
PAGE = f"""
    SELECT {_COLUMNS} FROM suppressions
    WHERE tenant = $1 AND (at, hash) < ($2, $3) AND at >= $5 AND at < $6 AND (channel = $7 OR $7 IS NULL)
        AND (reason = $8 OR $8 IS NULL) AND (source = $9 OR $9 IS NULL)
    ORDER BY at DESC, hash DESC LIMIT $4
"""
EXPIRE = """
    DELETE FROM suppressions WHERE (tenant, hash, channel) IN (
        SELECT tenant, hash, channel FROM suppressions WHERE expires_at <= $1
        ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ) RETURNING hash
"""
REGISTERED_SINCE = """
    SELECT wanted.place FROM unnest($1::bigint[], $2::bigint[], $3::bytea[])
        WITH ORDINALITY AS wanted (tenant, before, hash, place)
    JOIN devices AS d ON d.tenant = wanted.tenant AND d.hash = wanted.hash AND d.seen_at > wanted.before
"""


class PostgresSuppressions:
    """Implements `ports.ledger.Suppressions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, rows: Sequence[Suppression]) -> None:
        if rows:
            await self._database.write(lambda connection: self.store(connection, rows))

    async def remove(self, tenant: TenantId, channel: Channel, hash: bytes) -> bool:
        return bool(await self._database.write(lambda c: c.fetch(ALLOW, tenant, hash, channel.value)))

    async def find(self, tenant: TenantId, hash: bytes) -> Suppression | None:
        row = await self._database.row(FIND, tenant, hash)
        return None if row is None else _suppression(row)

    async def page(
        self, tenant: TenantId, where: SuppressionFilter, before: tuple[Instant, bytes] | None, limit: int
    ) -> Sequence[Suppression]:
        values = page_values(tenant, where, before, limit)
        return [_suppression(row) for row in await self._database.lists.rows(PAGE, *values)]

    async def expire(self, now: Instant, limit: int) -> int:
        return len(await self._database.write(lambda c: c.fetch(EXPIRE, now, limit)))

    # -- in a transaction -------------------------------------------------------------------------------------

    async def of(self, connection: Any, tenant: TenantId, hash: bytes) -> Suppression | None:
        """That of one address, which stays as it is until the transaction ends."""
        row = await connection.fetchrow(HELD, tenant, hash)
        return None if row is None else _suppression(row)

    async def lift(self, connection: Any, gone: Suppression) -> None:
        """Removes one."""
        await connection.execute(ALLOW, gone.tenant, gone.hash, gone.channel.value)

    async def store(self, connection: Any, gone: Sequence[Suppression]) -> None:
        """Writes them."""
        kept: dict[tuple[TenantId, bytes, Channel], Suppression] = {}
        for one in await _meant(connection, gone):  # one statement takes an address once
            place = one.tenant, one.hash, one.channel
            if place not in kept or outlasts(one, kept[place]):
                kept[place] = one
        ordered = sorted(
            kept.values(), key=lambda one: (one.tenant, one.hash)
        )  # so that nobody waits for one another
        await connection.execute(
            ADD,
            [one.tenant for one in ordered],
            [one.channel.value for one in ordered],
            [one.hash for one in ordered],
            [one.reason for one in ordered],
            [one.at for one in ordered],
            [one.source for one in ordered],
            [one.expires_at for one in ordered],
        )


async def _meant(connection: Any, gone: Sequence[Suppression]) -> Sequence[Suppression]:
    """Without tokens that a device has registered again since they were gone."""
    tokens = [one for one in gone if one.registered_before is not None]
    if not tokens:
        return gone
    found = await connection.fetch(
        REGISTERED_SINCE,
        [one.tenant for one in tokens],
        [one.registered_before for one in tokens],
        [one.hash for one in tokens],
    )
    registered = [tokens[place - 1] for (place,) in found]
    return [one for one in gone if one not in registered] if registered else gone


def _suppression(row: Any) -> Suppression:
    tenant, digest, *rest = row
    return suppression_of(tenant, digest, rest)
