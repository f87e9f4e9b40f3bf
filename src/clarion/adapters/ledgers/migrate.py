"""Bringing a ledger file to the schema this code is written for."""

from __future__ import annotations

from pathlib import Path


def migrate(path: Path) -> None:
    """Create the file if it is missing, then run every step it has not seen. Repeating it changes nothing.

    Alembic is loaded here and nowhere else: a process that only serves never pays for it.
    """
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine

    path.parent.mkdir(parents=True, exist_ok=True)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    engine = create_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    finally:
        engine.dispose()
