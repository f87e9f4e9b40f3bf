"""Workers: the processes that hold messages."""

from __future__ import annotations

import msgspec


class Reaped(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one look at the workers."""

    workers: int = 0
    """How many were given up."""
    messages: int = 0
    """How many messages of dead workers are due now."""
    more: bool = False
    """There is more to make due: call again."""
