"""What WhatsApp (Meta's Cloud API) answers and reports.

https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages, .../support/error-codes, .../webhooks/payload-examples.
PyPI `pywa`, a client that others wrote, reads the same callbacks and verifies the same signatures in the unit tests.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlencode

from msgspec.structs import replace

from clarion.adapters.providers.whatsapp_cloud import ERRORS
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

NUMBER = "106540352242922"
ACCOUNT = "102290129340398"
ID = "wamid.HBgLMTY1MDM4Nzk0MzkVAgARGBI5QTNDQTVCM0Q0Q0Q2RTY3RTcA"
APP_SECRET = f"app-{SECRET}"
VERIFY_TOKEN = f"verify-{SECRET}"
SENT = Answer.json(
    200,
    {
        "messaging_product": "whatsapp",
        "contacts": [{"input": "4915550000001", "wa_id": "4915550000001"}],
        "messages": [{"id": ID, "message_status": "accepted"}],
    },
)


def error(status: int, code: int, subcode: int | None = None, **headers: str) -> Answer:
    """An error, which may quote what it should not."""
    said = {
        "message": f"(#{code}) {WORDS}",
        "type": "OAuthException",
        "code": code,
        "error_data": {"messaging_product": "whatsapp", "details": WORDS},
        "fbtrace_id": "Az8or2yhqkZfEZ-_4Qn_Bam",
    }
    return Answer.json(
        status, {"error": said if subcode is None else {**said, "error_subcode": subcode}}, **headers
    )


REPLIES = (
    Recorded(answer=SENT, means=Accepted),
    Recorded(answer=error(401, 0), means=Misconfigured),
    Recorded(answer=error(401, 190, 463), means=Misconfigured),
    Recorded(answer=error(403, 10), means=Misconfigured),
    Recorded(answer=error(403, 230), means=Misconfigured),
    Recorded(answer=error(400, 100, 33), means=Misconfigured),
    Recorded(answer=error(400, 133010), means=Misconfigured),
    Recorded(answer=error(400, 100), means=Rejected),
    Recorded(answer=error(400, 131008), means=Rejected),
    Recorded(answer=error(400, 131047), means=Rejected),
    Recorded(answer=error(400, 132000), means=Rejected),
    Recorded(answer=error(404, 132001), means=Rejected),
    Recorded(answer=error(400, 132015), means=Rejected),
    Recorded(answer=error(400, 131050), means=Rejected),
    Recorded(answer=error(400, 999999), means=Rejected),
    Recorded(answer=error(400, 131026), means=Retry),
    Recorded(answer=error(429, 130429, retry_after="3"), means=Retry, after_s=3),
    Recorded(answer=error(400, 131056), means=Retry),
    Recorded(answer=error(500, 131000), means=Retry),
    Recorded(answer=error(503, 2), means=Retry),
    Recorded(answer=Answer.text(504, "<html>504</html>"), means=Unknown),
    Recorded(answer=Answer.text(200, "<html>Welcome to the hotel</html>"), means=Unknown),
    Recorded(answer=Answer.json(200, {"messages": []}), means=Unknown),
)


def change(field: str, value: dict[str, Any]) -> RecordedCallback:
    """One change, as Meta posts it."""
    entry = {"id": ACCOUNT, "time": 1_751_247_548, "changes": [{"field": field, "value": value}]}
    document = {"object": "whatsapp_business_account", "entry": [entry]}
    return RecordedCallback(content_type="application/json", body=json.dumps(document).encode())


def about_messages(number: str = NUMBER, **more: Any) -> RecordedCallback:
    """What happened to messages of a number."""
    metadata = {"display_phone_number": "15550783881", "phone_number_id": number}
    return change("messages", {"messaging_product": "whatsapp", "metadata": metadata, **more})


def status(said: str, *codes: int, number: str = NUMBER) -> RecordedCallback:
    """How a message is doing."""
    one: dict[str, Any] = {
        "id": ID,
        "status": said,
        "timestamp": "1750263773",
        "recipient_id": "4915550000001",
        "biz_opaque_callback_data": REFERENCE,
        "conversation": {"id": "6ceb9d929c9bdc4f90967a32f8639b42", "origin": {"type": "utility"}},
        "pricing": {"billable": True, "pricing_model": "PMP", "category": "utility", "type": "regular"},
    }
    if codes:
        one["errors"] = [
            {"code": code, "title": WORDS, "message": WORDS, "error_data": {"details": WORDS}}
            for code in codes
        ]
    return about_messages(number, statuses=[one])


def failed(code: int) -> RecordedCallback:
    """A message that did not arrive."""
    kind, permanent, _ = ERRORS.reported(str(code))
    return replace(status("failed", code), means=(kind,), permanent=permanent)


def written(**message: Any) -> RecordedCallback:
    """What a person wrote."""
    one = {"from": "4915550000001", "id": ID, "timestamp": "1750263773", **message}
    contact = {"profile": {"name": "Ada"}, "wa_id": "4915550000001"}
    return replace(about_messages(contacts=[contact], messages=[one]), messages=1)


def decided(event: str, name: str = "order_shipped", language: str = "en_US") -> RecordedCallback:
    """What Meta says of a template."""
    return change(
        "message_template_status_update",
        {
            "event": event,
            "message_template_id": 1_689_556_908_129_832,
            "message_template_name": name,
            "message_template_language": language,
            "reason": "NONE",
        },
    )


def handshake(**more: str) -> RecordedCallback:
    """Meta asks whether the URL is ours."""
    query = {"hub.mode": "subscribe", "hub.challenge": "1158201444", **more}
    return RecordedCallback(method="GET", query=urlencode(query))


def signed(secret: str, verify_token: str, request: CallbackRequest) -> CallbackRequest:
    """The request as Meta makes it."""
    if request.method == "GET":
        return replace(request, url=f"{request.url}&{urlencode({'hub.verify_token': verify_token})}")
    mark = hmac.new(secret.encode(), request.body, hashlib.sha256).hexdigest()
    return replace(request, headers={**request.headers, "x-hub-signature-256": f"sha256={mark}"})


def sign(request: CallbackRequest, at: Instant) -> CallbackRequest:
    """With our secrets."""
    return signed(APP_SECRET, VERIFY_TOKEN, request)


def account(url: str) -> dict[str, str]:
    """A number and its app."""
    return {
        "phone_number_id": NUMBER,
        "business_account_id": ACCOUNT,
        "access_token": SECRET,
        "app_secret": APP_SECRET,
        "verify_token": VERIFY_TOKEN,
        "api_url": url,
    }


VENDORS = {
    "number": Vendor(
        config=account,
        accepted=SENT,
        replies=REPLIES,
        never={"Gone": "it does not say that a number has no WhatsApp: it may have it tomorrow"},
        callbacks=CallbackVendor(
            sign=sign,
            stranger=lambda request, at: signed("another", "another", request),
            recorded=(
                replace(status("delivered"), means=(ReceiptKind.DELIVERED,)),
                replace(status("read"), means=(ReceiptKind.OPENED,)),
                status("sent"),
                status("delivered", number="999999999999999"),
                replace(status("invented"), unread=True),
                failed(131026),
                failed(131047),
                failed(131049),
                failed(132015),
                failed(999999),
                replace(status("failed"), means=(ReceiptKind.FAILED,)),
                replace(status("failed", 131050), means=(ReceiptKind.BLOCKED, ReceiptKind.UNSUBSCRIBED)),
                written(type="text", text={"body": WORDS}),
                written(type="button", button={"payload": "yes", "text": "Yes"}, context={"id": ID}),
                written(
                    type="interactive",
                    interactive={"type": "button_reply", "button_reply": {"id": "1", "title": "Yes"}},
                ),
                written(type="image", image={"caption": WORDS, "id": "1", "mime_type": "image/jpeg"}),
                decided("APPROVED"),
                decided("PAUSED"),
                change("account_update", {"event": "VERIFIED_ACCOUNT"}),
                handshake(),
            ),
        ),
    )
}
