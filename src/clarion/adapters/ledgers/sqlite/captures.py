"""Messages captured instead of sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clarion.adapters.ledgers.sqlite import capture_statements as sql
from clarion.adapters.ledgers.sqlite.files import rows
from clarion.adapters.ledgers.sqlite.message_kinds import SqliteMessageKinds
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.recent_messages import RecentMessages
from clarion.adapters.ledgers.sqlite.row_encoding import encoded
from clarion.model.ids import MessageId, TenantId
from clarion.model.inbox import Captured, CaptureFilter


class SqliteCaptures:
    """Implements `ports.ledger.Captures`."""

    def __init__(self, readers: Readers, routes: SqliteMessageKinds, recent: RecentMessages) -> None:
        self._readers = readers
        self._routes = routes
        self._recent = recent

    async def page(
        self, tenant: TenantId, where: CaptureFilter, before: int | None, limit: int
    ) -> Sequence[Captured]:
        routes = self._routes.matching(
            lambda route: route.tenant == tenant and (not where.channels or route.channel in where.channels)
        )
        values = (encoded(routes), before, limit, where.since, where.before)
        if where.user is None:
            found = await self._readers.rows(sql.CAPTURES_PAGE, values)
        else:
            user = where.user
            found = await self._readers.call(
                lambda connection: rows(
                    connection,
                    sql.CAPTURES_OF_USER,
                    (*values, user, *self._recent.of(connection, (user,))),
                )
            )
        return [self._captured(row) for row in found]

    async def of(self, tenant: TenantId, message_id: MessageId) -> Sequence[Captured]:
        found = await self._readers.rows(sql.CAPTURES_OF, (message_id,))
        return [captured for row in found if (captured := self._captured(row)).tenant == tenant]

    def _captured(self, row: list[Any]) -> Captured:
        seq, message_id, user, route_no, integration, sealed, at = row
        route = self._routes[route_no]
        return Captured(
            tenant=route.tenant,
            user=user,
            message_id=MessageId(bytes.fromhex(message_id)),
            channel=route.channel,
            integration=integration,
            sealed=bytes.fromhex(sealed),
            at=at,
            seq=seq,
        )
