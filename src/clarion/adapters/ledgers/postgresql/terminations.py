"""Stops messages before they are sent, and releases the messages that waited for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from clarion.adapters.ledgers.postgresql import journal
from clarion.adapters.ledgers.postgresql import message_statements as sql
from clarion.adapters.ledgers.postgresql.database import Connection
from clarion.adapters.ledgers.schema import CODES
from clarion.model.ids import Instant, MessageId
from clarion.model.message import Change
from clarion.model.status import Reason, Status

NOT_STARTED = (Status.QUEUED, Status.DEFERRED)

UNCOUNT = """UPDATE user_messages SET counted_at = NULL FROM messages
    WHERE messages.id = ANY($1::bytea[]) AND user_messages."user" = messages."user" AND user_messages.id = messages.id
        AND counted_at IS NOT NULL
"""
UNCHARGE = "UPDATE messages SET charged = 0 WHERE id = ANY($1::bytea[]) AND charged <> 0"


class PostgresTerminations:
    """Used by every writer of messages, inside its transaction."""

    async def stop(
        self,
        connection: Connection,
        ids: Iterable[MessageId],
        status: Status,
        reason: Reason,
        at: Instant,
        *,
        only: Sequence[Status] = NOT_STARTED,
    ) -> list[bytes]:
        """End those of `ids` that are still `only`, with a change each; whoever holds one will be refused."""
        codes = [CODES[old] for old in only]
        found = await connection.fetch(sql.STOPPABLE, list(dict.fromkeys(ids)), codes, CODES[status])
        if not found:
            return []
        stopped = [row[0] for row in found]
        moves = [
            Change(message_id=MessageId(one), tenant=tenant, at=at, status=status, reason=reason)
            for one, tenant, *_ in found
        ]
        positions = await journal.add(connection, moves, [before for _, _, before, *_ in found])
        if any(waits and threaded for *_, waits, threaded in found):
            while await connection.fetchval(sql.GIVE_WAY, stopped):
                pass
        await connection.execute(sql.STOP, stopped, positions, CODES[status], reason.value, at)
        if Status.QUEUED in only:  # What is deferred is not counted.
            await self.uncounted(connection, stopped)
        await self.release(connection, [one for one, *_, threaded in found if threaded], at)
        return stopped

    async def uncounted(self, connection: Connection, ids: Collection[bytes]) -> None:
        """Caps count these no more, whenever they did."""
        await connection.execute(UNCOUNT, ids)
        await connection.execute(UNCHARGE, ids)

    async def release(self, connection: Connection, finished: Collection[bytes], at: Instant) -> None:
        """Whoever waits for one of these has its turn now."""
        if finished:
            await connection.execute(sql.RELEASE, finished, at)

    async def advance(self, connection: Connection, rungs: Sequence[MessageId], at: Instant) -> None:
        """These rungs are due now, if they still wait for an earlier channel."""
        await connection.execute(sql.ADVANCE, rungs, at)
