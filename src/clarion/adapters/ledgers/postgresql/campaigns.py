"""Campaigns, and how far their members are planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from clarion.adapters.ledgers.campaign_rows import COLUMNS, SHOWN, campaign_of, range_of, row_of
from clarion.adapters.ledgers.postgresql import journal
from clarion.adapters.ledgers.postgresql.database import Connection, Database
from clarion.adapters.ledgers.postgresql.leases import PostgresLeases
from clarion.model.campaign import GOING, CampaignRange, CampaignRow, CampaignStatus, EventCampaign
from clarion.model.channel import Lane
from clarion.model.ids import BEHIND_ALL, EventId, Instant, TenantId, WorkerId
from clarion.model.plan import PlanCommit
from clarion.model.user_change import UserChange

ADD = f"""
    INSERT INTO campaigns ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
    ON CONFLICT DO NOTHING RETURNING id
"""
REPLACE = """
    UPDATE campaigns SET status = $3, lane = $4, revision = $5, sealed = $6, due_at = $7, event_id = $8,
        after_user = CASE WHEN $11 THEN 0 ELSE after_user END, pace_rank = rank, fence = fence + 1,
        pace_at = greatest($9, coalesce(pace_at + (rank - pace_rank) * 1000 / $12, $9)),
        holder = NULL
    WHERE id = $1 AND tenant = $2 AND revision = $10 RETURNING id
"""
GET = f"SELECT {SHOWN} FROM campaigns WHERE id = $1 AND tenant = $2"
PAGE = f"""
    SELECT {SHOWN} FROM campaigns
    WHERE tenant = $1 AND id < $2 AND (cardinality($3::text[]) = 0 OR status = ANY($3)) ORDER BY id DESC LIMIT $4
"""
PAGE_OF_ALL = f"""
    SELECT {SHOWN} FROM campaigns WHERE id < $1 AND status = ANY($2::text[]) ORDER BY id DESC LIMIT $3
"""
DROP = "DELETE FROM campaigns WHERE id = $1 AND tenant = $2 RETURNING id"
_DUE = "lane = $1 AND due_at <= $2 AND (holder IS NULL OR holder = $3)"
"""What the worker holds itself is from a claim whose answer was lost, or goes on."""
ANY_DUE = f"SELECT 1 FROM campaigns WHERE {_DUE} LIMIT 1"
CLAIM = f"""
    UPDATE campaigns SET holder = $3, fence = fence + 1
    WHERE id = ANY(ARRAY(SELECT id FROM campaigns WHERE {_DUE} ORDER BY due_at, id LIMIT $4 FOR UPDATE SKIP LOCKED))
    RETURNING {SHOWN}
"""
MOVE = """
    UPDATE campaigns SET after_user = $5, rank = rank + $6, due_at = $7, pace_rank = $8, pace_at = $9
    WHERE id = $1 AND holder = $2 AND fence = $3 AND after_user = $4 RETURNING id
"""
CUT = """
    INSERT INTO campaign_ranges (campaign, begin_user, tenant, lane, after_user, end_user)
    SELECT id, $2, tenant, lane, $2, $3 FROM campaigns WHERE id = $1
"""
FREE_RANGES = "UPDATE campaign_ranges SET holder = NULL, fence = fence + 1, waits = $2 WHERE campaign = $1"
ADD_RANKS = """
    UPDATE campaigns SET rank = rank + coalesce((SELECT sum(rank) FROM campaign_ranges WHERE campaign = $1), 0) WHERE id = $1
"""
DROP_RANGES = "DELETE FROM campaign_ranges WHERE campaign = $1"
_FREE = "lane = $1 AND waits = 0 AND (holder IS NULL OR holder = $2)"
ANY_FREE = f"SELECT 1 FROM campaign_ranges WHERE {_FREE} LIMIT 1"
CLAIM_RANGES = f"""
    WITH free AS (
        SELECT campaign, begin_user FROM campaign_ranges WHERE {_FREE}
        ORDER BY begin_user, campaign LIMIT $3 FOR UPDATE SKIP LOCKED
    )
    UPDATE campaign_ranges AS part SET holder = $2, fence = fence + 1 FROM free
    WHERE part.campaign = free.campaign AND part.begin_user = free.begin_user
    RETURNING part.campaign, part.tenant, part.begin_user, part.after_user, part.end_user, part.fence
"""
MOVE_RANGE = """
    UPDATE campaign_ranges SET after_user = $6, rank = rank + $7
    WHERE campaign = $1 AND begin_user = $2 AND holder = $3 AND fence = $4 AND after_user = $5 RETURNING rank
"""
LOCK = "SELECT 1 FROM campaigns WHERE id = $1 FOR NO KEY UPDATE"
"""Before its ranges, as whoever changes a campaign does."""
ADD_RANK = "UPDATE campaigns SET rank = rank + $2 WHERE id = $1"
DROP_RANGE = "DELETE FROM campaign_ranges WHERE campaign = $1 AND begin_user = $2"
OF_EVENTS = "SELECT event_id, id, status = 'paused' FROM campaigns WHERE event_id = ANY($1::bytea[])"


class PostgresCampaigns:
    """Implements `ports.ledger.Campaigns`."""

    def __init__(self, database: Database, leases: PostgresLeases) -> None:
        self._database = database
        self._leases = leases

    async def put(
        self,
        row: CampaignRow,
        after: int | None,
        *,
        again: bool = False,
        rate_per_s: int | None = None,
        said: Sequence[UserChange] = (),
    ) -> bool:
        if after is None:
            values = row_of(row)
            return bool(await self._database.write(lambda connection: connection.fetch(ADD, *values)))
        what = (row.id, row.tenant, row.status.value, row.lane.value, row.revision, row.sealed, row.due_at)
        given = (*what, row.event_id, row.pace_at, after, again, rate_per_s)

        async def replace(connection: Connection) -> bool:
            if not await connection.fetch(REPLACE, *given):
                return False
            if said and await journal.follows_users(connection, row.tenant):
                await journal.add_user_changes(connection, said)
            await connection.execute(FREE_RANGES, row.id, int(row.status is CampaignStatus.PAUSED))
            if row.status not in GOING and row.status is not CampaignStatus.PAUSED:
                await connection.execute(ADD_RANKS, row.id)
                await connection.execute(DROP_RANGES, row.id)
            return True

        return await self._database.write(replace)

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

    async def of_events(self, events: Sequence[EventId]) -> Mapping[EventId, EventCampaign]:
        found = await self._database.rows(OF_EVENTS, list(events))
        return {EventId(event): EventCampaign(id_, paused) for event, id_, paused in found}


class PostgresCampaignRanges:
    """Implements `ports.ledger.CampaignRanges`."""

    def __init__(self, database: Database, leases: PostgresLeases) -> None:
        self._database = database
        self._leases = leases

    async def claim(self, worker: WorkerId, lane: Lane, limit: int) -> Sequence[CampaignRange]:
        if not await self._database.rows(ANY_FREE, lane.value, worker):
            return ()

        async def claim(connection: Connection) -> list[CampaignRange]:
            if not await self._leases.live(connection, [worker]):
                return []
            return [range_of(row) for row in await connection.fetch(CLAIM_RANGES, lane.value, worker, limit)]

        return sorted(await self._database.write(claim), key=lambda one: (one.begin, one.campaign))


async def moved(connection: Connection, plan: PlanCommit) -> bool:
    """The campaign or range whose page the plan is of has come so far; False: its worker does not plan it any more."""
    page, part = plan.page, plan.range_page
    if page is not None:
        which_page = (page.id, plan.worker, page.fence, page.before, page.after, page.members)
        given = (*which_page, page.due_at, page.pace_rank, page.pace_at)
        if await connection.fetchrow(MOVE, *given) is None:
            return False
        if page.cut_to is not None:
            await connection.execute(CUT, page.id, page.before, page.cut_to)
    if part is not None:
        which = (part.campaign, part.begin)
        if part.is_last:
            await connection.execute(LOCK, part.campaign)
        so_far = (*which, plan.worker, part.fence, part.before, part.after, part.members)
        rank = await connection.fetchval(MOVE_RANGE, *so_far)
        if rank is None:
            return False
        if part.is_last:
            await connection.execute(ADD_RANK, part.campaign, rank)
            await connection.execute(DROP_RANGE, *which)
    return True
