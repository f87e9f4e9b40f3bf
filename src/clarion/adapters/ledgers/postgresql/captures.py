"""Messages captured instead of sent: written with the settlement, read page by page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from asyncpg import Record

from clarion.adapters.ledgers.postgresql.database import Connection, Database
from clarion.model.channel import Channel
from clarion.model.ids import MessageId, TenantId
from clarion.model.inbox import Captured, CaptureFilter
from clarion.model.settlement import Settlement

ADD = """
    INSERT INTO captures (message_id, "user", route, integration, sealed, at)
    SELECT new.message_id, new."user", messages.route, new.integration, new.sealed, new.at
    FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::bytea[], $5::bigint[])
        WITH ORDINALITY AS new (message_id, "user", integration, sealed, at, place)
    JOIN messages ON messages.id = new.message_id
    ORDER BY new.place
"""

_SELECT = """
    SELECT captures.seq, routes.tenant, captures."user", captures.message_id, routes.channel, captures.integration,
        captures.sealed, captures.at
    FROM captures JOIN routes ON routes.no = captures.route
    WHERE routes.tenant = $1
"""

_MATCHES = """
    AND captures.seq < $2 AND ($3::text[] = '{}' OR routes.channel = ANY($3))
    AND captures.at >= $4 AND captures.at < $5
"""

PAGE = f"{_SELECT} {_MATCHES} ORDER BY captures.seq DESC LIMIT $6"

PAGE_OF_USER = f"""
    {_SELECT} AND captures.message_id IN (SELECT id FROM user_messages WHERE "user" = $7)
    {_MATCHES} ORDER BY captures.seq DESC LIMIT $6
"""

OF_MESSAGE = f"{_SELECT} AND captures.message_id = $2 ORDER BY captures.seq"

_ANY = 2**63 - 1
"""Behind every number and every time."""


class PostgresCaptures:
    """Implements `ports.ledger.Captures`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, tenant: TenantId, where: CaptureFilter, before: int | None, limit: int
    ) -> Sequence[Captured]:
        asked = (
            tenant,
            _ANY if before is None else before,
            [channel.value for channel in where.channels],
            where.since or 0,
            _ANY if where.before is None else where.before,
            limit,
        )

        if where.user is None:
            found = await self._database.lists.rows(PAGE, *asked)
        else:
            found = await self._database.lists.rows(PAGE_OF_USER, *asked, where.user)
        return [_captured(row) for row in found]

    async def of(self, tenant: TenantId, message_id: MessageId) -> Sequence[Captured]:
        return [_captured(row) for row in await self._database.rows(OF_MESSAGE, tenant, message_id)]


async def store(connection: Connection, settlements: Iterable[Settlement]) -> None:
    """In a transaction, when their messages are stored: what capture integrations kept."""
    kept = [copy for s in settlements for copy in (s.record, *s.copies) if type(copy) is Captured]
    if kept:
        rows = [(c.message_id, c.user, c.integration, c.sealed, c.at) for c in kept]
        await connection.execute(ADD, *zip(*rows, strict=True))


def _captured(row: Record) -> Captured:
    seq, tenant, user, message_id, channel, integration, sealed, at = row
    return Captured(
        tenant=tenant,
        user=user,
        message_id=MessageId(message_id),
        channel=Channel(channel),
        integration=integration,
        sealed=sealed,
        at=at,
        seq=seq,
    )
