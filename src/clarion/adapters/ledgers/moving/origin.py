"""The file an installation is moved from: what is in it, and what changes while it is read.

Triggers note the key of every row that is written. So the file can be copied while somebody else writes it, and what was
copied too early is copied again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from clarion.adapters.ledgers.joined_ids import split_ids
from clarion.adapters.ledgers.moving.tables import Moved, moved
from clarion.adapters.ledgers.revision import MOVED, moved_to
from clarion.adapters.ledgers.sqlite.files import one, one_moment, open_writer, refusal
from clarion.errors import ConfigError

PATIENCE_MS = 30_000
"""How long it waits for the writer of the file."""

NOTES = "moving"
_NOTES = f"CREATE TABLE IF NOT EXISTS {NOTES} (seq INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, key TEXT NOT NULL)"
_EVENTS = {"insert": "NEW", "update": "NEW", "delete": "OLD"}
"""What happens to a row, and by which name a trigger knows it. No row ever gets another key."""

Key = tuple[Any, ...]
Row = tuple[Any, ...]


class Origin:
    """See the module. One connection that reads and, in short transactions, writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_writer(path, cache_kib=8 * 1024)
        self._connection.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")

    def close(self) -> None:
        """Nothing is pending."""
        self._connection.close()

    @property
    def id(self) -> int:
        """Tells installations apart: that of its keyring."""
        return int(one(self._connection, "SELECT value FROM meta WHERE key = 'keyring'") or 0)

    @property
    def is_watched(self) -> bool:
        """Whether changes are noted already."""
        return one(self._connection, "SELECT 1 FROM sqlite_master WHERE name = ?", (NOTES,)) is not None

    @property
    def moved_to(self) -> str | None:
        """Where it was moved to, if that is over."""
        return moved_to(self._path)

    # -- noting changes -----------------------------------------------------------------------------------------

    def watch(self) -> None:
        """From now on the key of every row that is written is noted. Repeating it changes nothing."""
        if self.is_watched:
            return
        with self.locked():
            self._connection.execute(_NOTES)
            for table in moved():
                for name, columns in table.watched.items():
                    for event, row in _EVENTS.items():
                        note = f"INSERT INTO {NOTES} (name, key) VALUES ('{table.name}', {_noted(table, columns, row)})"
                        self._trigger(
                            f"{table.name}_{name}_{event}", f"AFTER {event.upper()} ON {name}", note
                        )
                if table.first is not None:
                    listed = f"SELECT '{table.name}', {_noted(table, table.key, 'its')} FROM ({table.first}) AS its"
                    self._connection.execute(f"INSERT INTO {NOTES} (name, key) {listed}")

    def unwatch(self) -> None:
        """Nothing is noted any more, and what was is forgotten."""
        with self.locked():
            self._unwatch()

    def _unwatch(self) -> None:
        for table in moved():
            for name in table.watched:
                for event in _EVENTS:
                    self._connection.execute(f"DROP TRIGGER IF EXISTS {NOTES}_{table.name}_{name}_{event}")
        self._connection.execute(f"DROP TABLE IF EXISTS {NOTES}")

    def _trigger(self, name: str, when: str, then: str) -> None:
        self._connection.execute(f"CREATE TRIGGER {NOTES}_{name} {when} BEGIN {then}; END")

    def changes(self, behind: int, limit: int) -> tuple[list[tuple[Moved, list[Key]]], int]:
        """The keys of the next notes behind one, each once, and the last of these notes."""
        found = self._connection.execute(
            f"SELECT seq, name, key FROM {NOTES} WHERE seq > ? ORDER BY seq LIMIT ?", (behind, limit)
        ).fetchall()
        tables = {table.name: table for table in moved()}
        keys: dict[str, dict[Key, None]] = {}
        for _, name, key in found:
            keys.setdefault(name, {}).update(dict.fromkeys(_keys(tables[name], msgspec.json.decode(key))))
        return [(tables[name], list(its)) for name, its in keys.items()], found[-1][0] if found else behind

    def left(self, behind: int) -> int:
        """How many notes there are behind one."""
        return int(one(self._connection, f"SELECT count(*) FROM {NOTES} WHERE seq > ?", (behind,)))

    def forget(self, until: int) -> None:
        """What was noted up to there has been copied."""
        with self.locked():
            self._connection.execute(f"DELETE FROM {NOTES} WHERE seq <= ?", (until,))

    # -- reading ------------------------------------------------------------------------------------------------

    @contextmanager
    def one_moment(self) -> Iterator[None]:
        """All that is read inside is of one moment."""
        with one_moment(self._connection):
            yield

    def page(self, table: Moved, behind: Key | None, limit: int) -> list[tuple[Key, Row]]:
        """The next rows of a table behind a key."""
        if table.pages is None:
            return []
        first, following = table.pages
        found = (
            self._connection.execute(first, (limit,))
            if behind is None
            else self._connection.execute(following, (*behind, limit))
        )
        width = len(table.key)
        return [(row[:width], row[width:]) for row in found]

    def named(self, table: Moved, keys: Sequence[Key]) -> dict[Key, Row]:
        """The rows of these keys that are there."""
        found = {key: self._connection.execute(table.row, key).fetchone() for key in keys}
        return {key: row for key, row in found.items() if row is not None}

    def rows(self, table: Moved, at_once: int) -> Iterator[list[Row]]:
        """All rows of a table, in parts."""
        cursor = self._connection.execute(table.rows)
        while some := cursor.fetchmany(at_once):
            yield some

    def count(self, table: Moved) -> int:
        """How many rows its pages have."""
        return 0 if table.pages is None else int(one(self._connection, f"SELECT count(*) FROM {table.name}"))

    def numbers(self) -> dict[str, int]:
        """The highest number each table ever gave out."""
        return dict(self._connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall())

    # -- the end ------------------------------------------------------------------------------------------------

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else writes meanwhile; kept unless an error is raised."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            told = refusal(error)
            if told is None:
                raise
            raise ConfigError(
                f"the file could not be written: {told.detail}. Run the command again."
            ) from error

    def retire(self, to: str) -> None:
        """While it is locked: from then on nobody writes it any more, whoever has it open."""
        self._unwatch()
        self._connection.execute(f"CREATE TABLE {MOVED} (place TEXT NOT NULL)")
        self._connection.execute(f"INSERT INTO {MOVED} VALUES (?)", (to,))
        said = f"this installation has moved to {to}: set `database` and start Clarion again".replace(
            "'", "''"
        )
        for name in _tables(self._connection):
            for event in _EVENTS:
                self._trigger(
                    f"{name}_{event}", f"BEFORE {event.upper()} ON {name}", f"SELECT RAISE(ABORT, '{said}')"
                )


def _tables(connection: sqlite3.Connection) -> list[str]:
    """The tables of the file that somebody may write."""
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return [name for (name,) in found if not name.startswith("sqlite_") and name != "alembic_version"]


def _noted(table: Moved, columns: Sequence[str], row: str) -> str:
    """SQL for a key as it is noted."""
    parts = [
        f'hex({row}."{column}")' if name in table.bytes else f'{row}."{column}"'
        for name, column in zip(table.key, columns, strict=True)
    ]
    return f"json_array({', '.join(parts)})"


def _keys(table: Moved, noted: Sequence[Any]) -> list[Key]:
    """A row of `calls` has the ids of many messages."""
    key = tuple(
        bytes.fromhex(part) if name in table.bytes else part
        for name, part in zip(table.key, noted, strict=True)
    )
    return [(one,) for one in split_ids(key[0])] if table.name == "messages" else [key]
