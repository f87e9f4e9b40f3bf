"""What Mailgun answers and reports.

https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages,
https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhook-payloads
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from msgspec.structs import replace

from clarion.model.ids import Instant
from clarion.model.outcome import Accepted, Misconfigured, Rejected, Retry, Unknown
from clarion.model.receipt import ReceiptKind
from clarion.ports.callback import CallbackRequest
from clarion.testing.provider_contract import (
    REFERENCE,
    SECRET,
    WORDS,
    CallbackVendor,
    Recorded,
    RecordedCallback,
    Vendor,
)
from clarion.testing.scripted_server import Answer

SENT = Answer.json(200, {"id": "<20260105115800.1.ABC@mg.shop.example>", "message": "Queued. Thank you."})
REPLIES = (
    Recorded(answer=SENT, means=Accepted),
    Recorded(
        answer=Answer.json(400, {"message": f"to parameter is not a valid address: {WORDS}"}), means=Rejected
    ),
    Recorded(answer=Answer.text(401, "Forbidden"), means=Misconfigured),
    Recorded(answer=Answer.json(402, {"message": "Payment required"}), means=Misconfigured),
    Recorded(answer=Answer.json(403, {"message": "Domain is not allowed to send"}), means=Misconfigured),
    Recorded(answer=Answer.json(404, {"message": f"Domain not found: {WORDS}"}), means=Misconfigured),
    Recorded(answer=Answer.text(413, "too large"), means=Rejected),
    Recorded(answer=Answer.text(429, "slow down", retry_after="5"), means=Retry, after_s=5),
    Recorded(answer=Answer.json(500, {"message": "Internal Server Error"}), means=Retry),
    Recorded(answer=Answer.text(200, "<html>Welcome to the hotel</html>"), means=Unknown),
)


def event(kind: str, *means: ReceiptKind, permanent: bool = False, **more: Any) -> RecordedCallback:
    """A webhook, not signed."""
    data = {
        "event": kind,
        "id": "CPgfbmQMTCKtHW6uIWtuVe",
        "timestamp": 1_767_614_300.978,
        "recipient": "ada@contact.example",
        "message": {"headers": {"message-id": "20260105115800.1.ABC@mg.shop.example"}},
        "user-variables": {"clarion": REFERENCE},
        **more,
    }
    return RecordedCallback(
        content_type="application/json",
        body=json.dumps({"event-data": data}).encode(),
        means=means,
        permanent=permanent,
    )


def failed(
    severity: str, reason: str, *means: ReceiptKind, permanent: bool = False, message: str = ""
) -> RecordedCallback:
    """One that did not arrive."""
    said = {"code": 550, "message": message, "description": ""}
    more = {"severity": severity, "reason": reason, "delivery-status": said}
    return event("failed", *means, permanent=permanent, **more)


NOT_OURS = RecordedCallback(
    content_type="application/json", body=b'{"event-data": {"event": "delivered", "user-variables": {}}}'
)


def signed(key: str, request: CallbackRequest, at: Instant) -> CallbackRequest:
    """The request with Mailgun's signature: in its body."""
    try:
        document = json.loads(request.body)
    except (ValueError, RecursionError):
        return request
    if not isinstance(document, dict):
        return request
    sent_at, token = str(at // 1000), "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0"
    signature = hmac.new(key.encode(), f"{sent_at}{token}".encode(), hashlib.sha256).hexdigest()
    parts = {"timestamp": sent_at, "token": token, "signature": signature}
    return replace(request, body=json.dumps({**document, "signature": parts}).encode())


CALLBACKS = CallbackVendor(
    sign=lambda request, at: signed(SECRET, request, at),
    stranger=lambda request, at: signed("another", request, at),
    recorded=(
        event("accepted"),
        event("delivered", ReceiptKind.DELIVERED),
        NOT_OURS,
        event("opened", ReceiptKind.OPENED),
        event("clicked", ReceiptKind.CLICKED),
        event("unsubscribed", ReceiptKind.UNSUBSCRIBED),
        event("complained", ReceiptKind.COMPLAINED),
        event("rejected", ReceiptKind.FAILED),
        failed("temporary", "generic", ReceiptKind.DELAYED, message="421 4.4.1 try again later"),
        failed("permanent", "bounce", ReceiptKind.BOUNCED, permanent=True, message="550 5.1.1 no such user"),
        failed("permanent", "bounce", ReceiptKind.BOUNCED, permanent=True),
        failed(
            "permanent",
            "bounce",
            ReceiptKind.BLOCKED,
            message="550 5.7.515 Access denied, sending domain does not meet the required authentication level",
        ),
        failed("permanent", "generic", ReceiptKind.BOUNCED, permanent=True, message="550 5.1.1 no such user"),
        failed("permanent", "generic", ReceiptKind.BOUNCED, message="552 5.2.2 mailbox full"),
        failed("permanent", "old", ReceiptKind.BOUNCED),
        failed("permanent", "espblock", ReceiptKind.BLOCKED),
        failed("permanent", "suppress-bounce", ReceiptKind.BOUNCED, permanent=True),
        failed("permanent", "suppress-complaint", ReceiptKind.BOUNCED, permanent=True),
        failed("permanent", "suppress-unsubscribe", ReceiptKind.BOUNCED, permanent=True),
    ),
)
VENDORS = {
    "domain": Vendor(
        config=lambda url: {
            "api_key": f"key-{SECRET}",
            "domain": "mg.shop.example",
            "webhook_key": SECRET,
            "from_address": "news@mg.shop.example",
            "from_name": "The Shop",
            "api_url": url,
        },
        accepted=SENT,
        replies=REPLIES,
        never={"Gone": "Mailgun takes every address, and reports later which do not exist"},
        excused={"a_changed_callback_is_refused": "Mailgun signs a time and a token, not what it reports"},
        callbacks=CALLBACKS,
    )
}
