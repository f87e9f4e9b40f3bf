"""Applies receipts to messages. A status only moves forward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from asyncpg import Record

from clarion.adapters.ledgers.postgresql import journal
from clarion.adapters.ledgers.postgresql import receipt_statements as sql
from clarion.adapters.ledgers.postgresql.database import Connection, Database
from clarion.adapters.ledgers.postgresql.message_kinds import PostgresMessageKinds
from clarion.adapters.ledgers.postgresql.suppressions import PostgresSuppressions
from clarion.adapters.ledgers.postgresql.terminations import PostgresTerminations
from clarion.adapters.ledgers.row_mappers import message as message_of
from clarion.adapters.ledgers.schema import CODES, RECEIPTS
from clarion.model.channel import CHANNELS, Channel
from clarion.model.ids import Instant, MessageId, UserNo, first_id_at
from clarion.model.message import Change, Message
from clarion.model.receipt import ReceiptKind
from clarion.model.settlement import ReceiptEffect
from clarion.model.status import ACTIVE, Reason, Status
from clarion.rules.exact import recorded, rounds, says_more

_ACTIVE = frozenset(CODES[status] for status in ACTIVE)
_STATUS = tuple(Status)


class PostgresReceipts:
    """Implements `ports.ledger.Receipts`."""

    def __init__(
        self,
        database: Database,
        kinds: PostgresMessageKinds,
        terminations: PostgresTerminations,
        suppressions: PostgresSuppressions,
    ) -> None:
        self._database = database
        self._kinds = kinds
        self._terminations = terminations
        self._suppressions = suppressions

    async def messages(self, ids: Sequence[MessageId]) -> Mapping[MessageId, Message]:
        async def read(connection: Connection) -> list[Message]:
            found = await connection.fetch(sql.MESSAGES_FOUND, ids)
            await self._kinds.load(connection, {row["route"] for row in found})
            return [message_of(self._kinds, row) for row in found]

        return {message.id: message for message in await self._database.read(read)}

    async def known(self, ids: Sequence[MessageId], kind: ReceiptKind) -> frozenset[MessageId]:
        found = await self._database.rows(sql.RECEIPTS_KNOWN, ids, RECEIPTS[kind])
        return frozenset([MessageId(one) for (one,) in found])

    async def receive(self, consequences: Sequence[ReceiptEffect]) -> Sequence[bool]:
        if not consequences:
            return ()
        return await self._database.write(lambda connection: self._receive(connection, consequences))

    async def soft_bounces(self, users: Sequence[UserNo], channel: Channel, since: Instant) -> Sequence[int]:
        asked = (users, first_id_at(since), CHANNELS.index(channel))
        return [count for (count,) in await self._database.rows(sql.SOFT_BOUNCES, *asked)]

    # -- inside a transaction -----------------------------------------------------------------------------------

    async def _receive(self, connection: Connection, effects: Sequence[ReceiptEffect]) -> list[bool]:
        taken = [False] * len(effects)
        for places in rounds(effects):
            some = [effects[place] for place in places]
            moved = await self._store(connection, some)
            for place, effect in zip(places, some, strict=True):
                taken[place] = effect.message.id in moved
            await self._move_on(connection, [e for e in some if e.message.id in moved], moved)
        gone = [e.suppression for e, new in zip(effects, taken, strict=True) if new and e.suppression]
        if gone:
            await self._suppressions.store(connection, gone)
        return taken

    async def _store(self, connection: Connection, some: Sequence[ReceiptEffect]) -> dict[MessageId, int]:
        """Those that are taken, and the status each has now."""
        ids = [e.message.id for e in some]
        await connection.execute(sql.LOCK, sorted(ids))
        found = await connection.fetch(
            sql.RECEIVABLE,
            ids,
            [RECEIPTS[e.kind] for e in some],
            [None if e.status is None else CODES[e.status] for e in some],
            [says_more(e) for e in some],
        )
        if not found:
            return {}
        taken = [some[row["place"] - 1] for row in found]
        changes = [_change(e, row) for e, row in zip(taken, found, strict=True)]
        positions = await journal.add(connection, changes, [row["journal"] for row in found])
        await connection.execute(
            sql.RECEIVE,
            [e.message.id for e in taken],
            positions,
            [CODES[change.status] for change in changes],
            [change.reason for change in changes],
            [e.at for e in taken],
            [RECEIPTS[e.kind] for e in taken],
        )
        return {change.message_id: CODES[change.status] for change in changes}

    async def _move_on(
        self, connection: Connection, taken: Sequence[ReceiptEffect], now_at: Mapping[MessageId, int]
    ) -> None:
        """Rungs and turns that follow from these."""
        for e in taken:
            if e.advances is not None and e.status and CODES[e.status] == now_at[e.message.id]:
                await self._terminations.advance(connection, [e.advances], e.at)
            if e.cancels:
                why = (Status.CANCELED, Reason.LADDER_SATISFIED, e.at)
                await self._terminations.stop(connection, e.cancels, *why)
        finished = [e.message.id for e in taken if now_at[e.message.id] not in _ACTIVE]
        if finished:
            await self._terminations.release(connection, finished, taken[-1].at)


def _change(effect: ReceiptEffect, row: Record) -> Change:
    """From a row of `receipt_statements.RECEIVABLE`."""
    return recorded(
        effect,
        moves=row["moves"],
        status=_STATUS[row["status"]],
        reason=row["reason"],  # as it is stored
        attempt=row["attempt"],
        integration=row["integration"],
        tenant=row["tenant"],
    )
