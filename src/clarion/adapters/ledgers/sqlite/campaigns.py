"""Campaigns, and how far their members are planned."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence, Set

from clarion.adapters.ledgers.campaign_rows import COLUMNS, campaign_of, row_of
from clarion.adapters.ledgers.sqlite.files import changed, one, rows
from clarion.adapters.ledgers.sqlite.leases import SqliteLeases
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.row_encoding import IDS, array, encoded, keys
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.campaign import CampaignRow, CampaignStatus
from clarion.model.channel import Lane
from clarion.model.ids import BEHIND_ALL, EventId, Instant, TenantId, WorkerId
from clarion.model.plan import PlanCommit

ADD = f"INSERT INTO campaigns ({COLUMNS}) VALUES ({', '.join('?' * 13)}) ON CONFLICT DO NOTHING"
REPLACE = """
    UPDATE campaigns SET status = ?3, lane = ?4, revision = ?5, sealed = ?6, due_at = ?7, event_id = ?8,
        after_user = CASE WHEN ?11 THEN 0 ELSE after_user END, pace_rank = rank, pace_at = ?9, fence = fence + 1,
        holder = NULL
    WHERE id = ?1 AND tenant = ?2 AND revision = ?10
"""
GET = f"SELECT {COLUMNS} FROM campaigns WHERE id = ? AND tenant = ?"
PAGE = f"""
    SELECT {COLUMNS} FROM campaigns
    WHERE tenant = ?1 AND id < ?2 AND (?3 = '[]' OR status IN (SELECT value FROM json_each(?3)))
    ORDER BY id DESC LIMIT ?4
"""
PAGE_OF_ALL = f"""
    SELECT {COLUMNS} FROM campaigns WHERE id < ?1 AND status IN (SELECT value FROM json_each(?2)) ORDER BY id DESC LIMIT ?3
"""
DROP = "DELETE FROM campaigns WHERE id = ? AND tenant = ?"
_DUE = "lane = ?1 AND due_at <= ?2 AND (holder IS NULL OR holder = ?3)"
"""What the worker holds itself is from a claim whose answer was lost, or goes on."""
ANY_DUE = f"SELECT 1 FROM campaigns WHERE {_DUE} LIMIT 1"
CLAIM = f"""
    UPDATE campaigns SET holder = ?3, fence = fence + 1
    WHERE id IN (SELECT id FROM campaigns WHERE {_DUE} ORDER BY due_at, id LIMIT ?4)
    RETURNING {COLUMNS}
"""
MOVE = """
    UPDATE campaigns SET after_user = ?5, rank = ?6, due_at = ?7
    WHERE id = ?1 AND holder = ?2 AND fence = ?3 AND after_user = ?4
"""
PAUSED = f"""
    SELECT {array("hex(event_id)")} FROM campaigns INDEXED BY campaigns_paused
    WHERE status = 'paused' AND event_id IN {IDS}
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

    async def put(self, row: CampaignRow, after: int | None, *, again: bool = False) -> bool:
        if after is None:
            return bool(await self._writer.call(lambda connection: changed(connection, ADD, row_of(row))))
        what = (row.id, row.tenant, row.status.value, row.lane.value, row.revision, row.sealed, row.due_at)
        given = (*what, row.event_id, row.pace_at, after, again)
        return bool(await self._writer.call(lambda connection: changed(connection, REPLACE, given)))

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

    async def paused(self, events: Sequence[EventId]) -> Set[EventId]:
        def read(connection: sqlite3.Connection) -> Set[EventId]:
            found = rows(connection, PAUSED, keys(events))
            return {EventId(bytes.fromhex(event)) for (event,) in found}

        return await self._readers.call(read)


def moved(connection: sqlite3.Connection, plan: PlanCommit) -> bool:
    """The campaign whose page the plan is of has come so far; False: its worker does not plan it any more."""
    page = plan.page
    if page is None:
        return True
    given = (page.id, plan.worker, page.fence, page.before, page.after, page.rank, page.due_at)
    return changed(connection, MOVE, given) == 1
