"""Read-only connections for slow queries, each on a thread of its own."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from clarion.adapters.ledgers.sqlite.files import one_moment, open_reader, refusal, rows
from clarion.errors import Unavailable

T = TypeVar("T")

THREADS = 2


class Readers:
    """See the module."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="clarion-reader")
        self._closed = False

    async def rows(self, statement: str, parameters: Any = ()) -> list[Any]:
        """The rows of a statement that returns them as one JSON array."""
        return await self.call(lambda connection: rows(connection, statement, parameters))

    async def call(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """What `function` returns, run with a connection in one of the threads. All it reads is of one moment."""
        if self._closed:
            raise Unavailable("the database is closing")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._run, function)
        except sqlite3.Error as error:
            raise refusal(error) or error from error

    def close(self) -> None:
        """Wait for what is running, then close every connection."""
        self._closed = True
        self._pool.shutdown()
        for connection in self._connections:
            connection.close()

    def _run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = open_reader(self._path)
            self._connections.append(connection)
        with one_moment(connection):
            return function(connection)
