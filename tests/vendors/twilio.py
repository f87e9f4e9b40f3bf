"""What Twilio answers and reports.

https://www.twilio.com/docs/messaging/api/message-resource, https://www.twilio.com/docs/api/errors,
https://www.twilio.com/docs/messaging/guides/track-outbound-message-status. Callbacks are signed by Twilio's own SDK.
"""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import parse_qsl, urlencode

from msgspec.structs import replace
from twilio.request_validator import RequestValidator

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

ACCOUNT = "AC0123456789abcdef0123456789abcdef"
SID = "SM0123456789abcdef0123456789abcdef"
SENDER = "+15005550006"
MOST_FIELDS = 1_000
"""The SDK takes seconds over millions, and they are refused whatever is signed."""
FORM = "application/x-www-form-urlencoded"


def message(**more: Any) -> dict[str, Any]:
    """A message as the API shows it."""
    return {
        "account_sid": ACCOUNT,
        "api_version": "2010-04-01",
        "body": "Hello",
        "date_created": "Thu, 24 Aug 2023 05:01:45 +0000",
        "date_sent": None,
        "date_updated": "Thu, 24 Aug 2023 05:01:45 +0000",
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": SENDER,
        "messaging_service_sid": None,
        "num_media": "0",
        "num_segments": "1",
        "price": None,
        "price_unit": "USD",
        "sid": SID,
        "status": "queued",
        "subresource_uris": {"media": f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{SID}/Media.json"},
        "to": "+4915550000001",
        "uri": f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{SID}.json",
        **more,
    }


QUEUED = Answer.json(201, message())


def error(status: int, code: int, words: str, **headers: str) -> Answer:
    """An error of the API."""
    more = f"https://www.twilio.com/docs/errors/{code}"
    return Answer.json(
        status, {"code": code, "message": words, "more_info": more, "status": status}, **headers
    )


REPLIES = (
    Recorded(answer=QUEUED, means=Accepted),
    Recorded(answer=error(401, 20003, "Authenticate"), means=Misconfigured),
    Recorded(answer=error(404, 20404, "The requested resource was not found"), means=Misconfigured),
    Recorded(answer=error(429, 20429, "Too Many Requests", retry_after="3"), means=Retry, after_s=3),
    Recorded(answer=error(400, 21211, f"Invalid 'To' Phone Number: {WORDS}"), means=Gone),
    Recorded(answer=error(400, 21614, f"'To' number is not a valid mobile number: {WORDS}"), means=Gone),
    Recorded(answer=error(400, 21635, f"'To' number cannot be a landline: {WORDS}"), means=Gone),
    Recorded(answer=error(400, 21610, "Attempt to send to unsubscribed recipient"), means=Gone),
    Recorded(answer=error(400, 21408, "Permission to send an SMS has not been enabled"), means=Rejected),
    Recorded(
        answer=error(400, 21617, "The concatenated message body exceeds the 1600 limit"), means=Rejected
    ),
    Recorded(answer=error(400, 21606, f"The 'From' phone number {WORDS} is not valid"), means=Misconfigured),
    Recorded(answer=error(400, 21659, f"'From' {WORDS} is not a Twilio phone number"), means=Misconfigured),
    Recorded(answer=error(429, 21611, "This 'From' number has exceeded the maximum"), means=Retry),
    Recorded(answer=error(400, 30034, "Message from an Unregistered Number"), means=Misconfigured),
    Recorded(answer=error(400, 30450, "Message delivery blocked"), means=Rejected),
    Recorded(answer=error(400, 63016, "Failed to send freeform message"), means=Rejected),
    Recorded(answer=error(400, 21612, f"Message cannot be sent with 'To' {WORDS}"), means=Rejected),
    Recorded(answer=error(400, 21620, f"Invalid media URL(s): {WORDS}"), means=Rejected),
    Recorded(answer=error(400, 21655, "The ContentSid is Invalid"), means=Rejected),
    Recorded(answer=error(400, 21999, f"something new about {WORDS}"), means=Rejected),
    Recorded(answer=Answer.json(201, message(status="failed", error_code=30005)), means=Gone),
    Recorded(answer=Answer.json(201, message(status="failed", error_code=39999)), means=Rejected),
    Recorded(answer=Answer.text(200, "<html>Welcome to the hotel</html>"), means=Unknown),
    Recorded(answer=Answer.text(503, "<html>503</html>"), means=Retry),
    Recorded(answer=Answer.text(504, "<html>504</html>"), means=Unknown),
)


def status(state: str, **more: str) -> RecordedCallback:
    """A status callback, without what it means."""
    fields = {
        "SmsSid": SID,
        "SmsStatus": state,
        "MessageStatus": state,
        "To": "+4915550000001",
        "MessageSid": SID,
        "AccountSid": ACCOUNT,
        "From": SENDER,
        "ApiVersion": "2010-04-01",
        **more,
    }
    return RecordedCallback(query=f"ref={REFERENCE}", content_type=FORM, body=urlencode(fields).encode())


def failed(
    code: int, kind: ReceiptKind, *, state: str = "undelivered", permanent: bool = False
) -> RecordedCallback:
    """A message that did not arrive."""
    return replace(status(state, ErrorCode=str(code)), means=(kind,), permanent=permanent)


INBOUND = RecordedCallback(
    content_type=FORM,
    body=urlencode(
        {
            "ToCountry": "US",
            "SmsMessageSid": SID,
            "NumMedia": "1",
            "SmsStatus": "received",
            "Body": f"{WORDS} grüße",
            "To": SENDER,
            "MessageSid": SID,
            "AccountSid": ACCOUNT,
            "From": "+4915550000001",
            "MediaUrl0": "https://api.twilio.com/media/1",
            "MediaContentType0": "image/jpeg",
        }
    ).encode(),
    messages=1,
)
JSON = RecordedCallback(
    query=f"ref={REFERENCE}",
    content_type="application/json",
    body=f'{{"MessageSid":"{SID}","MessageStatus":"undelivered","ErrorCode":30008,"To":"+4915550000001"}}'.encode(),
    means=(ReceiptKind.FAILED,),
)


class Fields:
    """The fields of a form, as the SDK reads them from a web framework."""

    def __init__(self, body: bytes) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True):
            self._values.setdefault(name, []).append(value)

    def __iter__(self):
        return iter(self._values)

    def __len__(self):
        return len(self._values)

    def getall(self, name: str) -> list[str]:
        return self._values[name]


def signed(token: str, request: CallbackRequest) -> CallbackRequest:
    """The request with Twilio's signature."""
    too_many = request.body.count(b"&") > MOST_FIELDS
    url, fields = request.url, Fields(b"" if too_many else request.body)
    if request.headers.get("content-type") == "application/json":
        url = f"{url}{'&' if '?' in url else '?'}bodySHA256={hashlib.sha256(request.body).hexdigest()}"
        fields = Fields(b"")
    signature = RequestValidator(token).compute_signature(url, fields)
    return replace(request, url=url, headers={**request.headers, "x-twilio-signature": signature})


CALLBACKS = CallbackVendor(
    sign=lambda request, at: signed(SECRET, request),
    stranger=lambda request, at: signed("another", request),
    recorded=(
        *(status(state) for state in ("queued", "sending", "sent", "accepted", "scheduled")),
        replace(status("delivered"), means=(ReceiptKind.DELIVERED,)),
        replace(status("read"), means=(ReceiptKind.OPENED,)),
        replace(status("read", ChannelPrefix="rcs", To="rcs:+4915550000001"), means=(ReceiptKind.OPENED,)),
        failed(21610, ReceiptKind.BOUNCED, state="failed", permanent=True),
        failed(30001, ReceiptKind.FAILED, state="failed"),
        failed(30003, ReceiptKind.BOUNCED),
        failed(30004, ReceiptKind.BLOCKED),
        failed(30005, ReceiptKind.BOUNCED, permanent=True),
        failed(30006, ReceiptKind.BOUNCED, permanent=True),
        failed(30007, ReceiptKind.BLOCKED),
        failed(30008, ReceiptKind.FAILED),
        failed(30011, ReceiptKind.FAILED),
        failed(19023, ReceiptKind.FAILED),
        failed(30034, ReceiptKind.FAILED),
        failed(30036, ReceiptKind.FAILED, state="failed"),
        failed(39999, ReceiptKind.FAILED),
        replace(status("canceled"), means=(ReceiptKind.FAILED,)),
        failed(63016, ReceiptKind.FAILED),
        failed(63024, ReceiptKind.BOUNCED),
        failed(63041, ReceiptKind.FAILED),
        INBOUND,
        JSON,
    ),
)


def account(url: str) -> dict[str, str]:
    """An account that sends from a number."""
    return {"account_sid": ACCOUNT, "auth_token": SECRET, "sender": SENDER, "api_url": url}


def service(url: str) -> dict[str, str]:
    """A messaging service, reached with an API key."""
    return {
        "account_sid": ACCOUNT,
        "auth_token": SECRET,
        "sender": "MG0123456789abcdef0123456789abcdef",
        "api_key_sid": "SK0123456789abcdef0123456789abcdef",
        "api_key_secret": f"key-{SECRET}",
        "api_url": url,
    }


VENDORS = {
    "number": Vendor(config=account, accepted=QUEUED, replies=REPLIES, callbacks=CALLBACKS),
    "messaging service": Vendor(config=service, accepted=QUEUED, replies=REPLIES, callbacks=CALLBACKS),
}
