"""Converts between RFC 3339 text in the API and milliseconds inside."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec

from clarion.api.problems import wrong_parameter
from clarion.model.ids import Instant
from clarion.rules.time_format import rfc3339

Moment = Annotated[datetime, msgspec.Meta(tz=True, description="RFC 3339, with an offset or `Z`")]

FIRST = Instant(-62_135_596_800_000)
"""0001-01-01T00:00:00Z"""
LAST = Instant(253_402_300_799_999)
"""9999-12-31T23:59:59.999Z"""


def instant(time: datetime) -> Instant:
    """Milliseconds of an aware time. What an offset moves beyond the calendar is its first or last one."""
    return min(max(Instant(round(time.timestamp() * 1000)), FIRST), LAST)


def instant_or_none(time: datetime | None) -> Instant | None:
    """The same for what may be missing."""
    return None if time is None else instant(time)


def moment(at: Instant) -> datetime:
    """The aware time, as a body holds it."""
    return datetime.fromtimestamp(at / 1_000, UTC)


def moment_or_none(at: Instant | None) -> datetime | None:
    """The same for what may be missing."""
    return None if at is None else moment(at)


def instant_of(text: str | None, parameter: str) -> Instant | None:
    """The instant of a query parameter; refused by its name when it is not a time."""
    if text is None:
        return None
    try:
        # A `+` in a query is a space to whoever parses forms.
        return instant(msgspec.convert(text.replace(" ", "+"), Moment))
    except msgspec.ValidationError:
        raise wrong_parameter(
            parameter, f"`{parameter}` must be an RFC 3339 time with an offset, like 2026-05-01T09:30:00Z."
        ) from None


def text_or_none(at: Instant | None) -> str | None:
    """RFC 3339 of what may be missing."""
    return None if at is None else rfc3339(at)
