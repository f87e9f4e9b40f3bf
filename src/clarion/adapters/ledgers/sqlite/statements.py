"""Every hot statement of the ledger, together, so that their query plans can be read and tested together.

`?1` is a JSON array of rows and `?2` their bytes (see `packing`); what a statement returns in bulk is one JSON
array in one row. Where a statement says `VALUES (?, ...)` for one row, `files.write` runs it for many.
"""

from __future__ import annotations

from collections.abc import Set

from clarion.adapters.ledgers.schema import CODES, coded
from clarion.adapters.ledgers.sqlite.row_encoding import bytes_at, field, id_at
from clarion.model.channel import LANES, Lane
from clarion.model.status import (
    ACTIVE,
    FAILED_FOR_GOOD,
    MOVES,
    RETRYABLE_BY_HAND,
    SUCCEEDED,
    Reason,
    Status,
)


def _allowed(old: Status) -> int:
    """One bit per status that may follow; what is active may also stay as it is."""
    following = MOVES[old] | ({old} if old in ACTIVE else set())
    return sum(1 << CODES[new] for new in following)


_ALLOWED = " ".join(f"WHEN {CODES[old]} THEN {_allowed(old)}" for old in MOVES)


def may_move(new: str) -> str:
    """SQL: a message may go to the status `new`. From `MOVES`."""
    return f"((CASE messages.status {_ALLOWED} END >> {new}) & 1)"


def _insert(table: str, values: dict[str, str], *, source: str = "json_each(?1)", end: str = "") -> str:
    return (
        f"INSERT INTO {table} ({', '.join(values)}) SELECT {', '.join(values.values())} FROM {source} {end}"
    )


def _array(columns: str) -> str:
    return f"json_group_array(json_array({columns}))"


IDS = f"(SELECT {id_at(0, 1)} FROM json_each(?1))"

# ── calls under way ───────────────────────────────────────────────────────────────────────────────────────

CALLS_ADD = """
    INSERT INTO calls (worker, position, integration, since, lowest, highest, ids) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
CALLS_UNDER_WAY = "SELECT worker, position, ids FROM calls"
CALL_DROP = "DELETE FROM calls WHERE worker = ? AND position = ?"
STILL_CALLED = f"""
    SELECT 1 FROM json_each(?1) AS begun CROSS JOIN messages
    WHERE messages.id = substr(?2, begun.key * 16 + 1, 16) AND status = {CODES[Status.QUEUED]}
      AND holder = ?3 AND journal < begun.value LIMIT 1
"""
"""Whether one of these is in its call: the values are the positions of the records that they are called."""

_PLACE = "instr(calls.ids, {m}id)"
_BEGUN = f"calls.position + ({_PLACE} - 1) / 16"
_CALL = f"""
    FROM calls WHERE {{m}}holder IS NOT NULL AND {{m}}status = {CODES[Status.QUEUED]} AND calls.worker = {{m}}holder
        AND {{m}}id BETWEEN calls.lowest AND calls.highest AND {_PLACE} > 0 AND {_BEGUN} > {{m}}journal
    ORDER BY calls.position DESC LIMIT 1
"""


def status_now(m: str = "") -> str:
    """SQL: the status of a message `m`, which says `sending` while it is in a call."""
    return f"iif(EXISTS (SELECT 1 {_CALL.format(m=m)}), {CODES[Status.SENDING]}, {m}status)"


def updated_now(m: str = "") -> str:
    """SQL: when it was changed last, by a call too."""
    return f"coalesce((SELECT calls.since {_CALL.format(m=m)}), {m}updated_at)"


def journal_now(m: str = "") -> str:
    """SQL: the position of the newest record about it, that it is called too."""
    return f"coalesce((SELECT {_BEGUN.format(m=m)} {_CALL.format(m=m)}), {m}journal)"


def integration_now(m: str = "") -> str:
    """SQL: through which integration it went last, or is going."""
    return f"coalesce((SELECT calls.integration {_CALL.format(m=m)}), {m}integration)"


# ── events ────────────────────────────────────────────────────────────────────────────────────────────────

APPEND = {
    lane: f"""
    INSERT INTO log_{lane.value} (event_id, tenant, workflow, sealed_for, sealed, setup_revision)
    VALUES (?, ?, ?, ?, ?, ?)
"""
    for lane in LANES
}
LAST_ROW = "SELECT last_insert_rowid()"

_ENTRY = _array("seq, hex(event_id), tenant, workflow, sealed_for, hex(sealed), setup_revision")


def _not_ahead(lane: Lane) -> str:
    return f"""NOT EXISTS (
        SELECT 1 FROM planned_ahead WHERE planned_ahead.lane = '{lane.value}' AND planned_ahead.seq = log_{lane.value}.seq
    )"""


READ = {
    lane: f"""
    SELECT {_ENTRY} FROM (
        SELECT * FROM log_{lane.value} WHERE seq > ? AND {_not_ahead(lane)} ORDER BY seq LIMIT ?
    )
"""
    for lane in LANES
}

BODIES = {
    lane: f"""
    SELECT {_ENTRY} FROM json_each(?1) AS wanted CROSS JOIN log_{lane.value} AS log WHERE log.seq = (
        SELECT min(seq) FROM log_{lane.value} INDEXED BY log_{lane.value}_event
        WHERE event_id = substr(?2, wanted.key * 16 + 1, 16) AND workflow = wanted.value ->> 0
    )
"""
    for lane in LANES
}
"""The first entry of each, planned or not."""

POSITION = "SELECT position FROM cursors WHERE lane = ?"
END = "SELECT seq FROM sqlite_sequence WHERE name = ?"
ADVANCE = """
    INSERT INTO cursors (lane, position) VALUES (?1, ?2)
    ON CONFLICT (lane) DO UPDATE SET position = max(position, excluded.position)
"""
AHEAD = f"SELECT {_array('seq')} FROM planned_ahead WHERE lane = ?"
AHEAD_ADD = _insert("planned_ahead", {"lane": "?2", "seq": "value"}) + "WHERE true ON CONFLICT DO NOTHING"
AHEAD_PASSED = "DELETE FROM planned_ahead WHERE lane = ? AND seq <= ?"
TAKE_LANE = """
    INSERT INTO cursors (lane, position, worker) VALUES (?1, 0, ?2)
    ON CONFLICT (lane) DO UPDATE SET worker = excluded.worker
    WHERE worker IS NULL OR worker = excluded.worker
        OR NOT EXISTS (SELECT 1 FROM workers WHERE workers.id = cursors.worker AND NOT reaped)
    RETURNING lane
"""

# ── planning ──────────────────────────────────────────────────────────────────────────────────────────────

EVENTS_ADD = """
    INSERT INTO events (id, journal, workflow, tenant, lane, first_user, last_user)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""

EVENTS_KNOWN = f"""
    SELECT {_array("DISTINCT events.journal")} FROM json_each(?1) AS new CROSS JOIN events
    WHERE events.id = substr(?2, new.key * 16 + 1, 16)
      AND events.first_user <= new.value ->> 1 AND events.last_user >= new.value ->> 0
"""
"""Rows of the journal that may have runs of the same event and the same users."""

EVENT_ROWS = """
    SELECT journal FROM events
    WHERE id = ?1 AND tenant = ?2 AND (?3 IS NULL OR ?3 BETWEEN first_user AND last_user)
    ORDER BY id, journal LIMIT -1
"""
EVENT_KNOWN = "SELECT 1 FROM events WHERE id = ? AND tenant = ? LIMIT 1"

MESSAGES_ADD_PLAIN = """
    INSERT INTO messages (
        id, event_id, user, route, queue, status, created_at, due_at, fence, charged, tenant, journal, holder
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
"""What every planned message has."""
MESSAGES_ADD_RICH = """
    INSERT INTO messages (
        id, event_id, user, route, queue, status, created_at, due_at, fence, charged, tenant, journal, holder,
        reason, expires_at, attempt, unknowns, threaded, later_rungs, waits_for
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
"""With what some have besides."""
MESSAGES_ADD_SETTLED = """
    INSERT INTO messages (
        id, event_id, user, route, queue, status, created_at, due_at, fence, charged, tenant, journal, holder,
        reason, expires_at, attempt, unknowns, threaded, later_rungs, waits_for,
        integration, updated_at, sent_at, delivered_at
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
"""In their final state."""
USER_MESSAGES_ADD = "INSERT INTO user_messages (id, user, route, counted_at) VALUES (?, ?, ?, ?)"

# ── the journal ───────────────────────────────────────────────────────────────────────────────────────────

JOURNAL_ADD = "INSERT INTO journal (tenant, at, body) VALUES (?, ?, ?)"
JOURNAL_ROW = "SELECT tenant, body FROM journal WHERE seq = ?"
JOURNAL_OF = f"SELECT {journal_now()} FROM messages WHERE id = ?"
JOURNAL_BEHIND = "SELECT seq, body FROM journal WHERE seq >= ? AND tenant = ? ORDER BY seq LIMIT -1"
JOURNAL_NEWEST = """
    SELECT seq, body FROM journal
    WHERE seq > (SELECT max(seq) FROM journal) - 100000 AND tenant = ? ORDER BY seq DESC LIMIT -1
"""

# ── exact checks ──────────────────────────────────────────────────────────────────────────────────────────

DEDUPES_FIND = f"SELECT {_array('hex(key), hex(run_id), expires_at')} FROM dedupes WHERE key IN {IDS}"
DEDUPES_ADD = (
    _insert("dedupes", {"key": id_at(0, 2), "run_id": id_at(1, 2), "expires_at": field(0)})
    + "WHERE true ON CONFLICT (key) DO UPDATE SET run_id = excluded.run_id, expires_at = excluded.expires_at"
)
DEDUPES_PURGE = """
    DELETE FROM dedupes WHERE expires_at <= (
        SELECT max(expires_at) FROM (SELECT expires_at FROM dedupes WHERE expires_at <= ?1 ORDER BY expires_at LIMIT 500)
    )
"""

CAPS_USES = f"""
    SELECT {_array("user, route, counted_at")}
    FROM json_each(?1) AS wanted CROSS JOIN user_messages
    WHERE user_messages.user = wanted.value AND counted_at > ?2
"""

_COUNTED = """messages CROSS JOIN user_messages
    ON user_messages.user = messages.user AND user_messages.id = messages.id"""
_HOLDER = _array(
    f"hex(holders.key), hex(messages.id), {status_now('messages.')}, messages.user, messages.route, counted_at, "
    "nullif(hex(messages.waits_for), '')"
)
_POINT = """ON CONFLICT (key) DO UPDATE SET message_id = excluded.message_id"""
COLLAPSES_FIND = f"""
    SELECT {_HOLDER} FROM collapses AS holders CROSS JOIN {_COUNTED}
    WHERE messages.id = holders.message_id AND holders.key IN {IDS}
"""
COLLAPSES_ADD = _insert("collapses", {"key": id_at(0, 2), "message_id": id_at(1, 2)}) + f"WHERE true {_POINT}"
THREADS_FIND = f"""
    WITH RECURSIVE holders (key, message_id) AS (
        SELECT key, message_id FROM threads WHERE key IN {IDS}
        UNION ALL
        SELECT holders.key, ended.waits_for FROM holders CROSS JOIN messages AS ended
        WHERE ended.id = holders.message_id AND ended.waits_for IS NOT NULL AND ended.status NOT IN ({coded(ACTIVE)})
    )
    SELECT {_HOLDER} FROM holders CROSS JOIN {_COUNTED}
    WHERE messages.id = holders.message_id AND (messages.waits_for IS NULL OR status IN ({coded(ACTIVE)}))
"""
"""What ended while it waited left its place to what it waited for."""
THREADS_ADD = _insert("threads", {"key": id_at(0, 2), "message_id": id_at(1, 2)}) + f"WHERE true {_POINT}"

THREADED = f"UPDATE messages SET threaded = 1 WHERE id IN {IDS}"
CHARGEABLE = f"""
    SELECT {_array("hex(messages.id), messages.user, messages.route, counted_at")} FROM {_COUNTED}
    WHERE charged = 0 AND status IN ({coded(ACTIVE)}) AND messages.id IN {IDS}
"""
"""What is neither counted as on its way nor over."""
COUNTED_FIND = f"""
    SELECT {_array("hex(messages.id), messages.user, messages.route, counted_at")} FROM {_COUNTED}
    WHERE counted_at IS NOT NULL AND messages.id IN {IDS}
"""
CHARGED = f"UPDATE messages SET charged = ?3 WHERE id IN {IDS}"
COUNTED = f"""
    WITH new AS MATERIALIZED (
        SELECT messages.user, messages.id, {field(0)} AS at
        FROM json_each(?1) CROSS JOIN messages ON messages.id = {id_at(0, 1)}
    )
    UPDATE user_messages SET counted_at = new.at FROM new
    WHERE user_messages.user = new.user AND user_messages.id = new.id
"""

# ── claim and settle ──────────────────────────────────────────────────────────────────────────────────────

MESSAGE = (
    f"hex(id), user, hex(event_id), route, {status_now()}, created_at, reason, iif(holder IS NULL, due_at, NULL), expires_at, "
    "attempt, unknowns, fence, hex(later_rungs), nullif(hex(waits_for), ''), threaded, "
    f"charged, coalesce({updated_now()}, created_at), integration, sent_at, delivered_at, seen_at, read_at, clicked_at, archived_at, tried_at"
)
"""What `rows.message` reads."""

_DUE = """messages INDEXED BY messages_turn
    WHERE queue = ?1 AND tenant = ?4 AND due_at <= ?2 AND holder IS NULL ORDER BY due_at, id LIMIT ?3"""

DUE = f"SELECT {_array(MESSAGE)} FROM (SELECT * FROM {_DUE})"
"""Of one tenant, what nobody holds."""
CLAIM = f"""
    UPDATE messages SET fence = fence + 1, holder = ?5,
        status = iif(status = {CODES[Status.SENDING]}, status, {CODES[Status.QUEUED]})
    WHERE id IN (SELECT id FROM {_DUE})
"""
"""Right after `DUE` in the same transaction, so of the very same rows."""


def _next_tenant(after: str) -> str:
    return f"""(
        SELECT min(messages.tenant) FROM messages INDEXED BY messages_turn
        WHERE queue = ?1 AND messages.tenant > {after} AND due_at IS NOT NULL AND holder IS NULL
    )"""


TENANTS_WAITING = f"""
    WITH RECURSIVE waiting (tenant) AS (
        SELECT {_next_tenant("?3")}
        UNION ALL SELECT {_next_tenant("waiting.tenant")} FROM waiting WHERE waiting.tenant IS NOT NULL LIMIT ?4
    )
    SELECT {_array("tenant, due")} FROM (
        SELECT tenant, EXISTS (
            SELECT 1 FROM messages INDEXED BY messages_turn
            WHERE queue = ?1 AND messages.tenant = waiting.tenant AND due_at <= ?2 AND holder IS NULL
        ) AS due FROM waiting WHERE tenant IS NOT NULL
    )
"""
"""The next tenants with something that nobody holds, and whether any of it is due: two steps in the index for each."""

QUEUES_DUE = f"""
    SELECT {_array("value")} FROM json_each(?1)
    WHERE EXISTS (SELECT 1 FROM messages WHERE queue = value AND due_at <= ?2 AND holder IS NULL)
"""

QUEUE_DEPTH = """
    SELECT count(*) FROM (
        SELECT 1 FROM messages WHERE queue = ?1 AND due_at IS NOT NULL AND holder IS NULL LIMIT ?2
    )
"""

_HELD = f"""
    messages.id = substr(?2, new.key * 16 + 1, 16) AND messages.fence = new.value ->> 0
    AND messages.holder = new.value ->> 2 AND {may_move("new.value ->> 1")}
"""

HELD = f"""
    SELECT {_array("new.key, messages.journal")} FROM json_each(?1) AS new CROSS JOIN messages WHERE {_HELD}
"""
"""Which of some settlements are taken, by their places, and the newest record of each message."""

SETTLE = f"""
    WITH new (id, journal, status, at, attempt, integration, tried, reason, due_at, unknowns)
    AS (VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?))
    UPDATE messages SET
        status = new.status,
        reason = new.reason,
        due_at = iif(new.status IN ({coded(ACTIVE)}), new.due_at, NULL),
        attempt = new.attempt,
        unknowns = new.unknowns,
        charged = 0,
        integration = coalesce(new.integration, messages.integration),
        updated_at = new.at,
        tried_at = iif(new.tried AND new.status IN ({coded(ACTIVE)}), coalesce(messages.tried_at, new.at), messages.tried_at),
        holder = iif(new.status IN ({coded([Status.QUEUED, Status.SENDING])}), messages.holder, NULL),
        sent_at = iif(new.status IN ({coded(SUCCEEDED)}), coalesce(messages.sent_at, new.at), messages.sent_at),
        delivered_at = iif(new.status = {CODES[Status.DELIVERED]}, new.at, messages.delivered_at),
        journal = new.journal
    FROM new WHERE messages.id = new.id
"""

# ── endings, turns and rungs ──────────────────────────────────────────────────────────────────────────────

STOPPABLE = f"""
    SELECT {_array(f"hex(id), tenant, {journal_now()}")} FROM messages
    WHERE id IN {IDS} AND {status_now()} IN (SELECT value FROM json_each(?3)) AND {may_move("?4")}
"""

STOP = f"""
    WITH new AS MATERIALIZED (SELECT {id_at(0, 1)} AS id, {field(0)} AS journal FROM json_each(?1))
    UPDATE messages SET status = ?3, reason = ?4, due_at = NULL, holder = NULL,
        fence = fence + 1, updated_at = ?5, journal = new.journal
    FROM new WHERE messages.id = new.id
"""

CANCEL_EVENT = "INSERT OR IGNORE INTO canceled_events (event_id) VALUES (?)"
CANCELED_EVENT_FORGET = "DELETE FROM canceled_events WHERE event_id = ?"
ANY_CANCELED_EVENT = "SELECT 1 FROM canceled_events LIMIT 1"
CANCELED_EVENTS = f"SELECT {_array('hex(event_id)')} FROM canceled_events WHERE event_id IN {IDS}"

WAITS = {
    lane: f"""
    SELECT 1 FROM log_{lane.value} INDEXED BY log_{lane.value}_event
    WHERE seq > ? AND event_id = ? AND tenant = ? AND {_not_ahead(lane)} LIMIT 1
"""
    for lane in LANES
}
"""Whether some of an event is not planned yet."""
ACTIVE_OF_EVENT = f"""
    SELECT 1 FROM messages WHERE id BETWEEN ?1 AND ?2 AND event_id = ?3 AND status IN ({coded(ACTIVE)}) LIMIT 1
"""

EVENT_BELOW = "SELECT id FROM events WHERE id < ? AND id >= ? ORDER BY id DESC LIMIT 1"
EVENT_PLANNED = """
    SELECT DISTINCT tenant, workflow, lane
    FROM (SELECT tenant, workflow, lane FROM events WHERE id = ? LIMIT 2000)
"""
"""What an event started: one workflow as a rule, with a row for every page of its recipients."""
COUNTS_OF_EVENT = (
    f"SELECT {status_now()}, count(*) FROM messages WHERE id BETWEEN ? AND ? AND event_id = ? GROUP BY 1"
)

STOPPABLE_OF_EVENT = f"""
    SELECT {_array("hex(id)")} FROM (
        SELECT id FROM messages WHERE id BETWEEN ?1 AND ?2 AND event_id = ?3 AND id > ?4
            AND {status_now()} IN (SELECT value FROM json_each(?5))
        ORDER BY id LIMIT ?6
    )
"""

ANYONE_WAITS = "SELECT 1 FROM messages WHERE waits_for IS NOT NULL LIMIT 1"
GIVE_WAY = f"""
    UPDATE messages SET waits_for = ended.waits_for FROM messages AS ended
    WHERE ended.id IN {IDS} AND ended.waits_for IS NOT NULL
        AND messages.waits_for = ended.id AND messages.status = {CODES[Status.DEFERRED]}
"""
"""Before these end: whoever waits for one that waits itself waits for what is in front of it. Once for every step."""
RELEASE = f"""
    UPDATE messages SET waits_for = NULL, due_at = ?3
    WHERE waits_for IN {IDS} AND status = {CODES[Status.DEFERRED]}
"""

ADVANCE_RUNGS = f"""
    UPDATE messages SET due_at = ?3
    WHERE id IN {IDS} AND status = {CODES[Status.DEFERRED]} AND reason = '{Reason.WAITING_FOR_EARLIER_CHANNEL}' AND due_at > ?3
"""

# ── what people see ───────────────────────────────────────────────────────────────────────────────────────

INBOX_HEADS = f"""
    SELECT {
    _array(
        "value, hex(newest.id), newest.offset, newest.unseen, newest.unread, newest.total, "
        "moved.offset, moved.unseen, moved.unread, moved.total"
    )
}
    FROM json_each(?1) AS wanted
    LEFT JOIN user_messages AS newest ON newest.user = wanted.value AND newest.id = (
        SELECT id FROM user_messages
        WHERE user_messages.user = wanted.value AND offset IS NOT NULL ORDER BY id DESC LIMIT 1
    )
    LEFT JOIN inbox_moves AS moved ON moved.user = wanted.value AND moved.offset = (
        SELECT max(offset) FROM inbox_moves WHERE inbox_moves.user = wanted.value
    )
"""
"""Where offsets and counters of some users stand: at whichever is later, the last item that came in or the last move."""

INBOX_ADD = """
    WITH new (id, user, at, offset, moved_to, unseen, unread, total, counted_at)
    AS (VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?))
    UPDATE user_messages SET at = new.at, offset = new.offset, moved_to = new.moved_to,
        unseen = new.unseen, unread = new.unread, total = new.total, counted_at = new.counted_at
    FROM new WHERE user_messages.user = new.user AND user_messages.id = new.id
"""
INBOX_ADD_NEW = """
    INSERT INTO user_messages (id, user, at, offset, moved_to, unseen, unread, total, counted_at, route)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
"""For messages that are stored in the same transaction."""
INBOX_CONTENT_ADD = "INSERT INTO inbox_content (message_id, sealed) VALUES (?, ?)"

ITEM = (
    "user, coalesce(moved_to, offset), hex(id), at, seen_at, read_at, archived_at, route, "
    "(SELECT hex(sealed) FROM inbox_content WHERE inbox_content.message_id = item.id)"
)
"""What `decoding.item` reads."""

_BEFORE = "SELECT id FROM user_messages WHERE user = ?1 AND offset <= ?2 ORDER BY id DESC LIMIT 1"
_SINCE = f"""
    SELECT * FROM (
        SELECT * FROM user_messages
        WHERE user = ?1 AND offset IS NOT NULL AND moved_to IS NULL AND id > coalesce(({_BEFORE}), x'')
        ORDER BY id LIMIT ?3
    )
    UNION ALL SELECT * FROM (
        SELECT user_messages.* FROM inbox_moves CROSS JOIN user_messages
            ON user_messages.user = inbox_moves.user AND user_messages.id = inbox_moves.message_id
        WHERE inbox_moves.user = ?1 AND inbox_moves.offset > ?2 AND user_messages.at IS NOT NULL
        ORDER BY inbox_moves.offset LIMIT ?3
    )
"""
INBOX_SINCE = f"""
    SELECT {_array(ITEM)} FROM (
        SELECT * FROM ({_SINCE}) ORDER BY coalesce(moved_to, offset) LIMIT ?3
    ) AS item
"""
"""What came in behind an offset and stands where it came in, and what was moved behind it."""

_SHOWN = "user = ?1 AND at IS NOT NULL AND (archived_at IS NOT NULL) = ?2 AND (?3 = 0 OR read_at IS NULL)"

INBOX_PAGE = f"""
    SELECT {_array(ITEM)} FROM (
        SELECT * FROM user_messages WHERE {_SHOWN} AND id < ?4 ORDER BY id DESC LIMIT ?5
    ) AS item
"""

INBOX_MATCHING = f"""
    SELECT {_array("hex(id)")} FROM (SELECT id FROM user_messages WHERE {_SHOWN} ORDER BY id DESC LIMIT -1)
"""

INBOX_NAMED = f"""
    SELECT {_array(ITEM)} FROM (
        SELECT * FROM user_messages WHERE user = ?3 AND id IN {IDS} AND at IS NOT NULL
        ORDER BY coalesce(moved_to, offset) LIMIT -1
    ) AS item
"""

INBOX_MARK = f"""
    WITH new AS MATERIALIZED (
        SELECT {id_at(0, 1)} AS id, {field(1)} AS moved_to, {field(2)} AS seen_at, {field(3)} AS read_at,
            {field(4)} AS archived_at
        FROM json_each(?1)
    )
    UPDATE user_messages SET moved_to = new.moved_to, seen_at = new.seen_at, read_at = new.read_at,
        archived_at = new.archived_at
    FROM new WHERE user_messages.user = ?3 AND user_messages.id = new.id
"""
INBOX_MOVES_DROP = """
    DELETE FROM inbox_moves WHERE user = ?2 AND offset IN (SELECT value ->> 0 FROM json_each(?1))
"""
INBOX_MOVES_ADD = _insert(
    "inbox_moves",
    {
        "message_id": id_at(0, 1),
        "user": field(0),
        "offset": field(1),
        "unseen": field(2),
        "unread": field(3),
        "total": field(4),
    },
)

INBOX_UNMOVE = "DELETE FROM inbox_moves WHERE user = ? AND offset = ?"
INBOX_TAKE_OUT = """
    UPDATE user_messages SET at = NULL, offset = NULL, moved_to = NULL, seen_at = NULL, read_at = NULL,
        archived_at = NULL, unseen = 0, unread = 0, total = 0
    WHERE user = ? AND id = ?
"""
INBOX_CONTENT_DROP = "DELETE FROM inbox_content WHERE message_id = ?"
INBOX_RECOUNT = (
    "UPDATE inbox_moves SET unseen = ?, unread = ?, total = ? WHERE user = ? AND offset = ?",
    """UPDATE user_messages SET unseen = ?1, unread = ?2, total = ?3
    WHERE user = ?4 AND id = (
        SELECT id FROM user_messages WHERE user = ?4 AND offset IS NOT NULL ORDER BY id DESC LIMIT 1
    ) AND offset = ?5""",
)
"""The counters at the newest offset of a user, wherever they stand."""
INBOX_STANDS = (
    "INSERT INTO inbox_moves (user, offset, message_id, unseen, unread, total) VALUES (?, ?, ?, ?, ?, ?)"
)
"""A move without an item: the newest change of the user was of one that went."""
INBOX_STOOD = """
    DELETE FROM inbox_moves WHERE user = ?1 AND offset < ?2 AND NOT EXISTS (
        SELECT 1 FROM user_messages WHERE user_messages.user = ?1 AND id = message_id AND at IS NOT NULL
    )
"""
"""Moves without an item that stood for an earlier newest offset."""

MESSAGES_STAMP = f"""
    WITH new AS MATERIALIZED (
        SELECT {id_at(0, 1)} AS id, {field(2)} AS seen_at, {field(3)} AS read_at, {field(4)} AS archived_at
        FROM json_each(?1)
    )
    UPDATE messages SET seen_at = new.seen_at, read_at = new.read_at, archived_at = new.archived_at
    FROM new WHERE messages.id = new.id
"""
"""From the parameters of `INBOX_MARK`."""

LATER_RUNGS = f"""
    SELECT {_array("hex(later_rungs)")} FROM messages WHERE id IN {IDS} AND later_rungs IS NOT NULL
"""
ROUTES_OF = f"SELECT {_array('hex(id), route')} FROM messages WHERE id IN {IDS}"

CAPTURES_ADD = _insert(
    "captures",
    {
        "message_id": id_at(0, 1),
        "user": field(0),
        "route": f"(SELECT route FROM messages WHERE id = {id_at(0, 1)})",
        "integration": field(1),
        "at": field(2),
        "sealed": bytes_at(3, 4),
    },
)

# ── people ────────────────────────────────────────────────────────────────────────────────────────────────

USER = "no, tenant, user_id, hex(wrapped_key), hex(profile), revision, inbox_epoch, created_at, updated_at"
"""What `rows.user` reads."""

USERS_BY_ID = f"""
    SELECT {_array(USER)} FROM users WHERE tenant = ?2 AND user_id IN (SELECT value FROM json_each(?1))
"""
USERS_BY_NUMBER = f"SELECT {_array(USER)} FROM users WHERE no IN (SELECT value FROM json_each(?1))"

USER_NUMBER = "SELECT no FROM users WHERE tenant = ? AND user_id = ?"
USER_EXISTS = "SELECT 1 FROM users WHERE no = ?"
LAST_USER = "SELECT seq FROM sqlite_sequence WHERE name = 'users'"
"""Whether or not the one with this number is still there."""

USERS_PAGE = f"""
    SELECT {_array(USER)} FROM (SELECT * FROM users WHERE tenant = ?1 AND no < ?2 ORDER BY no DESC LIMIT ?3)
"""


def _near(table: str, column: str) -> str:
    """The names before and behind ?2 in the order of an index, at most ?3 each way."""
    half = (
        f"SELECT {column} FROM {table} WHERE tenant = ?1 AND {column} {{}} ?2 ORDER BY {column} {{}} LIMIT ?3"
    )
    before, behind = half.format("<", "DESC"), half.format(">=", "ASC")
    return f"SELECT {_array(column)} FROM (SELECT * FROM ({before}) UNION ALL SELECT * FROM ({behind}))"


USERS_NEAR = _near("users", "user_id")
TOPICS_NEAR = _near("topics", "key")
TOPICS_KNOWN = f"""
    SELECT {_array("topics.key")} FROM json_each(?2) AS wanted CROSS JOIN topics
    WHERE topics.tenant = ?1 AND topics.key = wanted.value
"""

USERS_ADD = _insert(
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
    },
)

USERS_REPLACE = f"""
    WITH new AS MATERIALIZED (
        SELECT value ->> 0 AS no, value ->> 1 AS revision, value ->> 2 AS at, {bytes_at(3, 4)} AS profile
        FROM json_each(?1)
    )
    UPDATE users SET profile = new.profile, revision = new.revision, updated_at = new.at
    FROM new WHERE users.no = new.no
"""

CONTACTS_DROP = "DELETE FROM contact_hashes WHERE user IN (SELECT value FROM json_each(?1))"
CONTACTS_ADD = _insert(
    "contact_hashes", {"hash": id_at(0, 1), "tenant": field(0), "channel": field(1), "user": field(2)}
)

OWNERS = f"""
    SELECT {_array("wanted.key, contact_hashes.user")} FROM json_each(?1) AS wanted CROSS JOIN contact_hashes
    WHERE contact_hashes.tenant = wanted.value ->> 0
      AND contact_hashes.hash = substr(?2, wanted.key * 16 + 1, 16)
      AND contact_hashes.channel = wanted.value ->> 1
"""
SUPPRESS = (
    _insert(
        "suppressions",
        {"hash": id_at(0, 1), "tenant": field(0), "channel": field(1), "reason": field(2), "at": field(3)},
    )
    + "WHERE true ON CONFLICT (tenant, hash, channel) DO NOTHING"
)
"""From the parameters of `OWNERS`."""

ALLOW = "DELETE FROM suppressions WHERE tenant = ? AND hash = ? AND channel = ?"
SUPPRESSIONS_PAGE = f"""
    SELECT {_array("hex(hash), channel, reason, at")} FROM (
        SELECT * FROM suppressions
        WHERE tenant = ?1 AND (at, hash) < (?2, ?3) ORDER BY at DESC, hash DESC LIMIT ?4
    )
"""
SUPPRESSION = f"""
    SELECT {_array("hex(hash), channel, reason, at")} FROM suppressions WHERE tenant = ?1 AND hash = ?2
"""

SUPPRESSED = f"""
    SELECT {_array("hex(suppressions.hash)")}
    FROM json_each(?1) AS wanted CROSS JOIN suppressions
    WHERE suppressions.tenant = wanted.value AND suppressions.hash = substr(?2, wanted.key * 16 + 1, 16)
"""

# Erasing one person: everything that could identify them or say what they were told.
ACTIVE_OF_USER = f"""
    SELECT {_array("hex(messages.id)")} FROM user_messages CROSS JOIN messages ON messages.id = user_messages.id
    WHERE user_messages.user = ?1 AND status IN ({coded(ACTIVE)})
"""
ERASE = (
    "DELETE FROM captures WHERE message_id IN (SELECT id FROM user_messages WHERE user = ?1)",
    "DELETE FROM inbox_content WHERE message_id IN (SELECT id FROM user_messages WHERE user = ?1 AND at IS NOT NULL)",
    "DELETE FROM inbox_moves WHERE user = ?1",
    "DELETE FROM user_messages WHERE user = ?1",
    "DELETE FROM subscriptions WHERE user = ?1",
    "DELETE FROM contact_hashes WHERE user = ?1",
    "DELETE FROM users WHERE no = ?1",
    "INSERT OR IGNORE INTO erased (user) VALUES (?1)",
)

# ── looking things up ─────────────────────────────────────────────────────────────────────────────────────

MESSAGE_BY_ID = f"SELECT {_array(MESSAGE)} FROM messages WHERE id = ?"
STATUS_OF = f"SELECT {status_now()} FROM messages WHERE id = ?"

_FAILED = f"status IN ({coded(FAILED_FOR_GOOD)})"
_WAYS = {
    "user": "user_messages WHERE user = :user AND",
    "failed": f"messages INDEXED BY messages_failed WHERE {_FAILED} AND",
    "all": "messages WHERE",
}
_RANGE = "id >= :lowest AND id < :highest ORDER BY id DESC LIMIT"
_SCANS = {way: f"SELECT * FROM {source} {_RANGE} :scanned" for way, source in _WAYS.items()}
_SCANS["user"] = (
    f"SELECT messages.* FROM ({_SCANS['user']}) AS its CROSS JOIN messages ON messages.id = its.id"
)
_MATCHES = f"""
    route IN (SELECT value FROM json_each(:routes))
    AND (:user IS NULL OR user = :user) AND (:event_id IS NULL OR event_id = :event_id)
    AND (:statuses IS NULL OR {status_now()} IN (SELECT value FROM json_each(:statuses))) AND (:reasons IS NULL OR reason IN (SELECT value FROM json_each(:reasons)))
"""


def way_to(has_user: bool, statuses: Set[Status]) -> str:
    """Which of `SEARCH` is shortest."""
    return "user" if has_user else "failed" if statuses and statuses <= FAILED_FOR_GOOD else "all"


SEARCH = {
    way: f"SELECT {_array(MESSAGE)} FROM (SELECT * FROM ({scan}) WHERE {_MATCHES} LIMIT :most)"
    for way, scan in _SCANS.items()
}
SEARCH_COUNT = {way: f"SELECT count(*) FROM ({scan}) WHERE {_MATCHES}" for way, scan in _SCANS.items()}
SEARCH_END = {way: f"SELECT id FROM {source} {_RANGE} 1 OFFSET :scanned - 1" for way, source in _WAYS.items()}
"""Where the scan of the same `SEARCH` stopped; nothing when it came to the end."""

RETRYABLE = f"""
    SELECT {_array("hex(id), route, journal")} FROM (
        SELECT id, route, journal FROM messages INDEXED BY messages_failed
        WHERE {_FAILED} AND id >= :lowest AND id < :highest AND {_MATCHES}
        LIMIT :most
    )
"""
RETRYABLE_NAMED = f"""
    SELECT {_array("hex(id), route, journal")} FROM (
        SELECT id, route, journal FROM messages
        WHERE id IN (SELECT substr(:ids, key * 16 + 1, 16) FROM json_each(:rows))
            AND status IN ({coded(RETRYABLE_BY_HAND)}) AND {_MATCHES}
        LIMIT :most
    )
"""
REQUEUE = f"""
    WITH new AS MATERIALIZED (
        SELECT {id_at(0, 1)} AS id, {field(0)} AS route, {field(1)} AS journal FROM json_each(?1)
    )
    UPDATE messages SET journal = new.journal, status = {CODES[Status.QUEUED]}, reason = '{Reason.RETRIED}', attempt = 0, unknowns = 0, due_at = ?3,
        fence = fence + 1, holder = NULL, waits_for = NULL, updated_at = ?3, tried_at = NULL, route = new.route
    FROM new WHERE messages.id = new.id
"""

_CAPTURE = "seq, hex(message_id), user, route, integration, hex(sealed), at"

CAPTURES_PAGE = f"""
    SELECT {_array(_CAPTURE)} FROM (
        SELECT * FROM captures WHERE (?2 IS NULL OR seq < ?2) AND route IN (SELECT value FROM json_each(?1))
            AND (?4 IS NULL OR at >= ?4) AND (?5 IS NULL OR at < ?5)
        ORDER BY seq DESC LIMIT ?3
    )
"""
CAPTURES_OF_USER = f"""
    SELECT {_array(_CAPTURE)} FROM (
        SELECT captures.* FROM user_messages CROSS JOIN captures
        WHERE user_messages.user = ?6 AND captures.message_id = user_messages.id AND (?2 IS NULL OR seq < ?2)
            AND (?4 IS NULL OR captures.at >= ?4) AND (?5 IS NULL OR captures.at < ?5)
            AND captures.route IN (SELECT value FROM json_each(?1))
        ORDER BY seq DESC LIMIT ?3
    )
"""
CAPTURES_OF = f"""
    SELECT {_array(_CAPTURE)} FROM (SELECT * FROM captures WHERE message_id = ? ORDER BY seq LIMIT -1)
"""

SETUP_REVISION = "SELECT value FROM meta WHERE key = 'setup_revision'"
NEXT_SETUP_REVISION = """
    INSERT INTO meta (key, value) VALUES ('setup_revision', 1)
    ON CONFLICT (key) DO UPDATE SET value = value + 1 RETURNING value
"""

SETUP_CHANGED = """
    INSERT INTO setup_changes (shelf, tenant, key, revision)
    VALUES (?1, ?2, ?3, 1 + coalesce((SELECT value FROM meta WHERE key = 'setup_revision'), 0))
    ON CONFLICT (shelf, tenant, key) DO UPDATE SET revision = excluded.revision
"""
"""What the change that `NEXT_SETUP_REVISION` counts is about."""
SETUP_LIVE = "SELECT shelf, tenant, key, body FROM documents WHERE live = 1"
SETUP_DELTA = """
    SELECT c.shelf, c.tenant, c.key, d.body FROM setup_changes AS c
    LEFT JOIN documents AS d ON d.shelf = c.shelf AND d.tenant = c.tenant AND d.key = c.key AND d.live = 1
    WHERE c.revision > ?1 AND c.shelf <> 'tenant'
"""
TENANTS_LIVE = "SELECT body FROM tenants"
TENANTS_DELTA = """
    SELECT t.body FROM setup_changes AS c JOIN tenants AS t ON t.id = c.tenant
    WHERE c.revision > ?1 AND c.shelf = 'tenant'
"""
