"""What Twilio reports: how a message is doing, and what people write.

https://www.twilio.com/docs/messaging/guides/track-outbound-message-status, https://www.twilio.com/docs/messaging/guides/webhook-request
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from clarion.adapters.providers.twilio.error_codes import CODES, receipt_of_code, said
from clarion.adapters.providers.twilio.signature import check_signature, form_of, is_form
from clarion.errors import CallbackUnreadable
from clarion.model.inbound import InboundMessage
from clarion.model.receipt import ReceiptKind
from clarion.ports.callback import (
    Callback,
    CallbackAnswer,
    CallbackRequest,
    Callbacks,
    CallbackTools,
    ReportedReceipt,
)

REFERENCE = "ref"
"""Parameter of the callback URL."""
ON_THE_WAY = frozenset(
    {"accepted", "scheduled", "queued", "sending", "sent", "partially_delivered", "receiving", "received"}
)
ARRIVED = {"delivered": ReceiptKind.DELIVERED, "read": ReceiptKind.OPENED}
FAILED = frozenset({"undelivered", "failed", "canceled"})
MOST_MEDIA = 10
NO_REPLY = CallbackAnswer(body=b"<Response/>", media_type="text/xml")
"""Twilio answers the person with what stands in the TwiML: nothing."""
NOTED = CallbackAnswer(status=204)


def verify(request: CallbackRequest, config: Any, tools: CallbackTools) -> None:
    """Raises CallbackForged unless Twilio sent it."""
    check_signature(request, config.auth_token)


def read(request: CallbackRequest, config: Any, tools: CallbackTools) -> Callback:
    """A receipt, or the message of a person."""
    fields = _fields(request)
    if not fields.get("MessageSid"):
        raise CallbackUnreadable("there is no MessageSid")
    status = fields.get("MessageStatus", "")
    if not status and "Body" in fields:
        return Callback(messages=(_message(fields),), answer=NO_REPLY)
    if status in ON_THE_WAY:
        return Callback(answer=NOTED)
    if status not in ARRIVED and status not in FAILED:
        raise CallbackUnreadable("its MessageStatus is not known")
    return Callback(receipts=(_receipt(request, fields, status),), answer=NOTED)


def _fields(request: CallbackRequest) -> Mapping[str, str]:
    if is_form(request):
        return dict(form_of(request))
    try:
        document = msgspec.json.decode(request.body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise CallbackUnreadable("the body is not a JSON object") from None
    return {name: str(value) for name, value in document.items() if isinstance(value, str | int)}


def _number(fields: Mapping[str, str], name: str) -> str:
    """Twilio writes the channel before a number that is reached by another one than SMS."""
    return fields.get(name, "").removeprefix("whatsapp:").removeprefix("rcs:")


def _receipt(request: CallbackRequest, fields: Mapping[str, str], status: str) -> ReportedReceipt:
    reference = request.query.get(REFERENCE, "")
    to, sid = _number(fields, "To"), fields["MessageSid"]
    if status in ARRIVED:
        return ReportedReceipt(reference=reference, kind=ARRIVED[status], address=to, provider_id=sid)
    given = fields.get("ErrorCode", "")
    code = int(given) if given.isascii() and given.isdecimal() and len(given) < 9 else 0
    kind, permanent, reason = receipt_of_code(code)
    return ReportedReceipt(
        reference=reference,
        kind=kind,
        permanent=permanent,
        reason=reason,
        address=to,
        detail=said(code) if code else f"Twilio says {status}",
        provider_id=sid,
    )


def _message(fields: Mapping[str, str]) -> InboundMessage:
    """`OptOutType` says that Advanced Opt-Out of a messaging service has answered it."""
    media = (fields.get(f"MediaUrl{number}", "") for number in range(MOST_MEDIA))
    return InboundMessage(
        provider_id=fields["MessageSid"],
        sender=_number(fields, "From"),
        recipient=_number(fields, "To"),
        text=fields["Body"],
        media=tuple(url for url in media if url),
        answered=bool(fields.get("OptOutType")),
    )


callbacks = Callbacks(
    verify=verify,
    read=read,
    kinds=frozenset({*ARRIVED.values(), *(receipt_of_code(code)[0] for code in CODES)}),
    inbound=True,
)
