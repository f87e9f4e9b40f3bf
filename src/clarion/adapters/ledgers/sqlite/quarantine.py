"""Mail and callbacks kept for manual review."""

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
from clarion.model.quarantine import MOST, Quarantined, QuarantineFilter, QuarantineKind

_columns = schema.strays.c
_tenant: Any = bindparam("of_tenant")
_mine = _columns.tenant == _tenant
_of_kind = _columns.kind == bindparam("of_kind")

ADD = Command(
    insert(schema.strays)
    .values(
        tenant=_tenant,
        digest=bindparam("new_digest"),
        why=bindparam("new_why"),
        sealed=bindparam("new_sealed"),
        at=bindparam("new_at"),
        kind=bindparam("new_kind"),
        integration=bindparam("new_integration"),
    )
    .on_conflict_do_nothing()
)
PURGE = Command(
    delete(schema.strays).where(
        _mine,
        _of_kind,
        _columns.seq
        <= select(_columns.seq)
        .where(_mine, _of_kind)
        .order_by(_columns.seq.desc())
        .limit(1)
        .offset(bindparam("kept"))
        .scalar_subquery(),
    )
)
DROP = Command(delete(schema.strays).where(_mine, _columns.seq == bindparam("of_seq")))
_all = (
    _columns.seq,
    _columns.kind,
    _columns.why,
    _columns.integration,
    _columns.digest,
    _columns.sealed,
    _columns.at,
)
GET = Query(select(*_all).where(_mine, _columns.seq == bindparam("of_seq")))
_why: Any = bindparam("of_why")
_kind: Any = bindparam("of_kind")
PAGE = Query(
    select(*_all)
    .where(
        _mine,
        _columns.seq < bindparam("before"),
        or_(_kind.is_(None), _columns.kind == _kind),
        or_(_why.is_(None), _columns.why == _why),
        _columns.at >= bindparam("since"),
        _columns.at < bindparam("until"),
    )
    .order_by(_columns.seq.desc())
    .limit(bindparam("most"))
)
_NEWEST = 2**62


class SqliteQuarantine:
    """Implements `ports.ledger.Quarantine`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def keep(self, mail: Quarantined) -> None:
        def keep(connection: sqlite3.Connection) -> None:
            ADD(
                connection,
                of_tenant=mail.tenant,
                new_digest=mail.digest,
                new_why=mail.why,
                new_sealed=mail.sealed,
                new_at=mail.at,
                new_kind=mail.kind.value,
                new_integration=mail.integration,
            )
            PURGE(connection, of_tenant=mail.tenant, of_kind=mail.kind.value, kept=MOST)

        await self._writer.call(keep)

    async def get(self, tenant: TenantId, seq: int) -> Quarantined | None:
        found = await self._readers.call(
            lambda connection: GET.rows(connection, of_tenant=tenant, of_seq=seq)
        )
        return next((_quarantined(tenant, row) for row in found), None)

    async def page(
        self, tenant: TenantId, where: QuarantineFilter, before: int | None, limit: int
    ) -> Sequence[Quarantined]:
        found = await self._readers.call(
            lambda connection: PAGE.rows(
                connection,
                of_tenant=tenant,
                before=_NEWEST if before is None else before,
                of_kind=None if where.kind is None else where.kind.value,
                of_why=where.why,
                since=where.since or 0,
                until=_NEWEST if where.before is None else where.before,
                most=limit,
            )
        )
        return [_quarantined(tenant, row) for row in found]

    async def drop(self, tenant: TenantId, seq: int) -> bool:
        return bool(
            await self._writer.call(lambda connection: DROP(connection, of_tenant=tenant, of_seq=seq))
        )


def _quarantined(tenant: TenantId, row: Sequence[Any]) -> Quarantined:
    seq, kind, why, integration, digest, sealed, at = row
    return Quarantined(
        tenant=tenant,
        kind=QuarantineKind(kind),
        why=why,
        integration=integration,
        sealed=sealed,
        digest=digest,
        at=at,
        seq=seq,
    )
