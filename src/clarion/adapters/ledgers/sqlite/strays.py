"""Returned mail kept for a person."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, delete, or_, select
from sqlalchemy.dialects.sqlite import insert

from clarion.adapters.ledgers import schema
from clarion.adapters.ledgers.sqlite.ordinary import Command, Query
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.ids import TenantId
from clarion.ports.ledger import Stray

MOST = 1_000
"""Of one tenant."""
LONGEST_MS = 30 * 24 * 3_600_000
"""They are mails of strangers: nobody keeps those for ever."""

_columns = schema.strays.c
_tenant: Any = bindparam("of_tenant")
_mine = _columns.tenant == _tenant

ADD = Command(
    insert(schema.strays)
    .values(
        tenant=_tenant,
        digest=bindparam("new_digest"),
        why=bindparam("new_why"),
        sealed=bindparam("new_sealed"),
        at=bindparam("new_at"),
    )
    .on_conflict_do_nothing()
)
PURGE = Command(
    delete(schema.strays).where(
        _mine,
        or_(
            _columns.at < bindparam("oldest"),
            _columns.seq
            <= select(_columns.seq)
            .where(_mine)
            .order_by(_columns.seq.desc())
            .limit(1)
            .offset(bindparam("kept"))
            .scalar_subquery(),
        ),
    )
)
DROP = Command(delete(schema.strays).where(_mine, _columns.seq == bindparam("of_seq")))
PAGE = Query(
    select(_columns.seq, _columns.why, _columns.digest, _columns.sealed, _columns.at)
    .where(_mine, _columns.seq < bindparam("before"))
    .order_by(_columns.seq.desc())
    .limit(bindparam("most"))
)
_NEWEST = 2**62


class SqliteStrays:
    """Implements `ports.ledger.Strays`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def keep(self, stray: Stray) -> None:
        def keep(connection: sqlite3.Connection) -> None:
            ADD(
                connection,
                of_tenant=stray.tenant,
                new_digest=stray.digest,
                new_why=stray.why,
                new_sealed=stray.sealed,
                new_at=stray.at,
            )
            PURGE(connection, of_tenant=stray.tenant, oldest=stray.at - LONGEST_MS, kept=MOST)

        await self._writer.call(keep)

    async def page(self, tenant: TenantId, before: int | None, limit: int) -> Sequence[Stray]:
        found = await self._readers.call(
            lambda connection: PAGE.rows(
                connection, of_tenant=tenant, before=_NEWEST if before is None else before, most=limit
            )
        )
        return [
            Stray(tenant=tenant, seq=seq, why=why, digest=digest, sealed=sealed, at=at)
            for seq, why, digest, sealed, at in found
        ]

    async def drop(self, tenant: TenantId, seq: int) -> bool:
        return bool(
            await self._writer.call(lambda connection: DROP(connection, of_tenant=tenant, of_seq=seq))
        )
