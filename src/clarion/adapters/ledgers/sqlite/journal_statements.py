"""Statements about the journal.

Rows are parameters as `row_encoding` says; `VALUES (?, ...)` stands for one of the rows of `files.write`.
"""

from __future__ import annotations

from clarion.adapters.ledgers.sqlite.call_statements import journal_now
from clarion.model.reading import FOLLOWED, USERS, ReadingKind

JOURNAL_ADD = "INSERT INTO journal (tenant, at, body) VALUES (?, ?, ?)"

JOURNAL_ROW = "SELECT tenant, body FROM journal WHERE seq = ?"

JOURNAL_OF = f"SELECT {journal_now()} FROM messages WHERE id = ?"

JOURNAL_BEHIND = "SELECT seq, body FROM journal WHERE seq >= ? AND tenant = ? ORDER BY seq LIMIT -1"

USERS_FOLLOWED = f"""
    SELECT 1 FROM readings WHERE tenant = ? AND kind = '{ReadingKind.SINK.value}' AND position ->> '$.{USERS}' = '{FOLLOWED}' LIMIT 1
"""
"""Whether what becomes of users is recorded."""

JOURNAL_NEWEST = """
    SELECT seq, body FROM journal
    WHERE seq > (SELECT max(seq) FROM journal) - 100000 AND tenant = ? ORDER BY seq DESC LIMIT -1
"""
