"""The newest messages of users, in order of time.

`user_messages` is in order of users, so a new row there has a page written to the log and one to the file for nearly every
message. New rows go to the end of `recent_messages` instead, and are found by user in memory. They are moved when a user has
a page of them, and otherwise those of one group of users after the other, each with all that came in a whole round: a page is
written once for several of them. Afterwards they are deleted at the beginning of `recent_messages`, in order again.

A row counts as long as `user_messages` has none of the same message. So what is in memory may be more than what is to be
moved, as it is after a rollback.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from clarion.adapters.ledgers.joined_ids import ID_BYTES
from clarion.adapters.ledgers.sqlite import recent_statements as sql
from clarion.adapters.ledgers.sqlite.files import one, rows, write
from clarion.adapters.ledgers.sqlite.row_encoding import keys
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.ids import UserNo

GROUP = 16
"""Neighbours whose rows are moved together."""
ROWS_A_STEP = 256
"""So many new rows, and the next groups are moved."""
STEPS = 512
"""Of a round: memory has the rows of two rounds at most, 262,144."""
PAGE = 24 * ID_BYTES
"""The ids of so many rows fill a page."""


class RecentMessages:
    """Written by the writer's thread. Any thread may read which rows a user has."""

    def __init__(self, writer: Writer, connection: sqlite3.Connection) -> None:
        self._groups: dict[int, dict[UserNo, bytes]] = {}
        """By group and user, the ids of rows that may not have been moved; each group in order of arrival."""
        self._moved: dict[UserNo, int] = {}
        """How many bytes of these ids were moved in the open transaction."""
        self._removals = 0
        self._since = 0
        """Rows since the last step."""
        self._left: list[int] = []
        """Groups of this round, the next one at the end."""
        self._newest = self._finished = b""
        """The newest message when this round began, and the one before: everything up to that one is moved."""
        self._steps = 0
        writer.on_commit(self._committed)
        writer.on_rollback(self._moved.clear)
        for user, message_id in connection.execute(sql.RECENT_LOAD):
            self._know(user, message_id)

    def of(self, connection: sqlite3.Connection, users: Iterable[UserNo]) -> tuple[str, bytes]:
        """Two parameters for `recent_statements.recent`: all rows these users have there at this moment of the transaction."""
        wanted = list(users)
        while True:
            removals = self._removals
            connection.execute("SELECT 1 FROM meta LIMIT 1").fetchone()  # From here on it sees one moment.
            ids = b"".join([self._ids(user) for user in wanted])
            if removals == self._removals:
                return keys((ids,))
            connection.execute("ROLLBACK")
            connection.execute("BEGIN")

    # -- in the writer's thread -------------------------------------------------------------------------------

    def add(self, connection: sqlite3.Connection, statement: str, new: Sequence[Sequence[Any]]) -> None:
        """Adds rows of new messages, which begin with id and user."""
        write(connection, statement, new)
        full = {row[1] for row in new if len(self._know(row[1], row[0])) >= PAGE}
        if full:
            self._move(connection, [user for user in full if user not in self._moved])
        self._since += len(new)
        while self._since >= ROWS_A_STEP:
            self._since -= ROWS_A_STEP
            self._step(connection)

    def bring(self, connection: sqlite3.Connection, ids: Iterable[bytes]) -> None:
        """Moves these now, best in order of users: somebody changes them."""
        connection.execute(sql.RECENT_MOVE, keys(ids))

    def bring_all(self, connection: sqlite3.Connection, users: Iterable[UserNo]) -> None:
        """Moves all that these users have."""
        self.bring(connection, map(self._ids, users))

    def drop(self, connection: sqlite3.Connection, ids: Iterable[bytes]) -> None:
        """Deletes these rows; those in `user_messages` are deleted as well, by whoever calls."""
        connection.execute(sql.RECENT_DROP, keys(ids))

    def _ids(self, user: UserNo) -> bytes:
        return self._groups.get(user // GROUP, {}).get(user, b"")

    def _know(self, user: UserNo, message_id: bytes) -> bytes:
        """All ids of the user, with this one."""
        users = self._groups.setdefault(user // GROUP, {})
        ids = users[user] = users.get(user, b"") + message_id
        return ids

    def _step(self, connection: sqlite3.Connection) -> None:
        """The next share of groups is moved, and what was moved in the last round is deleted."""
        if not self._steps:
            self._steps = STEPS
            self._finished, self._newest = (
                self._newest,
                one(connection, sql.RECENT_NEWEST, (self._newest,)) or self._newest,
            )
            self._left = sorted(self._groups, reverse=True)
        for _ in range(-(-len(self._left) // self._steps)):
            self._move(connection, self._groups.get(self._left.pop(), ()))
        self._steps -= 1
        self._tidy(connection)

    def _move(self, connection: sqlite3.Connection, users: Iterable[UserNo]) -> None:
        ids = {user: self._ids(user) for user in sorted(users)}
        self.bring(connection, ids.values())
        self._moved.update({user: len(its) for user, its in ids.items()})

    def _tidy(self, connection: sqlite3.Connection) -> None:
        oldest = [
            (user, bytes.fromhex(message_id))
            for user, message_id in rows(connection, sql.RECENT_OLDEST, (self._finished, 2 * ROWS_A_STEP))
        ]
        if oldest:
            # Some came late, with an old id.
            self.bring(connection, [one for user, one in oldest if one in self._ids(user)])
            self.drop(connection, [one for _, one in oldest])

    def _committed(self) -> None:
        """What was moved need not be known any more. Whoever began to read before that looks again."""
        if not self._moved:
            return
        self._removals += 1
        for user, moved in self._moved.items():
            group = user // GROUP
            users = self._groups[group]
            users[user] = users[user][moved:]
            if not users[user]:
                del users[user]
            if not users:
                del self._groups[group]
        self._moved.clear()
