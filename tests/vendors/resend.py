"""What Resend answers and reports. https://resend.com/docs/api-reference/errors, https://resend.com/docs/webhooks/event-types

Callbacks are signed by the library of Standard Webhooks, whose signatures Svix's are under other header names.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace
from standardwebhooks import Webhook

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

WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STRANGER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
SENT = Answer.json(200, {"id": "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"})


def error(status: int, name: str, message: str = "", **headers: str) -> Answer:
    """An error of the API."""
    return Answer.json(status, {"statusCode": status, "name": name, "message": message}, **headers)


REPLIES = (
    Recorded(answer=SENT, means=Accepted),
    Recorded(answer=error(422, "validation_error", f"Invalid `to` field: {WORDS}"), means=Rejected),
    Recorded(answer=error(422, "missing_required_field"), means=Rejected),
    Recorded(answer=error(422, "invalid_from_address"), means=Misconfigured),
    Recorded(answer=error(401, "missing_api_key"), means=Misconfigured),
    Recorded(answer=error(401, "restricted_api_key"), means=Misconfigured),
    Recorded(answer=error(403, "invalid_api_key"), means=Misconfigured),
    Recorded(
        answer=error(403, "validation_error", f"The {WORDS} domain is not verified."), means=Misconfigured
    ),
    Recorded(answer=error(451, "security_error"), means=Misconfigured),
    Recorded(answer=error(429, "rate_limit_exceeded", retry_after="2"), means=Retry, after_s=2),
    Recorded(answer=error(429, "daily_quota_exceeded"), means=Retry, after_s=3_600),
    Recorded(answer=error(429, "monthly_quota_exceeded"), means=Retry, after_s=3_600),
    Recorded(answer=error(409, "concurrent_idempotent_requests"), means=Retry),
    Recorded(answer=error(409, "invalid_idempotent_request"), means=Unknown),
    Recorded(answer=error(500, "application_error"), means=Retry),
    Recorded(answer=Answer.text(503, "<html>503</html>"), means=Retry),
    Recorded(answer=Answer.text(200, "<html>Welcome to the hotel</html>"), means=Retry),
)


def event(kind: str, *means: ReceiptKind, permanent: bool = False, **data: Any) -> RecordedCallback:
    """A webhook, not signed."""
    document = {
        "type": f"email.{kind}",
        "created_at": "2026-01-05T11:59:00.000Z",
        "data": {
            "created_at": "2026-01-05T11:58:00.000Z",
            "email_id": "56761188-7520-42d8-8898-ff6fc54ce618",
            "from": "The Shop <news@shop.example>",
            "to": ["ada@contact.example"],
            "subject": WORDS,
            "tags": {"clarion": REFERENCE},
            **data,
        },
    }
    return RecordedCallback(
        content_type="application/json", body=json.dumps(document).encode(), means=means, permanent=permanent
    )


def bounce(type_: str, message: str, *means: ReceiptKind, permanent: bool = False) -> RecordedCallback:
    """One that came back."""
    said = {"type": type_, "subType": "General", "message": message}
    return event("bounced", *means, permanent=permanent, bounce=said)


def signed(secret: str, request: CallbackRequest, at: Instant) -> CallbackRequest:
    """The request with Svix's signature."""
    sent_id = "msg_p5jXN8AQM9LWM0D4loKWxJek"
    body = request.body.decode("utf-8", "surrogateescape")
    try:
        body.encode()
    except UnicodeEncodeError:
        return request  # no service sends what is not UTF-8
    signature = Webhook(secret).sign(sent_id, datetime.fromtimestamp(at // 1000, UTC), body)
    return replace(
        request,
        headers={
            **request.headers,
            "svix-id": sent_id,
            "svix-timestamp": str(at // 1000),
            "svix-signature": signature,
        },
    )


CALLBACKS = CallbackVendor(
    sign=lambda request, at: signed(WEBHOOK_SECRET, request, at),
    stranger=lambda request, at: signed(STRANGER, request, at),
    recorded=(
        event("sent"),
        event("delivered", ReceiptKind.DELIVERED),
        event("delivered", ReceiptKind.DELIVERED, tags=[{"name": "clarion", "value": REFERENCE}]),
        event("delivered", tags={}),
        event("delivery_delayed", ReceiptKind.DELAYED),
        event("opened", ReceiptKind.OPENED),
        event("clicked", ReceiptKind.CLICKED, click={"link": "https://shop.example/"}),
        event("complained", ReceiptKind.COMPLAINED),
        event("failed", ReceiptKind.FAILED, failed={"reason": "reached_daily_quota"}),
        event("suppressed", ReceiptKind.BOUNCED, permanent=True),
        event("received"),
        bounce("Permanent", "550 5.1.1 user unknown", ReceiptKind.BOUNCED, permanent=True),
        bounce(
            "Permanent",
            "The recipient's email address is on the suppression list because it has a recent history of producing hard bounces.",
            ReceiptKind.BOUNCED,
            permanent=True,
        ),
        bounce(
            "Permanent",
            "550 5.7.515 Access denied, sending domain does not meet the required authentication level",
            ReceiptKind.BLOCKED,
        ),
        bounce("Transient", "552 5.2.2 mailbox full", ReceiptKind.BOUNCED),
        bounce("Undetermined", "", ReceiptKind.BOUNCED),
    ),
)
VENDORS = {
    "api": Vendor(
        config=lambda url: {
            "api_key": f"re_{SECRET}",
            "webhook_secret": WEBHOOK_SECRET,
            "from_address": "news@shop.example",
            "from_name": "The Shop",
            "api_url": url,
        },
        accepted=SENT,
        replies=REPLIES,
        never={"Gone": "Resend takes every address, and reports later which do not exist"},
        callbacks=CALLBACKS,
    )
}
