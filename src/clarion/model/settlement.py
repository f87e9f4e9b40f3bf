"""The results of attempts and receipts, as a ledger stores them in one transaction."""

from __future__ import annotations

import msgspec

from clarion.model.device import DeviceRefusal
from clarion.model.endpoint import Delivery
from clarion.model.ids import Instant, MessageId
from clarion.model.inbox import Captured, InboxCard, InboxChange, InboxItem
from clarion.model.message import Message
from clarion.model.receipt import ReceiptKind
from clarion.model.status import Reason, Status
from clarion.model.suppression import Suppression


class Settlement(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What became of one held message. Refused when the fence is old, or the worker does not hold it any more."""

    message: Message
    """As the worker holds it."""
    status: Status
    at: Instant
    reason: Reason | None = None
    due_at: Instant | None = None
    attempt: int
    """Provider calls so far, this one included."""
    unknowns: int = 0
    integration: str | None = None
    outcome: str | None = None
    provider_id: str | None = None
    took_ms: int | None = None
    detail: str | None = None
    traceparent: str | None = None
    record: InboxItem | InboxCard | Captured | Delivery | None = None
    """Stored in the same transaction."""
    copies: tuple[Captured, ...] = ()
    """What was kept for the other devices of the person, stored with it."""
    content: bytes = b""
    """Of an inbox item, as JSON; not stored."""
    cancels: tuple[MessageId, ...] = ()
    """Later rungs to cancel (`ladder_satisfied`) whose calls have not begun."""
    advances: MessageId | None = None
    """The next rung: due now if it is still waiting."""
    suppressions: tuple[Suppression, ...] = ()
    """Addresses that are gone for good."""
    choice: str | None = None
    """Why it went through its integration, when there were several."""
    device_refusals: tuple[DeviceRefusal, ...] = ()
    """Devices whose push service did not take it."""
    paid: bool = False
    """Its call was paid for; given back unless it may have been sent."""


class SettleResult(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What came of a batch of settlements."""

    refused: frozenset[MessageId] = frozenset()
    inbox: tuple[InboxChange, ...] = ()
    """The stored inbox items with their offsets, ready for the fan-out."""


class ReceiptEffect(msgspec.Struct, frozen=True, kw_only=True):
    """What one receipt means for its message, as `rules.receipts` decided it."""

    message: Message
    kind: ReceiptKind
    at: Instant
    status: Status | None = None
    """Where the message goes if it may; None: it stays where it is."""
    reason: Reason | None = None
    detail: str | None = None
    provider_id: str | None = None
    cancels: tuple[MessageId, ...] = ()
    """Later rungs to cancel (`ladder_satisfied`) whose calls have not begun."""
    advances: MessageId | None = None
    """The next rung: due now if it is still waiting."""
    suppression: Suppression | None = None
