"""What events and messages say of a live resource."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from clarion.model.ids import Instant


class LiveEvent(StrEnum):
    """What happens to a live resource, in the words of Live Activities."""

    START = "start"
    UPDATE = "update"
    END = "end"


class LiveUpdate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which state of a live resource something is about."""

    id: bytes
    """Of the live resource: one that is made again under the same key has another."""
    key: str
    event: LiveEvent
    sequence: int
    """Grows with every state."""
    at: Instant
    """When the state goes out: devices show none that is older than what they show already."""
    stale_at: Instant | None = None
    """From when on the state is out of date."""
    dismiss_at: Instant | None = None
    """When what has ended is taken off the screen; None: the device decides."""
