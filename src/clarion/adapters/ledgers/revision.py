"""Reads the schema revision of a database, and says what to do when it differs from that of this version."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from clarion.adapters.ledgers.schema import REVISION
from clarion.errors import ConfigError

UNFINISHED = "migration"
"""The table a migration makes before its first step and drops behind its last: while it is there, nobody may serve."""

MOVED = "moved"
"""The table that says where an installation was moved to: nobody may write the file it was moved from."""

_FOREIGN = """SELECT name FROM sqlite_master
WHERE NOT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'alembic_version') LIMIT 1"""
"""There are tables, and none that says which steps made them."""


def revision(path: Path) -> str | None:
    """The last step a ledger file has seen; None when it has seen none. Raises ConfigError for another kind of file."""
    found = _ask(path, "SELECT version_num FROM alembic_version")
    if found is None and _ask(path, _FOREIGN):
        raise ConfigError(
            f"{path} is a database, but none of Clarion: move it away, or choose another directory with --data-dir."
        )
    return None if found is None else str(found)


def unfinished(path: Path) -> bool:
    """Whether a migration of the file was begun and not finished."""
    return _ask(path, f"SELECT 1 FROM sqlite_master WHERE name = '{UNFINISHED}'") is not None


def require_known(path: Path, found: str | None) -> None:
    """Raises ConfigError when a newer version made the file."""
    if found is not None and found > REVISION:
        raise ConfigError(
            f"a newer version of Clarion made the database {path}: it has schema {found}, and this version knows those up to "
            f"{REVISION}. Nothing was changed. Install the newer version again, or restore a copy of the database that "
            "this version made."
        )


def require_finished(path: Path) -> None:
    """Raises ConfigError saying what to do when the file is of another version or a migration of it was cut off."""
    found = revision(path)
    require_known(path, found)
    if unfinished(path):
        raise ConfigError(
            f"the migration of the database {path} to schema {REVISION} was cut off at {found}: run `clarion migrate`, "
            "which goes on from there"
        )
    if found != REVISION:
        raise ConfigError(
            f"the database {path} has schema {found or 'none'}, this version of Clarion needs {REVISION}: "
            "run `clarion migrate`"
        )


def moved_to(path: Path) -> str | None:
    """The database that everything in the file was moved to."""
    found = _ask(path, f"SELECT place FROM {MOVED}")
    return None if found is None else str(found)


def require_here(path: Path) -> None:
    """Raises ConfigError when everything in the file was moved to another database."""
    if place := moved_to(path):
        raise ConfigError(
            f"this installation has moved to the database {place}: set `database` to its URL. {path} is how it was before, "
            "and cannot be written any more."
        )


def _ask(path: Path, sql: str) -> object:
    """The first value of the answer; None when there is none."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            row = connection.execute(sql).fetchone()
    except sqlite3.OperationalError as error:
        if str(error).startswith("no such table"):
            return None
        raise ConfigError(f"{path} cannot be read as a database: {error}") from None
    except sqlite3.DatabaseError as error:
        raise ConfigError(f"{path} cannot be read as a database: {error}") from None
    return None if row is None else row[0]
