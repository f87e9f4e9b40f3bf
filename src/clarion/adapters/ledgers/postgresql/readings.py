"""How far the topics and queues of tenants were read, and what of it waits for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clarion.adapters.ledgers.postgresql.database import Database
from clarion.adapters.ledgers.reading_rows import (
    READING,
    dead_record_of,
    filter_values,
    place_values,
    position_text,
    reading_of,
)
from clarion.model.ids import Instant, TenantId, WorkerId
from clarion.model.reading import DeadRecord, DeadRecordFilter, Reading, ReadingKind, ReadingPlace

LIVE = "SELECT 1 FROM workers WHERE id = $1 AND reaped = 0 FOR SHARE"
TAKE = f"""
    INSERT INTO readings (tenant, kind, key, worker) VALUES ($1, $2, $3, $4)
    ON CONFLICT (tenant, kind, key) DO UPDATE SET worker = excluded.worker, fence = readings.fence + 1
    WHERE readings.worker IS NULL OR readings.worker = excluded.worker
        OR NOT EXISTS (SELECT 1 FROM workers WHERE workers.id = readings.worker AND reaped = 0)
    RETURNING {READING}
"""
MOVE = """
    UPDATE readings SET position = $6, lag = $7, trouble = $8, at = $9
    WHERE tenant = $1 AND kind = $2 AND key = $3 AND worker = $4 AND fence = $5 RETURNING fence
"""
GIVE_UP = "UPDATE readings SET worker = NULL WHERE tenant = $1 AND kind = $2 AND key = $3 AND worker = $4"
REWIND = """
    INSERT INTO readings (tenant, kind, key, position, repeat, at) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (tenant, kind, key) DO UPDATE SET position = excluded.position, fence = readings.fence + 1,
        worker = NULL, repeat = readings.repeat + excluded.repeat, lag = NULL, trouble = '', at = excluded.at
"""
OF = f"SELECT key, {READING} FROM readings WHERE tenant = $1 AND kind = $2"
FORGET = "DELETE FROM readings WHERE tenant = $1 AND kind = $2 AND key = $3"


class PostgresReadings:
    """Implements `ports.ledger.Readings`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, worker: WorkerId, place: ReadingPlace) -> Reading | None:
        async def take(connection: Any) -> Reading | None:
            if await connection.fetchval(LIVE, worker) is None:
                return None
            row = await connection.fetchrow(TAKE, *place_values(place), worker)
            return None if row is None else reading_of(row)

        return await self._database.write(take)

    async def move(self, worker: WorkerId, place: ReadingPlace, to: Reading) -> bool:
        async def move(connection: Any) -> bool:
            if await connection.fetchval(LIVE, worker) is None:
                return False
            values = (position_text(to.position), to.lag, to.trouble, to.at)
            moved = await connection.fetchval(MOVE, *place_values(place), worker, to.fence, *values)
            return moved is not None

        return await self._database.write(move)

    async def give_up(self, worker: WorkerId, place: ReadingPlace) -> None:
        await self._database.write(
            lambda connection: connection.execute(GIVE_UP, *place_values(place), worker)
        )

    async def rewind(
        self, place: ReadingPlace, position: Mapping[str, str], at: Instant, *, repeat: bool
    ) -> None:
        values = (*place_values(place), position_text(position), int(repeat), at)
        await self._database.write(lambda connection: connection.execute(REWIND, *values))

    async def of(self, tenant: TenantId, kind: ReadingKind) -> Mapping[str, Reading]:
        found = await self._database.rows(OF, tenant, kind.value)
        return {key: reading_of(row) for key, *row in found}

    async def forget(self, place: ReadingPlace) -> None:
        await self._database.write(lambda connection: connection.execute(FORGET, *place_values(place)))


_ALL = "seq, tenant, kind, origin, place, reason, detail, sealed, at"
_WHERE = "tenant = $1 AND ($2::text IS NULL OR kind = $2) AND ($3::text IS NULL OR origin = $3)"
KEEP = """
    INSERT INTO dead_records (tenant, kind, origin, place, reason, detail, sealed, at)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[],
        $8::bigint[])
    ON CONFLICT DO NOTHING
"""
PAGE = f"SELECT {_ALL} FROM dead_records WHERE {_WHERE} AND seq < $4 ORDER BY seq DESC LIMIT $5"
NAMED = f"SELECT {_ALL} FROM dead_records WHERE tenant = $1 AND seq = ANY($2)"
DROP = "DELETE FROM dead_records WHERE tenant = $1 AND seq = ANY($2) RETURNING seq"
COUNT = f"SELECT count(*) FROM (SELECT 1 FROM dead_records WHERE {_WHERE} LIMIT $4) AS found"
_NEWEST = 2**62


class PostgresDeadRecords:
    """Implements `ports.ledger.DeadRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, records: Sequence[DeadRecord]) -> None:
        columns = zip(
            *(
                (
                    one.tenant,
                    one.kind.value,
                    one.origin,
                    one.place,
                    one.reason,
                    one.detail,
                    one.sealed,
                    one.at,
                )
                for one in records
            ),
            strict=True,
        )
        values = [list(column) for column in columns]
        if values:
            await self._database.write(lambda connection: connection.execute(KEEP, *values))

    async def page(
        self, tenant: TenantId, where: DeadRecordFilter, before: int | None, limit: int
    ) -> Sequence[DeadRecord]:
        last = _NEWEST if before is None else before
        found = await self._database.rows(PAGE, *filter_values(tenant, where), last, limit)
        return [dead_record_of(row) for row in found]

    async def named(self, tenant: TenantId, seqs: Sequence[int]) -> Sequence[DeadRecord]:
        found = {row["seq"]: row for row in await self._database.rows(NAMED, tenant, [*seqs])}
        return [dead_record_of(found[seq]) for seq in dict.fromkeys(seqs) if seq in found]

    async def drop(self, tenant: TenantId, seqs: Sequence[int]) -> int:
        return len(await self._database.write(lambda connection: connection.fetch(DROP, tenant, [*seqs])))

    async def count(self, tenant: TenantId, where: DeadRecordFilter, most: int) -> int:
        ((count,),) = await self._database.rows(COUNT, *filter_values(tenant, where), most)
        return int(count)
