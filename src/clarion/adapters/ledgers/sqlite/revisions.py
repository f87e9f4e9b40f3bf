"""The set-up's revision: one number in the file that grows with every change, whichever process makes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

from clarion.adapters.ledgers.sqlite import statements as sql
from clarion.adapters.ledgers.sqlite.files import one
from clarion.adapters.ledgers.sqlite.writer import Writer

T = TypeVar("T")


class Revisions:
    """Counts changes, and reads everything again when another process made some."""

    def __init__(self, writer: Writer, local: sqlite3.Connection) -> None:
        self._writer = writer
        self._local = local
        self._readers: list[tuple[Callable[[sqlite3.Connection], Any], Callable[[Any], None]]] = []
        self.newest = self._complete = _in_file(local)
        """`newest`: of the newest change seen. Up to `_complete` nothing is missing in memory."""

    def follow(self, read: Callable[[sqlite3.Connection], T], show: Callable[[T], None]) -> None:
        """Something kept in memory: how to read all of it, and how to show what was read."""
        self._readers.append((read, show))

    async def write(
        self, change: Callable[[sqlite3.Connection], T], show: Callable[[T], None], *, rows: int = 1
    ) -> T:
        """Make a change in one transaction, count it, and show what came of it."""

        def counted(connection: sqlite3.Connection) -> tuple[T, int]:
            return change(connection), connection.execute(sql.NEXT_SETUP_REVISION).fetchone()[0]

        def shown(result: tuple[T, int]) -> None:
            made, revision = result
            show(made)
            self.newest = revision
            if revision == self._complete + 1:
                self._complete = revision

        return (await self._writer.call(counted, rows=rows, after=shown))[0]

    async def catch_up(self, revision: int | None = None) -> None:
        """Nothing up to this revision (None: that of the file) is missing in memory when this returns."""
        if (_in_file(self._local) if revision is None else revision) <= self._complete:
            return

        def read(connection: sqlite3.Connection) -> tuple[int, list[Any]]:
            return _in_file(connection), [read(connection) for read, _ in self._readers]

        def show(result: tuple[int, list[Any]]) -> None:
            self.newest = self._complete = result[0]
            for (_, show_all), found in zip(self._readers, result[1], strict=True):
                show_all(found)

        # By the writer, so that no change of this process comes in between.
        await self._writer.read(read, after=show)


def _in_file(connection: sqlite3.Connection) -> int:
    return one(connection, sql.SETUP_REVISION) or 0
