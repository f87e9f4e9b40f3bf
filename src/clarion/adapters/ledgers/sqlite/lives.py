"""Live resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, or_, select, text, update
from sqlalchemy.dialects.sqlite import insert

from clarion.adapters.ledgers import schema
from clarion.adapters.ledgers.sqlite.ordinary import Command, Query
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.row_encoding import encoded
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.ids import Instant, TenantId
from clarion.model.live import LiveRow

_columns = schema.lives.c
_mine = _columns.tenant == bindparam("of_tenant")
_named = (_mine, _columns.key == bindparam("of_key"))
_this = (*_named, _columns.id == bindparam("of_id"))
_state = (*_this, _columns.sequence == bindparam("of_sequence"))
_ended: Any = bindparam("of_ended")
_new: dict[str, Any] = {
    name: bindparam(f"new_{name}") for name in ("sequence", "sealed", "sealed_for", "ended_at", "due_at")
}
_all = (
    *(_columns.tenant, _columns.key, _columns.id, _columns.sequence, _columns.sealed),
    *(_columns.sealed_for, _columns.ended_at, _columns.due_at),
)

ADD = Command(
    insert(schema.lives)
    .values(tenant=bindparam("of_tenant"), key=bindparam("of_key"), id=bindparam("of_id"), **_new)
    .on_conflict_do_nothing()
)
REPLACE = Command(update(schema.lives).where(*_state).values(_new))
LOOKED_AT = Command(update(schema.lives).where(*_state).values(due_at=bindparam("new_due_at")))
DROP = Command(delete(schema.lives).where(*_this))
NAMED = Query(
    select(*_all)
    .where(_mine, text("lives.key IN (SELECT value FROM json_each(:of_keys))"))
    .limit(bindparam("most"))
)
PAGE = Query(
    select(*_all)
    .where(
        _mine,
        _columns.key > bindparam("after"),
        or_(_ended.is_(None), _columns.ended_at.is_not(None) == _ended),
    )
    .order_by(_columns.key)
    .limit(bindparam("most"))
)
DUE = Query(
    select(*_all)
    .where(_columns.due_at <= bindparam("now"))
    .order_by(_columns.due_at)
    .limit(bindparam("most"))
)


class SqliteLives:
    """Implements `ports.ledger.Lives`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def put(self, row: LiveRow, after: int | None) -> bool:
        values = {
            "of_tenant": row.tenant,
            "of_key": row.key,
            "of_id": row.id,
            "new_sequence": row.sequence,
            "new_sealed": row.sealed,
            "new_sealed_for": row.sealed_for,
            "new_ended_at": row.ended_at,
            "new_due_at": row.due_at,
        }
        if after is None:
            return bool(await self._writer.call(lambda connection: ADD(connection, **values)))
        return bool(
            await self._writer.call(lambda connection: REPLACE(connection, of_sequence=after, **values))
        )

    async def get(self, tenant: TenantId, keys: Sequence[str]) -> Mapping[str, LiveRow]:
        found = await self._readers.call(
            lambda connection: NAMED.rows(
                connection, of_tenant=tenant, of_keys=encoded(list(keys)), most=len(keys)
            )
        )
        return {row.key: row for row in map(_row, found)}

    async def page(self, tenant: TenantId, ended: bool | None, after: str, limit: int) -> Sequence[LiveRow]:
        found = await self._readers.call(
            lambda connection: PAGE.rows(
                connection, of_tenant=tenant, of_ended=ended, after=after, most=limit
            )
        )
        return [_row(row) for row in found]

    async def drop(self, tenant: TenantId, key: str, id: bytes) -> bool:
        return bool(
            await self._writer.call(
                lambda connection: DROP(connection, of_tenant=tenant, of_key=key, of_id=id)
            )
        )

    async def due(self, now: Instant, limit: int) -> Sequence[LiveRow]:
        found = await self._readers.call(lambda connection: DUE.rows(connection, now=now, most=limit))
        return [_row(row) for row in found]

    async def looked_at(
        self, tenant: TenantId, key: str, id: bytes, sequence: int, due_at: Instant | None
    ) -> None:
        state = {"of_tenant": tenant, "of_key": key, "of_id": id, "of_sequence": sequence}
        await self._writer.call(lambda connection: LOOKED_AT(connection, **state, new_due_at=due_at))


def _row(found: Sequence[Any]) -> LiveRow:
    tenant, key, live, sequence, sealed, sealed_for, ended_at, due_at = found
    return LiveRow(
        tenant=tenant,
        key=key,
        id=live,
        sequence=sequence,
        sealed=sealed,
        sealed_for=sealed_for,
        ended_at=ended_at,
        due_at=due_at,
    )
