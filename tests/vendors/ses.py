"""What Amazon SES answers and reports, through SNS.

https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html,
https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-examples.html. That our signatures of SNS are as its
own is proven by moto, see tests/unit/adapters/providers/test_ses.py.
"""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
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

TOPIC = "arn:aws:sns:eu-central-1:123456789012:mail-events"
CERTIFICATE_URL = (
    "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-60eadc530605d63b8e62a523676ef735.pem"
)
CONFIRMATION_URL = (
    f"https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f"
)
SENT = Answer.json(200, {"MessageId": "010701a2b3c4d5e6-1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d-000000"})


def error(status: int, name: str, message: str = "", **headers: str) -> Answer:
    """An error of the API."""
    return Answer.json(status, {"message": message}, x_amzn_errortype=name, **headers)


REPLIES = (
    Recorded(answer=SENT, means=Accepted),
    Recorded(
        answer=error(
            400, "MessageRejected", f"Email address is not verified. The following identities failed: {WORDS}"
        ),
        means=Misconfigured,
    ),
    Recorded(answer=error(400, "MessageRejected", "Message contains a virus"), means=Rejected),
    Recorded(answer=error(400, "BadRequestException", f"Illegal address {WORDS}"), means=Rejected),
    Recorded(
        answer=error(400, "MailFromDomainNotVerifiedException:http://internal.amazon.com/"),
        means=Misconfigured,
    ),
    Recorded(answer=error(400, "AccountSuspendedException"), means=Misconfigured),
    Recorded(answer=error(400, "SendingPausedException"), means=Misconfigured),
    Recorded(
        answer=error(404, "NotFoundException", f"Configuration set <{WORDS}> does not exist."),
        means=Misconfigured,
    ),
    Recorded(
        answer=error(403, "AccessDeniedException", f"User: {WORDS} is not authorized"), means=Misconfigured
    ),
    Recorded(answer=error(403, "UnrecognizedClientException"), means=Misconfigured),
    Recorded(answer=error(403, "InvalidSignatureException"), means=Misconfigured),
    Recorded(
        answer=Answer.json(403, {"__type": "com.amazon.coral#ExpiredTokenException"}), means=Misconfigured
    ),
    Recorded(
        answer=error(429, "TooManyRequestsException", "Maximum sending rate exceeded.", retry_after="3"),
        means=Retry,
        after_s=3,
    ),
    Recorded(
        answer=error(429, "TooManyRequestsException", "Daily message quota exceeded."),
        means=Retry,
        after_s=600,
    ),
    Recorded(answer=error(400, "ThrottlingException", "Maximum sending rate exceeded."), means=Retry),
    Recorded(answer=error(400, "LimitExceededException"), means=Retry, after_s=600),
    Recorded(answer=error(500, "InternalServerErrorException"), means=Retry),
    Recorded(answer=Answer.text(503, "<html>503</html>"), means=Retry),
    Recorded(answer=Answer.text(504, "<html>504</html>"), means=Unknown),
    Recorded(answer=Answer.text(200, "<html>Welcome to the hotel</html>"), means=Unknown),
)

MAIL = {
    "timestamp": "2026-01-05T11:58:00.000Z",
    "source": "news@shop.example",
    "messageId": "010701a2b3c4d5e6-1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d-000000",
    "destination": ["ada@contact.example"],
    "tags": {"clarion": [REFERENCE], "ses:configuration-set": ["clarion"]},
}


def envelope(type_: str, message: str, **more: str) -> dict[str, str]:
    """What SNS puts around a message, before it signs."""
    return {
        "Type": type_,
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": message,
        "Timestamp": "2026-01-05T11:58:01.000Z",
        **more,
    }


def event(
    kind: str,
    part: dict[str, Any] | None = None,
    *means: ReceiptKind,
    permanent: bool = False,
    mail: dict[str, Any] = MAIL,
) -> RecordedCallback:
    """A notification about an event, before SNS signs it."""
    name = kind[0].lower() + kind[1:]
    document = {
        "eventType": kind,
        "mail": mail,
        name: {"timestamp": "2026-01-05T11:59:00.000Z", **(part or {})},
    }
    return sns(envelope("Notification", json.dumps(document)), *means, permanent=permanent)


def sns(document: dict[str, str], *means: ReceiptKind, permanent: bool = False) -> RecordedCallback:
    """A request of SNS, before it signs."""
    return RecordedCallback(
        content_type="text/plain; charset=UTF-8",
        body=json.dumps(document).encode(),
        means=means,
        permanent=permanent,
    )


def bounce(
    type_: str, subtype: str, *means: ReceiptKind, permanent: bool = False, **said: Any
) -> RecordedCallback:
    """One that came back."""
    recipient = {"emailAddress": "ada@contact.example", "action": "failed", **said}
    part = {"bounceType": type_, "bounceSubType": subtype, "bouncedRecipients": [recipient]}
    return event("Bounce", part, *means, permanent=permanent)


def smtp(text: str) -> dict[str, Any]:
    """What a mail server said, as SES quotes it."""
    return {"status": text.split()[1], "diagnosticCode": f"smtp; {text}"}


@cache
def keys(owner: str) -> tuple[RSAPrivateKey, bytes]:
    """A key of SNS's, or of somebody else, and its certificate."""
    key = generate_private_key(65_537, 2_048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .sign(key, SHA256())
    )
    return key, certificate.public_bytes(Encoding.PEM)


def signed(owner: str, request: CallbackRequest, at: Instant, version: str = "1") -> CallbackRequest:
    """The request as SNS signs it: in its body."""
    try:
        document = json.loads(request.body)
    except (ValueError, RecursionError):
        return request
    if not isinstance(document, dict):
        return request
    document = {
        **document,
        "Timestamp": datetime.fromtimestamp(at / 1000, UTC).isoformat().replace("+00:00", "Z"),
        "SignatureVersion": version,
        "SigningCertURL": CERTIFICATE_URL,
    }
    more = ("SubscribeURL", "Timestamp", "Token") if "SubscribeURL" in document else ("Subject", "Timestamp")
    names = ("Message", "MessageId", *more, "TopicArn", "Type")
    text = "".join(f"{name}\n{document[name]}\n" for name in names if name in document)
    signature = keys(owner)[0].sign(
        text.encode("utf-8", "replace"), PKCS1v15(), SHA1() if version == "1" else SHA256()
    )
    return replace(
        request, body=json.dumps({**document, "Signature": b64encode(signature).decode()}).encode()
    )


CALLBACKS = CallbackVendor(
    sign=lambda request, at: signed("sns", request, at),
    stranger=lambda request, at: signed("a stranger", request, at),
    documents={CERTIFICATE_URL: keys("sns")[1]},
    recorded=(
        event("Send"),
        event("Delivery", {"smtpResponse": "250 OK"}, ReceiptKind.DELIVERED),
        event("DeliveryDelay", {"delayType": "MailboxFull"}, ReceiptKind.DELAYED),
        event("Open", {"userAgent": "Mozilla"}, ReceiptKind.OPENED),
        event("Click", {"link": "https://shop.example/"}, ReceiptKind.CLICKED),
        event("Reject", {"reason": "Bad content"}, ReceiptKind.BLOCKED),
        event("Complaint", {"complaintFeedbackType": "abuse"}, ReceiptKind.COMPLAINED),
        event("Complaint", {}, ReceiptKind.COMPLAINED),
        event("Complaint", {"complaintFeedbackType": "not-spam"}),
        event(
            "Complaint", {"complaintSubType": "OnAccountSuppressionList"}, ReceiptKind.BOUNCED, permanent=True
        ),
        event("Subscription", {"newTopicPreferences": {"unsubscribeAll": True}}, ReceiptKind.UNSUBSCRIBED),
        event("Subscription", {"newTopicPreferences": {"unsubscribeAll": False}}),
        event("Rendering Failure"),
        event("Delivery", mail={**MAIL, "tags": {}}),
        bounce("Permanent", "General", ReceiptKind.BOUNCED, permanent=True, **smtp("550 5.1.1 user unknown")),
        bounce("Permanent", "NoEmail", ReceiptKind.BOUNCED, permanent=True),
        bounce("Permanent", "Suppressed", ReceiptKind.BOUNCED, permanent=True),
        bounce("Permanent", "OnAccountSuppressionList", ReceiptKind.BOUNCED, permanent=True),
        bounce(
            "Permanent",
            "General",
            ReceiptKind.BLOCKED,
            **smtp(
                "550 5.7.515 Access denied, sending domain does not meet the required authentication level"
            ),
        ),
        bounce("Transient", "MailboxFull", ReceiptKind.BOUNCED, **smtp("552 5.2.2 mailbox full")),
        bounce("Transient", "General", ReceiptKind.BOUNCED, **smtp("450 4.4.1 no answer from host")),
        bounce(
            "Transient",
            "General",
            ReceiptKind.BLOCKED,
            **smtp("550 5.7.26 unauthenticated email is not accepted from this domain"),
        ),
        bounce("Transient", "ContentRejected", ReceiptKind.BLOCKED),
        bounce("Undetermined", "Undetermined", ReceiptKind.BOUNCED),
        sns(envelope("Notification", "Successfully validated SNS topic for Amazon SES event publishing.")),
        sns(
            envelope(
                "SubscriptionConfirmation",
                "You have chosen to subscribe",
                Token="2336412f",
                SubscribeURL=CONFIRMATION_URL,
            )
        ),
        sns(
            envelope(
                "UnsubscribeConfirmation",
                "You have chosen to deactivate",
                Token="2336412f",
                SubscribeURL=CONFIRMATION_URL,
            )
        ),
    ),
)
VENDORS = {
    "key": Vendor(
        config=lambda url: {
            "region": "eu-central-1",
            "access_key_id": "AKIDEXAMPLE",
            "secret_access_key": SECRET,
            "from_address": "news@shop.example",
            "from_name": "The Shop",
            "configuration_set": "clarion",
            "topic_arn": TOPIC,
            "api_url": url,
        },
        accepted=SENT,
        replies=REPLIES,
        never={"Gone": "SES takes every address, and reports later which do not exist"},
        excused={"what_is_said_arrives": "the email is MIME in base64"},
        callbacks=CALLBACKS,
        most_bytes=42_000_000,
    )
}
