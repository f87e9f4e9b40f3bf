"""The log of webhook calls: written with the settlement, read page by page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from asyncpg import Record

from clarion.adapters.ledgers.postgresql.database import Connection, Database
from clarion.model.endpoint import Delivery, DeliveryFilter
from clarion.model.ids import MessageId, TenantId
from clarion.model.settlement import Settlement
from clarion.rules.exact import health

ADD = """
    INSERT INTO deliveries (endpoint, message_id, tenant, "user", ok, status, took_ms, at, sealed)
    SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
        $8::bigint[], $9::bytea[])
"""
WELL = """
    UPDATE endpoints SET failing_since = NULL FROM unnest($1::bigint[], $2::bytea[]) AS new (tenant, id)
    WHERE endpoints.tenant = new.tenant AND endpoints.id = new.id AND endpoints.failing_since IS NOT NULL
"""
FAIL = """
    UPDATE endpoints SET failing_since = new.at FROM unnest($1::bigint[], $2::bytea[], $3::bigint[]) AS new (tenant, id, at)
    WHERE endpoints.tenant = new.tenant AND endpoints.id = new.id AND endpoints.failing_since IS NULL
"""
PAGE = """
    SELECT seq, endpoint, message_id, tenant, "user", ok, status, took_ms, at, sealed FROM deliveries
    WHERE endpoint = $2 AND seq < $3 AND tenant = $1 AND ($4::bigint IS NULL OR ok = $4) AND at >= $5 AND at < $6
    ORDER BY seq DESC LIMIT $7
"""

_ANY = 2**63 - 1
"""Behind every number and every time."""


class PostgresDeliveries:
    """Implements `ports.ledger.Deliveries`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, tenant: TenantId, endpoint: bytes, where: DeliveryFilter, before: int | None, limit: int
    ) -> Sequence[Delivery]:
        asked = (
            tenant,
            endpoint,
            _ANY if before is None else before,
            None if where.ok is None else int(where.ok),
            where.since or 0,
            _ANY if where.before is None else where.before,
            limit,
        )
        return [_delivery(row) for row in await self._database.lists.rows(PAGE, *asked)]


async def store(connection: Connection, settlements: Iterable[Settlement]) -> None:
    """In a transaction: the calls among the settlements, and what they say about their endpoints."""
    calls = [s.record for s in settlements if type(s.record) is Delivery]
    if not calls:
        return
    rows = [
        (c.endpoint, c.message_id, c.tenant, c.user, int(c.ok), c.status, c.took_ms, c.at, c.sealed)
        for c in calls
    ]
    await connection.execute(ADD, *zip(*rows, strict=True))
    well, failing = health(calls)
    if well:
        await connection.execute(WELL, *zip(*sorted(well), strict=True))
    if failing:
        failed = sorted((tenant, endpoint, at) for (tenant, endpoint), at in failing.items())
        await connection.execute(FAIL, *zip(*failed, strict=True))


def _delivery(row: Record) -> Delivery:
    seq, endpoint, message_id, tenant, user, ok, status, took_ms, at, sealed = row
    return Delivery(
        seq=seq,
        endpoint=endpoint,
        message_id=MessageId(message_id),
        tenant=tenant,
        user=user,
        ok=bool(ok),
        status=status,
        took_ms=took_ms,
        at=at,
        sealed=sealed,
    )
