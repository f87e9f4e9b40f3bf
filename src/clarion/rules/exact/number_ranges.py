"""The pumping guard, counted exactly: whoever pumps texts sends many codes to a range, and nobody enters them.

Each code that is sent raises the level of its ranges by one. The level sinks by `limit` in a window, and by
`PER_CONFIRMATION` with every code that is entered. A range whose level would exceed `limit` is blocked.
"""

from __future__ import annotations

from msgspec.structs import replace

from clarion.model.ids import Instant
from clarion.model.spending import NumberRange, RangeLimit

CODE = 1_000
"""One code, in the unit of levels."""
PER_CONFIRMATION = 6
"""What an entered code makes up for: itself and five others. A range where one code in six is entered is never blocked."""
CREDIT = 10
"""Times the limit: so far below nothing a level sinks, so that nobody saves up for an attack."""


def sunk(known: NumberRange, limit: RangeLimit, at: Instant) -> NumberRange:
    """The level at this time. It does not rise to nothing by itself."""
    sinks = max(0, at - known.at) * limit.limit // max(1, limit.window_s)
    level = max(0, known.level - sinks) if known.level > 0 else known.level
    return replace(known, level=level, at=max(at, known.at))


def is_blocked(known: NumberRange, at: Instant) -> bool:
    """Nothing goes there."""
    return known.blocked_until is not None and at < known.blocked_until


def is_full(known: NumberRange, limit: RangeLimit) -> bool:
    """One more code would exceed the limit."""
    return known.level + CODE > limit.limit * CODE


def blocked(known: NumberRange, limit: RangeLimit, at: Instant) -> NumberRange:
    """From now on."""
    return replace(known, blocked_at=at, blocked_until=Instant(at + limit.block_s * 1000))


def sent(known: NumberRange, limit: RangeLimit) -> NumberRange:
    """One more code."""
    return replace(known, level=min(known.level + CODE, limit.limit * CODE), sent=known.sent + 1)


def confirmed(known: NumberRange, limit: RangeLimit, at: Instant) -> NumberRange:
    """A code was entered."""
    now = sunk(known, limit, at)
    level = max(now.level - PER_CONFIRMATION * CODE, -CREDIT * limit.limit * CODE)
    return replace(now, level=level, confirmed=now.confirmed + 1)


def unblocked(known: NumberRange, at: Instant) -> NumberRange:
    """A person lifted the block: it begins anew."""
    return replace(known, level=0, at=at, blocked_at=None, blocked_until=None)
