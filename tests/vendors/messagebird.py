"""What Bird (MessageBird) answers and reports.

https://developers.messagebird.com/api/sms-messaging/. Callbacks are signed by PyJWT, with which its own SDK verifies them
(PyPI `messagebird` 2.2.0, `messagebird.request_validator`).
"""

from __future__ import annotations

import hashlib
import warnings
from typing import Any
from urllib.parse import urlencode

import jwt
from msgspec.structs import replace

from clarion.adapters.providers.messagebird import ERRORS
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

ID = "e8077d803532c0b5937c639b60216938"
SIGNS = f"signing-{SECRET}"
SENT = Answer.json(
    201,
    {
        "id": ID,
        "href": f"https://rest.messagebird.com/messages/{ID}",
        "direction": "mt",
        "type": "sms",
        "originator": "Example",
        "body": WORDS,
        "reference": None,
        "recipients": {"totalCount": 1, "items": [{"recipient": 4915550000001, "status": "sent"}]},
    },
)


def error(status: int, code: int, **headers: str) -> Answer:
    """An error, which may quote what it should not."""
    return Answer.json(
        status, {"errors": [{"code": code, "description": WORDS, "parameter": None}]}, **headers
    )


REPLIES = (
    Recorded(answer=SENT, means=Accepted),
    Recorded(answer=error(401, 2), means=Misconfigured),
    Recorded(answer=error(402, 25), means=Misconfigured),
    Recorded(answer=Answer.text(402, "pay"), means=Misconfigured),
    Recorded(answer=error(422, 9), means=Rejected),
    Recorded(answer=error(422, 10), means=Rejected),
    Recorded(answer=error(422, 7777), means=Rejected),
    Recorded(answer=Answer.text(429, "slow", retry_after="3"), means=Retry, after_s=3),
    Recorded(answer=error(500, 99), means=Retry),
    Recorded(answer=Answer.text(504, "<html>504</html>"), means=Unknown),
    Recorded(answer=Answer.text(200, "<html>Welcome to the hotel</html>"), means=Unknown),
)


def report(status: str, **more: str) -> RecordedCallback:
    """A status report: a GET with everything in its URL."""
    fields = {
        "id": ID,
        "reference": REFERENCE,
        "recipient": "4915550000001",
        "status": status,
        "statusDatetime": "2026-10-04T08:58:10+00:00",
        **more,
    }
    return RecordedCallback(method="GET", query=urlencode(fields, safe="$"))


def failed(status: str, code: str) -> RecordedCallback:
    """A message that did not arrive."""
    kind, permanent, _ = ERRORS.reported(code if code in ERRORS.codes else status)
    return replace(report(status, statusErrorCode=code), means=(kind,), permanent=permanent)


def signed(secret: str, request: CallbackRequest, at: Instant) -> CallbackRequest:
    """The request with Bird's token."""
    claims: dict[str, Any] = {
        "iss": "MessageBird",
        "nbf": at // 1000,
        "exp": at // 1000 + 60,
        "jti": "c4b3cf5e-0bd6-4a8e-b8a5-a6b0a5f43d5d",
        "url_hash": hashlib.sha256(request.url.encode()).hexdigest(),
    }
    if request.body:
        claims["payload_hash"] = hashlib.sha256(request.body).hexdigest()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # short keys
        token = jwt.encode(claims, secret, algorithm="HS256")
    return replace(request, headers={**request.headers, "messagebird-signature-jwt": token})


def account(url: str) -> dict[str, str]:
    """An account with reports."""
    return {"access_key": SECRET, "sender": "Example", "signing_key": SIGNS, "api_url": url}


VENDORS = {
    "account": Vendor(
        config=account,
        accepted=SENT,
        replies=REPLIES,
        never={"Gone": "its answers say nothing about the number, its reports do"},
        callbacks=CallbackVendor(
            sign=lambda request, at: signed(SIGNS, request, at),
            stranger=lambda request, at: signed("another", request, at),
            recorded=(
                report("sent"),
                report("buffered"),
                replace(report("delivered"), means=(ReceiptKind.DELIVERED,)),
                failed("delivery_failed", "1"),
                failed("delivery_failed", "27"),
                failed("delivery_failed", "13"),
                failed("delivery_failed", "9999"),
                failed("expired", ""),
            ),
        ),
    )
}
