"""Connections to the database file, and their settings."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from clarion.adapters.ledgers.revision import require_finished
from clarion.errors import ClarionError, ConfigError, Unavailable

OLDEST_SQLITE = (3, 38, 0)
"""First version with the `->>` operator, which the hot statements read their rows with."""

WRITER_CACHE_KIB = 32 * 1024
READER_CACHE_KIB = 4 * 1024
"""What a reader misses the system's own cache still has; the writer's pages are changed over and over."""
WAL_KEPT = 192 << 20
"""Bytes the write-ahead log may keep on disk after a checkpoint."""
BUSY_MS = 5_000
COUNTS = (128, 16, 1)
"""Rows of one statement of `write`; so few different ones stay prepared."""

_OUT_OF_REACH = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOMEM,
    }
)


def _connect(path: Path, cache_kib: int) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=512, timeout=BUSY_MS / 1000
    )
    connection.execute(f"PRAGMA cache_size = -{cache_kib}")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def open_writer(path: Path, cache_kib: int = WRITER_CACHE_KIB) -> sqlite3.Connection:
    """The one connection that writes: a commit returns when the disk has it."""
    connection = _connect(path, cache_kib)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT}")
    connection.execute("PRAGMA wal_autocheckpoint = 0")  # see `checkpoints`
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write; it sees the last commit and waits for nobody."""
    connection = _connect(path, READER_CACHE_KIB)
    connection.execute("PRAGMA query_only = ON")
    return connection


def require_current(path: Path) -> None:
    """Raises ConfigError saying what to do when the file is missing or of another version."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise ConfigError(
            f"Python was built with SQLite {sqlite3.sqlite_version}; Clarion needs "
            f"{'.'.join(map(str, OLDEST_SQLITE))} or newer: use a newer Python"
        )
    if not path.exists():
        raise ConfigError(f"there is no database {path}: run `clarion migrate` to create it")
    require_finished(path)


def refusal(error: BaseException) -> ClarionError | None:
    """What to tell the caller when the file could not be written; None when it is another kind of error."""
    if not isinstance(error, sqlite3.Error):
        return None
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    if code == sqlite3.SQLITE_CONSTRAINT_TRIGGER:
        return Unavailable(str(error))  # What `moving` left there for whoever has it open.
    code &= 0xFF
    if code == sqlite3.SQLITE_FULL:
        return Unavailable("the disk is full: nothing was stored; free space and try again")
    if code in _OUT_OF_REACH:
        name = getattr(error, "sqlite_errorname", "an error")
        return Unavailable(f"the database file cannot be written ({name}): nothing was stored; try again")
    return None


@contextmanager
def one_moment(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is read inside is of one moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


def one(connection: sqlite3.Connection, sql: str, parameters: Any = ()) -> Any:
    """The only column of the only row."""
    row = connection.execute(sql, parameters).fetchone()
    return None if row is None else row[0]


def changed(connection: sqlite3.Connection, sql: str, parameters: Any = ()) -> int:
    """How many rows a statement wrote. (`Cursor.rowcount` does not know behind a WITH, and `total_changes` counts what
    triggers write.)"""
    connection.execute(sql, parameters)
    return int(one(connection, "SELECT changes()"))


def rows(connection: sqlite3.Connection, sql: str, parameters: Any = ()) -> list[Any]:
    """The rows of a statement that returns them as one JSON array of arrays.

    `sqlite3` gives up the interpreter lock around every row it fetches and has to queue for it again behind
    a busy event loop; a result of one row costs that once.
    """
    text = one(connection, sql, parameters)
    return _decode(text) if text else []


def write(connection: sqlite3.Connection, sql: str, values: Sequence[Sequence[Any]]) -> None:
    """Runs a statement whose `VALUES (?, ...)` stands for one row for all of them, a few hundred at once.

    `executemany` gives up the interpreter lock around every row; this costs that once for so many.
    """
    done = 0
    for count in COUNTS:
        while len(values) - done >= count:
            some = values[done : done + count]
            connection.execute(_repeated(sql, count), list(chain.from_iterable(some)))
            done += count


@lru_cache(maxsize=64)
def _repeated(sql: str, count: int) -> str:
    start = sql.index("VALUES (") + len("VALUES ")
    row = sql[start : sql.index(")", start) + 1]
    return sql[:start] + ", ".join([row] * count) + sql[start + len(row) :]


_decode = msgspec.json.Decoder(list[Any]).decode
