"""What is left of the limits of a provider, which all processes share."""

from __future__ import annotations

import msgspec

from clarion.model.ids import Instant


class QuotaAsk(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Calls that are about to be made through an integration, and its limits as they are now."""

    costs: tuple[int, ...]
    """Of each message, in order: how many calls it takes."""
    per_second: float | None = None
    reserve: float = 0.0
    """Calls of a second that are left for somebody more urgent."""
    per_day: int | None = None
    day: str = ""
    """`2026-05-04`, where the limit of a day holds."""
    resets_at: Instant = Instant(0)
    """When the next day begins."""
    held_s: float = 0.0
    """How long what is taken may be kept before it is used: so much less of a second's limit piles up."""


class QuotaGrant(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """How many of the messages may go now."""

    granted: int
    wait_ms: int = 0
    """How long the others should wait."""
    by_day: bool = False
    """The others wait for the next day."""
    used: int = 0
    """Calls of this day, these included."""


class QuotaState(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of the limits of an integration."""

    tokens: float | None = None
    """Left of the limit of a second, at `at`; None: nothing has been taken yet."""
    at: Instant = Instant(0)
    day: str = ""
    used: int = 0
    """Calls of that day."""
