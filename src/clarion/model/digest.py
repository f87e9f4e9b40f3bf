"""Digests: what several events become together, and which of them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from clarion.model.ids import EventId, Instant, RunId, TenantId, UserNo, run_id
from clarion.model.run import RunRow

MOST_ITEMS = 10_000
"""Of one digest, whatever its workflow says."""


class DigestClose(StrEnum):
    """Why a digest takes no more items. docs/reference/workflow-steps.md explains each one."""

    TIME = "time"
    FLUSH = "flush"
    MAX_ITEMS = "max_items"
    LOOK_BACK = "look_back"
    ALONE = "alone"
    CRITICAL = "critical"
    CANCELED = "canceled"


class DigestRule(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """How long a digest takes items, as the step that opens it says."""

    window_ms: int = 0
    closes_at: Instant | None = None
    """At a time of its own instead, whenever it opens."""
    most_ms: int | None = None
    """Every item makes it last `window_ms` from then on, and never longer than this in all. None: no item moves its end."""
    most_items: int = MOST_ITEMS
    look_back_ms: int | None = None
    """An item goes on at once when no digest of its slot closed so shortly before."""
    quiet: tuple[Instant, Instant] | None = None
    """An end from the first of these instants on is moved to the second, unless `most_ms` is over before."""


class DigestRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A digest as it is stored. The one with the highest `number` of its slot is the only one that may be open."""

    id: EventId
    """Of the event that it becomes; of its run, too, in the end."""
    tenant: TenantId
    user: UserNo
    workflow: str
    step: str
    slot: bytes | None
    """Of what is collected together: a keyed hash. None: an item that went past its slot, alone."""
    number: int
    """Among those of its slot, from 1."""
    opened_at: Instant
    closes_at: Instant
    latest_at: Instant | None
    """Items move `closes_at`, and not beyond this. None: they do not."""
    window_ms: int
    most_items: int
    touched_at: Instant
    """When it was changed last."""
    items: int = 0
    withdrawn: int = 0
    """Items whose event was canceled while it was open."""
    closed_at: Instant | None = None
    """From when on it takes no more; None: it is open."""
    cause: DigestClose | None = None
    total: int | None = None
    """How many events its run tells of; None: that has not gone on yet."""
    previous_at: Instant | None = None
    """When the one before it in its slot closed; only where it is closed itself."""
    previous_total: int = 0

    @property
    def run(self) -> RunId:
        """Its run."""
        return run_id(self.id, self.workflow, self.user)


class DigestItem(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A run that has come to a digest, where it ends. The store decides which digest it joins or opens."""

    run: RunId
    part: RunId
    """The part of its explanation that says so."""
    event_id: EventId
    at: Instant
    """Of its event: items are in this order."""
    now: Instant
    """When it was planned. Windows count from here."""
    slot: bytes
    rule: DigestRule
    closes: DigestClose | None = None
    """It closes the digest with it (`flush`; `time`: at once is its time), or goes on at once by itself (`alone`, `critical`)."""
    sealed: bytes
    """What the digest tells of it, under the user's key."""
    cancellation_key: bytes | None = None
    opens: RunRow
    """The run of the digest that it opens, if it does, but for its due time."""


class StoredItem(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An item of a digest."""

    run: RunId
    digest: EventId
    event_id: EventId
    at: Instant
    withdrawn_at: Instant | None = None
    sealed: bytes | None = None
    """Gone once the run of the digest went on."""
    cancellation_key: bytes | None = None


class ItemContent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a digest tells of an item."""

    data: msgspec.Raw
    """Of its event."""
    actor: str | None = None
    outputs: Mapping[str, Mapping[str, Any]] = {}
    """What the steps before the digest left."""
    expires_at: Instant | None = None
    stands_for: int = 1
    """How many events it is."""
    order: float | str | None = None
    """By what its step sorts; None: it comes behind those that have something."""


class DigestTold(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A closed digest, and what its run tells of it."""

    row: DigestRow
    total: int
    """How many events."""
    expired: int = 0
    """Items that are not told, because their time is over."""
    events: tuple[EventId, ...] = ()
    """Those of its first items."""


class DigestTotal(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The run of a digest goes on, or is over: how many events it tells of. Says nothing of other runs."""

    run: RunId
    digest: EventId
    total: int
