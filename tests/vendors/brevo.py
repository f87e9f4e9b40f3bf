"""What Brevo answers and reports.

https://developers.brevo.com/docs/how-it-works#error-codes, https://developers.brevo.com/docs/transactional-webhooks
"""

from __future__ import annotations

import json
from typing import Any

from clarion.model.outcome import Accepted, Misconfigured, Rejected, Retry, Unknown
from clarion.model.receipt import ReceiptKind
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
from tests.vendors.postmark import with_password

SENT = Answer.json(201, {"messageId": "<202601051158.12345678901@smtp-relay.mailin.fr>"})


def error(status: int, code: str, message: str = "") -> Answer:
    """An error of the API."""
    return Answer.json(status, {"code": code, "message": message})


REPLIES = (
    Recorded(answer=SENT, means=Accepted),
    Recorded(answer=error(400, "invalid_parameter", f"email {WORDS} is not valid in to"), means=Rejected),
    Recorded(answer=error(400, "missing_parameter", "htmlContent is missing"), means=Rejected),
    Recorded(
        answer=error(400, "invalid_parameter", f"valid sender email required {WORDS}"), means=Misconfigured
    ),
    Recorded(answer=error(401, "unauthorized", "Key not found"), means=Misconfigured),
    Recorded(answer=error(402, "not_enough_credits"), means=Misconfigured),
    Recorded(answer=error(403, "permission_denied"), means=Misconfigured),
    Recorded(answer=Answer.text(429, "slow down", retry_after="5"), means=Retry, after_s=5),
    Recorded(answer=error(500, "internal_error"), means=Retry),
    Recorded(answer=Answer.text(200, "<html>Welcome to the hotel</html>"), means=Unknown),
)


def document(kind: str, more: dict[str, Any]) -> dict[str, Any]:
    """An event."""
    return {
        "event": kind,
        "email": "ada@contact.example",
        "id": 12345,
        "ts_event": 1_767_614_300,
        "message-id": "<202601051158.12345678901@smtp-relay.mailin.fr>",
        "subject": WORDS,
        "tags": ["checks"],
        "X-Mailin-custom": REFERENCE,
        **more,
    }


def event(kind: str, *means: ReceiptKind, permanent: bool = False, **more: Any) -> RecordedCallback:
    """A webhook, without the password."""
    return RecordedCallback(
        content_type="application/json",
        body=json.dumps(document(kind, more)).encode(),
        means=means,
        permanent=permanent,
    )


NOT_OURS = RecordedCallback(content_type="application/json", body=b'{"event": "delivered"}')

CALLBACKS = CallbackVendor(
    sign=lambda request, at: with_password(SECRET, request),
    stranger=lambda request, at: with_password("another", request),
    recorded=(
        event("request"),
        event("delivered", ReceiptKind.DELIVERED),
        NOT_OURS,
        event("deferred", ReceiptKind.DELAYED, reason="421 try again later"),
        event("opened", ReceiptKind.OPENED),
        event("unique_opened", ReceiptKind.OPENED),
        event("proxy_open"),
        event("click", ReceiptKind.CLICKED, link="https://shop.example/"),
        event("spam", ReceiptKind.COMPLAINED),
        event("unsubscribed", ReceiptKind.UNSUBSCRIBED),
        event("hard_bounce", ReceiptKind.BOUNCED, permanent=True, reason="550 5.1.1 no such user"),
        event("hard_bounce", ReceiptKind.BOUNCED, permanent=True),
        event(
            "hard_bounce",
            ReceiptKind.BLOCKED,
            reason="550 5.7.26 unauthenticated email is not accepted from this domain",
        ),
        event("soft_bounce", ReceiptKind.BOUNCED, reason="552 5.2.2 mailbox full"),
        event("blocked", ReceiptKind.BOUNCED, permanent=True),
        event("invalid_email", ReceiptKind.BOUNCED, permanent=True),
        event("error", ReceiptKind.FAILED),
        RecordedCallback(
            content_type="application/json",
            body=json.dumps([document("delivered", {}), document("click", {}), 7]).encode(),
            means=(ReceiptKind.DELIVERED, ReceiptKind.CLICKED),
            unread=True,
        ),
    ),
)
VENDORS = {
    "smtp email": Vendor(
        config=lambda url: {
            "api_key": f"xkeysib-{SECRET}",
            "webhook_password": SECRET,
            "from_address": "news@shop.example",
            "from_name": "The Shop",
            "api_url": url,
        },
        accepted=SENT,
        replies=REPLIES,
        never={"Gone": "Brevo takes every address, and reports later which do not exist"},
        excused={"a_changed_callback_is_refused": "Brevo shows a password, and signs nothing"},
        callbacks=CALLBACKS,
    )
}
