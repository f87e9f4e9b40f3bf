"""Finds and adds the kinds of messages (`adapters.ledgers.message_kinds`)."""

from __future__ import annotations

import sqlite3

from clarion.adapters.ledgers.message_kinds import COLUMNS, MessageKind, MessageKinds, kind_of
from clarion.adapters.ledgers.sqlite.files import rows
from clarion.model.message import Message

_READ = f"""
    SELECT json_group_array(json_array(no, {COLUMNS})) FROM routes
"""
_ADD = f"INSERT INTO routes ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class SqliteMessageKinds(MessageKinds):
    """All kinds in memory; read by any thread, added to by the writer's."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__()
        self._stale = False
        self._load(connection)

    def number(self, connection: sqlite3.Connection, m: Message) -> int:
        """The number of a message's kind, new or old. In a transaction of the writer only."""
        return self.number_of(connection, kind_of(m))

    def number_of(self, connection: sqlite3.Connection, kind: MessageKind) -> int:
        """As `number`."""
        if self._stale:
            self._load(connection)
        no = self._numbers.get(kind)
        return self._add(connection, kind) if no is None else no

    def forget(self) -> None:
        """The transaction was rolled back, and what it added with it."""
        self._stale = True

    def _load(self, connection: sqlite3.Connection) -> None:
        self._stale = False
        self._numbers.clear()
        for no, *columns in rows(connection, _READ):
            self.keep(no, columns)

    def _add(self, connection: sqlite3.Connection, kind: MessageKind) -> int:
        no = connection.execute(_ADD, kind).lastrowid
        assert no is not None
        self.keep(no, kind)
        return no
