"""Instants as RFC 3339 text: milliseconds inside, strings at the door."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec

from clarion.errors import InvalidInput
from clarion.model.ids import Instant

Moment = Annotated[datetime, msgspec.Meta(tz=True, description="RFC 3339, with an offset or `Z`")]


def instant(moment: datetime) -> Instant:
    """Milliseconds of an aware time."""
    return Instant(round(moment.timestamp() * 1000))


def instant_or_none(moment: datetime | None) -> Instant | None:
    """The same for what may be missing."""
    return None if moment is None else instant(moment)


def parse_instant(text: str, parameter: str) -> Instant:
    """The instant of an RFC 3339 text; InvalidInput naming `parameter` when it is not one."""
    try:
        return instant(msgspec.convert(text, Moment))
    except msgspec.ValidationError:
        raise InvalidInput(
            f"`{parameter}` must be an RFC 3339 time with an offset, like 2026-05-01T09:30:00Z."
        ) from None


def rfc3339(at: Instant) -> str:
    """`2026-05-01T09:30:00.000Z`."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rfc3339_or_none(at: Instant | None) -> str | None:
    """The same for what may be missing."""
    return None if at is None else rfc3339(at)
