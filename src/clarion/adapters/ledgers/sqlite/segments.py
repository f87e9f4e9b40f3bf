"""Users chosen by conditions, and the members of segments."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from clarion.adapters.ledgers.audience_sql import NOT_RESERVED, SqliteAudience
from clarion.adapters.ledgers.refresh_rows import RefreshRow, continued
from clarion.adapters.ledgers.sqlite import journal, open_users
from clarion.adapters.ledgers.sqlite.files import one
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.row_encoding import encoded
from clarion.adapters.ledgers.sqlite.users import UserRows
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.audience import OPEN_ATTRIBUTES, CheckedSegment, Condition, Refresh
from clarion.model.ids import Instant, TenantId, UserNo
from clarion.model.user_change import UserChange, UserChangeKind, moved
from clarion.rules.exact import open_definition

LAST = 2**63 - 1
"""Behind every number."""

PEOPLE = "SELECT no FROM users WHERE tenant = ? AND no > ? ORDER BY no LIMIT ?"
HOW_MANY = "SELECT count(*) FROM users WHERE tenant = ?"
STATES = (
    "SELECT key, definition, position, done, total, refreshed_at FROM refreshes WHERE tenant = ? LIMIT -1"
)
STATE = "SELECT definition, position, done, total, refreshed_at FROM refreshes WHERE tenant = ? AND key = ?"
STATE_PUT = """
    INSERT OR REPLACE INTO refreshes (tenant, key, definition, position, done, total, refreshed_at)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""
STATE_DROP = "DELETE FROM refreshes WHERE tenant = ? AND key = ?"
MEMBERS = (
    "SELECT user FROM segment_members WHERE tenant = ? AND segment = ? AND user > ? ORDER BY user LIMIT ?"
)
MEMBERS_COUNTED = """
    SELECT segment, count(*) FROM segment_members
    WHERE tenant = ? AND segment IN (SELECT value FROM json_each(?)) GROUP BY segment
"""
MEMBERS_DROP = "DELETE FROM segment_members WHERE tenant = ? AND segment = ?"
OPEN = "UPDATE users SET open_attributes = ? WHERE no = ?"
OPENED = "SELECT no, open_attributes FROM users WHERE no IN (SELECT value FROM json_each(?))"
CHANGES = "SELECT seq, user FROM segment_changes WHERE tenant = ? ORDER BY seq LIMIT ?"
CHANGES_DROP = "DELETE FROM segment_changes WHERE seq IN (SELECT value FROM json_each(?))"
LOOKS = "SELECT user FROM segment_looks WHERE tenant = ? AND due_at <= ? ORDER BY due_at LIMIT ?"
LOOKS_DROP = "DELETE FROM segment_looks WHERE user IN (SELECT value FROM json_each(?))"
_PEOPLE = "u.no IN (SELECT value FROM json_each(?2)) AND u.tenant = ?1"
LEFT = """
    DELETE FROM segment_members WHERE tenant = ?1 AND segment = ?3
        AND user IN (SELECT value FROM json_each(?2))
        AND NOT EXISTS (SELECT 1 FROM users AS u WHERE u.no = segment_members.user AND {where})
    RETURNING user
"""
ENTERED = f"""
    INSERT INTO segment_members (tenant, segment, user) SELECT ?1, ?3, u.no FROM users AS u WHERE {_PEOPLE} AND {{where}}
    ON CONFLICT DO NOTHING RETURNING user
"""
LOOK = f"""
    INSERT INTO segment_looks (user, tenant, due_at)
    SELECT no, tenant, due_at FROM (
        SELECT u.no, u.tenant, {{next_look}} AS due_at FROM users AS u WHERE {_PEOPLE} AND {NOT_RESERVED}
    ) WHERE due_at IS NOT NULL
    ON CONFLICT (user) DO UPDATE SET due_at = min(segment_looks.due_at, excluded.due_at)
"""


class SqliteAudiences:
    """Implements `ports.ledger.Audiences`."""

    def __init__(self, writer: Writer, readers: Readers, user_rows: UserRows) -> None:
        self._writer = writer
        self._readers = readers
        self._user_rows = user_rows

    async def search(
        self, tenant: TenantId, where: Condition, now: Instant, before: UserNo | None, limit: int
    ) -> Sequence[UserNo]:
        asked = SqliteAudience(where, now, first=4)
        statement = f"""
            SELECT u.no FROM users AS u WHERE u.tenant = ?1 AND u.no < ?2 AND {asked.where} ORDER BY u.no DESC LIMIT ?3
        """
        values = (tenant, LAST if before is None else before, limit, *asked.values)
        found = await self._readers.call(lambda c: c.execute(statement, values).fetchall())
        return [UserNo(no) for (no,) in found]

    async def count(self, tenant: TenantId, where: Condition, now: Instant) -> int:
        asked = SqliteAudience(where, now, first=2)
        statement = f"SELECT count(*) FROM users AS u WHERE u.tenant = ?1 AND {asked.where}"
        return await self._readers.call(lambda c: int(one(c, statement, (tenant, *asked.values))))

    async def reopen(self, tenant: TenantId, now: Instant, limit: int) -> Refresh:
        def reopen(connection: sqlite3.Connection) -> Refresh:
            of = open_users.tenant(connection, tenant)
            definition = "" if of is None else open_definition(of)
            state, people = _next(connection, tenant, OPEN_ATTRIBUTES, definition, limit)
            before = dict(connection.execute(OPENED, (encoded(people),)).fetchall())
            users = self._user_rows.by_number(connection, people)
            opened = open_users.opened(connection, (user for user in users if not user.unreadable))
            changed = [(text, no) for no, text in opened.items() if text != before[no]]
            connection.executemany(OPEN, changed)
            open_users.changed(connection, tenant, [no for _, no in changed])
            return _went(connection, tenant, OPEN_ATTRIBUTES, state, people, limit, now)

        return await self._writer.call(reopen, rows=limit)


class SqliteSegmentMembers:
    """Implements `ports.ledger.SegmentMembers`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def states(self, tenant: TenantId) -> Mapping[str, Refresh]:
        found = await self._readers.call(lambda c: c.execute(STATES, (tenant,)).fetchall())
        return {key: RefreshRow(*state).refresh for key, *state in found}

    async def members(self, tenant: TenantId, key: str, after: UserNo, limit: int) -> Sequence[UserNo]:
        found = await self._readers.call(lambda c: c.execute(MEMBERS, (tenant, key, after, limit)).fetchall())
        return [UserNo(no) for (no,) in found]

    async def counts(self, tenant: TenantId, keys: Sequence[str]) -> Mapping[str, int]:
        asked = (tenant, encoded(keys))
        return await self._readers.call(lambda c: dict(c.execute(MEMBERS_COUNTED, asked).fetchall()))

    async def refresh(self, tenant: TenantId, segment: CheckedSegment, now: Instant, limit: int) -> Refresh:
        def refresh(connection: sqlite3.Connection) -> Refresh:
            state, people = _next(connection, tenant, segment.key, segment.definition, limit)
            _sort(connection, tenant, segment, people, now)
            return _went(connection, tenant, segment.key, state, people, limit, now)

        return await self._writer.call(refresh, rows=limit)

    async def update(
        self, tenant: TenantId, segments: Sequence[CheckedSegment], now: Instant, limit: int
    ) -> int:
        def due(connection: sqlite3.Connection) -> tuple[list[tuple[int, int]], list[int]]:
            changes = connection.execute(CHANGES, (tenant, limit)).fetchall()
            looks = connection.execute(LOOKS, (tenant, now, limit - len(changes))).fetchall()
            return changes, [no for (no,) in looks]

        def update(connection: sqlite3.Connection) -> int:
            changes, looks = due(connection)
            people = sorted({*(UserNo(no) for _, no in changes), *map(UserNo, looks)})
            if not people:
                return 0
            connection.execute(CHANGES_DROP, (encoded([seq for seq, _ in changes]),))
            connection.execute(LOOKS_DROP, (encoded(people),))
            said: list[UserChange] = []
            for segment in segments:
                said += moved(tenant, segment.key, _sort(connection, tenant, segment, people, now), now)
            if said and journal.follows_users(connection, tenant):
                journal.add_user_changes(connection, said)
            return len(changes) + len(looks)

        if not any(await self._readers.call(due)):
            return 0  # as nearly always: the writer stays free
        return await self._writer.call(update, rows=limit)

    async def drop(self, tenant: TenantId, key: str) -> None:
        def drop(connection: sqlite3.Connection) -> None:
            connection.execute(MEMBERS_DROP, (tenant, key))
            connection.execute(STATE_DROP, (tenant, key))

        await self._writer.call(drop)


def _next(
    connection: sqlite3.Connection, tenant: TenantId, key: str, definition: str, limit: int
) -> tuple[RefreshRow, list[UserNo]]:
    """Where going through all users is, and the next ones."""
    found = connection.execute(STATE, (tenant, key)).fetchone()
    state = continued(found, definition, lambda: one(connection, HOW_MANY, (tenant,)))
    if state.position is None:
        return state, []
    people = connection.execute(PEOPLE, (tenant, state.position, limit)).fetchall()
    return state, [UserNo(no) for (no,) in people]


def _went(
    connection: sqlite3.Connection,
    tenant: TenantId,
    key: str,
    state: RefreshRow,
    people: Sequence[UserNo],
    limit: int,
    now: Instant,
) -> Refresh:
    """These were gone through."""
    after = state.behind(people, limit, now)
    if after != state or after.position is not None:
        connection.execute(STATE_PUT, (tenant, key, *after))
    return after.refresh


def _sort(
    connection: sqlite3.Connection,
    tenant: TenantId,
    segment: CheckedSegment,
    people: Sequence[UserNo],
    now: Instant,
) -> Mapping[UserChangeKind, Sequence[UserNo]]:
    """Who of these enters and who leaves a segment."""
    asked = SqliteAudience(segment.where, now, first=4)
    values = (tenant, encoded(people), segment.key, *asked.values)
    left = connection.execute(LEFT.format(where=asked.where), values).fetchall()
    entered = connection.execute(ENTERED.format(where=asked.where), values).fetchall()
    if (look := SqliteAudience.look(segment.where, now, first=3)) is not None:
        when, its = look
        connection.execute(LOOK.format(next_look=when), (tenant, encoded(people), *its))
    return {
        UserChangeKind.ENTERED: [UserNo(no) for (no,) in entered],
        UserChangeKind.LEFT: [UserNo(no) for (no,) in left],
    }
