"""Campaigns, and how far their members are planned."""

from __future__ import annotations

from collections.abc import Sequence, Set

from clarion.adapters.ledgers.campaign_rows import COLUMNS, campaign_of, row_of
from clarion.adapters.ledgers.postgresql.database import Connection, Database
from clarion.adapters.ledgers.postgresql.leases import PostgresLeases
from clarion.model.campaign import CampaignRow, CampaignStatus
from clarion.model.channel import Lane
from clarion.model.ids import BEHIND_ALL, EventId, Instant, TenantId, WorkerId
from clarion.model.plan import PlanCommit

ADD = f"""
    INSERT INTO campaigns ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
    ON CONFLICT DO NOTHING RETURNING id
"""
REPLACE = """
    UPDATE campaigns SET status = $3, lane = $4, revision = $5, sealed = $6, due_at = $7, event_id = $8,
        after_user = CASE WHEN $11 THEN 0 ELSE after_user END, pace_rank = rank, pace_at = $9, fence = fence + 1,
        holder = NULL
    WHERE id = $1 AND tenant = $2 AND revision = $10 RETURNING id
"""
GET = f"SELECT {COLUMNS} FROM campaigns WHERE id = $1 AND tenant = $2"
PAGE = f"""
    SELECT {COLUMNS} FROM campaigns
    WHERE tenant = $1 AND id < $2 AND (cardinality($3::text[]) = 0 OR status = ANY($3)) ORDER BY id DESC LIMIT $4
"""
PAGE_OF_ALL = f"""
    SELECT {COLUMNS} FROM campaigns WHERE id < $1 AND status = ANY($2::text[]) ORDER BY id DESC LIMIT $3
"""
DROP = "DELETE FROM campaigns WHERE id = $1 AND tenant = $2 RETURNING id"
_DUE = "lane = $1 AND due_at <= $2 AND (holder IS NULL OR holder = $3)"
"""What the worker holds itself is from a claim whose answer was lost, or goes on."""
ANY_DUE = f"SELECT 1 FROM campaigns WHERE {_DUE} LIMIT 1"
CLAIM = f"""
    UPDATE campaigns SET holder = $3, fence = fence + 1
    WHERE id = ANY(ARRAY(SELECT id FROM campaigns WHERE {_DUE} ORDER BY due_at, id LIMIT $4 FOR UPDATE SKIP LOCKED))
    RETURNING {COLUMNS}
"""
MOVE = """
    UPDATE campaigns SET after_user = $5, rank = $6, due_at = $7
    WHERE id = $1 AND holder = $2 AND fence = $3 AND after_user = $4 RETURNING id
"""
PAUSED = "SELECT event_id FROM campaigns WHERE status = 'paused' AND event_id = ANY($1::bytea[])"


class PostgresCampaigns:
    """Implements `ports.ledger.Campaigns`."""

    def __init__(self, database: Database, leases: PostgresLeases) -> None:
        self._database = database
        self._leases = leases

    async def put(self, row: CampaignRow, after: int | None, *, again: bool = False) -> bool:
        if after is None:
            values = row_of(row)
            return bool(await self._database.write(lambda connection: connection.fetch(ADD, *values)))
        what = (row.id, row.tenant, row.status.value, row.lane.value, row.revision, row.sealed, row.due_at)
        given = (*what, row.event_id, row.pace_at, after, again)
        return bool(await self._database.write(lambda connection: connection.fetch(REPLACE, *given)))

    async def get(self, tenant: TenantId, id: bytes) -> CampaignRow | None:
        row = await self._database.row(GET, id, tenant)
        return None if row is None else campaign_of(row)

    async def page(
        self, tenant: TenantId | None, statuses: Set[CampaignStatus], before: bytes | None, limit: int
    ) -> Sequence[CampaignRow]:
        of, below = sorted(statuses), before or BEHIND_ALL
        if tenant is None:
            found = await self._database.rows(PAGE_OF_ALL, below, of, limit)
        else:
            found = await self._database.lists.rows(PAGE, tenant, below, of, limit)
        return [campaign_of(row) for row in found]

    async def drop(self, tenant: TenantId, id: bytes) -> bool:
        return bool(await self._database.write(lambda connection: connection.fetch(DROP, id, tenant)))

    async def claim(self, worker: WorkerId, lane: Lane, limit: int, now: Instant) -> Sequence[CampaignRow]:
        if not await self._database.rows(ANY_DUE, lane.value, now, worker):
            return ()  # As nearly always: a lane is asked ten times a second.

        async def claim(connection: Connection) -> list[CampaignRow]:
            if not await self._leases.live(connection, [worker]):
                return []
            return [campaign_of(row) for row in await connection.fetch(CLAIM, lane.value, now, worker, limit)]

        return sorted(await self._database.write(claim), key=lambda row: (row.due_at, row.id))

    async def paused(self, events: Sequence[EventId]) -> Set[EventId]:
        return {EventId(event) for (event,) in await self._database.rows(PAUSED, list(events))}


async def moved(connection: Connection, plan: PlanCommit) -> bool:
    """The campaign whose page the plan is of has come so far; False: its worker does not plan it any more."""
    page = plan.page
    if page is None:
        return True
    given = (page.id, plan.worker, page.fence, page.before, page.after, page.rank, page.due_at)
    return await connection.fetchrow(MOVE, *given) is not None
