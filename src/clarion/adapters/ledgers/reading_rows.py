"""How positions and dead records are stored: the same in every database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from clarion.model.ids import TenantId
from clarion.model.reading import DeadRecord, DeadRecordFilter, DeadRecordKind, Reading, ReadingPlace

READING = "position, fence, repeat, lag, trouble, at"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, str]).decode


def position_text(position: Any) -> str:
    """A position as it is stored."""
    return _encode(position).decode()


def place_values(place: ReadingPlace) -> tuple[TenantId, str, str]:
    """Tenant, kind and key."""
    return place.tenant, place.kind.value, place.key


def reading_of(row: Sequence[Any]) -> Reading:
    """A row of the columns `READING`."""
    position, fence, repeat, lag, trouble, at = row
    return Reading(position=_decode(position), fence=fence, repeat=repeat, lag=lag, trouble=trouble, at=at)


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
