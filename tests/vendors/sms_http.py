"""Gateways of the kinds that there are in most countries, each described by settings only.

Nobody's in particular: one speaks JSON and signs its reports, one takes a form and sends a secret along, one takes and reports
everything in the URL.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode

import msgspec
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

FORM = "application/x-www-form-urlencoded"
PROVEN = f"callback-{SECRET}"
ENDS = {
    "DELIVRD": (ReceiptKind.DELIVERED, False),
    "UNDELIV": (ReceiptKind.BOUNCED, False),
    "UNKNOWN": (ReceiptKind.BOUNCED, True),
    "REJECTD": (ReceiptKind.BLOCKED, False),
    "EXPIRED": (ReceiptKind.FAILED, False),
}
"""Final statuses, as SMPP names them, and what the settings below make of them."""
STATUSES = {
    "ACCEPTD": "on_the_way",
    "DELIVRD": "delivered",
    "UNDELIV": "unreachable",
    "UNKNOWN": "gone",
    "REJECTD": "blocked",
    "EXPIRED": "expired",
}
ONE_METHOD = {
    "every_kind_of_receipt_is_on_record": "a gateway reports by one method; both are on record with `query`"
}
NO_SIGNATURE = {"a_changed_callback_is_refused": "a secret that is sent along does not cover the rest"}


def recorded(status: str, callback: RecordedCallback) -> RecordedCallback:
    """A callback, with what its status means."""
    if status not in ENDS:
        return callback
    kind, permanent = ENDS[status]
    return replace(callback, means=(kind,), permanent=permanent)


# ── JSON, with signed reports ─────────────────────────────────────────────────────────────────────────────


def json_gateway(url: str) -> dict[str, Any]:
    """Its settings."""
    return {
        "url": f"{url}/v2/messages",
        "headers": {"Authorization": "Bearer {secret}", "Idempotency-Key": "{reference}"},
        "json": {
            "messages": [
                {
                    "from": "{from}",
                    "to": "{to}",
                    "text": "{text}",
                    "custom": "{reference}",
                    "report": "{callback_url}",
                }
            ],
            "unicode": True,
        },
        "sender": "Example",
        "secret": SECRET,
        "callback_secret": PROVEN,
        "answer": {
            "success": "^(0|QUEUED)$",
            "success_at": "/messages/0/status",
            "id": "/messages/0/id",
            "error": "/messages/0/error",
        },
        "errors": {
            "101": "gone",
            "102": "opted_out",
            "103": "blocked",
            "201": "set_up",
            "http_402": "set_up",
        },
        "report": {
            "format": "json",
            "verify": {"how": "hmac", "header": "X-Signature", "prefix": "sha256="},
            "list": "/results",
            "reference": "/custom",
            "status": "/status",
            "error": "/error",
            "id": "/id",
            "statuses": STATUSES,
        },
        "ping_url": f"{url}/v2/account",
    }


def hmac_signed(secret: str, request: CallbackRequest) -> CallbackRequest:
    """With the signature over the body."""
    mark = hmac.digest(secret.encode(), request.body, "sha256").hex()
    return replace(request, headers={**request.headers, "x-signature": f"sha256={mark}"})


def json_report(*statuses: str, **more: str) -> RecordedCallback:
    """Several reports in one callback."""
    results = [{"id": "m-1", "custom": REFERENCE, "status": status, **more} for status in statuses]
    return RecordedCallback(
        content_type="application/json",
        body=msgspec.json.encode({"results": results, "to": "+4915550000001"}),
    )


def json_accepted(**message: Any) -> Answer:
    """The message as it was taken, or not."""
    return Answer.json(200, {"messages": [{"id": "m-1", "status": "QUEUED", **message}]})


def json_error(code: Any, status: int = 400) -> Answer:
    """An error that quotes what it should not."""
    return Answer.json(status, {"messages": [{"status": "FAILED", "error": code, "words": WORDS}]})


JSON = Vendor(
    config=json_gateway,
    accepted=json_accepted(),
    replies=(
        Recorded(answer=json_accepted(), means=Accepted),
        Recorded(answer=json_accepted(status=0), means=Accepted),
        Recorded(answer=json_error(101), means=Gone),
        Recorded(answer=json_error("102"), means=Gone),
        Recorded(answer=json_error("103", 200), means=Rejected),
        Recorded(answer=json_error("999", 200), means=Rejected),
        Recorded(answer=json_error("999"), means=Rejected),
        Recorded(answer=json_error(201), means=Misconfigured),
        Recorded(answer=Answer.text(402, "pay"), means=Misconfigured),
        Recorded(answer=Answer.text(401, "who?"), means=Misconfigured),
        Recorded(answer=Answer.text(429, "slow down", retry_after="7"), means=Retry, after_s=7),
        Recorded(answer=Answer.text(503, "<html>"), means=Retry),
        Recorded(answer=Answer.text(504, "<html>"), means=Unknown),
        Recorded(answer=Answer.text(200, "<html>Welcome to the hotel</html>"), means=Unknown),
    ),
    callbacks=CallbackVendor(
        sign=lambda request, at: hmac_signed(PROVEN, request),
        stranger=lambda request, at: hmac_signed("another", request),
        recorded=(
            *(recorded(status, json_report(status)) for status in STATUSES),
            replace(json_report("DELIVRD", "ACCEPTD"), means=(ReceiptKind.DELIVERED,)),
            replace(json_report("DELIVRD", "NEW"), means=(ReceiptKind.DELIVERED,), unread=True),
            replace(json_report("UNDELIV", error="103"), means=(ReceiptKind.BLOCKED,)),
        ),
    ),
    excused=ONE_METHOD,
)


# ── a form, with a secret in a header ─────────────────────────────────────────────────────────────────────


def form_gateway(url: str) -> dict[str, Any]:
    """Its settings."""
    return {
        "url": f"{url}/sms/send.php",
        "form": {
            "login": "{user}",
            "psw": "{secret}",
            "phones": "{to_digits}",
            "mes": "{text}",
            "id": "{reference}",
            "sender": "{from}",
            "callback": "{callback_url}",
        },
        "sender": "Example",
        "user": "shop",
        "secret": SECRET,
        "callback_secret": PROVEN,
        "answer": {"success": r"^OK", "id": r"ID=(\w+)", "error": r"^ERROR=(\d+)"},
        "errors": {"1": "refused", "2": "set_up", "7": "gone", "9": "later"},
        "report": {
            "format": "form",
            "verify": {"how": "secret", "header": "X-Token"},
            "reference": "id",
            "status": "status",
            "error": "err",
            "statuses": STATUSES,
            "answer": "OK",
        },
    }


def form_report(status: str, **more: str) -> RecordedCallback:
    """One report."""
    fields = {"id": REFERENCE, "status": status, "phone": "4915550000001", **more}
    return recorded(status, RecordedCallback(content_type=FORM, body=urlencode(fields, safe="$").encode()))


def with_token(secret: str, request: CallbackRequest) -> CallbackRequest:
    """With the secret in its header."""
    return replace(request, headers={**request.headers, "x-token": secret})


FORM_VENDOR = Vendor(
    config=form_gateway,
    accepted=Answer.text(200, "OK - 1 SMS, ID=4711"),
    replies=(
        Recorded(answer=Answer.text(200, "OK - 1 SMS, ID=4711"), means=Accepted),
        Recorded(answer=Answer.text(200, f"ERROR=1 ({WORDS})"), means=Rejected),
        Recorded(answer=Answer.text(200, "ERROR=2"), means=Misconfigured),
        Recorded(answer=Answer.text(200, "ERROR=7"), means=Gone),
        Recorded(answer=Answer.text(200, "ERROR=9", retry_after="4"), means=Retry, after_s=4),
        Recorded(answer=Answer.text(200, "ERROR=8"), means=Rejected),
        Recorded(answer=Answer.text(200, "maintenance"), means=Unknown),
    ),
    callbacks=CallbackVendor(
        sign=lambda request, at: with_token(PROVEN, request),
        stranger=lambda request, at: with_token("another", request),
        recorded=(*map(form_report, STATUSES), form_report("UNDELIV", err="8")),
    ),
    excused={**ONE_METHOD, **NO_SIGNATURE},
)


# ── everything in the URL ─────────────────────────────────────────────────────────────────────────────────


def query_gateway(url: str) -> dict[str, Any]:
    """Its settings."""
    return {
        "url": f"{url}/http/send?user={{user}}&password={{secret}}",
        "method": "GET",
        "headers": {"Authorization": "Basic {basic}"},
        "query": {"to": "{to}", "text": "{text}", "dlr": "{callback_url}?ref={reference}&status=%d"},
        "user": "shop",
        "secret": SECRET,
        "callback_secret": PROVEN,
        "most_chars": 480,
        "answer": {"success": "^0: Accepted"},
        "errors": {"http_409": "later", "http_410": "gone", "http_403": "set_up"},
        "report": {
            "format": "query",
            "verify": {
                "how": "hmac",
                "header": "X-Hub",
                "over": "url_and_body",
                "hash": "sha1",
                "encoding": "base64",
            },
            "reference": "?ref",
            "status": "?status",
            "statuses": STATUSES,
        },
    }


def url_signed(secret: str, request: CallbackRequest) -> CallbackRequest:
    """With the signature over the URL and the body."""
    mark = b64encode(hmac.digest(secret.encode(), request.url.encode() + request.body, "sha1")).decode()
    return replace(request, headers={**request.headers, "x-hub": mark})


def query_report(status: str, method: Any = "GET") -> RecordedCallback:
    """One report."""
    return recorded(status, RecordedCallback(method=method, query=f"ref={REFERENCE}&status={status}"))


def _signed_by_url(request: CallbackRequest, at: Instant) -> CallbackRequest:
    return url_signed(PROVEN, request)


QUERY = Vendor(
    config=query_gateway,
    accepted=Answer.text(202, "0: Accepted for delivery"),
    replies=(
        Recorded(answer=Answer.text(202, "0: Accepted for delivery"), means=Accepted),
        Recorded(answer=Answer.text(409, "busy"), means=Retry),
        Recorded(answer=Answer.text(410, "no such number"), means=Gone),
        Recorded(answer=Answer.text(403, "no"), means=Misconfigured),
        Recorded(answer=Answer.text(400, WORDS), means=Rejected),
        Recorded(answer=Answer.text(202, "3: Queued for later"), means=Unknown),
    ),
    callbacks=CallbackVendor(
        sign=_signed_by_url,
        stranger=lambda request, at: url_signed("another", request),
        recorded=(*map(query_report, STATUSES), query_report("DELIVRD", "POST")),
    ),
    excused={"what_is_said_arrives": "it is in the URL, see tests/unit/adapters/providers/test_sms_http.py"},
)
VENDORS = {"JSON": JSON, "form": FORM_VENDOR, "URL": QUERY}
