"""Reads messages for people, and applies manual changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

from asyncpg import Record

from clarion.adapters.ledgers.postgresql import journal
from clarion.adapters.ledgers.postgresql import record_statements as sql
from clarion.adapters.ledgers.postgresql.database import Connection, Database
from clarion.adapters.ledgers.postgresql.message_kinds import PostgresMessageKinds
from clarion.adapters.ledgers.postgresql.terminations import PostgresTerminations
from clarion.adapters.ledgers.postgresql.withdrawals import ask
from clarion.adapters.ledgers.row_mappers import message as message_of
from clarion.adapters.ledgers.schema import CODES
from clarion.model.ids import Instant, MessageId, TenantId
from clarion.model.message import Change, Message, MessageFilter
from clarion.model.status import FAILED_FOR_GOOD, Reason, Status
from clarion.rules import ladder, withdrawals

SCANNED = 20_000
"""Rows one call looks at, so that a rare filter cannot hold up a connection for long."""


class PostgresRecords:
    """Implements `ports.ledger.MessageRecords`."""

    def __init__(
        self, database: Database, kinds: PostgresMessageKinds, terminations: PostgresTerminations
    ) -> None:
        self._database = database
        self._kinds = kinds
        self._terminations = terminations

    async def get(self, tenant: TenantId, message_id: MessageId) -> Message | None:
        found = await self._database.read(lambda connection: self.stored(connection, tenant, [message_id]))
        return found.get(message_id)

    async def page(
        self, tenant: TenantId, where: MessageFilter, before: MessageId | None, limit: int
    ) -> tuple[Sequence[Message], MessageId | None]:
        return await self._database.lists.read(
            lambda connection: self.read(connection, tenant, where, before, limit)
        )

    async def changes(self, tenant: TenantId, message_id: MessageId) -> Sequence[Change]:
        return await self._database.read(lambda connection: journal.timeline(connection, tenant, message_id))

    async def tail(
        self, tenant: TenantId, after: int, limit: int, *, integration: str | None = None
    ) -> Sequence[Change]:
        return await journal.tail(self._database, tenant, after, limit, integration)

    async def cancel(
        self,
        tenant: TenantId,
        message_id: MessageId,
        at: Instant,
        begun: Set[MessageId],
        reason: Reason = Reason.CANCELED_BY_CALLER,
    ) -> Status | None:
        async def cancel(connection: Connection) -> Status | None:
            found = await self.stored(connection, tenant, [message_id])
            if not found:
                return None
            await self.canceled(connection, list(found.values()), at, begun, reason)
            return (await self.stored(connection, tenant, [message_id]))[message_id].status

        return await self._database.write(cancel)

    async def requeue(
        self,
        tenant: TenantId,
        where: MessageFilter,
        ids: Sequence[MessageId] | None,
        at: Instant,
        limit: int,
        versions: Mapping[str, int],
    ) -> frozenset[MessageId]:
        return await self._database.write(
            lambda connection: self.requeued(connection, tenant, where, ids, at, limit, versions)
        )

    async def count(
        self, tenant: TenantId, where: MessageFilter, before: MessageId | None
    ) -> tuple[int, MessageId | None]:
        """How many match, and the id where the scan stopped short of the end."""

        async def count(connection: Connection) -> tuple[int, MessageId | None]:
            search = _search(tenant, where, before)
            counted: int = await connection.fetchval(sql.COUNT[search.way], *search.asked, SCANNED)
            return counted, await search.end(connection)

        return await self._database.lists.read(count)

    # -- inside a transaction -----------------------------------------------------------------------------------

    async def read(
        self,
        connection: Connection,
        tenant: TenantId,
        where: MessageFilter,
        before: MessageId | None,
        limit: int,
    ) -> tuple[Sequence[Message], MessageId | None]:
        """As `page`."""
        search = _search(tenant, where, before)
        found = await connection.fetch(sql.SEARCH[search.way], *search.asked, SCANNED, limit)
        messages = await self._messages(connection, found)
        if len(messages) == limit:
            return messages, messages[-1].id
        return messages, await search.end(connection)

    async def stored(
        self, connection: Connection, tenant: TenantId, ids: Sequence[MessageId]
    ) -> dict[MessageId, Message]:
        """Those of the tenant among `ids`."""
        messages = await self._messages(connection, await connection.fetch(sql.NAMED, ids))
        return {message.id: message for message in messages if message.tenant == tenant}

    async def canceled(
        self,
        connection: Connection,
        messages: Sequence[Message],
        at: Instant,
        begun: Set[MessageId],
        reason: Reason = Reason.CANCELED_BY_CALLER,
    ) -> frozenset[MessageId]:
        """Cancel those that have not begun, with the rungs behind them; all that were."""
        why = (Status.CANCELED, reason, at)
        going = [message for message in messages if message.id not in begun]
        stopped = {*await self._terminations.stop(connection, [message.id for message in going], *why)}
        behind = ladder.behind(message for message in going if message.id in stopped)
        later = [rung for rung in behind if rung not in begun]
        if later:
            stopped.update(await self._terminations.stop(connection, later, *why))
        return frozenset(map(MessageId, stopped))

    async def withdrawn(
        self, connection: Connection, messages: Sequence[Message], at: Instant, begun: Set[MessageId]
    ) -> frozenset[MessageId]:
        """Cancel those that have not begun, and ask that the others are taken back; all of which something comes."""
        canceled = await self.canceled(connection, messages, at, begun, Reason.WITHDRAWN)
        out = withdrawals.asked(messages, at, begun)
        await ask(connection, out)
        return canceled.union(one.message_id for one in out)

    async def requeued(
        self,
        connection: Connection,
        tenant: TenantId,
        where: MessageFilter,
        ids: Sequence[MessageId] | None,
        at: Instant,
        limit: int,
        versions: Mapping[str, int],
    ) -> frozenset[MessageId]:
        """As `requeue`."""
        search = _search(tenant, where, None)
        if ids is None:
            found = await connection.fetch(sql.RETRYABLE, *search.asked, limit)
        else:
            found = await connection.fetch(sql.RETRYABLE_NAMED, *search.asked, limit, ids)
        if not found:
            return frozenset()
        back = [
            Change(
                message_id=MessageId(row["id"]),
                tenant=tenant,
                at=at,
                status=Status.QUEUED,
                reason=Reason.RETRIED,
            )
            for row in found
        ]
        positions = await journal.add(connection, back, [row["journal"] for row in found])
        await self._kinds.load(connection, {row["route"] for row in found})
        wanted = [self._kinds.with_version(row["route"], versions) for row in found]
        numbers = await self._kinds.numbers(connection, wanted)
        chosen = [change.message_id for change in back]
        await connection.execute(sql.REQUEUE, chosen, [numbers[kind] for kind in wanted], positions, at)
        await self._terminations.uncounted(connection, chosen)
        return frozenset(chosen)

    async def _messages(self, connection: Connection, rows: Sequence[Record]) -> list[Message]:
        await self._kinds.load(connection, {row["route"] for row in rows})
        return [message_of(self._kinds, row) for row in rows]


class _Search(NamedTuple):
    """A filter as the statements take it."""

    way: str
    asked: tuple[Any, ...]

    async def end(self, connection: Connection) -> MessageId | None:
        """Where the scan stopped short of the end."""
        lowest, highest, _, user, *_ = self.asked
        of = () if user is None else (user,)
        found = await connection.fetchval(sql.END[self.way], lowest, highest, SCANNED - 1, *of)
        return None if found is None else MessageId(found)


def _search(tenant: TenantId, where: MessageFilter, before: MessageId | None) -> _Search:
    lowest, highest = where.ids(before)
    asked = (
        lowest,
        highest,
        tenant,
        where.user,
        where.event_id,
        [*where.workflows],
        [channel.value for channel in where.channels],
        [CODES[status] for status in where.statuses],
        [reason.value for reason in where.reasons],
    )
    failed = bool(where.statuses) and where.statuses <= FAILED_FOR_GOOD
    return _Search("user" if where.user is not None else "failed" if failed else "all", asked)
