"""Live resources: one state that a lock screen, a progress notification, a browser and an inbox card show until it ends."""

from __future__ import annotations

import msgspec

from clarion.model.ids import NO_USER, Instant, TenantId, UserNo
from clarion.model.submission import Recipient


class Live(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One live resource as it is now. This is what gets sealed and stored."""

    tenant: TenantId
    key: str
    id: bytes
    """Another one when the key is used again after the resource was deleted."""
    workflow: str
    """Who is told, through which channels, with which templates: the state is their data."""
    recipients: tuple[str | Recipient, ...]
    state: msgspec.Raw
    """A JSON object."""
    sequence: int
    """Grows with every state."""
    created_at: Instant
    updated_at: Instant
    goes_at: Instant
    """When its state goes out: states of less than a second go together."""
    stale_at: Instant | None = None
    """It ends by itself then, unless another state comes before."""
    ended_at: Instant | None = None
    dismiss_at: Instant | None = None
    """When devices take it off the screen after its end; None: they decide."""
    joined: tuple[str | Recipient, ...] = ()
    """Recipients that are new with this state: for them it starts."""
    left: tuple[str | Recipient, ...] = ()
    """Recipients that are gone with this state: for them it ends."""


class LiveRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A live resource as it lies in the store: sealed, with what the store needs in the clear."""

    tenant: TenantId
    key: str
    id: bytes
    sequence: int
    sealed: bytes
    """The `Live` as JSON."""
    sealed_for: UserNo = NO_USER
    """Whose data key opens it: the only recipient, or `NO_USER` for the tenant's own key."""
    ended_at: Instant | None = None
    due_at: Instant | None = None
    """When somebody has to look at it: its state is not announced yet, it becomes stale, or is kept no longer."""
