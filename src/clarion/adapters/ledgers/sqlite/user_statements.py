"""Statements about users, their contacts, what is suppressed, and the erasure of one of them.

Rows are parameters as `row_encoding` says; `VALUES (?, ...)` stands for one of the rows of `files.write`.
"""

from __future__ import annotations

from clarion.adapters.ledgers.schema import coded
from clarion.adapters.ledgers.sqlite.row_encoding import array, bytes_at, field, id_at, insert
from clarion.adapters.ledgers.suppression_rows import KEEP_LASTING
from clarion.model.status import ACTIVE
from clarion.model.user import RESERVED

USER = "no, tenant, user_id, hex(wrapped_key), hex(profile), revision, inbox_epoch, created_at, updated_at"
"""What `rows.user` reads."""

USERS_BY_ID = f"""
    SELECT {array(USER)} FROM users WHERE tenant = ?2 AND user_id IN (SELECT value FROM json_each(?1))
"""

USERS_BY_NUMBER = f"SELECT {array(USER)} FROM users WHERE no IN (SELECT value FROM json_each(?1))"

USER_NUMBER = "SELECT no FROM users WHERE tenant = ? AND user_id = ?"

USER_EXISTS = "SELECT 1 FROM users WHERE no = ?"

LAST_USER = "SELECT seq FROM sqlite_sequence WHERE name = 'users'"
"""Whether or not the one with this number is still there."""

USERS_PAGE = f"""
    SELECT {array(USER)} FROM (
        SELECT * FROM users WHERE tenant = ?1 AND no < ?2 AND (?4 OR substr(user_id, 1, 1) <> '{RESERVED}')
        ORDER BY no DESC LIMIT ?3
    )
"""


def _near(table: str, column: str) -> str:
    """The names before and behind ?2 in the order of an index, at most ?3 each way."""
    half = (
        f"SELECT {column} FROM {table} WHERE tenant = ?1 AND {column} {{}} ?2 ORDER BY {column} {{}} LIMIT ?3"
    )
    before, behind = half.format("<", "DESC"), half.format(">=", "ASC")
    return f"SELECT {array(column)} FROM (SELECT * FROM ({before}) UNION ALL SELECT * FROM ({behind}))"


USERS_NEAR = _near("users", "user_id")

TOPICS_NEAR = _near("topics", "key")

TOPICS_KNOWN = f"""
    SELECT {array("topics.key")} FROM json_each(?2) AS wanted CROSS JOIN topics
    WHERE topics.tenant = ?1 AND topics.key = wanted.value
"""

USERS_ADD = insert(
    "users",
    {
        "no": field(0),
        "tenant": field(1),
        "user_id": field(2),
        "revision": field(3),
        "inbox_epoch": field(4),
        "created_at": field(5),
        "updated_at": field(5),
        "wrapped_key": bytes_at(6, 7),
        "profile": bytes_at(8, 9),
        "open_attributes": field(10),
    },
)

USERS_REPLACE = f"""
    WITH new AS MATERIALIZED (
        SELECT value ->> 0 AS no, value ->> 1 AS revision, value ->> 2 AS at, {bytes_at(3, 4)} AS profile,
            value ->> 5 AS opened
        FROM json_each(?1)
    )
    UPDATE users SET profile = new.profile, revision = new.revision, updated_at = new.at,
        open_attributes = new.opened
    FROM new WHERE users.no = new.no
"""

CONTACTS_DROP = "DELETE FROM contact_hashes WHERE user IN (SELECT value FROM json_each(?1))"

CONTACTS_ADD = insert(
    "contact_hashes", {"hash": id_at(0, 1), "tenant": field(0), "channel": field(1), "user": field(2)}
)

OWNERS = f"""
    SELECT {array("wanted.key, contact_hashes.user")} FROM json_each(?1) AS wanted CROSS JOIN contact_hashes
    WHERE contact_hashes.tenant = wanted.value ->> 0
      AND contact_hashes.hash = substr(?2, wanted.key * 16 + 1, 16)
      AND contact_hashes.channel = wanted.value ->> 1
"""

_SUPPRESSION = "hex(hash), channel, reason, at, source, expires_at"

SUPPRESS = (
    insert(
        "suppressions",
        {
            "hash": id_at(0, 1),
            "tenant": field(0),
            "channel": field(1),
            "reason": field(2),
            "at": field(3),
            "source": field(4),
            "expires_at": field(5),
        },
    )
    + f"WHERE true {KEEP_LASTING}"
)
"""From the parameters of `OWNERS`."""

ALLOW = "DELETE FROM suppressions WHERE tenant = ? AND hash = ? AND channel = ?"

SUPPRESSIONS_PAGE = f"""
    SELECT {array(_SUPPRESSION)} FROM (
        SELECT * FROM suppressions
        WHERE tenant = ?1 AND (at, hash) < (?2, ?3) AND at >= ?5 AND at < ?6 AND (channel = ?7 OR ?7 IS NULL)
            AND (reason = ?8 OR ?8 IS NULL) AND (source = ?9 OR ?9 IS NULL)
        ORDER BY at DESC, hash DESC LIMIT ?4
    )
"""

SUPPRESSION = f"SELECT {array(_SUPPRESSION)} FROM suppressions WHERE tenant = ?1 AND hash = ?2"

SUPPRESSIONS_OVER = f"""
    SELECT {array("tenant, " + _SUPPRESSION)} FROM (
        SELECT * FROM suppressions WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2
    )
"""

SUPPRESSED = f"""
    SELECT {array("hex(suppressions.hash)")}
    FROM json_each(?1) AS wanted CROSS JOIN suppressions
    WHERE suppressions.tenant = wanted.value AND suppressions.hash = substr(?2, wanted.key * 16 + 1, 16)
"""

# Erasing one person: everything that could identify them or say what they were told.
ACTIVE_OF_USER = f"""
    SELECT {array("hex(messages.id)")} FROM user_messages CROSS JOIN messages ON messages.id = user_messages.id
    WHERE user_messages.user = ?1 AND status IN ({coded(ACTIVE)})
"""

ERASE = (
    "DELETE FROM captures WHERE message_id IN (SELECT id FROM user_messages WHERE user = ?1)",
    "DELETE FROM inbox_content WHERE message_id IN (SELECT id FROM user_messages WHERE user = ?1 AND at IS NOT NULL)",
    "DELETE FROM inbox_moves WHERE user = ?1",
    "DELETE FROM inbox_cards WHERE user = ?1",
    "DELETE FROM recent_messages WHERE id IN (SELECT id FROM user_messages WHERE user = ?1)",
    "DELETE FROM user_messages WHERE user = ?1",
    "DELETE FROM withdrawals WHERE user = ?1",
    "DELETE FROM subscriptions WHERE user = ?1",
    "DELETE FROM segment_members WHERE user = ?1",
    "DELETE FROM segment_looks WHERE user = ?1",
    "DELETE FROM inbound WHERE user = ?1",
    """DELETE FROM inbound WHERE user = 0
        AND (tenant, sender) IN (SELECT tenant, hash FROM contact_hashes WHERE contact_hashes.user = ?1)""",
    "DELETE FROM contact_hashes WHERE user = ?1",
    "DELETE FROM verifications WHERE user = ?1",
    "DELETE FROM users WHERE no = ?1",
    "INSERT OR IGNORE INTO erased (user) VALUES (?1)",
)
