"""Formats instants for people and programs."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from clarion.model.ids import Instant

FOREVER = Instant(253_370_764_800_000)
"""9999-01-01T00:00:00Z: later than anything that happens, and a year before calendars end, so that its weeks still
have a local time in every zone."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(instant: Instant) -> str:
    """`2026-03-30T06:00:00Z`; milliseconds only when there are some."""
    text = datetime.fromtimestamp(instant // 1000, UTC).isoformat().removesuffix("+00:00")
    thousandths = instant % 1000
    return f"{text}.{thousandths:03d}Z" if thousandths else f"{text}Z"


def instant_of(text: str) -> Instant:
    """The reverse. Raises ValueError when it is not RFC 3339 with an offset, or is more exact than milliseconds."""
    at = msgspec.convert(text, datetime)  # a ValidationError is a ValueError
    if at.tzinfo is None or at.microsecond % 1000:
        raise ValueError(text)
    whole = int((at.replace(microsecond=0) - _EPOCH).total_seconds())
    return Instant(whole * 1000 + at.microsecond // 1000)
