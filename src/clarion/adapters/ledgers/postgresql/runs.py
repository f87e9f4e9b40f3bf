"""Runs that wait between two steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from clarion.adapters.ledgers.postgresql import digests, signals, throttles
from clarion.adapters.ledgers.postgresql.database import Connection, Database
from clarion.adapters.ledgers.postgresql.leases import PostgresLeases
from clarion.adapters.ledgers.postgresql.terminations import PostgresTerminations
from clarion.adapters.ledgers.run_rows import (
    COLUMNS,
    PUT,
    SEEN,
    TENANTS_SEEN,
    TenantTurns,
    changing,
    claimed,
    conditions,
    left_of,
    lost,
    row_of,
    run_of,
    share,
    waiting_of,
    woken,
)
from clarion.model.channel import Lane
from clarion.model.ids import (
    BEHIND_ALL,
    EventId,
    Instant,
    MessageId,
    RunId,
    TenantId,
    UserNo,
    WorkerId,
    children_range,
)
from clarion.model.plan import PlanCommit
from clarion.model.run import RunFilter, RunRow, RunStatus
from clarion.model.status import Reason, Status

_DUE = "lane = $1 AND due_at <= $2 AND holder IS NULL"
_OURS = "lane = $1 AND due_at <= $2 AND holder = $3 AND id <> ALL($4::bytea[])"
"""What the worker holds itself is from a claim whose answer was lost."""
ANY_DUE = f"""
    SELECT 1 WHERE EXISTS (SELECT 1 FROM runs WHERE {_DUE}) OR EXISTS (SELECT 1 FROM runs WHERE {_OURS})
"""
CLAIM_OURS = f"""
    UPDATE runs SET holder = $3, fence = fence + 1
    WHERE id = ANY(ARRAY(SELECT id FROM runs WHERE {_OURS} ORDER BY due_at, id LIMIT $5 FOR UPDATE SKIP LOCKED))
    RETURNING {COLUMNS}
"""
CLAIM = f"""
    UPDATE runs SET holder = $3, fence = fence + 1
    WHERE id = ANY(ARRAY(
        SELECT its.id FROM unnest($4::bigint[]) AS turn (tenant) CROSS JOIN LATERAL (
            SELECT id FROM runs WHERE {_DUE} AND runs.tenant = turn.tenant
            ORDER BY due_at, id LIMIT $5 FOR UPDATE SKIP LOCKED
        ) AS its
    ))
    RETURNING {COLUMNS}
"""
"""What another worker is taking at this moment is its own."""


def _next_tenant(after: str) -> str:
    return f"""(
        SELECT tenant FROM runs WHERE lane = $1 AND runs.tenant > {after} AND due_at IS NOT NULL AND holder IS NULL
        ORDER BY tenant LIMIT 1
    )"""


TENANTS = f"""
    WITH RECURSIVE waiting (tenant) AS (
        SELECT {_next_tenant("$3")}
        UNION ALL SELECT {_next_tenant("waiting.tenant")} FROM waiting WHERE waiting.tenant IS NOT NULL
    )
    SELECT tenant, EXISTS (SELECT 1 FROM runs WHERE {_DUE} AND runs.tenant = waiting.tenant)
    FROM waiting WHERE tenant IS NOT NULL LIMIT $4
"""
"""The next tenants with runs that nobody holds, and whether any of these is due."""
GET = f"SELECT {COLUMNS} FROM runs WHERE id = $1 AND tenant = $2"
PAGE = f"SELECT {COLUMNS} FROM runs WHERE tenant = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
HELD = "SELECT id, holder, fence FROM runs WHERE id = ANY($1::bytea[]) ORDER BY id FOR UPDATE"
STORE = f"""
    INSERT INTO runs ({COLUMNS})
    SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bytea[], $5::text[], $6::bigint[], $7::text[],
        $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::text[], $15::bytea[],
        $16::bytea[], $17::bigint[], $18::bigint[], $19::bytea[])
    {PUT}
"""
CHANGE = f"""
    UPDATE runs SET status = $1, reason = $2, version = $3, due_at = $4, state = $5, zoned = $6, answers = $7,
        updated_at = $8,
        part = part + CASE WHEN due_at IS NULL THEN 1 ELSE 0 END, holder = NULL, fence = fence + 1
    WHERE id = $9 AND fence = $10 AND part = $11
        AND (due_at IS NOT NULL OR status = '{RunStatus.FAILED.value}')
    RETURNING {COLUMNS}
"""
CANCELABLE = """
    SELECT id FROM runs WHERE tenant = $1 AND due_at IS NOT NULL{} ORDER BY id LIMIT $2 FOR UPDATE
"""
_END = f"""
    UPDATE runs SET status = '{RunStatus.CANCELED.value}', reason = $1, due_at = NULL, state = NULL, holder = NULL,
        fence = fence + 1, updated_at = $2
    WHERE due_at IS NOT NULL AND
"""
END = f"{_END} id = ANY($3::bytea[]) RETURNING {COLUMNS}"
END_OF_EVENT = f"{_END} id BETWEEN $3 AND $4 AND event_id = $5 RETURNING id"
END_OF_USER = f'{_END} "user" = $3 RETURNING id'
LOOK_AGAIN = """
    UPDATE runs SET due_at = $2, holder = NULL, fence = fence + 1
    WHERE "user" = ANY($1::bigint[]) AND zoned IS NOT NULL AND due_at > $2
"""
OTHERWISE_ZONED = """
    UPDATE runs SET due_at = runs.updated_at FROM users
    WHERE runs.id = ANY($1::bytea[]) AND runs.due_at IS NOT NULL AND users.no = runs."user" AND runs.zoned <> users.revision
"""
WAITS = """
    SELECT 1 FROM runs WHERE id BETWEEN $1 AND $2 AND event_id = $3 AND tenant = $4 AND due_at IS NOT NULL LIMIT 1
"""
WAITING = """
    SELECT workflow, version, step, count(*) FROM runs
    WHERE tenant = $1 AND ($2::text IS NULL OR workflow = $2) AND due_at IS NOT NULL GROUP BY workflow, version, step
"""


class PostgresRuns:
    """Implements `ports.ledger.Runs`."""

    def __init__(
        self, database: Database, leases: PostgresLeases, terminations: PostgresTerminations
    ) -> None:
        self._database = database
        self._leases = leases
        self._turns = TenantTurns()
        self._terminations = terminations

    async def claim(
        self, worker: WorkerId, lane: Lane, limit: int, now: Instant, besides: Sequence[RunId] = ()
    ) -> Sequence[RunRow]:
        ours = (lane.value, now, worker, list(besides))
        if not await self._database.rows(ANY_DUE, *ours):
            return ()  # As nearly always: a lane is asked ten times a second.

        async def claim(connection: Connection) -> list[RunRow]:
            if not await self._leases.live(connection, [worker]):
                return []
            found = [run_of(row) for row in await connection.fetch(CLAIM_OURS, *ours, limit)]
            tenants: Sequence[int] = await self._tenants(connection, lane, now)
            while tenants and len(found) < limit:
                tenants, each = share(tenants, limit - len(found))
                rows = await connection.fetch(CLAIM, *ours[:3], tenants, each)
                taken = [run_of(row) for row in rows]
                found += taken
                tenants = left_of(tenants, each, taken)
            ids = [row.id for row in found]
            return woken(found, await signals.wakes(connection, ids), await throttles.passed(connection, ids))

        return await self._database.write(claim)

    async def _tenants(self, connection: Connection, lane: Lane, now: Instant) -> list[int]:
        """Whose turn it is."""
        after = self._turns.after(lane)
        seen = await connection.fetch(TENANTS, lane.value, now, after, TENANTS_SEEN)
        if not (due := self._turns.taken(lane, [tuple(row) for row in seen])) and after >= 0:
            seen = await connection.fetch(TENANTS, lane.value, now, -1, TENANTS_SEEN)
            due = self._turns.taken(lane, [tuple(row) for row in seen])
        return due

    async def get(self, tenant: TenantId, run_id: RunId) -> RunRow | None:
        row = await self._database.row(GET, run_id, tenant)
        return None if row is None else run_of(row)

    async def page(
        self, tenant: TenantId, where: RunFilter, before: RunId | None, limit: int
    ) -> tuple[Sequence[RunRow], RunId | None]:
        found: list[RunRow] = []
        below, left = before or BEHIND_ALL, SEEN
        while left > 0:
            asked = min(left, 2 * limit)
            rows = [run_of(row) for row in await self._database.rows(PAGE, tenant, below, asked)]
            for run in rows:
                below = run.id
                if where.fits(run):
                    found.append(run)
                if len(found) == limit:
                    return found, run.id
            if len(rows) < asked:
                return found, None
            left -= asked
        return found, RunId(below)

    async def cancel(
        self,
        tenant: TenantId,
        where: RunFilter,
        at: Instant,
        limit: int,
        reason: Reason = Reason.CANCELED_BY_CALLER,
    ) -> Sequence[RunRow]:
        asked = conditions(where)
        wanted = "".join(f" AND {column} = ${number}" for number, column in enumerate(asked, 3))
        if where.ids is not None:
            wanted += f" AND id = ANY(${len(asked) + 3}::bytea[])"
            asked |= {"id": [*where.ids]}

        async def cancel(connection: Connection) -> list[RunRow]:
            found = await connection.fetch(CANCELABLE.format(wanted), tenant, limit, *asked.values())
            ids = [row["id"] for row in found]
            await signals.forget(connection, ids)
            ended = await connection.fetch(END, reason.value, at, ids) if ids else []
            rows = [run_of(row) for row in ended]
            await digests.end(connection, [row.event_id for row in rows], at)
            return rows

        return sorted(await self._database.write(cancel), key=lambda row: row.id)

    async def change(
        self, row: RunRow, stop: Sequence[MessageId] = (), why: Reason = Reason.CANCELED_BY_CALLER
    ) -> RunRow | None:
        asked = changing(row)

        async def change(connection: Connection) -> RunRow | None:
            changed = await connection.fetchrow(CHANGE, *asked)
            if changed is None:
                return None
            now = run_of(changed)
            if now.part > row.part:
                await throttles.again(connection, row.id, row.part)
            if stop:
                await self._terminations.stop(connection, stop, Status.CANCELED, why, row.updated_at)
            return now

        return await self._database.write(change)

    async def waiting(
        self, tenant: TenantId, workflow: str | None = None
    ) -> Mapping[str, Mapping[tuple[int, str], int]]:
        return waiting_of(await self._database.rows(WAITING, tenant, workflow))


async def lost_in(connection: Connection, plans: Sequence[PlanCommit]) -> Set[bytes]:
    """What these plans go on with although their workers do not hold it any more. Nobody else changes the rest until
    the transaction ends."""
    asked = claimed(plans)
    if not asked:
        return frozenset()
    found = await connection.fetch(HELD, [*asked])
    held = {RunId(run) for run, holder, fence in found if asked[RunId(run)] == (holder, fence)}
    return lost(plans, held)


async def store(connection: Connection, rows: Sequence[RunRow]) -> None:
    """As plans left them."""
    if rows:
        values = sorted(map(row_of, {row.id: row for row in rows}.values()))
        await connection.execute(STORE, *zip(*values, strict=True))
        if zoned := [row.id for row in rows if row.zoned is not None]:
            await connection.execute(OTHERWISE_ZONED, zoned)
        stored = {row.id: row for row in rows}.values()
        await signals.listen(connection, stored)
        await throttles.count(connection, stored)


async def end_of_event(connection: Connection, event_id: EventId, at: Instant) -> None:
    """Nothing more of the event happens."""
    why = (Reason.CANCELED_BY_CALLER.value, at)
    ended = await connection.fetch(END_OF_EVENT, *why, *children_range(event_id), event_id)
    await digests.end(connection, [event_id], at)
    await digests.withdraw_event(connection, event_id, at)
    await signals.forget(connection, [row["id"] for row in ended])


async def end_of_user(connection: Connection, user: UserNo, at: Instant) -> None:
    """The person is deleted."""
    await digests.end_of_user(connection, user, at)
    ended = await connection.fetch(END_OF_USER, Reason.USER_DELETED.value, at, user)
    await signals.forget(connection, [row["id"] for row in ended])


async def look_again(connection: Connection, users: Sequence[UserNo], at: Instant) -> None:
    """Their clocks show another time now: what waits by them is due, so that its time is computed again."""
    if users:
        await connection.execute(LOOK_AGAIN, users, at)


async def waits(connection: Connection, event_id: EventId, tenant: TenantId) -> bool:
    """Whether a run of the event waits."""
    return await connection.fetchrow(WAITS, *children_range(event_id), event_id, tenant) is not None
