"""Ends what is on its way to a user who is erased, and deletes what they were told."""

from __future__ import annotations

from clarion.adapters.ledgers.postgresql.database import Connection
from clarion.adapters.ledgers.postgresql.terminations import PostgresTerminations
from clarion.adapters.ledgers.schema import coded
from clarion.model.ids import MessageId, UserNo
from clarion.model.status import ACTIVE, Reason, Status
from clarion.ports.clock import Clock

ACTIVE_OF_USER = f"""
    SELECT messages.id FROM user_messages AS its JOIN messages ON messages.id = its.id
    WHERE its."user" = $1 AND messages.status IN ({coded(ACTIVE)})
"""
ERASE = (
    'DELETE FROM captures WHERE message_id IN (SELECT id FROM user_messages WHERE "user" = $1)',
    'DELETE FROM inbox_content WHERE message_id IN (SELECT id FROM user_messages WHERE "user" = $1 AND at IS NOT NULL)',
    'DELETE FROM inbox_moves WHERE "user" = $1',
    'DELETE FROM inbox_cards WHERE "user" = $1',
    'DELETE FROM inbox_heads WHERE "user" = $1',
    'DELETE FROM user_messages WHERE "user" = $1',
)


class PostgresMessageEraser:
    """Works in a transaction. The person's number stays in the messages."""

    def __init__(self, terminations: PostgresTerminations, clock: Clock) -> None:
        self._terminations = terminations
        self._clock = clock

    async def __call__(self, connection: Connection, user: UserNo) -> None:
        active = [MessageId(one) for (one,) in await connection.fetch(ACTIVE_OF_USER, user)]
        why = (Status.SUPPRESSED, Reason.USER_DELETED, self._clock.now())
        await self._terminations.stop(connection, active, *why, only=tuple(ACTIVE))
        for statement in ERASE:
            await connection.execute(statement, user)
