"""What a plan asks the ledger to check exactly, inside the transaction that stores it."""

from __future__ import annotations

import msgspec

from clarion.model.channel import Channel
from clarion.model.ids import Instant, MessageId, RunId, UserNo


class CapCharge(msgspec.Struct, frozen=True, kw_only=True):
    """Count this message against a cap; it becomes `throttled` when `limit` others lie inside the window."""

    message_id: MessageId
    user: UserNo
    category: str
    """Whose messages count; empty for those of every category."""
    channel: Channel | None
    """Which of them; None for all channels."""
    scope: str
    """Names the cap: `tenant/*`, `tenant/sms`, `category/marketing/*`, ..."""
    limit: int
    window_s: int
    at: Instant


class DedupeClaim(msgspec.Struct, frozen=True, kw_only=True):
    """The run's messages become `merged` (`duplicate`) when another run holds this key and has not expired."""

    run_id: RunId
    key: bytes
    expires_at: Instant
    at: Instant


class Collapse(msgspec.Struct, frozen=True, kw_only=True):
    """This message replaces the still undelivered message that holds the key (it becomes `merged`, `superseded`)."""

    message_id: MessageId
    key: bytes


class ThreadTurn(msgspec.Struct, frozen=True, kw_only=True):
    """This message waits (`deferred`, `waiting_for_turn`) while the last message of the thread is active."""

    message_id: MessageId
    key: bytes
