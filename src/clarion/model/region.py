"""Two regions: how the two servers of one database stand, and how much of a cap may be spent while one of them is away."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Share(StrEnum):
    """How much of each frequency cap this region may spend."""

    WHOLE = "whole"
    LARGER_HALF = "larger_half"
    """At home, while nothing is copied to the other region."""
    SMALLER_HALF = "smaller_half"
    """In the region that took over a copy which may not be complete."""


class ServerState(msgspec.Struct, frozen=True, kw_only=True):
    """What a PostgreSQL server says of itself."""

    standby: bool
    """It only follows another server."""
    timeline: int
    """Grows with every promotion: of two primaries the one with the larger number was promoted later."""
    position: int
    """Bytes of the log that it has written, or, as a standby, replayed."""
    last_commit_ms: int | None = None
    """When the last transaction that it replayed was committed; None for a primary."""
    awaited: bool = False
    """Its settings let commits wait for a standby."""
    mirrored: bool = False
    """It does, and the standby is there."""
    handed_over: int = 0
    """The timeline on which its region stopped working, to hand the users over."""
    taken_over: int = 0
    """The timeline on which somebody said that the other region does not work."""
    incomplete: int = 0
    """The timeline that began with a copy which may not be complete."""
