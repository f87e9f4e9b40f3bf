"""Deletes a user for good: first the key, then the rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from clarion.adapters.ledgers.sqlite import device_statements, endpoint_statements, runs
from clarion.adapters.ledgers.sqlite import user_statements as sql
from clarion.adapters.ledgers.sqlite.files import one, rows
from clarion.adapters.ledgers.sqlite.keyring import Keyring
from clarion.adapters.ledgers.sqlite.recent_messages import RecentMessages
from clarion.adapters.ledgers.sqlite.terminations import Terminations
from clarion.model.ids import MessageId, UserNo
from clarion.model.status import ACTIVE, Reason, Status
from clarion.ports.clock import Clock


class Eraser:
    """Works in a transaction of the writer, and leaves the person's number in the messages."""

    def __init__(
        self,
        keyring: Keyring,
        terminations: Terminations,
        clock: Clock,
        forget_inbox: Callable[[UserNo], None],
        recent: RecentMessages,
    ) -> None:
        self._keyring = keyring
        self._terminations = terminations
        self._clock = clock
        self._forget_inbox = forget_inbox
        self._recent = recent

    def __call__(self, connection: sqlite3.Connection, users: Sequence[UserNo], *, keys: bool = True) -> None:
        """The keys are gone for good even if the transaction is not committed: repeat it, or let `catch_up`. Without
        `keys` only the rows are, as long as the transaction is not undone."""
        if users and keys:
            self._keyring.destroy(users)
        for no in users:
            self._drop(connection, no)

    def catch_up(self, connection: sqlite3.Connection) -> int:
        """Bring ledger and keyring together, whichever of them is an older copy or was cut off by a crash.

        How many people were taken out of the ledger.
        """
        destroyed = self._keyring.destroyed()
        dropped = {no for (no,) in connection.execute("SELECT user FROM erased")}
        if dropped - destroyed:
            self._keyring.destroy(dropped - destroyed)
        late = destroyed - dropped
        there = [no for no in late if one(connection, sql.USER_EXISTS, (no,))]
        if late:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                for no in late:
                    self._drop(connection, UserNo(no))
        return len(there)

    def _drop(self, connection: sqlite3.Connection, no: UserNo) -> None:
        self._recent.bring_all(connection, (no,))
        active = [MessageId(bytes.fromhex(row[0])) for row in rows(connection, sql.ACTIVE_OF_USER, (no,))]
        self._terminations.stop(
            connection,
            active,
            Status.SUPPRESSED,
            Reason.USER_DELETED,
            self._clock.now(),
            only=tuple(ACTIVE),
        )
        runs.end_of_user(connection, no, self._clock.now())
        for statement in (*endpoint_statements.ERASE, *device_statements.ERASE, *sql.ERASE):
            connection.execute(statement, (no,))
        self._forget_inbox(no)
