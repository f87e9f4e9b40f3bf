"""What SendGrid answers and reports.

https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send#responses,
https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event. That our signatures are as SendGrid's is proven by
the vector of its SDK, see tests/unit/adapters/providers/test_sendgrid.py.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec.structs import replace

from clarion.model.ids import Instant
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

KEY = derive_private_key(1_234_567, SECP256R1())
STRANGER = derive_private_key(7_654_321, SECP256R1())
WEBHOOK_KEY = b64encode(
    KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()
SENT = Answer(status=202, headers={"x-message-id": "LRzXl_NHStOGhQ4kofSm_A"})


def error(status: int, message: str, field: str | None = None, **headers: str) -> Answer:
    """An error of the API."""
    return Answer.json(status, {"errors": [{"message": message, "field": field, "help": None}]}, **headers)


REPLIES = (
    Recorded(answer=SENT, means=Accepted),
    Recorded(
        answer=error(400, f"Does not contain a valid address: {WORDS}", "personalizations.0.to.0.email"),
        means=Gone,
    ),
    Recorded(answer=error(400, "The content value must be a string", "content.0.value"), means=Rejected),
    Recorded(answer=error(400, "Bad Request"), means=Rejected),
    Recorded(
        answer=error(400, "The from email does not contain a valid address.", "from.email"),
        means=Misconfigured,
    ),
    Recorded(
        answer=error(401, "The provided authorization grant is invalid, expired, or revoked"),
        means=Misconfigured,
    ),
    Recorded(
        answer=error(403, "The from address does not match a verified Sender Identity.", "from"),
        means=Misconfigured,
    ),
    Recorded(answer=Answer.text(413, "<html><h1>413 Request Entity Too Large</h1></html>"), means=Rejected),
    Recorded(answer=error(429, "too many requests", retry_after="3"), means=Retry, after_s=3),
    Recorded(answer=error(451, "data residency"), means=Misconfigured),
    Recorded(answer=error(500, "internal error"), means=Retry),
    Recorded(answer=Answer.text(503, "<html>503</html>"), means=Retry),
    Recorded(answer=Answer.text(504, "<html>504</html>"), means=Unknown),
)

EVENT = {
    "email": "ada@contact.example",
    "timestamp": 1_767_614_300,
    "smtp-id": "<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>",
    "category": ["checks"],
    "sg_event_id": "ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",
    "sg_message_id": "LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",
    "clarion": REFERENCE,
}


def events(
    *documents: dict[str, Any], means: tuple[ReceiptKind, ...] = (), permanent: bool = False
) -> RecordedCallback:
    """A request with these events, each with what all have in common; ends as SendGrid's do."""
    body = json.dumps([EVENT | document for document in documents], separators=(",", ":")) + "\r\n"
    return RecordedCallback(
        content_type="application/json", body=body.encode(), means=means, permanent=permanent
    )


def bounce(
    reason: str, status: str, *kind: ReceiptKind, permanent: bool = False, **more: str
) -> RecordedCallback:
    """One that came back."""
    document = {"event": "bounce", "type": "bounce", "reason": reason, "status": status, **more}
    return events(document, means=kind, permanent=permanent)


def dropped(reason: str, kind: ReceiptKind, *, permanent: bool = False) -> RecordedCallback:
    """One that SendGrid did not try to deliver."""
    return events({"event": "dropped", "reason": reason}, means=(kind,), permanent=permanent)


def signed(key: EllipticCurvePrivateKey, request: CallbackRequest, at: Instant) -> CallbackRequest:
    """The request with the signature of an event webhook."""
    sent_at = str(at // 1000)
    signature = key.sign(sent_at.encode() + request.body, ECDSA(SHA256()))
    return replace(
        request,
        headers={
            **request.headers,
            "x-twilio-email-event-webhook-timestamp": sent_at,
            "x-twilio-email-event-webhook-signature": b64encode(signature).decode(),
        },
    )


CALLBACKS = CallbackVendor(
    sign=lambda request, at: signed(KEY, request, at),
    stranger=lambda request, at: signed(STRANGER, request, at),
    recorded=(
        events({"event": "processed"}),
        events({"event": "delivered", "response": "250 OK"}, means=(ReceiptKind.DELIVERED,)),
        events(
            {"event": "deferred", "response": "450 4.2.1 try again later", "attempt": "2"},
            means=(ReceiptKind.DELAYED,),
        ),
        bounce("550 5.1.1 no such user here", "5.1.1", ReceiptKind.BOUNCED, permanent=True),
        bounce("500 unknown recipient", "5.0.0", ReceiptKind.BOUNCED, permanent=True),
        bounce("552 5.2.2 mailbox full", "5.2.2", ReceiptKind.BOUNCED),
        bounce("", "", ReceiptKind.BOUNCED, permanent=True),
        bounce(
            "550 5.7.515 Access denied, sending domain does not meet the required authentication level",
            "5.7.515",
            ReceiptKind.BLOCKED,
        ),
        bounce(
            "550-5.7.26 This mail has been blocked because the sender is unauthenticated",
            "5.7.26",
            ReceiptKind.BLOCKED,
            type="blocked",
        ),
        bounce(
            "421 4.7.28 unusual rate of unsolicited mail from your IP",
            "4.7.28",
            ReceiptKind.BLOCKED,
            type="blocked",
        ),
        bounce("", "", ReceiptKind.BLOCKED, type="blocked"),
        bounce("451 4.3.0 temporary failure, try again later", "4.3.0", ReceiptKind.BOUNCED, type="blocked"),
        dropped("Bounced Address", ReceiptKind.BOUNCED, permanent=True),
        dropped("Invalid", ReceiptKind.BOUNCED, permanent=True),
        dropped("Unsubscribed Address", ReceiptKind.BOUNCED, permanent=True),
        dropped("Spam Reporting Address", ReceiptKind.BOUNCED, permanent=True),
        dropped("Spam Content (if spam checker app enabled)", ReceiptKind.BLOCKED),
        dropped("Recipient List over Package Quota", ReceiptKind.FAILED),
        dropped("Invalid SMTPAPI header", ReceiptKind.FAILED),
        events({"event": "open", "useragent": "Mozilla", "ip": "192.0.2.1"}, means=(ReceiptKind.OPENED,)),
        events({"event": "open", "sg_machine_open": True}),
        events({"event": "click", "url": "https://shop.example/"}, means=(ReceiptKind.CLICKED,)),
        events({"event": "spamreport"}, means=(ReceiptKind.COMPLAINED,)),
        events({"event": "unsubscribe"}, means=(ReceiptKind.UNSUBSCRIBED,)),
        events({"event": "group_unsubscribe", "asm_group_id": 10}, means=(ReceiptKind.UNSUBSCRIBED,)),
        events({"event": "group_resubscribe", "asm_group_id": 10}),
        events({"event": "something new"}),
        events({"event": "delivered", "clarion": ""}),
        events(
            {"event": "delivered"},
            {"event": "open"},
            {"event": "click"},
            means=(ReceiptKind.DELIVERED, ReceiptKind.OPENED, ReceiptKind.CLICKED),
        ),
        RecordedCallback(
            body=json.dumps([7, EVENT | {"event": "delivered"}]).encode(),
            means=(ReceiptKind.DELIVERED,),
            unread=True,
        ),
    ),
)
VENDORS = {
    "v3": Vendor(
        config=lambda url: {
            "api_key": f"SG.{SECRET}",
            "webhook_key": WEBHOOK_KEY,
            "from_address": "news@shop.example",
            "from_name": "The Shop",
            "api_url": url,
        },
        accepted=SENT,
        replies=REPLIES,
        callbacks=CALLBACKS,
    )
}
