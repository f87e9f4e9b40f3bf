"""Applies receipts to messages. A status only moves forward."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from clarion.adapters.ledgers.schema import CODES, RECEIPTS
from clarion.adapters.ledgers.sqlite import journal, message_statements
from clarion.adapters.ledgers.sqlite import receipt_statements as sql
from clarion.adapters.ledgers.sqlite.files import rows
from clarion.adapters.ledgers.sqlite.message_kinds import SqliteMessageKinds
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.recent_messages import RecentMessages
from clarion.adapters.ledgers.sqlite.row_encoding import encoded, keys
from clarion.adapters.ledgers.sqlite.row_mappers import message as message_of
from clarion.adapters.ledgers.sqlite.suppressions import Owned, SqliteSuppressions
from clarion.adapters.ledgers.sqlite.terminations import Terminations
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.channel import CHANNELS, Channel
from clarion.model.ids import Instant, MessageId, UserNo, first_id_at
from clarion.model.message import Change, Message
from clarion.model.receipt import ReceiptKind
from clarion.model.settlement import ReceiptEffect
from clarion.model.status import ACTIVE, Reason, Status
from clarion.rules.exact import recorded, rounds, says_more

_ACTIVE = frozenset(CODES[status] for status in ACTIVE)
_STATUS = tuple(Status)


class _Received(NamedTuple):
    """What the caller is told, and what the cache of users has to know."""

    taken: list[bool]
    suppressed: Owned


class SqliteReceipts:
    """Implements `ports.ledger.Receipts`."""

    def __init__(
        self,
        writer: Writer,
        readers: Readers,
        routes: SqliteMessageKinds,
        terminations: Terminations,
        suppressions: SqliteSuppressions,
        recent: RecentMessages,
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._routes = routes
        self._terminations = terminations
        self._suppressions = suppressions
        self._recent = recent

    async def messages(self, ids: Sequence[MessageId]) -> Mapping[MessageId, Message]:
        found = await self._readers.rows(sql.MESSAGES_FOUND, keys(ids))
        messages = [message_of(self._routes, row) for row in found]
        return {message.id: message for message in messages}

    async def known(self, ids: Sequence[MessageId], kind: ReceiptKind) -> frozenset[MessageId]:
        found = await self._readers.rows(sql.RECEIPTS_KNOWN, (*keys(ids), RECEIPTS[kind]))
        return frozenset([MessageId(bytes.fromhex(one)) for (one,) in found])

    async def receive(self, consequences: Sequence[ReceiptEffect]) -> Sequence[bool]:
        if not consequences:
            return ()
        received = await self._writer.call(
            lambda connection: self._receive(connection, consequences),
            rows=2 * len(consequences),
            after=self._received,
        )
        return received.taken

    async def soft_bounces(self, users: Sequence[UserNo], channel: Channel, since: Instant) -> Sequence[int]:
        place = CHANNELS.index(channel)
        asked = (encoded(users), first_id_at(since), place)
        found = await self._readers.call(
            lambda connection: rows(
                connection, sql.SOFT_BOUNCES, (*asked, *self._recent.of(connection, users))
            )
        )
        return [count for (count,) in found]

    # -- in the writer's thread -------------------------------------------------------------------------------

    def _receive(self, connection: sqlite3.Connection, consequences: Sequence[ReceiptEffect]) -> _Received:
        taken = [False] * len(consequences)
        for places in rounds(consequences):
            some = [consequences[place] for place in places]
            moved = self._store(connection, some)
            for place, consequence in zip(places, some, strict=True):
                taken[place] = consequence.message.id in moved
            self._move_on(connection, [c for c in some if c.message.id in moved], moved)
        gone = [c.suppression for c, new in zip(consequences, taken, strict=True) if new and c.suppression]
        return _Received(taken, self._suppressions.store(connection, gone) if gone else [])

    def _store(self, connection: sqlite3.Connection, some: Sequence[ReceiptEffect]) -> dict[bytes, int]:
        """Those that are taken, and the status each has now."""
        packed = encoded([_row(c) for c in some]), b"".join([c.message.id for c in some])
        found = rows(connection, sql.RECEIVABLE, packed)
        if not found:
            return {}
        taken = [some[place] for place, *_ in found]
        changes = [_change(c, row) for c, row in zip(taken, found, strict=True)]
        positions = journal.add(connection, changes, [before for *_, before in found])
        moves = [
            (position, CODES[change.status], change.reason, c.at, RECEIPTS[c.kind])
            for c, change, position in zip(taken, changes, positions, strict=True)
        ]
        connection.execute(sql.RECEIVE, (encoded(moves), b"".join([c.message.id for c in taken])))
        return {change.message_id: CODES[change.status] for change in changes}

    def _move_on(
        self, connection: sqlite3.Connection, taken: Sequence[ReceiptEffect], now_at: Mapping[bytes, int]
    ) -> None:
        """Rungs and turns that follow from these."""
        for c in taken:
            if c.advances is not None and c.status and CODES[c.status] == now_at[c.message.id]:
                connection.execute(message_statements.ADVANCE_RUNGS, (*keys([c.advances]), c.at))
            if c.cancels:
                self._terminations.stop(connection, c.cancels, Status.CANCELED, Reason.LADDER_SATISFIED, c.at)
        finished = [c.message.id for c in taken if now_at[c.message.id] not in _ACTIVE]
        if finished:
            self._terminations.release(connection, finished, taken[-1].at)

    def _received(self, received: _Received) -> None:
        self._suppressions.stored(received.suppressed)


def _row(c: ReceiptEffect) -> tuple[Any, ...]:
    return (RECEIPTS[c.kind], CODES[c.status] if c.status else None, says_more(c))


def _change(c: ReceiptEffect, found: Sequence[Any]) -> Change:
    """From a row of `receipt_statements.RECEIVABLE`."""
    _, moves, status, reason, attempt, integration, tenant, _ = found
    return recorded(
        c,
        moves=bool(moves),
        status=_STATUS[status],
        reason=reason,  # as it is stored
        attempt=attempt,
        integration=integration,
        tenant=tenant,
    )
