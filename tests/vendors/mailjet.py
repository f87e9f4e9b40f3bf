"""What Mailjet answers and reports.

https://dev.mailjet.com/email/guides/send-api-v31/, https://dev.mailjet.com/email/guides/webhooks/
"""

from __future__ import annotations

import json
from typing import Any

from clarion.model.outcome import Accepted, Gone, Misconfigured, Rejected, Retry, Unknown
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

SENT = Answer.json(
    200,
    {
        "Messages": [
            {
                "Status": "success",
                "CustomID": "",
                "To": [
                    {
                        "Email": "ada@contact.example",
                        "MessageUUID": "0faa5b0a-9e8c-4b6b-a1bb-e2dcbbd4e7a4",
                        "MessageID": 576460752303,
                    }
                ],
            }
        ]
    },
)


def error(status: int, code: str, *about: str) -> Answer:
    """An error of one message."""
    found = {"ErrorCode": code, "StatusCode": status, "ErrorMessage": WORDS, "ErrorRelatedTo": about}
    return Answer.json(status, {"Messages": [{"Status": "error", "Errors": [found]}]})


REPLIES = (
    Recorded(answer=SENT, means=Accepted),
    Recorded(answer=error(400, "mj-0013", "To[0].Email"), means=Gone),
    Recorded(answer=error(400, "mj-0013", "From.Email"), means=Misconfigured),
    Recorded(answer=error(403, "send-0008", "From"), means=Misconfigured),
    Recorded(answer=error(400, "send-0003", "HTMLPart"), means=Rejected),
    Recorded(
        answer=Answer.json(401, {"StatusCode": 401, "ErrorMessage": "API key authentication failure"}),
        means=Misconfigured,
    ),
    Recorded(answer=Answer.text(413, "too large"), means=Rejected),
    Recorded(answer=Answer.text(429, "slow down", retry_after="5"), means=Retry, after_s=5),
    Recorded(answer=Answer.json(500, {"ErrorMessage": "Internal error"}), means=Retry),
    Recorded(answer=Answer.text(200, "<html>Welcome to the hotel</html>"), means=Unknown),
)


def document(kind: str, more: dict[str, Any]) -> dict[str, Any]:
    """An event."""
    return {
        "event": kind,
        "time": 1_767_614_300,
        "MessageID": 576460752303,
        "Message_GUID": "0faa5b0a-9e8c-4b6b-a1bb-e2dcbbd4e7a4",
        "email": "ada@contact.example",
        "CustomID": REFERENCE,
        "Payload": "",
        **more,
    }


def event(kind: str, *means: ReceiptKind, permanent: bool = False, **more: Any) -> RecordedCallback:
    """A callback, without the password."""
    return RecordedCallback(
        content_type="application/json",
        body=json.dumps(document(kind, more)).encode(),
        means=means,
        permanent=permanent,
    )


CALLBACKS = CallbackVendor(
    sign=lambda request, at: with_password(SECRET, request),
    stranger=lambda request, at: with_password("another", request),
    recorded=(
        event("sent", ReceiptKind.DELIVERED, smtp_reply="250 OK"),
        event("sent", CustomID=""),
        event("open", ReceiptKind.OPENED),
        event("click", ReceiptKind.CLICKED, url="https://shop.example/"),
        event("spam", ReceiptKind.COMPLAINED, source="JMRPP"),
        event("unsub", ReceiptKind.UNSUBSCRIBED),
        event(
            "bounce",
            ReceiptKind.BOUNCED,
            permanent=True,
            hard_bounce=True,
            error_related_to="recipient",
            error="user unknown",
            comment="550 5.1.1 no such user",
        ),
        event(
            "bounce",
            ReceiptKind.BOUNCED,
            permanent=True,
            hard_bounce=True,
            error_related_to="recipient",
            error="user unknown",
        ),
        event(
            "bounce",
            ReceiptKind.BOUNCED,
            hard_bounce=False,
            error_related_to="recipient",
            error="quota exceeded",
        ),
        event(
            "bounce",
            ReceiptKind.BLOCKED,
            hard_bounce=True,
            error_related_to="system",
            comment="550 5.7.515 Access denied, sending domain does not meet the required authentication level",
        ),
        event("bounce", ReceiptKind.BLOCKED, hard_bounce=False, error_related_to="spam"),
        event("blocked", ReceiptKind.BOUNCED, permanent=True, error_related_to="mailjet", error="preblocked"),
        event("blocked", ReceiptKind.BLOCKED, error_related_to="content", error="content blocked"),
        event("blocked", ReceiptKind.FAILED, error_related_to="mailjet", error="duplicate in campaign"),
        event("something new"),
        RecordedCallback(
            content_type="application/json",
            body=json.dumps([document("sent", {}), document("open", {}), 7]).encode(),
            means=(ReceiptKind.DELIVERED, ReceiptKind.OPENED),
            unread=True,
        ),
    ),
)
VENDORS = {
    "send": Vendor(
        config=lambda url: {
            "api_key": "0123456789abcdef",
            "secret_key": SECRET,
            "webhook_password": SECRET,
            "from_address": "news@shop.example",
            "from_name": "The Shop",
            "api_url": url,
        },
        accepted=SENT,
        replies=REPLIES,
        excused={"a_changed_callback_is_refused": "Mailjet shows a password, and signs nothing"},
        callbacks=CALLBACKS,
    )
}
