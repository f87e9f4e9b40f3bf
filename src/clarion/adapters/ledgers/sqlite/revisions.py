"""The revision of the set-up: one number that grows with every change, and what each change was about."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from clarion.adapters.ledgers.sqlite import setup_statements as sql
from clarion.adapters.ledgers.sqlite.files import one
from clarion.adapters.ledgers.sqlite.writer import Writer

T = TypeVar("T")


class Revisions:
    """Counts changes."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def write(self, change: Callable[[sqlite3.Connection], T], *, rows: int = 1) -> T:
        """Make a change in one transaction, and count it."""

        def counted(connection: sqlite3.Connection) -> T:
            made = change(connection)
            connection.execute(sql.NEXT_SETUP_REVISION).fetchone()
            return made

        return await self._writer.call(counted, rows=rows)


def note(connection: sqlite3.Connection, shelf: str, tenant: int, key: str) -> None:
    """The change that is being made is about this document."""
    connection.execute(sql.SETUP_CHANGED, (shelf, tenant, key))


def newest(connection: sqlite3.Connection) -> int:
    """Of the last change."""
    return one(connection, sql.SETUP_REVISION) or 0
