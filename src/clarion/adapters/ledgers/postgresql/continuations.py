"""What is left of events to topics and segments."""

from __future__ import annotations

from collections.abc import Sequence

from asyncpg import Record

from clarion.adapters.ledgers.postgresql.database import Connection, Database
from clarion.adapters.ledgers.postgresql.leases import PostgresLeases
from clarion.model.channel import Lane
from clarion.model.event import Continuation
from clarion.model.ids import EventId, Instant, TenantId, WorkerId
from clarion.model.plan import PlanCommit

_FREE = "(holder IS NULL OR holder = $3)"
"""What the worker holds itself is from a claim whose answer was lost."""
ANY_DUE = f"SELECT 1 FROM continuations WHERE lane = $1 AND due_at <= $2 AND {_FREE} LIMIT 1"
CLAIM = f"""
    WITH first AS (
        SELECT DISTINCT ON (tenant) event_id, workflow, due_at FROM continuations
        WHERE lane = $1 AND due_at <= $2 AND {_FREE}
        ORDER BY tenant, due_at, event_id, workflow
    ), longest AS (
        SELECT event_id, workflow FROM first ORDER BY due_at, event_id, workflow LIMIT $4
    ), taken AS (
        SELECT event_id, workflow FROM continuations
        WHERE (event_id, workflow) IN (SELECT event_id, workflow FROM longest) AND {_FREE}
        FOR UPDATE SKIP LOCKED
    )
    UPDATE continuations AS c SET holder = $3, fence = c.fence + 1 FROM taken
    WHERE c.event_id = taken.event_id AND c.workflow = taken.workflow
    RETURNING c.event_id, c.workflow, c.tenant, c.lane, c.topic, c.segment, c.after_user,
        c.setup_revision, c.due_at, c.fence
"""
"""Of each tenant the one that has waited longest. What another worker is taking at this moment is its own."""
END = """
    DELETE FROM continuations WHERE event_id = $1 AND workflow = $2 AND holder = $3 AND fence = $4 RETURNING fence
"""
ADD = """
    INSERT INTO continuations
        (event_id, workflow, tenant, lane, topic, segment, after_user, setup_revision, due_at, fence)
    SELECT * FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[],
        $8::bigint[], $9::bigint[], $10::bigint[])
    ON CONFLICT (event_id, workflow) DO UPDATE SET tenant = excluded.tenant, lane = excluded.lane, topic = excluded.topic,
        segment = excluded.segment,
        after_user = excluded.after_user, setup_revision = excluded.setup_revision, due_at = excluded.due_at,
        holder = NULL, fence = excluded.fence
"""
LEFT = "SELECT 1 FROM continuations WHERE event_id = $1 AND tenant = $2 LIMIT 1"
"""Whether some of an event is left."""


class PostgresContinuations:
    """Implements `ports.ledger.Continuations`."""

    def __init__(self, database: Database, leases: PostgresLeases) -> None:
        self._database = database
        self._leases = leases

    async def claim(self, worker: WorkerId, lane: Lane, limit: int, now: Instant) -> Sequence[Continuation]:
        if not await self._database.rows(ANY_DUE, lane.value, now, worker):
            return ()  # As nearly always: a lane is asked ten times a second.

        async def claim(connection: Connection) -> list[Continuation]:
            if not await self._leases.live(connection, [worker]):
                return []
            found = await connection.fetch(CLAIM, lane.value, now, worker, limit)
            return [_continuation(row) for row in found]

        return sorted(await self._database.write(claim), key=lambda one: (one.due_at, one.event_id))


async def ended(connection: Connection, plan: PlanCommit) -> bool:
    """What the plan continues is over; False: its worker does not hold that any more."""
    of = plan.continued
    if of is None:
        return True
    return await connection.fetchrow(END, of.event_id, of.workflow, plan.worker, of.fence) is not None


async def add(connection: Connection, left: Sequence[Continuation]) -> None:
    """These are due."""
    if left:
        rows = [
            (
                c.event_id,
                c.workflow,
                c.tenant,
                c.lane.value,
                c.topic,
                c.segment,
                c.after,
                c.setup_revision,
                c.due_at,
                c.fence,
            )
            for c in {(c.event_id, c.workflow): c for c in left}.values()
        ]
        await connection.execute(ADD, *zip(*rows, strict=True))


async def left(connection: Connection, event_id: EventId, tenant: TenantId) -> bool:
    """Whether some of the event is not planned yet."""
    return await connection.fetchrow(LEFT, event_id, tenant) is not None


def _continuation(row: Record) -> Continuation:
    event_id, workflow, tenant, lane, topic, segment, after, setup_revision, due_at, fence = row
    return Continuation(
        event_id=EventId(event_id),
        workflow=workflow,
        tenant=tenant,
        lane=Lane(lane),
        topic=topic,
        segment=segment,
        after=after,
        setup_revision=setup_revision,
        due_at=due_at,
        fence=fence,
    )
