"""What Plivo answers and reports.

https://www.plivo.com/docs/messaging/api/message/send-a-message, .../message-status-callbacks. Callbacks are signed by the code below;
signatures of Plivo's own SDK prove the code that verifies, in tests/unit/adapters/providers/test_plivo.py.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any
from urllib.parse import parse_qs, urlencode

from msgspec.structs import replace

from clarion.adapters.providers.plivo import ERRORS, MOST_FIELDS
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

UUID = "db3ce55a-7f1d-11e1-8ea7-1231380bc196"
FORM = "application/x-www-form-urlencoded"
SENT = Answer.json(202, {"message": "message(s) queued", "message_uuid": [UUID], "api_id": UUID})


def error(status: int, **headers: str) -> Answer:
    """An error: words only, which may quote what they should not."""
    return Answer.json(status, {"api_id": UUID, "error": f"{WORDS} is not valid"}, **headers)


REPLIES = (
    Recorded(answer=SENT, means=Accepted),
    Recorded(answer=error(400), means=Rejected),
    Recorded(answer=error(401), means=Misconfigured),
    Recorded(answer=error(402), means=Misconfigured),
    Recorded(answer=error(404), means=Misconfigured),
    Recorded(answer=error(429, retry_after="3"), means=Retry, after_s=3),
    Recorded(answer=error(500), means=Retry),
    Recorded(answer=Answer.text(504, "<html>504</html>"), means=Unknown),
    Recorded(answer=Answer.text(200, "<html>Welcome to the hotel</html>"), means=Unknown),
    Recorded(answer=Answer.json(202, {"message_uuid": []}), means=Unknown),
)


def report(status: str, **more: str) -> RecordedCallback:
    """A status callback."""
    fields = {
        "MessageUUID": UUID,
        "ParentMessageUUID": UUID,
        "To": "4915550000001",
        "From": "15005550006",
        "Type": "sms",
        "Status": status,
        "Units": "1",
        "PartInfo": "1 of 1",
        "TotalRate": "0.00350",
        "MCC": "",
        **more,
    }
    return RecordedCallback(query=f"ref={REFERENCE}", content_type=FORM, body=urlencode(fields).encode())


def failed(code: str, status: str = "undelivered") -> RecordedCallback:
    """A message that did not arrive."""
    kind, permanent, _ = ERRORS.reported(code)
    return replace(report(status, ErrorCode=code), means=(kind,), permanent=permanent)


INBOUND = RecordedCallback(
    content_type=FORM,
    body=urlencode(
        {
            "From": "4915550000001",
            "To": "15005550006",
            "Type": "sms",
            "Text": f"{WORDS} é",
            "MessageUUID": UUID,
        }
    ).encode(),
    messages=1,
)


def signed(token: str, request: CallbackRequest, nonce: str = "05429567804466091622") -> CallbackRequest:
    """The request with Plivo's signature V3."""
    base, _, query = request.url.partition("?")
    text = request.body.decode("utf-8", "replace") if request.body.count(b"&") <= MOST_FIELDS else ""
    parts = [_joined(query, "=", "&"), _joined(text, "", "")]
    said = f"{base}?{'.'.join(part for part in parts if part)}" if any(parts) else base
    mark = base64.b64encode(
        hmac.digest(token.encode(), f"{said}.{nonce}".encode("utf-8", "replace"), hashlib.sha256)
    )
    headers = {"x-plivo-signature-v3": mark.decode(), "x-plivo-signature-v3-nonce": nonce}
    return replace(request, headers={**request.headers, **headers})


def _joined(text: str, equals: str, between: str) -> str:
    fields = parse_qs(text, keep_blank_values=True)
    return between.join(f"{name}{equals}{value}" for name in sorted(fields) for value in sorted(fields[name]))


def account(url: str) -> dict[str, Any]:
    """An account that sends from a number."""
    return {"auth_id": "MA000000000000000000", "auth_token": SECRET, "sender": "+15005550006", "api_url": url}


VENDORS = {
    "number": Vendor(
        config=account,
        accepted=SENT,
        replies=REPLIES,
        never={"Gone": "errors have words only, no codes; a number that is gone is reported"},
        callbacks=CallbackVendor(
            sign=lambda request, at: signed(SECRET, request),
            stranger=lambda request, at: signed("another", request),
            recorded=(
                report("queued"),
                report("sent"),
                replace(report("delivered"), means=(ReceiptKind.DELIVERED,)),
                replace(report("read"), means=(ReceiptKind.OPENED,)),
                *map(failed, ("20", "30", "50", "70", "80", "200", "420", "9999")),
                failed("40", "failed"),
                failed("900", "rejected"),
                INBOUND,
            ),
        ),
    )
}
