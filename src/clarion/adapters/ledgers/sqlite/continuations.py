"""What is left of events to topics and segments."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from clarion.adapters.ledgers.sqlite.files import changed, one
from clarion.adapters.ledgers.sqlite.leases import SqliteLeases
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.channel import Lane
from clarion.model.event import Continuation
from clarion.model.ids import EventId, Instant, WorkerId
from clarion.model.plan import PlanCommit

DUE = """
    SELECT tenant, min(due_at) FROM continuations
    WHERE lane = ?1 AND due_at <= ?2 AND (holder IS NULL OR holder = ?3)
    GROUP BY tenant ORDER BY 2 LIMIT ?4
"""
"""Tenants, and since when the first of each waits. What the worker holds itself is from a claim whose answer was lost."""
CLAIM = """
    UPDATE continuations SET holder = ?3, fence = fence + 1
    WHERE (event_id, workflow) IN (
        SELECT event_id, workflow FROM continuations
        WHERE lane = ?1 AND tenant = ?2 AND due_at = ?4 AND (holder IS NULL OR holder = ?3) LIMIT 1
    )
    RETURNING event_id, workflow, topic, segment, after_user, setup_revision, due_at, fence
"""
END = "DELETE FROM continuations WHERE event_id = ? AND workflow = ? AND holder = ? AND fence = ?"
ADD = """
    INSERT OR REPLACE INTO continuations
        (event_id, workflow, tenant, lane, topic, segment, after_user, setup_revision, due_at, fence)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
LEFT = "SELECT 1 FROM continuations WHERE event_id = ? AND tenant = ? LIMIT 1"
"""Whether some of an event is left."""


class SqliteContinuations:
    """Implements `ports.ledger.Continuations`."""

    def __init__(self, writer: Writer, local: sqlite3.Connection, leases: SqliteLeases) -> None:
        self._writer = writer
        self._local = local
        self._leases = leases

    async def claim(self, worker: WorkerId, lane: Lane, limit: int, now: Instant) -> Sequence[Continuation]:
        if one(self._local, DUE, (lane.value, now, worker, limit)) is None:
            return ()  # As nearly always: a lane that is asked ten times a second keeps the writer free.
        return await self._writer.call(lambda connection: self._claim(connection, worker, lane, limit, now))

    def _claim(
        self, connection: sqlite3.Connection, worker: WorkerId, lane: Lane, limit: int, now: Instant
    ) -> list[Continuation]:
        if not self._leases.live(connection, [worker]):
            return []
        claimed = []
        for tenant, since in connection.execute(DUE, (lane.value, now, worker, limit)).fetchall():
            ((event_id, workflow, topic, segment, after, setup_revision, due_at, fence),) = (
                connection.execute(CLAIM, (lane.value, tenant, worker, since)).fetchall()
            )
            claimed.append(
                Continuation(
                    event_id=EventId(event_id),
                    workflow=workflow,
                    tenant=tenant,
                    lane=lane,
                    topic=topic,
                    segment=segment,
                    after=after,
                    setup_revision=setup_revision,
                    due_at=due_at,
                    fence=fence,
                )
            )
        return claimed


def ended(connection: sqlite3.Connection, plan: PlanCommit) -> bool:
    """What the plan continues is over; False: its worker does not hold that any more."""
    of = plan.continued
    return of is None or changed(connection, END, (of.event_id, of.workflow, plan.worker, of.fence)) == 1


def add(connection: sqlite3.Connection, left: Sequence[Continuation]) -> None:
    """These are due."""
    for c in left:
        place = (c.topic, c.segment, c.after, c.setup_revision, c.due_at, c.fence)
        connection.execute(ADD, (c.event_id, c.workflow, c.tenant, c.lane.value, *place))


def left(connection: sqlite3.Connection, event_id: EventId, tenant: int) -> bool:
    """Whether some of the event is not planned yet."""
    return one(connection, LEFT, (event_id, tenant)) is not None
