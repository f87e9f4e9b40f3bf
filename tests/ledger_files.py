"""New ledger files: migrated once per process, copied for every test."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from clarion.adapters.ledgers.migrate import migrate


def new_ledger(path: Path) -> Path:
    """An empty ledger at `path`, as `migrate` leaves it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(_migrated())
    return path


@cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "clarion.db")
        migrate(path)
        return path.read_bytes()
