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
    readings_by_key,
    readings_of,
)
from clarion.model.ids import Instant, TenantId, WorkerId
from clarion.model.reading import (
    WHOLE,
    DeadRecord,
    DeadRecordFilter,
    Reading,
    ReadingKind,
    ReadingPlace,
)

LIVE = "SELECT 1 FROM workers WHERE id = $1 AND reaped = 0 FOR SHARE"
WHOLE_READER = f"""
    SELECT worker FROM readings WHERE tenant = $1 AND kind = $2 AND key = $3 AND partition = '{WHOLE}' FOR UPDATE
"""
END_WHOLE = f"DELETE FROM readings WHERE tenant = $1 AND kind = $2 AND key = $3 AND partition = '{WHOLE}'"
NEW = """
    INSERT INTO readings (tenant, kind, key, partition, position)
    SELECT $1, $2, $3, new.* FROM unnest($4::text[], $5::text[]) AS new ON CONFLICT DO NOTHING
"""
TAKE = f"""
    WITH wanted AS (
        SELECT here.partition FROM readings AS here
        JOIN unnest($5::text[], $6::bigint[]) AS one (partition, from_worker) USING (partition)
        WHERE tenant = $1 AND kind = $2 AND key = $3 AND (
            worker IS NULL OR worker IN ($4, one.from_worker)
            OR NOT EXISTS (SELECT 1 FROM workers WHERE workers.id = here.worker AND reaped = 0)
        )
        ORDER BY here.partition FOR UPDATE OF here
    )
    UPDATE readings SET worker = $4, fence = fence + 1
    WHERE tenant = $1 AND kind = $2 AND key = $3 AND partition IN (SELECT partition FROM wanted) RETURNING {READING}
"""
MOVE = """
    WITH held AS (
        SELECT here.partition FROM readings AS here
        JOIN unnest($5::text[], $6::bigint[]) AS one (partition, fence) USING (partition, fence)
        WHERE tenant = $1 AND kind = $2 AND key = $3 AND worker = $4
        ORDER BY here.partition FOR UPDATE OF here
    )
    UPDATE readings SET position = one.position, lag = one.lag, trouble = one.trouble, at = one.at
    FROM unnest($5::text[], $7::text[], $8::bigint[], $9::text[], $10::bigint[]) AS one (partition, position, lag, trouble, at)
    WHERE tenant = $1 AND kind = $2 AND key = $3 AND readings.partition = one.partition
        AND readings.partition IN (SELECT partition FROM held)
    RETURNING readings.partition
"""
GIVE_UP = "UPDATE readings SET worker = NULL WHERE tenant = $1 AND kind = $2 AND key = $3 AND worker = $4"
LAST = """
    SELECT max(fence) AS fence, max(repeat) AS repeat FROM (
        SELECT fence, repeat FROM readings WHERE tenant = $1 AND kind = $2 AND key = $3 ORDER BY partition FOR UPDATE
    ) AS here
"""
REWOUND = """
    INSERT INTO readings (tenant, kind, key, fence, repeat, at, partition, position)
    SELECT $1, $2, $3, $4, $5, $6, new.* FROM unnest($7::text[], $8::text[]) AS new
    ON CONFLICT (tenant, kind, key, partition) DO UPDATE SET fence = excluded.fence, repeat = excluded.repeat, at = excluded.at,
        position = excluded.position, worker = NULL, lag = NULL, trouble = ''
"""
OTHERS = """
    DELETE FROM readings WHERE tenant = $1 AND kind = $2 AND key = $3 AND partition <> ALL ($4::text[])
"""
OF = f"""
    SELECT key, workers.id, {READING} FROM readings LEFT JOIN workers ON workers.id = worker AND reaped = 0
    WHERE tenant = $1 AND kind = $2
"""
FORGET = "DELETE FROM readings WHERE tenant = $1 AND kind = $2 AND key = $3"


class PostgresReadings:
    """Implements `ports.ledger.Readings`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(
        self,
        worker: WorkerId,
        place: ReadingPlace,
        wanted: Mapping[str, WorkerId | None],
        new: Mapping[str, Mapping[str, str]],
    ) -> Mapping[str, Reading]:
        async def take(connection: Any) -> Mapping[str, Reading]:
            where = place_values(place)
            if await connection.fetchval(LIVE, worker) is None:
                return {}
            if new and WHOLE not in new:
                whole = await connection.fetchrow(WHOLE_READER, *where)
                if whole is not None and whole["worker"] != worker:
                    return {}
                await connection.execute(END_WHOLE, *where)
            if new:
                await connection.execute(NEW, *where, [*new], [*map(position_text, new.values())])
            taken = await connection.fetch(TAKE, *where, worker, [*wanted], [*wanted.values()])
            return readings_of(taken, worker)

        return await self._database.write(take)

    async def move(self, worker: WorkerId, place: ReadingPlace, to: Mapping[str, Reading]) -> frozenset[str]:
        async def move(connection: Any) -> frozenset[str]:
            if await connection.fetchval(LIVE, worker) is None:
                return frozenset()
            rows = [
                (one.fence, position_text(one.position), one.lag, one.trouble, one.at) for one in to.values()
            ]
            columns = [[*column] for column in zip(*rows, strict=True)]
            moved = await connection.fetch(MOVE, *place_values(place), worker, [*to], *columns)
            return frozenset(row["partition"] for row in moved)

        return await self._database.write(move) if to else frozenset()

    async def give_up(self, worker: WorkerId, place: ReadingPlace) -> None:
        await self._database.write(
            lambda connection: connection.execute(GIVE_UP, *place_values(place), worker)
        )

    async def rewind(
        self, place: ReadingPlace, to: Mapping[str, Mapping[str, str]], at: Instant, *, repeat: bool
    ) -> None:
        async def rewind(connection: Any) -> None:
            where = place_values(place)
            last = await connection.fetchrow(LAST, *where)
            fence = 0 if last["fence"] is None else last["fence"] + 1
            repeats = (last["repeat"] or 0) + repeat
            await connection.execute(OTHERS, *where, [*to])
            texts = [*map(position_text, to.values())]
            await connection.execute(REWOUND, *where, fence, repeats, at, [*to], texts)

        await self._database.write(rewind)

    async def of(self, tenant: TenantId, kind: ReadingKind) -> Mapping[str, Mapping[str, Reading]]:
        return readings_by_key(await self._database.rows(OF, tenant, kind.value))

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
        found = await self._database.lists.rows(PAGE, *filter_values(tenant, where), last, limit)
        return [dead_record_of(row) for row in found]

    async def named(self, tenant: TenantId, seqs: Sequence[int]) -> Sequence[DeadRecord]:
        found = {row["seq"]: row for row in await self._database.rows(NAMED, tenant, [*seqs])}
        return [dead_record_of(found[seq]) for seq in dict.fromkeys(seqs) if seq in found]

    async def drop(self, tenant: TenantId, seqs: Sequence[int]) -> int:
        return len(await self._database.write(lambda connection: connection.fetch(DROP, tenant, [*seqs])))

    async def count(self, tenant: TenantId, where: DeadRecordFilter, most: int) -> int:
        ((count,),) = await self._database.rows(COUNT, *filter_values(tenant, where), most)
        return int(count)
