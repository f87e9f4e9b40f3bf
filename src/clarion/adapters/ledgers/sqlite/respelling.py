"""Updates the hashes of addresses whose normalised spelling changed. Runs once per database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from clarion.adapters.ledgers.sqlite.files import one, open_writer
from clarion.adapters.ledgers.sqlite.users import UserRows

AT_ONCE = 1_000

_DONE = "SELECT value FROM meta WHERE key = 'spelling'"
_MARK = "INSERT INTO meta (key, value) VALUES ('spelling', 1)"
_LAST = "SELECT max(no) FROM users"
_MOVE = """
    INSERT OR IGNORE INTO suppressions (tenant, hash, channel, reason, at, source, expires_at)
    SELECT tenant, ?, channel, reason, at, source, expires_at FROM suppressions WHERE tenant = ? AND hash = ? AND channel = ?
"""

_DROP = "DELETE FROM suppressions WHERE tenant = ? AND hash = ? AND channel = ?"


def respell(ledger: Path, user_rows: UserRows) -> int:
    """Give contacts written before the hash of today's spelling, and their suppressions with them. How many.

    A suppression of an address that no user has is known by its hash alone: it stays as it is.
    """
    with closing(open_writer(ledger)) as connection:
        if one(connection, _DONE) is not None:
            return 0
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            count = 0
            for first in range(1, (one(connection, _LAST) or 0) + 1, AT_ONCE):
                count += _respelled(connection, user_rows, range(first, first + AT_ONCE))
            connection.execute(_MARK)
        return count


def _respelled(connection: sqlite3.Connection, user_rows: UserRows, numbers: range) -> int:
    moved = user_rows.rehash(connection, numbers)
    for tenant, channel, old, new in moved:
        connection.execute(_MOVE, (new, tenant, old, channel.value))
        connection.execute(_DROP, (tenant, old, channel.value))
    return len(moved)
