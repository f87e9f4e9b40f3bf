"""The state of single resources, each as a short tag that changes with the resource."""

from __future__ import annotations

import sqlite3

from clarion.adapters.ledgers.resource_tags import lookup, resource_kinds
from clarion.adapters.ledgers.sqlite.call_statements import status_now, updated_now
from clarion.ports.terms import Subject

USER = """
    SELECT no, revision,
      (SELECT json_group_array(hex(s.hash)) FROM contact_hashes AS c JOIN suppressions AS s
        ON s.tenant = c.tenant AND s.hash = c.hash AND s.channel = c.channel WHERE c.user = users.no)
    FROM users WHERE tenant = $1 AND user_id = $2
"""
MESSAGE = f"""
    SELECT {status_now("m.")}, m.reason, m.attempt, m.due_at, {updated_now("m.")}, m.integration, m.sent_at, m.delivered_at,
      m.seen_at, m.read_at, m.clicked_at, m.archived_at
    FROM messages AS m JOIN routes AS r ON r.no = m.route WHERE r.tenant = $1 AND m.id = $2
"""
KINDS = resource_kinds(user=USER, message=MESSAGE, draft_revision="body ->> 'revision'", marker="?")


def tag_of(connection: sqlite3.Connection, subject: Subject) -> str | None:
    """The tag of a resource as this connection sees it; None when there is none."""
    if subject.version is not None:
        return f"v{subject.version}"  # An old version never changes.
    if (found := lookup(KINDS, subject)) is None:
        return None
    kind, key = found
    row = connection.execute(kind.statement, (subject.tenant, key)).fetchone()
    return None if row is None else kind.tag(row)
