"""What somebody asked to have taken back after it was sent, until that is done or cannot be done."""

from __future__ import annotations

import msgspec

from clarion.model.ids import Instant, MessageId, TenantId, UserNo


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A message that is to be withdrawn, or to show other content."""

    tenant: TenantId
    user: UserNo
    message_id: MessageId
    asked_at: Instant
    due_at: Instant
    attempt: int = 0
    """Provider calls so far."""
    sealed: bytes | None = None
    """What it is to show from now on, as JSON, sealed under the user's key; None: nothing, it is withdrawn."""
