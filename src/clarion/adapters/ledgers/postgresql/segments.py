"""Users chosen by conditions, and the members of segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clarion.adapters.ledgers.audience_sql import NOT_RESERVED, PostgresAudience
from clarion.adapters.ledgers.postgresql import journal, open_users
from clarion.adapters.ledgers.postgresql.database import Database
from clarion.adapters.ledgers.postgresql.locks import SEGMENTS, lock
from clarion.adapters.ledgers.postgresql.users import PostgresUserRows
from clarion.adapters.ledgers.refresh_rows import RefreshRow, continued
from clarion.model.audience import OPEN_ATTRIBUTES, CheckedSegment, Condition, Refresh
from clarion.model.ids import Instant, TenantId, UserNo
from clarion.model.user_change import UserChange, UserChangeKind, moved
from clarion.rules.exact import open_definition

LAST = 2**63 - 1
"""Behind every number."""

ALONE = "SELECT id FROM tenants WHERE id = $1 FOR UPDATE"
"""Whoever wrote users by the definition before has committed when it is there."""
PEOPLE = "SELECT no FROM users WHERE tenant = $1 AND no > $2 ORDER BY no LIMIT $3"
HOW_MANY = "SELECT count(*) FROM users WHERE tenant = $1"
STATES = "SELECT key, definition, position, done, total, refreshed_at FROM refreshes WHERE tenant = $1"
STATE = "SELECT definition, position, done, total, refreshed_at FROM refreshes WHERE tenant = $1 AND key = $2"
STATE_PUT = """
    INSERT INTO refreshes (tenant, key, definition, position, done, total, refreshed_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (tenant, key) DO UPDATE SET definition = excluded.definition, position = excluded.position,
        done = excluded.done, total = excluded.total, refreshed_at = excluded.refreshed_at
"""
STATE_DROP = "DELETE FROM refreshes WHERE tenant = $1 AND key = $2"
MEMBERS = """
    SELECT "user" FROM segment_members WHERE tenant = $1 AND segment = $2 AND "user" > $3 ORDER BY "user" LIMIT $4
"""
MEMBERS_COUNTED = """
    SELECT segment, count(*) FROM segment_members WHERE tenant = $1 AND segment = ANY($2::text[]) GROUP BY segment
"""
MEMBERS_DROP = "DELETE FROM segment_members WHERE tenant = $1 AND segment = $2"
OPEN = """
    UPDATE users SET open_attributes = new.opened FROM unnest($1::bigint[], $2::jsonb[]) AS new (no, opened)
    WHERE users.no = new.no AND users.open_attributes IS DISTINCT FROM new.opened RETURNING users.no
"""
CHANGES = 'SELECT seq, "user" FROM segment_changes WHERE tenant = $1 ORDER BY seq LIMIT $2'
CHANGES_DROP = "DELETE FROM segment_changes WHERE seq = ANY($1::bigint[])"
LOOKS = 'SELECT "user" FROM segment_looks WHERE tenant = $1 AND due_at <= $2 ORDER BY due_at LIMIT $3'
LOOKS_DROP = 'DELETE FROM segment_looks WHERE "user" = ANY($1::bigint[])'
ANY_DUE = """
    SELECT coalesce(
        (SELECT "user" FROM segment_changes WHERE tenant = $1 ORDER BY seq LIMIT 1),
        (SELECT "user" FROM segment_looks WHERE tenant = $1 AND due_at <= $2 ORDER BY due_at LIMIT 1)
    ) IS NOT NULL
"""
_PEOPLE = "u.no = ANY($2::bigint[]) AND u.tenant = $1"
LEFT = """
    DELETE FROM segment_members AS m WHERE m.tenant = $1 AND m.segment = $3 AND m."user" = ANY($2::bigint[])
        AND NOT EXISTS (SELECT 1 FROM users AS u WHERE u.no = m."user" AND {where})
    RETURNING m."user"
"""
ENTERED = f"""
    INSERT INTO segment_members (tenant, segment, "user") SELECT $1, $3, u.no FROM users AS u WHERE {_PEOPLE} AND {{where}}
    ON CONFLICT DO NOTHING RETURNING "user"
"""
LOOK = f"""
    INSERT INTO segment_looks ("user", tenant, due_at)
    SELECT no, tenant, due_at FROM (
        SELECT u.no, u.tenant, {{next_look}} AS due_at FROM users AS u WHERE {_PEOPLE} AND {NOT_RESERVED}
    ) AS turns WHERE due_at IS NOT NULL
    ON CONFLICT ("user") DO UPDATE SET due_at = least(segment_looks.due_at, excluded.due_at)
"""


class PostgresAudiences:
    """Implements `ports.ledger.Audiences`."""

    def __init__(self, database: Database, user_rows: PostgresUserRows) -> None:
        self._database = database
        self._user_rows = user_rows

    async def search(
        self, tenant: TenantId, where: Condition, now: Instant, before: UserNo | None, limit: int
    ) -> Sequence[UserNo]:
        asked = PostgresAudience(where, now, first=4)
        statement = f"""
            SELECT u.no FROM users AS u WHERE u.tenant = $1 AND u.no < $2 AND {asked.where} ORDER BY u.no DESC LIMIT $3
        """
        last = LAST if before is None else before
        found = await self._database.lists.rows(statement, tenant, last, limit, *asked.values)
        return [UserNo(row[0]) for row in found]

    async def count(self, tenant: TenantId, where: Condition, now: Instant) -> int:
        asked = PostgresAudience(where, now, first=2)
        statement = f"SELECT count(*) FROM users AS u WHERE u.tenant = $1 AND {asked.where}"
        ((count,),) = await self._database.lists.rows(statement, tenant, *asked.values)
        return int(count)

    async def reopen(self, tenant: TenantId, now: Instant, limit: int) -> Refresh:
        async def reopen(connection: Any) -> Refresh:
            await lock(connection, SEGMENTS, [tenant])
            of = await open_users.tenant(connection, tenant)
            definition = "" if of is None else open_definition(of)
            state, people = await _next(connection, tenant, OPEN_ATTRIBUTES, definition, limit)
            held = await self._user_rows.held(connection, people)
            readable = [user for user in held.values() if not user.unreadable]
            opened = await open_users.opened(connection, readable)
            changed = await connection.fetch(OPEN, list(opened), list(opened.values()))
            await open_users.changed(connection, tenant, [row[0] for row in changed])
            return await _went(connection, tenant, OPEN_ATTRIBUTES, state, people, limit, now)

        return await self._database.write(reopen)


class PostgresSegmentMembers:
    """Implements `ports.ledger.SegmentMembers`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def states(self, tenant: TenantId) -> Mapping[str, Refresh]:
        found = await self._database.rows(STATES, tenant)
        return {key: RefreshRow(*state).refresh for key, *state in found}

    async def members(self, tenant: TenantId, key: str, after: UserNo, limit: int) -> Sequence[UserNo]:
        return [UserNo(row[0]) for row in await self._database.rows(MEMBERS, tenant, key, after, limit)]

    async def counts(self, tenant: TenantId, keys: Sequence[str]) -> Mapping[str, int]:
        return dict(map(tuple, await self._database.lists.rows(MEMBERS_COUNTED, tenant, list(keys))))

    async def refresh(self, tenant: TenantId, segment: CheckedSegment, now: Instant, limit: int) -> Refresh:
        async def refresh(connection: Any) -> Refresh:
            await lock(connection, SEGMENTS, [tenant])
            state, people = await _next(connection, tenant, segment.key, segment.definition, limit)
            await _sort(connection, tenant, segment, people, now)
            return await _went(connection, tenant, segment.key, state, people, limit, now)

        return await self._database.write(refresh)

    async def update(
        self, tenant: TenantId, segments: Sequence[CheckedSegment], now: Instant, limit: int
    ) -> int:
        async def update(connection: Any) -> int:
            await lock(connection, SEGMENTS, [tenant])
            changes = await connection.fetch(CHANGES, tenant, limit)
            looks = await connection.fetch(LOOKS, tenant, now, limit - len(changes))
            people = sorted({*(UserNo(row[1]) for row in changes), *(UserNo(row[0]) for row in looks)})
            if not people:
                return 0
            await connection.execute(CHANGES_DROP, [row[0] for row in changes])
            await connection.execute(LOOKS_DROP, people)
            said: list[UserChange] = []
            for segment in segments:
                said += moved(tenant, segment.key, await _sort(connection, tenant, segment, people, now), now)
            if said and await journal.follows_users(connection, tenant):
                await journal.add_user_changes(connection, said)
            return len(changes) + len(looks)

        ((due,),) = await self._database.rows(ANY_DUE, tenant, now)
        return await self._database.write(update) if due else 0

    async def drop(self, tenant: TenantId, key: str) -> None:
        async def drop(connection: Any) -> None:
            await lock(connection, SEGMENTS, [tenant])
            await connection.execute(MEMBERS_DROP, tenant, key)
            await connection.execute(STATE_DROP, tenant, key)

        await self._database.write(drop)


async def _next(
    connection: Any, tenant: TenantId, key: str, definition: str, limit: int
) -> tuple[RefreshRow, list[UserNo]]:
    """Where going through all users is, and the next ones."""
    found = await connection.fetchrow(STATE, tenant, key)
    if found is None or found["definition"] != definition:
        await connection.execute(ALONE, tenant)
        total = await connection.fetchval(HOW_MANY, tenant)
    else:
        total = found["total"]
    state = continued(found, definition, lambda: total)
    if state.position is None:
        return state, []
    people = await connection.fetch(PEOPLE, tenant, state.position, limit)
    return state, [UserNo(row[0]) for row in people]


async def _went(
    connection: Any,
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
        await connection.execute(STATE_PUT, tenant, key, *after)
    return after.refresh


async def _sort(
    connection: Any, tenant: TenantId, segment: CheckedSegment, people: Sequence[UserNo], now: Instant
) -> Mapping[UserChangeKind, Sequence[UserNo]]:
    """Who of these enters and who leaves a segment."""
    asked = PostgresAudience(segment.where, now, first=4)
    values = (tenant, people, segment.key, *asked.values)
    left = await connection.fetch(LEFT.format(where=asked.where), *values)
    entered = await connection.fetch(ENTERED.format(where=asked.where), *values)
    if (look := PostgresAudience.look(segment.where, now, first=3)) is not None:
        when, its = look
        await connection.execute(LOOK.format(next_look=when), tenant, people, *its)
    return {
        UserChangeKind.ENTERED: [UserNo(row[0]) for row in entered],
        UserChangeKind.LEFT: [UserNo(row[0]) for row in left],
    }
