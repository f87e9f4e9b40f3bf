"""What Vonage answers and reports.

https://developer.vonage.com/en/api/messages, https://developer.vonage.com/en/api-errors/messages. Callbacks are signed by PyJWT,
with which Vonage's own SDK verifies them (`vonage_jwt.verify_signature`).
"""

from __future__ import annotations

import hashlib
import warnings
from typing import Any

import jwt
import msgspec
from msgspec.structs import replace

from clarion.adapters.providers.vonage import ERRORS
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

UUID = "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab"
SIGNS = f"signature-{SECRET}"
SENT = Answer.json(202, {"message_uuid": UUID})


def error(status: int, kind: str, **headers: str) -> Answer:
    """A problem, which may quote what it should not."""
    return Answer.json(
        status,
        {
            "type": f"https://developer.vonage.com/api-errors/{kind}",
            "title": "Refused",
            "detail": WORDS,
            "instance": "bf0ca0bf927b3b52e3cb03217e1a1ddf",
        },
        **headers,
    )


REPLIES = (
    Recorded(answer=SENT, means=Accepted),
    Recorded(answer=error(401, "#unauthorized"), means=Misconfigured),
    Recorded(answer=error(402, "#low-balance"), means=Misconfigured),
    Recorded(answer=error(422, "messages#1120"), means=Misconfigured),
    Recorded(answer=error(422, "messages#1430"), means=Gone),
    Recorded(answer=error(422, "messages#1240"), means=Gone),
    Recorded(answer=error(422, "messages#1020"), means=Rejected),
    Recorded(answer=error(422, "messages#9999"), means=Rejected),
    Recorded(answer=error(429, "messages#1000", retry_after="2"), means=Retry, after_s=2),
    Recorded(answer=error(500, "messages#1030"), means=Retry),
    Recorded(answer=Answer.text(503, "<html>503</html>"), means=Retry),
    Recorded(answer=Answer.text(504, "<html>504</html>"), means=Unknown),
    Recorded(answer=Answer.text(200, "<html>Welcome to the hotel</html>"), means=Unknown),
)


def report(status: str, **more: Any) -> RecordedCallback:
    """A status callback."""
    document = {
        "message_uuid": UUID,
        "to": "4915550000001",
        "from": "Example",
        "timestamp": "2026-10-04T12:14:25Z",
        "status": status,
        "client_ref": REFERENCE,
        "channel": "sms",
        "usage": {"currency": "EUR", "price": "0.0333"},
        "destination": {"network_code": "12345"},
        "sms": {"count_total": "2"},
        **more,
    }
    return RecordedCallback(content_type="application/json", body=msgspec.json.encode(document))


def failed(code: str, status: str = "undeliverable") -> RecordedCallback:
    """A message that did not arrive."""
    problem = {
        "type": f"https://developer.vonage.com/api-errors/messages#{code}",
        "title": code,
        "detail": WORDS,
        "instance": "bf0ca0bf927b3b52e3cb03217e1a1ddf",
    }
    kind, permanent, _ = ERRORS.reported(code)
    return replace(report(status, error=problem), means=(kind,), permanent=permanent)


WRAPPED = replace(
    report(
        "rejected",
        error={"error": {"type": "https://developer.vonage.com/api-errors/messages#1190", "title": 1190}},
    ),
    means=(ReceiptKind.BOUNCED,),
    permanent=True,
)
INBOUND = RecordedCallback(
    content_type="application/json",
    body=msgspec.json.encode(
        {
            "channel": "sms",
            "message_uuid": UUID,
            "to": "15005550006",
            "from": "4915550000001",
            "timestamp": "2026-10-04T12:14:25Z",
            "text": WORDS,
            "message_type": "text",
            "sms": {"num_messages": "1", "keyword": "WORDS"},
        }
    ),
    messages=1,
)


def signed(secret: str, request: CallbackRequest, at: Instant) -> CallbackRequest:
    """The request with Vonage's token."""
    claims = {
        "iat": at // 1000,
        "jti": "c4b3cf5e-0bd6-4a8e-b8a5-a6b0a5f43d5d",
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(request.body).hexdigest(),
        "api_key": "abcd1234",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # short keys
        token = jwt.encode(claims, secret, algorithm="HS256")
    return replace(request, headers={**request.headers, "authorization": f"Bearer {token}"})


def account(url: str) -> dict[str, str]:
    """An account with reports."""
    return {
        "api_key": "abcd1234",
        "api_secret": SECRET,
        "sender": "Example",
        "signature_secret": SIGNS,
        "api_url": url,
    }


VENDORS = {
    "account": Vendor(
        config=account,
        accepted=SENT,
        replies=REPLIES,
        callbacks=CallbackVendor(
            sign=lambda request, at: signed(SIGNS, request, at),
            stranger=lambda request, at: signed("another", request, at),
            recorded=(
                report("submitted"),
                replace(report("delivered"), means=(ReceiptKind.DELIVERED,)),
                replace(report("read"), means=(ReceiptKind.OPENED,)),
                *map(failed, ("1180", "1190", "1210", "1240", "1280", "1330", "1360", "9999")),
                failed("1120", "rejected"),
                WRAPPED,
                INBOUND,
            ),
        ),
    )
}
