"""Campaigns, and how far their members are planned."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence, Set

from clarion.adapters.ledgers.campaign_rows import COLUMNS, RANGE, SHOWN, campaign_of, range_of, row_of
from clarion.adapters.ledgers.sqlite import journal
from clarion.adapters.ledgers.sqlite.files import changed, one
from clarion.adapters.ledgers.sqlite.leases import SqliteLeases
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.row_encoding import IDS, encoded, keys
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.campaign import GOING, CampaignRange, CampaignRow, CampaignStatus, EventCampaign
from clarion.model.channel import Lane
from clarion.model.ids import BEHIND_ALL, EventId, Instant, TenantId, WorkerId
from clarion.model.plan import PlanCommit
from clarion.model.user_change import UserChange

ADD = f"INSERT INTO campaigns ({COLUMNS}) VALUES ({', '.join('?' * 13)}) ON CONFLICT DO NOTHING"
REPLACE = """
    UPDATE campaigns SET status = ?3, lane = ?4, revision = ?5, sealed = ?6, due_at = ?7, event_id = ?8,
        after_user = CASE WHEN ?11 THEN 0 ELSE after_user END, pace_rank = rank, fence = fence + 1,
        pace_at = max(?9, coalesce(pace_at + (rank - pace_rank) * 1000 / ?12, ?9)),
        holder = NULL
    WHERE id = ?1 AND tenant = ?2 AND revision = ?10
"""
GET = f"SELECT {SHOWN} FROM campaigns WHERE id = ? AND tenant = ?"
PAGE = f"""
    SELECT {SHOWN} FROM campaigns
    WHERE tenant = ?1 AND id < ?2 AND (?3 = '[]' OR status IN (SELECT value FROM json_each(?3)))
    ORDER BY id DESC LIMIT ?4
"""
PAGE_OF_ALL = f"""
    SELECT {SHOWN} FROM campaigns WHERE id < ?1 AND status IN (SELECT value FROM json_each(?2)) ORDER BY id DESC LIMIT ?3
"""
DROP = "DELETE FROM campaigns WHERE id = ? AND tenant = ?"
_DUE = "lane = ?1 AND due_at <= ?2 AND (holder IS NULL OR holder = ?3)"
"""What the worker holds itself is from a claim whose answer was lost, or goes on."""
ANY_DUE = f"SELECT 1 FROM campaigns WHERE {_DUE} LIMIT 1"
CLAIM = f"""
    UPDATE campaigns SET holder = ?3, fence = fence + 1
    WHERE id IN (SELECT id FROM campaigns WHERE {_DUE} ORDER BY due_at, id LIMIT ?4)
    RETURNING {SHOWN}
"""
MOVE = """
    UPDATE campaigns SET after_user = ?5, rank = rank + ?6, due_at = ?7, pace_rank = ?8, pace_at = ?9
    WHERE id = ?1 AND holder = ?2 AND fence = ?3 AND after_user = ?4
"""
CUT = """
    INSERT INTO campaign_ranges (campaign, begin_user, tenant, lane, after_user, end_user)
    SELECT id, ?2, tenant, lane, ?2, ?3 FROM campaigns WHERE id = ?1
"""
FREE_RANGES = "UPDATE campaign_ranges SET holder = NULL, fence = fence + 1, waits = ?2 WHERE campaign = ?1"
ADD_RANKS = """
    UPDATE campaigns SET rank = rank + coalesce((SELECT sum(rank) FROM campaign_ranges WHERE campaign = ?1), 0) WHERE id = ?1
"""
DROP_RANGES = "DELETE FROM campaign_ranges WHERE campaign = ?1"
_FREE = "lane = ?1 AND waits = 0 AND (holder IS NULL OR holder = ?2)"
ANY_FREE = f"SELECT 1 FROM campaign_ranges WHERE {_FREE} LIMIT 1"
CLAIM_RANGES = f"""
    UPDATE campaign_ranges SET holder = ?2, fence = fence + 1
    WHERE (campaign, begin_user) IN (
        SELECT campaign, begin_user FROM campaign_ranges WHERE {_FREE} ORDER BY begin_user, campaign LIMIT ?3
    )
    RETURNING {RANGE}
"""
MOVE_RANGE = """
    UPDATE campaign_ranges SET after_user = ?6, rank = rank + ?7
    WHERE campaign = ?1 AND begin_user = ?2 AND holder = ?3 AND fence = ?4 AND after_user = ?5
"""
END_RANGE = """
    UPDATE campaigns SET rank = rank + (SELECT rank FROM campaign_ranges WHERE campaign = ?1 AND begin_user = ?2) WHERE id = ?1
"""
DROP_RANGE = "DELETE FROM campaign_ranges WHERE campaign = ? AND begin_user = ?"
OF_EVENTS = f"""
    SELECT event_id, id, status = 'paused' FROM campaigns INDEXED BY campaigns_event WHERE event_id IN {IDS}
"""


class SqliteCampaigns:
    """Implements `ports.ledger.Campaigns`."""

    def __init__(
        self, writer: Writer, readers: Readers, local: sqlite3.Connection, leases: SqliteLeases
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._local = local
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
            return bool(await self._writer.call(lambda connection: changed(connection, ADD, row_of(row))))
        what = (row.id, row.tenant, row.status.value, row.lane.value, row.revision, row.sealed, row.due_at)
        given = (*what, row.event_id, row.pace_at, after, again, rate_per_s)

        def replace(connection: sqlite3.Connection) -> bool:
            if not changed(connection, REPLACE, given):
                return False
            if said and journal.follows_users(connection, row.tenant):
                journal.add_user_changes(connection, said)
            connection.execute(FREE_RANGES, (row.id, row.status is CampaignStatus.PAUSED))
            if row.status not in GOING and row.status is not CampaignStatus.PAUSED:
                connection.execute(ADD_RANKS, (row.id,))
                connection.execute(DROP_RANGES, (row.id,))
            return True

        return await self._writer.call(replace)

    async def get(self, tenant: TenantId, id: bytes) -> CampaignRow | None:
        def read(connection: sqlite3.Connection) -> CampaignRow | None:
            row = connection.execute(GET, (id, tenant)).fetchone()
            return None if row is None else campaign_of(row)

        return await self._readers.call(read)

    async def page(
        self, tenant: TenantId | None, statuses: Set[CampaignStatus], before: bytes | None, limit: int
    ) -> Sequence[CampaignRow]:
        of = encoded(sorted(statuses))
        below = before or BEHIND_ALL
        statement, given = (
            (PAGE, (tenant, below, of, limit)) if tenant is not None else (PAGE_OF_ALL, (below, of, limit))
        )

        def read(connection: sqlite3.Connection) -> list[CampaignRow]:
            return [campaign_of(row) for row in connection.execute(statement, given).fetchall()]

        return await self._readers.call(read)

    async def drop(self, tenant: TenantId, id: bytes) -> bool:
        return bool(await self._writer.call(lambda connection: changed(connection, DROP, (id, tenant))))

    async def claim(self, worker: WorkerId, lane: Lane, limit: int, now: Instant) -> Sequence[CampaignRow]:
        if one(self._local, ANY_DUE, (lane.value, now, worker)) is None:
            return ()  # As nearly always: a lane that is asked ten times a second keeps the writer free.

        def claim(connection: sqlite3.Connection) -> list[CampaignRow]:
            if not self._leases.live(connection, [worker]):
                return []
            return [campaign_of(row) for row in connection.execute(CLAIM, (lane.value, now, worker, limit))]

        return sorted(await self._writer.call(claim), key=lambda row: (row.due_at, row.id))

    async def of_events(self, events: Sequence[EventId]) -> Mapping[EventId, EventCampaign]:
        def read(connection: sqlite3.Connection) -> Mapping[EventId, EventCampaign]:
            found = connection.execute(OF_EVENTS, keys(events)).fetchall()
            return {EventId(event): EventCampaign(id_, bool(paused)) for event, id_, paused in found}

        return await self._readers.call(read)


class SqliteCampaignRanges:
    """Implements `ports.ledger.CampaignRanges`."""

    def __init__(self, writer: Writer, local: sqlite3.Connection, leases: SqliteLeases) -> None:
        self._writer = writer
        self._local = local
        self._leases = leases

    async def claim(self, worker: WorkerId, lane: Lane, limit: int) -> Sequence[CampaignRange]:
        if one(self._local, ANY_FREE, (lane.value, worker)) is None:
            return ()

        def claim(connection: sqlite3.Connection) -> list[CampaignRange]:
            if not self._leases.live(connection, [worker]):
                return []
            return [range_of(row) for row in connection.execute(CLAIM_RANGES, (lane.value, worker, limit))]

        return sorted(await self._writer.call(claim), key=lambda one: (one.begin, one.campaign))


def moved(connection: sqlite3.Connection, plan: PlanCommit) -> bool:
    """The campaign or range whose page the plan is of has come so far; False: its worker does not plan it any more."""
    page, part = plan.page, plan.range_page
    if page is not None:
        which_page = (page.id, plan.worker, page.fence, page.before, page.after, page.members)
        given = (*which_page, page.due_at, page.pace_rank, page.pace_at)
        if not changed(connection, MOVE, given):
            return False
        if page.cut_to is not None:
            connection.execute(CUT, (page.id, page.before, page.cut_to))
    if part is not None:
        which = (part.campaign, part.begin)
        so_far = (*which, plan.worker, part.fence, part.before, part.after, part.members)
        if not changed(connection, MOVE_RANGE, so_far):
            return False
        if part.is_last:
            connection.execute(END_RANGE, which)
            connection.execute(DROP_RANGE, which)
    return True
