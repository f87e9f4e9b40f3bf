"""What Postmark answers and reports.

https://postmarkapp.com/developer/api/overview#error-codes, https://postmarkapp.com/developer/webhooks/webhooks-overview
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from msgspec.structs import replace

from clarion.model.outcome import Accepted, Gone, Misconfigured, Rejected, Retry, Unknown
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

SENT = Answer.json(
    200,
    {
        "To": "ada@contact.example",
        "SubmittedAt": "2026-01-05T11:58:00.7628800-05:00",
        "MessageID": "0a129aee-e1cd-480d-b08d-4f48548ff48d",
        "ErrorCode": 0,
        "Message": "OK",
    },
)


def error(status: int, code: int, message: str = "") -> Answer:
    """An error of the API."""
    return Answer.json(status, {"ErrorCode": code, "Message": message})


REPLIES = (
    Recorded(answer=SENT, means=Accepted),
    Recorded(
        answer=error(422, 406, f"You tried to send to recipient(s) marked inactive: {WORDS}"), means=Gone
    ),
    Recorded(answer=error(422, 300, f"Error parsing 'To': Illegal email address '{WORDS}'"), means=Rejected),
    Recorded(
        answer=error(422, 400, f"The 'From' address {WORDS} is not a Sender Signature"), means=Misconfigured
    ),
    Recorded(answer=error(422, 405, "Not allowed to send"), means=Misconfigured),
    Recorded(answer=error(422, 412, "Your account is pending approval"), means=Misconfigured),
    Recorded(answer=error(422, 413, "Your account may not send"), means=Misconfigured),
    Recorded(answer=error(422, 1235, "The message stream does not exist"), means=Misconfigured),
    Recorded(answer=error(401, 10, "No Account or Server API tokens were supplied"), means=Misconfigured),
    Recorded(answer=Answer.text(413, "too large"), means=Rejected),
    Recorded(answer=Answer.text(429, "slow down", retry_after="5"), means=Retry, after_s=5),
    Recorded(answer=error(500, 0, "Internal Server Error"), means=Retry),
    Recorded(answer=Answer.text(503, "<html>503</html>"), means=Retry),
    Recorded(answer=Answer.text(200, "<html>Welcome to the hotel</html>"), means=Unknown),
)


def event(kind: str, *means: ReceiptKind, permanent: bool = False, **more: Any) -> RecordedCallback:
    """A webhook, without the password."""
    document = {
        "RecordType": kind,
        "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483",
        "MessageStream": "outbound",
        "Tag": "checks",
        "Metadata": {"clarion": REFERENCE},
        "Recipient": "ada@contact.example",
        **more,
    }
    return RecordedCallback(
        content_type="application/json", body=json.dumps(document).encode(), means=means, permanent=permanent
    )


def bounce(type_: str, *means: ReceiptKind, permanent: bool = False, details: str = "") -> RecordedCallback:
    """A bounce of this type."""
    return event(
        "Bounce",
        *means,
        permanent=permanent,
        Type=type_,
        Details=details,
        Email="ada@contact.example",
        BouncedAt="2026-01-05T11:59:00Z",
        Inactive=permanent,
    )


def with_password(password: str, request: CallbackRequest) -> CallbackRequest:
    """The request as it comes when the password was entered at the service."""
    shown = b64encode(f"clarion:{password}".encode()).decode()
    return replace(request, headers={**request.headers, "authorization": f"Basic {shown}"})


CALLBACKS = CallbackVendor(
    sign=lambda request, at: with_password(SECRET, request),
    stranger=lambda request, at: with_password("another", request),
    recorded=(
        event("Delivery", ReceiptKind.DELIVERED, DeliveredAt="2026-01-05T11:59:00Z", Details="250 OK"),
        event("Delivery", Metadata={}),
        event("Open", ReceiptKind.OPENED, FirstOpen=True, ReceivedAt="2026-01-05T11:59:00Z"),
        event("Click", ReceiptKind.CLICKED, OriginalLink="https://shop.example/"),
        event("SpamComplaint", ReceiptKind.COMPLAINED, BouncedAt="2026-01-05T11:59:00Z"),
        event(
            "SubscriptionChange",
            ReceiptKind.UNSUBSCRIBED,
            SuppressSending=True,
            Origin="Recipient",
            SuppressionReason="ManualSuppression",
        ),
        event(
            "SubscriptionChange",
            SuppressSending=True,
            Origin="Customer",
            SuppressionReason="ManualSuppression",
        ),
        event("SubscriptionChange", SuppressSending=False, Origin="Recipient", SuppressionReason=None),
        bounce("HardBounce", ReceiptKind.BOUNCED, permanent=True, details="smtp;550 5.1.1 no such user"),
        bounce(
            "HardBounce",
            ReceiptKind.BLOCKED,
            details="smtp;550 5.7.26 unauthenticated email is not accepted from this domain",
        ),
        bounce("BadEmailAddress", ReceiptKind.BOUNCED, permanent=True),
        bounce("SoftBounce", ReceiptKind.BOUNCED, details="smtp;552 5.2.2 mailbox full"),
        bounce("DnsError", ReceiptKind.BOUNCED),
        bounce("Unknown", ReceiptKind.BOUNCED),
        bounce("Transient", ReceiptKind.DELAYED, details="smtp;421 try again later"),
        bounce("Blocked", ReceiptKind.BLOCKED),
        bounce("SpamNotification", ReceiptKind.BLOCKED),
        bounce("VirusNotification", ReceiptKind.BLOCKED),
        bounce("DMARCPolicy", ReceiptKind.BLOCKED),
        bounce("AutoResponder", ReceiptKind.AUTO_REPLY),
        bounce("ChallengeVerification", ReceiptKind.AUTO_REPLY),
        bounce("SpamComplaint", ReceiptKind.COMPLAINED),
        bounce("Unsubscribe", ReceiptKind.UNSUBSCRIBED),
        bounce("ManuallyDeactivated", ReceiptKind.BOUNCED, permanent=True),
        bounce("SMTPApiError", ReceiptKind.FAILED),
        bounce("Subscribe"),
    ),
)
VENDORS = {
    "server": Vendor(
        config=lambda url: {
            "server_token": SECRET,
            "webhook_password": SECRET,
            "from_address": "news@shop.example",
            "from_name": "The Shop",
            "api_url": url,
        },
        accepted=SENT,
        replies=REPLIES,
        excused={"a_changed_callback_is_refused": "Postmark shows a password, and signs nothing"},
        callbacks=CALLBACKS,
    )
}
