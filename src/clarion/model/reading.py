"""How far sources and sinks have come, and what of theirs waits for a person."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from clarion.model.ids import Instant, TenantId, WorkerId

WHOLE = ""
"""The partition of what has none, and of what was not read yet."""

USERS, FOLLOWED = "users", "1"
"""In the position of a sink that is told what becomes of users: it is recorded from then on."""


class ReadingKind(StrEnum):
    """What reads on from a position."""

    SOURCE = "source"
    SINK = "sink"


class ReadingPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Whose position it is."""

    tenant: TenantId
    kind: ReadingKind
    key: str


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """How far a sink has come, or one partition of a source."""

    position: Mapping[str, str] = {}
    """By partition, the offset of the last record that is done. Empty: nothing was read yet, or the server keeps none."""
    fence: int = 0
    """Another one whenever somebody else reads on, or a person moved the position."""
    repeat: int = 0
    """How often a person asked that records which were done are done again."""
    lag: int | None = None
    """Records that wait here, or seconds that a sink is behind, as of `at`; None: not known."""
    trouble: str = ""
    """Why nothing can be read now; empty when it can."""
    at: Instant | None = None
    """When it was stored last."""
    reader: WorkerId | None = None
    """Who reads on from here; None: nobody who lives."""


class DeadRecordKind(StrEnum):
    """What could not be done."""

    SOURCE_RECORD = "source_record"
    SINK_EVENT = "sink_event"


class DeadRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record of a source, or an event for a sink, that waits for a person."""

    tenant: TenantId
    kind: DeadRecordKind
    origin: str
    """Key of the source or the sink."""
    place: str
    """Where it stands: topic, partition and offset, or the event's id. The same one is kept once."""
    reason: str
    detail: str
    sealed: bytes
    """The record or event, under the tenant's key."""
    at: Instant
    seq: int = 0


class DeadRecordFilter(msgspec.Struct, frozen=True, kw_only=True):
    """All given fields must match."""

    kind: DeadRecordKind | None = None
    origin: str | None = None
