"""Runs that wait between two steps."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence, Set

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
from clarion.adapters.ledgers.sqlite import digests, signals, throttles
from clarion.adapters.ledgers.sqlite.files import one
from clarion.adapters.ledgers.sqlite.leases import SqliteLeases
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.row_encoding import encoded
from clarion.adapters.ledgers.sqlite.terminations import Terminations
from clarion.adapters.ledgers.sqlite.writer import Writer
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

_DUE = "lane = ?1 AND due_at <= ?2 AND holder IS NULL"
_OURS = """
    lane = ?1 AND due_at <= ?2 AND holder = ?3 AND hex(id) NOT IN (SELECT value FROM json_each(?4))
"""
"""What the worker holds itself is from a claim whose answer was lost."""
ANY_DUE = f"SELECT 1 FROM runs WHERE {_DUE} LIMIT 1"
ANY_OURS = f"SELECT 1 FROM runs WHERE {_OURS} LIMIT 1"
_HOLD = "UPDATE runs SET holder = ?3, fence = fence + 1 WHERE id IN"
CLAIM_OURS = f"{_HOLD} (SELECT id FROM runs WHERE {_OURS} ORDER BY due_at, id LIMIT ?5) RETURNING {COLUMNS}"
CLAIM = f"""
    {_HOLD} (SELECT id FROM runs WHERE {_DUE} AND tenant = ?4 ORDER BY due_at, id LIMIT ?5) RETURNING {COLUMNS}
"""


def _next_tenant(after: str) -> str:
    return f"""(
        SELECT min(tenant) FROM runs INDEXED BY runs_turn
        WHERE lane = ?1 AND runs.tenant > {after} AND due_at IS NOT NULL AND holder IS NULL
    )"""


TENANTS = f"""
    WITH RECURSIVE waiting (tenant) AS (
        SELECT {_next_tenant("?3")}
        UNION ALL SELECT {_next_tenant("waiting.tenant")} FROM waiting WHERE waiting.tenant IS NOT NULL LIMIT ?4
    )
    SELECT tenant, EXISTS (
        SELECT 1 FROM runs INDEXED BY runs_turn WHERE {_DUE} AND runs.tenant = waiting.tenant
    ) FROM waiting WHERE tenant IS NOT NULL
"""
"""The next tenants with runs that nobody holds, and whether any of these is due."""
GET = f"SELECT {COLUMNS} FROM runs WHERE id = ? AND tenant = ?"
PAGE = f"SELECT {COLUMNS} FROM runs WHERE tenant = ? AND id < ? ORDER BY id DESC LIMIT ?"
HELD = "SELECT 1 FROM runs WHERE id = ? AND holder = ? AND fence = ?"
STORE = f"INSERT INTO runs ({COLUMNS}) VALUES ({', '.join('?' * 19)}) {PUT}"
CHANGE = f"""
    UPDATE runs SET status = ?1, reason = ?2, version = ?3, due_at = ?4, state = ?5, zoned = ?6, answers = ?7,
        updated_at = ?8,
        part = part + CASE WHEN due_at IS NULL THEN 1 ELSE 0 END, holder = NULL, fence = fence + 1
    WHERE id = ?9 AND fence = ?10 AND part = ?11
        AND (due_at IS NOT NULL OR status = '{RunStatus.FAILED.value}')
    RETURNING {COLUMNS}
"""
CANCELABLE = "SELECT id FROM runs WHERE tenant = ? AND due_at IS NOT NULL{} ORDER BY id LIMIT ?"
_END = f"""
    UPDATE runs SET status = '{RunStatus.CANCELED.value}', reason = ?1, due_at = NULL, state = NULL, holder = NULL,
        fence = fence + 1, updated_at = ?2
    WHERE due_at IS NOT NULL AND
"""
END = f"{_END} id = ?3 RETURNING {COLUMNS}"
END_OF_EVENT = f"{_END} id BETWEEN ?3 AND ?4 AND event_id = ?5 RETURNING id"
END_OF_USER = f'{_END} "user" = ?3 RETURNING id'
LOOK_AGAIN = """
    UPDATE runs SET due_at = ?2, holder = NULL, fence = fence + 1
    WHERE "user" = ?1 AND zoned IS NOT NULL AND due_at > ?2
"""
OTHERWISE_ZONED = """
    UPDATE runs SET due_at = updated_at
    WHERE id = ?1 AND due_at IS NOT NULL AND zoned <> (SELECT revision FROM users WHERE no = runs."user")
"""
WAITS = "SELECT 1 FROM runs WHERE id BETWEEN ? AND ? AND event_id = ? AND tenant = ? AND due_at IS NOT NULL LIMIT 1"
WAITING = """
    SELECT workflow, version, step, count(*) FROM runs
    WHERE tenant = ?1 AND (?2 IS NULL OR workflow = ?2) AND due_at IS NOT NULL GROUP BY workflow, version, step
"""


class SqliteRuns:
    """Implements `ports.ledger.Runs`."""

    def __init__(
        self,
        writer: Writer,
        readers: Readers,
        local: sqlite3.Connection,
        leases: SqliteLeases,
        terminations: Terminations,
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._local = local
        self._leases = leases
        self._turns = TenantTurns()
        self._terminations = terminations

    async def claim(
        self, worker: WorkerId, lane: Lane, limit: int, now: Instant, besides: Sequence[RunId] = ()
    ) -> Sequence[RunRow]:
        ours = (lane.value, now, worker, encoded([run.hex().upper() for run in besides]))
        if one(self._local, ANY_DUE, ours[:2]) is None and one(self._local, ANY_OURS, ours) is None:
            return ()  # As nearly always: a lane that is asked ten times a second keeps the writer free.

        def claim(connection: sqlite3.Connection) -> list[RunRow]:
            if not self._leases.live(connection, [worker]):
                return []
            found = [run_of(row) for row in connection.execute(CLAIM_OURS, (*ours, limit)).fetchall()]
            tenants: Sequence[int] = self._tenants(connection, lane, now)
            while tenants and len(found) < limit:
                tenants, each = share(tenants, limit - len(found))
                taken = [
                    run_of(row)
                    for tenant in tenants
                    for row in connection.execute(CLAIM, (*ours[:3], tenant, each)).fetchall()
                ]
                found += taken
                tenants = left_of(tenants, each, taken)
            ids = [row.id for row in found]
            return woken(found, signals.wakes(connection, ids), throttles.passed(connection, ids))

        return await self._writer.call(claim, rows=limit)

    def _tenants(self, connection: sqlite3.Connection, lane: Lane, now: Instant) -> list[int]:
        """Whose turn it is."""
        after = self._turns.after(lane)
        seen = connection.execute(TENANTS, (lane.value, now, after, TENANTS_SEEN)).fetchall()
        if not (due := self._turns.taken(lane, seen)) and after >= 0:
            seen = connection.execute(TENANTS, (lane.value, now, -1, TENANTS_SEEN)).fetchall()
            due = self._turns.taken(lane, seen)
        return due

    async def get(self, tenant: TenantId, run_id: RunId) -> RunRow | None:
        def read(connection: sqlite3.Connection) -> RunRow | None:
            row = connection.execute(GET, (run_id, tenant)).fetchone()
            return None if row is None else run_of(row)

        return await self._readers.call(read)

    async def page(
        self, tenant: TenantId, where: RunFilter, before: RunId | None, limit: int
    ) -> tuple[Sequence[RunRow], RunId | None]:
        def read(connection: sqlite3.Connection) -> tuple[Sequence[RunRow], RunId | None]:
            found: list[RunRow] = []
            seen, last = 0, None
            for row in connection.execute(PAGE, (tenant, before or BEHIND_ALL, SEEN)):
                run = run_of(row)
                seen, last = seen + 1, run.id
                if where.fits(run):
                    found.append(run)
                if len(found) == limit:
                    break
            return found, last if len(found) == limit or seen == SEEN else None

        return await self._readers.call(read)

    async def cancel(
        self,
        tenant: TenantId,
        where: RunFilter,
        at: Instant,
        limit: int,
        reason: Reason = Reason.CANCELED_BY_CALLER,
    ) -> Sequence[RunRow]:
        asked = conditions(where)
        wanted = "".join(f" AND {column} = ?" for column in asked)
        if where.ids is not None:
            wanted += f" AND id IN ({', '.join('?' * len(where.ids))})"
        statement = CANCELABLE.format(wanted)
        values = (tenant, *asked.values(), *(where.ids or ()), limit)

        def cancel(connection: sqlite3.Connection) -> list[RunRow]:
            found = connection.execute(statement, values).fetchall()
            why = (reason.value, at)
            signals.forget(connection, [run for (run,) in found])
            ended = [
                run_of(row) for (run,) in found for row in connection.execute(END, (*why, run)).fetchall()
            ]
            digests.end(connection, [row.event_id for row in ended], at)
            return ended

        return await self._writer.call(cancel, rows=limit)

    async def change(
        self, row: RunRow, stop: Sequence[MessageId] = (), why: Reason = Reason.CANCELED_BY_CALLER
    ) -> RunRow | None:
        asked = changing(row)

        def change(connection: sqlite3.Connection) -> RunRow | None:
            changed = connection.execute(CHANGE, asked).fetchall()
            if not changed:
                return None
            now = run_of(changed[0])
            if now.part > row.part:
                throttles.again(connection, row.id, row.part)
            if stop:
                self._terminations.stop(connection, stop, Status.CANCELED, why, row.updated_at)
            return now

        return await self._writer.call(change, rows=1 + len(stop))

    async def waiting(
        self, tenant: TenantId, workflow: str | None = None
    ) -> Mapping[str, Mapping[tuple[int, str], int]]:
        return await self._readers.call(
            lambda connection: waiting_of(connection.execute(WAITING, (tenant, workflow)).fetchall())
        )


def lost_in(connection: sqlite3.Connection, plans: Sequence[PlanCommit]) -> Set[bytes]:
    """What these plans go on with although their workers do not hold it any more."""
    asked = claimed(plans)
    held = {
        run
        for run, (worker, fence) in asked.items()
        if one(connection, HELD, (run, worker, fence)) is not None
    }
    return lost(plans, held) if asked else frozenset()


def store(connection: sqlite3.Connection, rows: Sequence[RunRow]) -> None:
    """As plans left them."""
    if rows:
        connection.executemany(STORE, map(row_of, rows))
        connection.executemany(OTHERWISE_ZONED, [(row.id,) for row in rows if row.zoned is not None])
        signals.listen(connection, rows)
        throttles.count(connection, rows)


def end_of_event(connection: sqlite3.Connection, event_id: EventId, at: Instant) -> None:
    """Nothing more of the event happens."""
    digests.end(connection, [event_id], at)
    digests.withdraw_event(connection, event_id, at)
    its = (Reason.CANCELED_BY_CALLER.value, at, *children_range(event_id), event_id)
    signals.forget(connection, [run for (run,) in connection.execute(END_OF_EVENT, its).fetchall()])


def end_of_user(connection: sqlite3.Connection, user: UserNo, at: Instant) -> None:
    """The person is deleted."""
    digests.end_of_user(connection, user, at)
    its = connection.execute(END_OF_USER, (Reason.USER_DELETED.value, at, user)).fetchall()
    signals.forget(connection, [run for (run,) in its])


def look_again(connection: sqlite3.Connection, users: Iterable[UserNo], at: Instant) -> None:
    """Their clocks show another time now: what waits by them is due, so that its time is computed again."""
    connection.executemany(LOOK_AGAIN, [(user, at) for user in users])


def waits(connection: sqlite3.Connection, event_id: EventId, tenant: TenantId) -> bool:
    """Whether a run of the event waits."""
    return one(connection, WAITS, (*children_range(event_id), event_id, tenant)) is not None
