"""The log of webhook calls: written with the settlement, read page by page."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from clarion.adapters.ledgers.sqlite import endpoint_statements as sql
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.row_encoding import BlobTail, encoded
from clarion.model.endpoint import Delivery, DeliveryFilter
from clarion.model.ids import MessageId, TenantId
from clarion.model.settlement import Settlement
from clarion.rules.exact import health


class SqliteDeliveries:
    """Implements `ports.ledger.Deliveries`."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def page(
        self, tenant: TenantId, endpoint: bytes, where: DeliveryFilter, before: int | None, limit: int
    ) -> Sequence[Delivery]:
        values = (tenant, endpoint, before, limit, where.ok, where.since, where.before)
        found = await self._readers.rows(sql.DELIVERIES_PAGE, values)
        return [_delivery(row) for row in found]


def store(connection: sqlite3.Connection, settlements: Iterable[Settlement]) -> None:
    """In a transaction of the writer: the calls among the settlements, and what they say about their endpoints."""
    calls = [s.record for s in settlements if type(s.record) is Delivery]
    if not calls:
        return
    tail = BlobTail([part for call in calls for part in (call.message_id, call.endpoint)])
    rows = [
        (c.tenant, c.user, c.ok, c.status, c.took_ms, c.at, tail.add(c.sealed), len(c.sealed)) for c in calls
    ]
    connection.execute(sql.DELIVERIES_ADD, (encoded(rows), tail.joined()))
    well, failing = health(calls)
    if well:
        packed = encoded([(tenant,) for tenant, _ in well])
        connection.execute(sql.ENDPOINTS_WELL, (packed, b"".join(digest for _, digest in well)))
    if failing:
        packed = encoded([(tenant, at) for (tenant, _), at in failing.items()])
        connection.execute(sql.ENDPOINTS_FAIL, (packed, b"".join(digest for _, digest in failing)))


def _delivery(row: list[Any]) -> Delivery:
    seq, endpoint, message_id, tenant, user, ok, status, took_ms, at, sealed = row
    return Delivery(
        seq=seq,
        endpoint=bytes.fromhex(endpoint),
        message_id=MessageId(bytes.fromhex(message_id)),
        tenant=tenant,
        user=user,
        ok=bool(ok),
        status=status,
        took_ms=took_ms,
        at=at,
        sealed=bytes.fromhex(sealed),
    )
