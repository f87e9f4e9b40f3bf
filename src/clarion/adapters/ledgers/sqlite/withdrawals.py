"""Messages that are out and are to be withdrawn or edited."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from clarion.adapters.ledgers.sqlite.inboxes import SqliteInboxes
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.row_encoding import IDS, keys
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.ids import Instant, MessageId, TenantId, UserNo
from clarion.model.inbox import InboxChange, InboxReplacement
from clarion.model.withdrawal import Withdrawal

_COLUMNS = "message_id, tenant, user, asked_at, due_at, attempt, sealed"
ASK = f"""
    INSERT INTO withdrawals ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET asked_at = max(excluded.asked_at, withdrawals.asked_at + 1), due_at = excluded.due_at,
        attempt = excluded.attempt, sealed = excluded.sealed
"""
WAITING = f"SELECT {_COLUMNS} FROM withdrawals WHERE message_id IN {IDS}"
DUE = f"SELECT {_COLUMNS} FROM withdrawals WHERE due_at <= ? ORDER BY due_at, message_id LIMIT ?"
PUT_OFF = "UPDATE withdrawals SET due_at = ?, attempt = ? WHERE message_id = ? AND asked_at = ?"
END = "DELETE FROM withdrawals WHERE message_id = ? AND asked_at = ?"


class SqliteWithdrawals:
    """Implements `ports.ledger.Withdrawals`."""

    def __init__(self, writer: Writer, readers: Readers, inboxes: SqliteInboxes) -> None:
        self._writer = writer
        self._readers = readers
        self._inboxes = inboxes

    async def ask(self, withdrawals: Sequence[Withdrawal]) -> None:
        await self._writer.call(lambda connection: ask(connection, withdrawals), rows=len(withdrawals))

    async def waiting(self, ids: Sequence[MessageId]) -> Sequence[Withdrawal]:
        def read(connection: sqlite3.Connection) -> list[Withdrawal]:
            return [_withdrawal(*row) for row in connection.execute(WAITING, keys(ids))]

        return await self._readers.call(read)

    async def claim(self, now: Instant, until: Instant, limit: int) -> Sequence[Withdrawal]:
        def claim(connection: sqlite3.Connection) -> list[Withdrawal]:
            due = [_withdrawal(*row) for row in connection.execute(DUE, (now, limit))]
            _put_off(connection, due, until)
            return due

        return await self._writer.call(claim, rows=limit)

    async def put_off(self, withdrawals: Sequence[Withdrawal]) -> None:
        await self._writer.call(lambda connection: _put_off(connection, withdrawals), rows=len(withdrawals))

    async def end(
        self, withdrawals: Sequence[Withdrawal], items: Sequence[InboxReplacement], at: Instant
    ) -> Sequence[InboxChange]:
        def end(connection: sqlite3.Connection) -> Sequence[InboxChange]:
            connection.executemany(END, [(one.message_id, one.asked_at) for one in withdrawals])
            return self._inboxes.replace(connection, items, at)

        return await self._writer.call(end, rows=len(withdrawals) + len(items))


def ask(connection: sqlite3.Connection, withdrawals: Sequence[Withdrawal]) -> None:
    """Inside a transaction: as `Withdrawals.ask`."""
    rows = [
        (one.message_id, one.tenant, one.user, one.asked_at, one.due_at, one.attempt, one.sealed)
        for one in withdrawals
    ]
    connection.executemany(ASK, rows)


def _put_off(
    connection: sqlite3.Connection, withdrawals: Sequence[Withdrawal], until: Instant | None = None
) -> None:
    rows = [
        (one.due_at if until is None else until, one.attempt, one.message_id, one.asked_at)
        for one in withdrawals
    ]
    connection.executemany(PUT_OFF, rows)


def _withdrawal(
    message_id: bytes,
    tenant: int,
    user: int,
    asked_at: int,
    due_at: int,
    attempt: int,
    sealed: bytes | None,
) -> Withdrawal:
    return Withdrawal(
        tenant=TenantId(tenant),
        user=UserNo(user),
        message_id=MessageId(message_id),
        asked_at=Instant(asked_at),
        due_at=Instant(due_at),
        attempt=attempt,
        sealed=sealed,
    )
