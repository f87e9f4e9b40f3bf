"""Reads messages for people, and applies manual changes."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

from clarion.adapters.ledgers.schema import CODES
from clarion.adapters.ledgers.sqlite import journal
from clarion.adapters.ledgers.sqlite import record_statements as sql
from clarion.adapters.ledgers.sqlite.files import one, rows
from clarion.adapters.ledgers.sqlite.message_kinds import SqliteMessageKinds
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.recent_messages import RecentMessages
from clarion.adapters.ledgers.sqlite.row_encoding import encoded, keys
from clarion.adapters.ledgers.sqlite.row_mappers import message as message_of
from clarion.adapters.ledgers.sqlite.terminations import Terminations
from clarion.adapters.ledgers.sqlite.withdrawals import ask
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.ids import Instant, MessageId, TenantId, UserNo
from clarion.model.message import Change, Message, MessageFilter
from clarion.model.status import Reason, Status
from clarion.rules import ladder, withdrawals

SCANNED = 20_000
"""Rows one call looks at, so that a rare filter cannot hold up a reader for long."""


class SqliteRecords:
    """Implements `ports.ledger.MessageRecords`."""

    def __init__(
        self,
        writer: Writer,
        readers: Readers,
        routes: SqliteMessageKinds,
        terminations: Terminations,
        recent: RecentMessages,
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._routes = routes
        self._terminations = terminations
        self._recent = recent

    async def get(self, tenant: TenantId, message_id: MessageId) -> Message | None:
        found = await self._readers.rows(sql.MESSAGE_BY_ID, (message_id,))
        messages = [message_of(self._routes, row) for row in found]
        return messages[0] if messages and messages[0].tenant == tenant else None

    async def page(
        self, tenant: TenantId, where: MessageFilter, before: MessageId | None, limit: int
    ) -> tuple[Sequence[Message], MessageId | None]:
        search = self.search(tenant, where, before)
        return await self._readers.call(lambda connection: self.read(connection, search, limit))

    def read(
        self, connection: sqlite3.Connection, search: Search, limit: int
    ) -> tuple[Sequence[Message], MessageId | None]:
        """As `page`."""
        found, end = search.run(connection, limit)
        messages = [message_of(self._routes, row) for row in found]
        if len(messages) == limit:
            return messages, messages[-1].id
        return messages, None if end is None else MessageId(end)

    async def changes(self, tenant: TenantId, message_id: MessageId) -> Sequence[Change]:
        return await self._readers.call(lambda connection: journal.timeline(connection, tenant, message_id))

    async def tail(
        self, tenant: TenantId, after: int, limit: int, *, integration: str | None = None
    ) -> Sequence[Change]:
        return await self._readers.call(
            lambda connection: journal.tail(connection, tenant, after, limit, integration)
        )

    async def cancel(
        self,
        tenant: TenantId,
        message_id: MessageId,
        at: Instant,
        begun: Set[MessageId],
        reason: Reason = Reason.CANCELED_BY_CALLER,
    ) -> Status | None:
        def cancel(connection: sqlite3.Connection) -> Status | None:
            found = rows(connection, sql.MESSAGE_BY_ID, (message_id,))
            message = message_of(self._routes, found[0]) if found else None
            if message is None or message.tenant != tenant:
                return None
            self.canceled(connection, [message], at, begun, reason)
            code: int = one(connection, sql.STATUS_OF, (message_id,))
            return tuple(Status)[code]

        return await self._writer.call(cancel)

    def canceled(
        self,
        connection: sqlite3.Connection,
        messages: Sequence[Message],
        at: Instant,
        begun: Set[MessageId],
        reason: Reason = Reason.CANCELED_BY_CALLER,
    ) -> frozenset[MessageId]:
        """Cancel those that have not begun, with the rungs behind them; all that were. In a transaction."""
        why = (Status.CANCELED, reason, at)
        going = [message for message in messages if message.id not in begun]
        stopped = set(self._terminations.stop(connection, [message.id for message in going], *why))
        behind = ladder.behind(message for message in going if message.id in stopped)
        later = [rung for rung in behind if rung not in begun]
        if later:
            stopped.update(self._terminations.stop(connection, later, *why))
        return frozenset(map(MessageId, stopped))

    def withdrawn(
        self,
        connection: sqlite3.Connection,
        messages: Sequence[Message],
        at: Instant,
        begun: Set[MessageId],
    ) -> frozenset[MessageId]:
        """Cancel those that have not begun, and ask that the others are taken back; all of which something comes."""
        canceled = self.canceled(connection, messages, at, begun, Reason.WITHDRAWN)
        out = withdrawals.asked(messages, at, begun)
        ask(connection, out)
        return canceled.union(one.message_id for one in out)

    async def requeue(
        self,
        tenant: TenantId,
        where: MessageFilter,
        ids: Sequence[MessageId] | None,
        at: Instant,
        limit: int,
        versions: Mapping[str, int],
    ) -> frozenset[MessageId]:
        search = self.search(tenant, where, None)
        return await self._writer.call(
            lambda connection: self.requeued(connection, search, ids, at, limit, versions), rows=limit
        )

    def requeued(
        self,
        connection: sqlite3.Connection,
        search: Search,
        ids: Sequence[MessageId] | None,
        at: Instant,
        limit: int,
        versions: Mapping[str, int],
    ) -> frozenset[MessageId]:
        """As `requeue`, in a transaction."""
        found = search.retryable(connection, ids, limit)
        chosen = [bytes.fromhex(row[0]) for row in found]
        if chosen:
            back = [
                Change(
                    message_id=MessageId(one),
                    tenant=self._routes[route].tenant,
                    at=at,
                    status=Status.QUEUED,
                    reason=Reason.RETRIED,
                )
                for one, (_, route, _) in zip(chosen, found, strict=True)
            ]
            positions = journal.add(connection, back, [before for *_, before in found])
            routes = [
                self._routes.number_of(connection, self._routes.with_version(no, versions))
                for _, no, _ in found
            ]
            moved = encoded(list(zip(routes, positions, strict=True)))
            connection.execute(sql.REQUEUE, (moved, b"".join(chosen), at))
            self._terminations.uncounted(connection, chosen)
        return frozenset(map(MessageId, chosen))

    def stored(
        self, connection: sqlite3.Connection, tenant: TenantId, ids: Sequence[MessageId]
    ) -> dict[MessageId, Message]:
        """Those of the tenant among `ids`, in a transaction."""
        found = [rows(connection, sql.MESSAGE_BY_ID, (one_id,)) for one_id in ids]
        messages = [message_of(self._routes, row) for of_id in found for row in of_id]
        return {message.id: message for message in messages if message.tenant == tenant}

    def search(self, tenant: TenantId, where: MessageFilter, before: MessageId | None) -> Search:
        """Finds messages that were stored before it was made."""
        lowest, highest = where.ids(before)
        routes = self._routes.matching(
            lambda route: (
                route.tenant == tenant
                and (not where.workflows or route.workflow in where.workflows)
                and (not where.channels or route.channel in where.channels)
            )
        )
        return Search(
            lowest=lowest,
            highest=highest,
            user=where.user,
            event_id=where.event_id,
            routes=encoded(routes),
            statuses=where.statuses,
            reasons=where.reasons,
            recent=self._recent,
        )


class Search(NamedTuple):
    """A filter as the statements take it."""

    lowest: bytes
    highest: bytes
    user: int | None
    event_id: bytes | None
    routes: str
    statuses: Set[Status]
    reasons: Set[Reason]
    recent: RecentMessages

    def run(self, connection: sqlite3.Connection, limit: int) -> tuple[list[Any], bytes | None]:
        """The rows, newest first, and the id where the scan stopped short of the end."""
        way = sql.way_to(self.user is not None, self.statuses)
        values = self._placed(connection)
        found = rows(connection, sql.SEARCH[way], {**values, "most": limit})
        return found, one(connection, sql.SEARCH_END[way], values)

    def counted(self, connection: sqlite3.Connection) -> tuple[int, bytes | None]:
        """How many match, and the id where the scan stopped short of the end."""
        way = sql.way_to(self.user is not None, self.statuses)
        values = self._placed(connection)
        return one(connection, sql.SEARCH_COUNT[way], values), one(connection, sql.SEARCH_END[way], values)

    def retryable(
        self, connection: sqlite3.Connection, ids: Sequence[MessageId] | None, limit: int
    ) -> list[Any]:
        """Ids and routes of what may be sent again: what failed, or among `ids` also what was suppressed."""
        values = {**self.values(), "most": limit}
        if ids is None:
            return rows(connection, sql.RETRYABLE, values)
        some, joined = keys(ids)
        return rows(connection, sql.RETRYABLE_NAMED, {**values, "rows": some, "ids": joined})

    def _placed(self, connection: sqlite3.Connection) -> dict[str, Any]:
        """With where messages of the user are."""
        found = self.recent.of(connection, () if self.user is None else (UserNo(self.user),))
        return self.values() | dict(zip(("recent_rows", "recent_ids"), found, strict=True))

    def values(self) -> dict[str, Any]:
        """The parameters of every way."""
        return {
            "lowest": self.lowest,
            "highest": self.highest,
            "user": self.user,
            "event_id": self.event_id,
            "routes": self.routes,
            "statuses": encoded([CODES[one] for one in self.statuses]) if self.statuses else None,
            "reasons": encoded([one.value for one in self.reasons]) if self.reasons else None,
            "scanned": SCANNED,
        }
