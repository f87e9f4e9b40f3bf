"""Deletes a user for good: the key with everything else, in one transaction."""

from __future__ import annotations

from typing import Any

from clarion.adapters.ledgers.postgresql import runs
from clarion.adapters.ledgers.postgresql.terminations import PostgresTerminations
from clarion.adapters.ledgers.schema import coded
from clarion.model.ids import UserNo
from clarion.model.status import ACTIVE, Reason, Status
from clarion.ports.clock import Clock

ACTIVE_OF_USER = f"""
    SELECT messages.id FROM user_messages JOIN messages ON messages.id = user_messages.id
    WHERE user_messages."user" = $1 AND status IN ({coded(ACTIVE)})
"""
_MESSAGES = 'SELECT id FROM user_messages WHERE "user" = $1'
ERASE = (
    f"DELETE FROM captures WHERE message_id IN ({_MESSAGES})",
    f"DELETE FROM inbox_content WHERE message_id IN ({_MESSAGES} AND at IS NOT NULL)",
    'DELETE FROM inbox_cards WHERE "user" = $1',
    'DELETE FROM inbox_moves WHERE "user" = $1',
    'DELETE FROM inbox_heads WHERE "user" = $1',
    'DELETE FROM user_messages WHERE "user" = $1',
    'DELETE FROM deliveries WHERE endpoint IN (SELECT id FROM endpoints WHERE "user" = $1)',
    'DELETE FROM endpoints WHERE "user" = $1',
    'DELETE FROM devices WHERE "user" = $1',
    'DELETE FROM withdrawals WHERE "user" = $1',
    'DELETE FROM subscriptions WHERE "user" = $1',
    'DELETE FROM segment_members WHERE "user" = $1',
    'DELETE FROM segment_looks WHERE "user" = $1',
    'DELETE FROM inbound WHERE "user" = $1',
    """DELETE FROM inbound WHERE "user" = 0
        AND (tenant, sender) IN (SELECT tenant, hash FROM contact_hashes WHERE contact_hashes."user" = $1)""",
    'DELETE FROM contact_hashes WHERE "user" = $1',
    'DELETE FROM verifications WHERE "user" = $1',
    "DELETE FROM users WHERE no = $1",
)
"""Everything that could identify them or say what they were told, and the key."""


class PostgresEraser:
    """Works in a transaction, and leaves the person's number in the messages."""

    def __init__(self, terminations: PostgresTerminations, clock: Clock) -> None:
        self._terminations = terminations
        self._clock = clock

    async def __call__(self, connection: Any, no: UserNo) -> None:
        active = [row[0] for row in await connection.fetch(ACTIVE_OF_USER, no)]
        why = (Status.SUPPRESSED, Reason.USER_DELETED, self._clock.now())
        await self._terminations.stop(connection, active, *why, only=tuple(ACTIVE))
        await runs.end_of_user(connection, no, self._clock.now())
        for statement in ERASE:
            await connection.execute(statement, no)
