"""What Sinch answers and reports.

https://developers.sinch.com/docs/sms/api-reference/, and the models of its SDK (PyPI `sinch` 2.3.0). Callbacks are signed by the code
below; signatures of that SDK prove the code that verifies, in tests/unit/adapters/providers/test_sinch.py.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import msgspec
from msgspec.structs import replace

from clarion.adapters.providers.sinch import ERRORS
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

BATCH = "01FC66621XXXXX119Z8PMV1QPQ"
SIGNS = f"callback-{SECRET}"
SENT = Answer.json(
    201,
    {
        "id": BATCH,
        "to": ["4915550000001"],
        "from": "15005550006",
        "canceled": False,
        "body": WORDS,
        "type": "mt_text",
        "created_at": "2026-10-04T12:14:25.000Z",
        "delivery_report": "per_recipient_final",
    },
)


def error(status: int, code: str = "syntax_invalid_parameter_format", **headers: str) -> Answer:
    """An error, which may quote what it should not."""
    return Answer.json(status, {"code": code, "text": WORDS}, **headers)


REPLIES = (
    Recorded(answer=SENT, means=Accepted),
    Recorded(answer=error(400), means=Rejected),
    Recorded(answer=error(401, "unauthorized"), means=Misconfigured),
    Recorded(answer=error(402, "payment"), means=Misconfigured),
    Recorded(answer=error(403, "forbidden"), means=Misconfigured),
    Recorded(answer=error(429, "too_many_requests", retry_after="3"), means=Retry, after_s=3),
    Recorded(answer=error(500), means=Retry),
    Recorded(answer=Answer.text(504, "<html>504</html>"), means=Unknown),
    Recorded(answer=Answer.text(200, "<html>Welcome to the hotel</html>"), means=Unknown),
)


def report(status: str, code: int = 0) -> RecordedCallback:
    """A delivery report for one recipient."""
    document = {
        "type": "recipient_delivery_report_sms",
        "batch_id": BATCH,
        "recipient": "4915550000001",
        "code": code,
        "status": status,
        "at": "2026-10-04T12:14:30.123Z",
        "operator_status_at": "2026-10-04T12:14:29Z",
        "client_reference": REFERENCE,
    }
    return RecordedCallback(content_type="application/json", body=msgspec.json.encode(document))


def failed(status: str, code: int) -> RecordedCallback:
    """A message that did not arrive."""
    known = str(code) if str(code) in ERRORS.codes else status.upper()
    kind, permanent, _ = ERRORS.reported(known)
    return replace(report(status, code), means=(kind,), permanent=permanent)


INBOUND = RecordedCallback(
    content_type="application/json",
    body=msgspec.json.encode(
        {
            "type": "mo_text",
            "id": BATCH,
            "from": "4915550000001",
            "to": "15005550006",
            "body": WORDS,
            "received_at": "2026-10-04T12:14:25.123Z",
            "operator_id": "31101",
        }
    ),
    messages=1,
)


def signed(
    secret: str, request: CallbackRequest, at: Instant, nonce: str = "01FJA8B4A7BM43YGWSG9GBV067"
) -> CallbackRequest:
    """The request with Sinch's signature."""
    said = b".".join((request.body, nonce.encode(), str(at // 1000).encode()))
    mark = base64.b64encode(hmac.digest(secret.encode(), said, hashlib.sha256)).decode()
    headers = {
        "x-sinch-webhook-signature": mark,
        "x-sinch-webhook-signature-nonce": nonce,
        "x-sinch-webhook-signature-timestamp": str(at // 1000),
    }
    return replace(request, headers={**request.headers, **headers})


def plan(url: str) -> dict[str, Any]:
    """A service plan with reports."""
    return {
        "service_plan_id": "example-plan",
        "api_token": SECRET,
        "sender": "+15005550006",
        "callback_secret": SIGNS,
        "api_url": url,
    }


VENDORS = {
    "service plan": Vendor(
        config=plan,
        accepted=SENT,
        replies=REPLIES,
        never={"Gone": "its answers say nothing about the number, its reports do"},
        callbacks=CallbackVendor(
            sign=lambda request, at: signed(SIGNS, request, at),
            stranger=lambda request, at: signed("another", request, at),
            recorded=(
                report("Queued", 400),
                report("Dispatched", 401),
                replace(report("Delivered"), means=(ReceiptKind.DELIVERED,)),
                failed("Failed", 404),
                failed("Rejected", 408),
                failed("Aborted", 412),
                failed("Expired", 406),
                failed("Rejected", 5),
                failed("Deleted", 9999),
                INBOUND,
            ),
        ),
    )
}
