"""Receipts: what a provider, a mail server or the user reports about a sent message."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from clarion.model.ids import Instant, MessageId, TenantId
from clarion.model.status import Reason


class ReceiptKind(StrEnum):
    """What a receipt reports."""

    DELIVERED = "delivered"
    BOUNCED = "bounced"
    BLOCKED = "blocked"
    COMPLAINED = "complained"
    DELAYED = "delayed"
    AUTO_REPLY = "auto_reply"
    OPENED = "opened"
    CLICKED = "clicked"
    UNSUBSCRIBED = "unsubscribed"
    FAILED = "failed"
    ACKNOWLEDGED = "acknowledged"
    WITHDRAWN = "withdrawn"
    EDITED = "edited"
    NOT_WITHDRAWN = "not_withdrawn"


KIND_DOC: dict[ReceiptKind, str] = {
    ReceiptKind.DELIVERED: "It arrived.",
    ReceiptKind.BOUNCED: "It came back. `permanent`: the address will never work; else it could not be reached this time.",
    ReceiptKind.BLOCKED: "The receiver refused the sender or the content: reputation, policy, spam. The address is fine.",
    ReceiptKind.COMPLAINED: "The person called it spam.",
    ReceiptKind.DELAYED: "It has not arrived yet; whoever carries it keeps trying.",
    ReceiptKind.AUTO_REPLY: "A machine answered for the person: absent, or asking the sender to prove something.",
    ReceiptKind.OPENED: "It was opened, as far as that can be told.",
    ReceiptKind.CLICKED: "A link in it was followed.",
    ReceiptKind.UNSUBSCRIBED: "The person left through the provider or their mail service: opted out of the category on this channel.",
    ReceiptKind.ACKNOWLEDGED: "The person said that they have heard or read it, such as by a digit in a call.",
    ReceiptKind.WITHDRAWN: "Clarion took it back, or asked the app of the device to remove it.",
    ReceiptKind.EDITED: "Clarion had it show something else.",
    ReceiptKind.NOT_WITHDRAWN: "It should be withdrawn or edited, and cannot be; the detail says why.",
    ReceiptKind.FAILED: "The provider gave up, for a reason that says nothing about the address.",
}


TAKEN_BACK = (ReceiptKind.WITHDRAWN, ReceiptKind.EDITED, ReceiptKind.NOT_WITHDRAWN)
"""What Clarion itself reports of messages that were to be withdrawn or edited."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """One report about one message. Repeating it changes nothing."""

    tenant: TenantId
    message_id: MessageId
    kind: ReceiptKind
    at: Instant
    permanent: bool = False
    """A bounce only: the address is gone for good."""
    reason: Reason | None = None
    """Why, where that is more exact than the kind."""
    integration: str = ""
    """Key of the integration whose provider says so; empty: it was not a provider."""
    contact: bytes = b""
    """Hash of the contact it is about; empty: the one the message went to, as far as it can be told."""
    detail: str = ""
    """The reporter's words, without addresses and content."""
    provider_id: str | None = None
