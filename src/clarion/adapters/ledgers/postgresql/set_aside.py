"""Events that could not be planned, set aside for manual review."""

from __future__ import annotations

from collections.abc import Sequence

from clarion.adapters.ledgers.postgresql.database import Connection, Database
from clarion.adapters.ledgers.postgresql.log import PostgresLog
from clarion.adapters.ledgers.set_aside_rows import set_aside_of
from clarion.model.event import Consumed, Entry, SetAside
from clarion.model.ids import EventId, Instant, TenantId

KEEP = """
    INSERT INTO set_aside (event_id, tenant, lane, workflow, reason, detail, at)
    SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[])
    ON CONFLICT DO NOTHING
"""
_SELECT = "SELECT seq, event_id, tenant, lane, workflow, reason, detail, at, discarded_at FROM set_aside"
PAGE = f"{_SELECT} WHERE tenant = $1 AND seq < $2 AND discarded_at IS NULL ORDER BY seq DESC LIMIT $3"
NAMED = f"{_SELECT} WHERE tenant = $1 AND seq = ANY($2::bigint[])"
OF_EVENT = f"{_SELECT} WHERE tenant = $1 AND event_id = $2 ORDER BY seq DESC LIMIT 1"
DROP = "DELETE FROM set_aside WHERE tenant = $1 AND seq = ANY($2::bigint[])"
DISCARD = """
    UPDATE set_aside SET discarded_at = $3 WHERE tenant = $1 AND seq = $2 AND discarded_at IS NULL RETURNING seq
"""
WAITING = "SELECT count(*) FROM set_aside WHERE discarded_at IS NULL"

_NEWEST = 2**63 - 1


class PostgresSetAsides:
    """Implements `ports.ledger.SetAsides`."""

    def __init__(self, database: Database, log: PostgresLog) -> None:
        self._database = database
        self._log = log

    async def keep(
        self, events: Sequence[SetAside], consumed: Sequence[Consumed], bodies: Sequence[Entry]
    ) -> None:
        rows = [
            (e.event_id, e.tenant, e.lane.value, e.workflow, e.reason.value, e.detail, e.at) for e in events
        ]

        async def keep(connection: Connection) -> None:
            await self._log.keep(connection, bodies)
            if rows:
                await connection.execute(KEEP, *zip(*rows, strict=True))
            await self._log.advance(connection, consumed)

        await self._database.write(keep)

    async def page(self, tenant: TenantId, before: int | None, limit: int) -> Sequence[SetAside]:
        found = await self._database.lists.rows(PAGE, tenant, _NEWEST if before is None else before, limit)
        return [set_aside_of(row) for row in found]

    async def named(self, tenant: TenantId, seqs: Sequence[int]) -> Sequence[SetAside]:
        found = {row["seq"]: row for row in await self._database.rows(NAMED, tenant, seqs)}
        return [set_aside_of(found[seq]) for seq in dict.fromkeys(seqs) if seq in found]

    async def forget(self, tenant: TenantId, seqs: Sequence[int]) -> None:
        await self._database.write(lambda connection: connection.execute(DROP, tenant, seqs))

    async def discard(self, tenant: TenantId, seq: int, at: Instant) -> bool:
        found = await self._database.write(lambda connection: connection.fetch(DISCARD, tenant, seq, at))
        return bool(found)

    async def waiting(self) -> int:
        return int((await self._database.row(WAITING))[0])


async def newest_of(connection: Connection, tenant: TenantId, event_id: EventId) -> SetAside | None:
    """The newest of an event, also if it was discarded."""
    row = await connection.fetchrow(OF_EVENT, tenant, event_id)
    return None if row is None else set_aside_of(row)
