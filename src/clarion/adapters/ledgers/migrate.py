"""Migrates a database to the schema of this version, step by step, and verifies it by counts."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from clarion.adapters.ledgers.counts import count
from clarion.adapters.ledgers.revision import UNFINISHED, require_here, require_known, revision, unfinished
from clarion.adapters.ledgers.schema import REVISION
from clarion.errors import ConfigError

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

PAGE_BYTES = 2048
"""Of a new file; an older one keeps its 4096. A row in no order of time costs a page in the log and one at its place:
see `docs/adr/0021-messages-of-a-user-lie-side-by-side.md`."""
CACHE_KIB = 32 * 1024
COPIED_AT_ONCE = 4_096
"""Pages."""
GROWTH = 0.5
"""Free space the steps need, as a share of the file: old and new tables side by side, and the write-ahead log. Twice what
was measured."""


class Progress(Protocol):
    """Whoever is told how far a migration is."""

    def phase(self, sentence: str) -> None:
        """Something else begins."""

    def rows(self, done: int, total: int) -> None:
        """How far the phase is, in what it counts."""


class Silence:
    """Nobody is told."""

    def phase(self, sentence: str) -> None:
        """Nothing."""

    def rows(self, done: int, total: int) -> None:
        """Nothing."""


class Migration(msgspec.Struct, frozen=True):
    """What a migration began with."""

    since: str | None
    """The schema; None: the file is new."""
    copy: str | None = None
    """Where the file as it was is kept."""
    counts: dict[str, int] = {}
    """How much of everything was in it, and is in it."""


def migrate(
    path: Path, *, to: str = REVISION, copy: bool = False, progress: Progress | None = None
) -> Migration | None:
    """Create the file if it is missing, then run every step it has not seen; None when there was nothing to do.

    Each step is a transaction, and one that converts many rows says so and stores slices: cut off anywhere, the next
    call goes on from there. With `copy` the file is copied before the first step. Before it is finished, as much of everything
    has to be in the file as before. Raises ConfigError saying what to do. Alembic is loaded here and nowhere else, and only when there is
    something to do.
    """
    tell = progress or Silence()
    with _explained(path):
        found = revision(path) if path.exists() else None
        require_known(path, found)
        if found is not None:
            require_here(path)
        begun = found is not None and unfinished(path)
        if found == to and not begun:
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        _require_writable(path)
        # By itself the driver would commit every CREATE and ALTER at once, and a crash leave half a step behind.
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode = WAL")
            if begun:
                ((said,),) = connection.execute(f"SELECT said FROM {UNFINISHED}").fetchall()
                migration = msgspec.json.decode(said, type=Migration)
            elif found is None:
                migration = Migration(since=None)
            else:
                migration = _begin(connection, path, found, copy=copy, tell=tell)
        _steps(path, to, tell if migration.since is not None else Silence())
        if migration.since is not None:
            _finish(path, migration, tell)
        return migration


def _begin(
    connection: sqlite3.Connection, path: Path, found: str, *, copy: bool, tell: Progress
) -> Migration:
    """Before the first step: a copy of the file, and in the file what has to be in it behind the last."""
    _require_space(path, copy=copy)
    kept = path.with_name(f"{path.stem}-{found}{path.suffix}") if copy else None
    if kept is not None:
        tell.phase(f"Copying the database to {kept}")
        _copy(connection, kept, tell)
    tell.phase("Counting")
    migration = Migration(since=found, copy=str(kept) if kept else None, counts=count(connection))
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"CREATE TABLE {UNFINISHED} (said BLOB NOT NULL)")
    connection.execute(f"INSERT INTO {UNFINISHED} VALUES (?)", (msgspec.json.encode(migration),))
    connection.execute("COMMIT")
    return migration


def _copy(connection: sqlite3.Connection, kept: Path, tell: Progress) -> None:
    """Complete under its name or not there at all."""
    part = kept.with_name(kept.name + ".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    with closing(sqlite3.connect(part)) as target:
        connection.backup(
            target,
            pages=COPIED_AT_ONCE,
            progress=lambda _, left, total: tell.rows(total - left, total),
            sleep=0,
        )
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.rename(kept)
    folder = os.open(kept.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _steps(path: Path, to: str, tell: Progress) -> None:
    """Every step up to `to` that the file has not seen, each in its own transaction; those of an empty file in one."""
    from alembic import command
    from alembic.script import ScriptDirectory
    from sqlalchemy import create_engine

    config = _config(tell)
    found = revision(path)
    scripts = list(ScriptDirectory.from_config(config).iterate_revisions(to, found or "base"))[::-1]
    if found is None:
        scripts = scripts[-1:]
    engine = create_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA cache_size = -{CACHE_KIB}")
            config.attributes["connection"] = connection
            for number, script in enumerate(scripts, 1):
                tell.phase(f"Step {number} of {len(scripts)}, schema {script.revision}: {script.doc}")
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                command.upgrade(config, script.revision)
                connection.commit()
                _empty_log(connection)
    finally:
        engine.dispose()


def _config(tell: Progress) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["rows"] = tell.rows
    return config


def _empty_log(connection: Connection) -> None:
    """A step may have written a whole table into the write-ahead log, which would keep that size."""
    connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.commit()


def _finish(path: Path, migration: Migration, tell: Progress) -> None:
    """As much of everything as before, or nobody may serve with it."""
    tell.phase("Counting again")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        now = count(connection)
        wrong = [
            f"{name}: {before:,} before, {now.get(name, 0):,} now"
            for name, before in migration.counts.items()
            if now.get(name, 0) != before
        ]
        if wrong:
            kept = f"the database as it was is {migration.copy}" if migration.copy else "restore your backup"
            raise ConfigError(
                f"the migration of {path} from schema {migration.since} changed how much is in it ({'; '.join(wrong)}), so "
                f"it is not finished and Clarion does not start. Install the version you had before and use its database "
                f"again: {kept}. Please report these numbers."
            )
        connection.execute(f"DROP TABLE {UNFINISHED}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _require_writable(path: Path) -> None:
    for one in (path, path.parent):
        if not os.access(one, os.W_OK):
            raise ConfigError(f"{one} cannot be written: it must belong to the user Clarion runs as.")


def _require_space(path: Path, *, copy: bool) -> None:
    """Raises ConfigError when the disk has too little for the copy and the steps."""
    size = sum(one.stat().st_size for one in (path, path.with_name(path.name + "-wal")) if one.exists())
    needed = int(size * (GROWTH + copy))
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        without = (
            f", or keep no copy with --no-backup, which needs {_mib(int(size * GROWTH))}" if copy else ""
        )
        raise ConfigError(
            f"migrating {path} needs about {_mib(needed)} of free space, and {path.parent} has {_mib(free)}: free some"
            f"{without}. Nothing was changed."
        )


def _mib(count: int) -> str:
    return f"{-(-count // (1 << 20)):,} MiB"


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Errors of the disk as ConfigError with what to do; others as they are."""
    try:
        yield
    except Exception as error:
        said = _said(getattr(error, "orig", error), path)
        if said is None:
            raise
        raise ConfigError(said) from None


def _said(error: Any, path: Path) -> str | None:
    if not isinstance(error, sqlite3.Error):
        return None
    again = "and run `clarion migrate` again, which goes on from there"
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return f"the disk became full while {path} was migrated: free some space {again}."
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return f"another program uses {path}: stop it {again}."
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return f"{path} cannot be written: it must belong to the user Clarion runs as. Mend that {again}."
        case sqlite3.SQLITE_IOERR:
            return f"the disk failed while {path} was migrated ({error}): mend that {again}."
    return None
