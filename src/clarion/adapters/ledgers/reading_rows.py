"""How positions and dead records are stored: the same in every database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from clarion.model.ids import TenantId, WorkerId
from clarion.model.reading import DeadRecord, DeadRecordFilter, DeadRecordKind, Reading, ReadingPlace

READING = "partition, position, fence, repeat, lag, trouble, at"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, str]).decode


def position_text(position: Any) -> str:
    """A position as it is stored."""
    return _encode(position).decode()


def place_values(place: ReadingPlace) -> tuple[TenantId, str, str]:
    """Tenant, kind and key."""
    return place.tenant, place.kind.value, place.key


def readings_of(rows: Iterable[Sequence[Any]], reader: WorkerId) -> dict[str, Reading]:
    """Rows of the columns `READING` that this worker reads, by partition."""
    return {row[0]: _reading(row, reader) for row in rows}


def readings_by_key(rows: Iterable[Sequence[Any]]) -> dict[str, dict[str, Reading]]:
    """Rows of the key, who reads, and the columns `READING`; by key and partition."""
    found: dict[str, dict[str, Reading]] = {}
    for key, reader, *row in rows:
        found.setdefault(key, {})[row[0]] = _reading(row, reader)
    return found


def _reading(row: Sequence[Any], reader: WorkerId | None) -> Reading:
    _, position, fence, repeat, lag, trouble, at = row
    return Reading(
        position=_decode(position),
        fence=fence,
        repeat=repeat,
        lag=lag,
        trouble=trouble,
        at=at,
        reader=reader,
    )


def dead_record_of(row: Sequence[Any]) -> DeadRecord:
    """A row of all columns."""
    seq, tenant, kind, origin, place, reason, detail, sealed, at = row
    return DeadRecord(
        seq=seq,
        tenant=tenant,
        kind=DeadRecordKind(kind),
        origin=origin,
        place=place,
        reason=reason,
        detail=detail,
        sealed=sealed,
        at=at,
    )


def filter_values(tenant: TenantId, where: DeadRecordFilter) -> tuple[TenantId, str | None, str | None]:
    """Tenant, kind and origin."""
    return tenant, None if where.kind is None else where.kind.value, where.origin
