"""Bringing a ledger file to the schema this code is written for."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from clarion.adapters.ledgers.schema import REVISION

PAGE_BYTES = 2048
"""Of a new file; an older one keeps its 4096. A row in no order of time costs a page in the log and one at its place:
see `docs/adr/0021-messages-of-a-user-lie-side-by-side.md`."""


def migrate(path: Path) -> None:
    """Create the file if it is missing, then run every step it has not seen.

    Cut off, it goes on behind the last that was stored: a step, or a slice of one that says so. Repeating it changes nothing. Alembic is loaded here and nowhere else, and only when there is something to do.
    """
    if path.exists() and revision(path) == REVISION:
        return
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine

    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    engine = create_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            # By itself the driver would commit every CREATE and ALTER at once, and a crash leave half a step behind.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    finally:
        engine.dispose()


def revision(path: Path) -> str | None:
    """The last step a ledger file has seen; None when it has seen none. Raises DatabaseError for another kind of file."""
    with closing(sqlite3.connect(path)) as connection:
        try:
            found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError:
            return None
    return None if found is None else str(found[0])
