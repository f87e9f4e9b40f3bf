"""Converts many rows in slices: each slice is committed, and its progress is stored with it."""

from __future__ import annotations

from collections.abc import Callable

from alembic import op


def store(done: int, total: int) -> None:
    """Commit what the step converted so far. Cut off behind it, the step is run again and must go on from there."""
    run = op.get_bind().exec_driver_sql
    run("COMMIT")
    report(done, total)
    run("BEGIN IMMEDIATE")


def report(done: int, total: int) -> None:
    """Say how far the step is."""
    config = op.get_context().config
    assert config is not None
    tell: Callable[[int, int], None] = config.attributes["rows"]
    tell(min(done, total), total)
