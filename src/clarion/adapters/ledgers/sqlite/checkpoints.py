"""Copying the write-ahead log home, beside the writer instead of in its way.

SQLite would do it inside a commit every so many pages, and that commit would wait for the whole copy to be
synced. Here a thread of its own copies while the writer goes on. What the writer added meanwhile is left over;
when the log has grown long, the writer copies that little rest itself, so that the log can start anew.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from clarion.adapters.ledgers.sqlite.files import BUSY_MS, one, open_writer

ROWS_BETWEEN = 16_000
"""Rows committed between two copies. Small copies hold up no commit for long."""
ROWS_BETWEEN_BUSY = 100_000
"""While more waits than one commit takes: a page written several times in between is copied once. With a million messages stored
that is about 150 MB of log, which an opening after a crash reads in a quarter of a second."""
LONG_BYTES = 160 << 20
"""From which the log had better start anew, within `files.WAL_KEPT`."""

PATIENCE_MS = 100
"""How long the writer waits for readers before it goes on and empties the log another time."""


class Checkpoints:
    """Told of every commit by the writer; works in its own thread."""

    def __init__(self, path: Path) -> None:
        self._connection = open_writer(path, cache_kib=256)
        self._long = LONG_BYTES // one(self._connection, "PRAGMA page_size")
        self._copying = threading.Lock()
        self._rows = 0
        self._wake = threading.Event()
        self._closing = False
        self._rest_is_small = False
        self._thread = threading.Thread(target=self._run, name="clarion-checkpoints", daemon=True)
        self._thread.start()

    def committed(self, rows: int, connection: sqlite3.Connection, *, busy: bool) -> None:
        """In the writer's thread, between two transactions."""
        self._rows += rows
        if self._rest_is_small:
            self._rest_is_small = False
            copy(connection)
        elif self._rows >= (ROWS_BETWEEN_BUSY if busy else ROWS_BETWEEN):
            self._rows = 0
            self._wake.set()

    def empty(self, connection: sqlite3.Connection) -> bool:
        """In the writer's thread: copy everything and leave nothing in the log; whether nobody was in the way."""
        with self._copying:
            connection.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")
            try:
                return not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            finally:
                connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")

    def close(self) -> None:
        """Wait for a copy under way."""
        self._closing = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while self._wake.wait() and not self._closing:
            self._wake.clear()
            with self._copying:
                if copy(self._connection) > self._long:
                    copy(self._connection)  # only what was added meanwhile: the writer's rest is a few pages
                    self._rest_is_small = True
        self._connection.close()


def copy(connection: sqlite3.Connection) -> int:
    """Copies what nobody reads any more; how many pages the log has. What fails now is done next time."""
    try:
        return int(connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1])
    except sqlite3.Error:
        return 0
