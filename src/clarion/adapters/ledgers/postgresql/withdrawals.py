"""Messages that are out and are to be withdrawn or edited."""

from __future__ import annotations

from collections.abc import Sequence

from clarion.adapters.ledgers.postgresql.database import Connection, Database
from clarion.adapters.ledgers.postgresql.inboxes import PostgresInboxes
from clarion.model.ids import Instant, MessageId
from clarion.model.inbox import InboxChange, InboxReplacement
from clarion.model.withdrawal import Withdrawal

_COLUMNS = 'message_id, tenant, "user", asked_at, due_at, attempt, sealed'
ASK = f"""
    INSERT INTO withdrawals ({_COLUMNS})
    SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bytea[])
    ON CONFLICT (message_id) DO UPDATE SET asked_at = greatest(excluded.asked_at, withdrawals.asked_at + 1),
        due_at = excluded.due_at, attempt = excluded.attempt, sealed = excluded.sealed
"""
WAITING = f"SELECT {_COLUMNS} FROM withdrawals WHERE message_id = ANY($1::bytea[])"
CLAIM = f"""
    WITH due AS MATERIALIZED (
        SELECT {_COLUMNS} FROM withdrawals WHERE due_at <= $1 ORDER BY due_at, message_id LIMIT $3
        FOR UPDATE SKIP LOCKED
    )
    UPDATE withdrawals SET due_at = $2 FROM due WHERE withdrawals.message_id = due.message_id
    RETURNING due.message_id, due.tenant, due."user", due.asked_at, due.due_at, due.attempt, due.sealed
"""
PUT_OFF = """
    UPDATE withdrawals SET due_at = new.due_at, attempt = new.attempt
    FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[]) AS new (message_id, asked_at, due_at, attempt)
    WHERE withdrawals.message_id = new.message_id AND withdrawals.asked_at = new.asked_at
"""
END = """
    DELETE FROM withdrawals USING unnest($1::bytea[], $2::bigint[]) AS gone (message_id, asked_at)
    WHERE withdrawals.message_id = gone.message_id AND withdrawals.asked_at = gone.asked_at
"""


class PostgresWithdrawals:
    """Implements `ports.ledger.Withdrawals`."""

    def __init__(self, database: Database, inboxes: PostgresInboxes) -> None:
        self._database = database
        self._inboxes = inboxes

    async def ask(self, withdrawals: Sequence[Withdrawal]) -> None:
        await self._database.write(lambda connection: ask(connection, withdrawals))

    async def waiting(self, ids: Sequence[MessageId]) -> Sequence[Withdrawal]:
        return [Withdrawal(**row) for row in await self._database.rows(WAITING, ids)]

    async def claim(self, now: Instant, until: Instant, limit: int) -> Sequence[Withdrawal]:
        found = await self._database.write(lambda connection: connection.fetch(CLAIM, now, until, limit))
        return sorted((Withdrawal(**row) for row in found), key=lambda one: (one.due_at, one.message_id))

    async def put_off(self, withdrawals: Sequence[Withdrawal]) -> None:
        rows = sorted((one.message_id, one.asked_at, one.due_at, one.attempt) for one in withdrawals)
        if rows:
            columns = list(zip(*rows, strict=True))
            await self._database.write(lambda connection: connection.execute(PUT_OFF, *columns))

    async def end(
        self, withdrawals: Sequence[Withdrawal], items: Sequence[InboxReplacement], at: Instant
    ) -> Sequence[InboxChange]:
        gone = sorted((one.message_id, one.asked_at) for one in withdrawals)

        async def end(connection: Connection) -> Sequence[InboxChange]:
            await connection.execute(END, [its for its, _ in gone], [asked_at for _, asked_at in gone])
            return await self._inboxes.replace(connection, items, at)

        return await self._database.write(end)


async def ask(connection: Connection, withdrawals: Sequence[Withdrawal]) -> None:
    """Inside a transaction: as `Withdrawals.ask`. The latest of the same message counts."""
    latest = {one.message_id: one for one in withdrawals}
    rows = [
        (one.message_id, one.tenant, one.user, one.asked_at, one.due_at, one.attempt, one.sealed)
        for _, one in sorted(latest.items())
    ]
    if rows:
        await connection.execute(ASK, *zip(*rows, strict=True))
