"""Decides what a receipt means for its message: status, next ladder steps, and suppression of the address."""

from __future__ import annotations

from typing import NamedTuple

from clarion.model.ids import MessageId
from clarion.model.message import Message
from clarion.model.receipt import Receipt, ReceiptKind
from clarion.model.setup import Success
from clarion.model.status import Reason, Status
from clarion.rules import ladder

SOFT_BOUNCES = 5
"""An address that came back this often within `SOFT_WINDOW_MS` is done for."""
SOFT_WINDOW_MS = 14 * 24 * 3_600_000

COMPLAINT = "complaint"
SOFT_BOUNCE_LIMIT = "soft_bounces"


class Interpretation(NamedTuple):
    """See the module."""

    status: Status | None
    reason: Reason | None
    cancels: tuple[MessageId, ...]
    advances: MessageId | None
    suppress: str
    """Why the address must not be used again; empty: it may."""


_ARRIVED = frozenset(
    {
        ReceiptKind.DELIVERED,
        ReceiptKind.COMPLAINED,
        ReceiptKind.OPENED,
        ReceiptKind.CLICKED,
        ReceiptKind.ACKNOWLEDGED,
    }
)
"""Only what arrived can be complained about, opened, clicked or acknowledged."""
_ATTENTION = {
    Success.SEEN.value: frozenset({ReceiptKind.OPENED, ReceiptKind.CLICKED, ReceiptKind.ACKNOWLEDGED}),
    Success.READ.value: frozenset({ReceiptKind.CLICKED, ReceiptKind.ACKNOWLEDGED}),
}
"""Mail programs fetch pictures unasked, so being opened proves that it was seen at most, never that it was read."""


def interpret(message: Message, receipt: Receipt, soft_bounces: int = 0, beside: str = "") -> Interpretation:
    """`soft_bounces`: how many earlier messages to the same person came back softly within the window. `beside`: what
    the ladder waits for beside which the message went.
    """
    status, reason = _move(message, receipt)
    cancels, advances = ladder.after(message, status) if status is not None else ((), None)
    if receipt.kind in _ATTENTION.get(message.until or beside, ()):
        cancels = message.later_rungs
    return Interpretation(status, reason, cancels, advances, _suppress(receipt, soft_bounces))


def is_soft(receipt: Receipt) -> bool:
    """It came back, and the address may work another time."""
    return receipt.kind is ReceiptKind.BOUNCED and not receipt.permanent


def _move(message: Message, receipt: Receipt) -> tuple[Status | None, Reason | None]:
    if receipt.kind in _ARRIVED:
        return Status.DELIVERED, None
    if receipt.integration not in ("", message.integration):
        return None, None  # The message has gone another way since: that one decides.
    if receipt.kind is ReceiptKind.BLOCKED:
        return Status.UNDELIVERED, receipt.reason or Reason.BLOCKED
    if receipt.kind is ReceiptKind.FAILED:
        return Status.UNDELIVERED, receipt.reason or Reason.PROVIDER_ERROR
    if receipt.kind is not ReceiptKind.BOUNCED:
        return None, None
    if receipt.permanent:
        return Status.BOUNCED, receipt.reason or Reason.ADDRESS_GONE
    return Status.UNDELIVERED, Reason.SOFT_BOUNCE


def _suppress(receipt: Receipt, soft_bounces: int) -> str:
    if receipt.kind is ReceiptKind.COMPLAINED:
        return COMPLAINT
    if receipt.kind is ReceiptKind.BOUNCED and receipt.permanent:
        return (receipt.reason or Reason.ADDRESS_GONE).value
    if is_soft(receipt) and soft_bounces + 1 >= SOFT_BOUNCES:
        return SOFT_BOUNCE_LIMIT
    return ""
