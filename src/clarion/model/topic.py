"""Topics: explicit groups that users subscribe to."""

from __future__ import annotations

import msgspec


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """A group users subscribe to."""

    key: str
    name: str = ""
    members: int = 0
