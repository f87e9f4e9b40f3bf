"""A provider of text messages that reports: JSON, signed with a time over the URL and the body."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import msgspec
from msgspec.structs import replace

from clarion.errors import CallbackForged, CallbackUnreadable
from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.inbound import InboundMessage
from clarion.model.outcome import Misconfigured, Rejected
from clarion.model.receipt import ReceiptKind
from clarion.ports.callback import Callback, CallbackRequest, Callbacks, CallbackTools, ReportedReceipt
from clarion.ports.provider import ProviderPlugin, ProviderSettings, Token
from clarion.testing.provider_contract import (
    REFERENCE,
    SECRET,
    CallbackVendor,
    Recorded,
    RecordedCallback,
    Vendor,
)
from clarion.testing.providers import RecordingProvider
from clarion.testing.scripted_server import Answer

WINDOW_S = 300
MARK = "carrier-signature"


class CarrierConfig(ProviderSettings, frozen=True, kw_only=True):
    """An account with the carrier."""

    token: Token


class Report(msgspec.Struct):
    """One line of a report."""

    ref: str = ""
    event: str = ""
    gone: bool = False
    text: str | None = None
    id: str = "m1"
    sender: str = "+1"


def signature(token: str, seconds: int, request: CallbackRequest) -> str:
    """What the carrier writes into `MARK`."""
    signed = f"{seconds}.{request.url}.".encode() + request.body
    return f"{seconds}.{hmac.digest(token.encode(), signed, hashlib.sha256).hex()}"


def signed(token: str, request: CallbackRequest, at: Instant) -> CallbackRequest:
    """The request with the carrier's signature."""
    return replace(request, headers={**request.headers, MARK: signature(token, at // 1000, request)})


def verify(request: CallbackRequest, config: Any, tools: CallbackTools) -> None:
    """See `ports.callback.Callbacks`."""
    given = request.headers.get(MARK, "")
    seconds, _, _ = given.partition(".")
    if not (seconds.isascii() and seconds.isdecimal() and len(seconds) < 12):
        raise CallbackForged("there is no signature")
    if not hmac.compare_digest(given.encode(), signature(config.token, int(seconds), request).encode()):
        raise CallbackForged("the signature is wrong")
    if abs(tools.now // 1000 - int(seconds)) > WINDOW_S:
        raise CallbackForged("it is too old")


def read(request: CallbackRequest, config: Any, tools: CallbackTools) -> Callback:
    """See `ports.callback.Callbacks`."""
    try:
        reports = msgspec.json.decode(request.body, type=list[Report])
    except (msgspec.DecodeError, RecursionError):
        raise CallbackUnreadable("the body is no list of reports") from None
    kinds = {kind.value: kind for kind in KINDS}
    receipts, messages = [], []
    unread = ""
    for one in reports:
        if one.text is not None:
            messages.append(
                InboundMessage(provider_id=one.id, sender=one.sender, recipient="+2", text=one.text)
            )
        elif (kind := kinds.get(one.event)) is not None and one.ref:
            permanent = one.gone and kind is ReceiptKind.BOUNCED
            receipts.append(ReportedReceipt(reference=one.ref, kind=kind, permanent=permanent))
        else:
            unread = "an event is not known"
    return Callback(receipts=tuple(receipts), messages=tuple(messages), unread=unread)


KINDS = frozenset({ReceiptKind.DELIVERED, ReceiptKind.BOUNCED, ReceiptKind.FAILED})
REPORTS = Callbacks(verify=verify, read=read, kinds=KINDS, inbound=True, replay_window_s=WINDOW_S)


def carrier(provider: RecordingProvider | None = None) -> ProviderPlugin:
    """The plug-in, whose messages go to `provider`."""
    messages = provider or RecordingProvider(batch=10)
    return ProviderPlugin(
        name="carrier",
        title="Carrier (tests)",
        channels=frozenset({Channel.SMS}),
        config=CarrierConfig,
        open=lambda integration, config, tools: messages,
        batch=10,
        callbacks=REPORTS,
        secrets=frozenset({"token"}),
        example={"token": "t_..."},
    )


def body(event: str, **more: Any) -> bytes:
    """A report of one line, about whatever the reference stands for."""
    return msgspec.json.encode([{"ref": REFERENCE, "event": event, **more}])


CALLBACKS = CallbackVendor(
    sign=lambda request, at: signed(SECRET, request, at),
    stranger=lambda request, at: signed("another", request, at),
    recorded=(
        RecordedCallback(body=body("delivered"), means=(ReceiptKind.DELIVERED,)),
        RecordedCallback(body=body("bounced"), means=(ReceiptKind.BOUNCED,)),
        RecordedCallback(body=body("bounced", gone=True), means=(ReceiptKind.BOUNCED,), permanent=True),
        RecordedCallback(body=body("failed"), means=(ReceiptKind.FAILED,)),
        RecordedCallback(body=b'[{"text": "hello"}]', messages=1),
        RecordedCallback(body=body("exploded"), unread=True),
    ),
)
VENDOR = Vendor(
    config=lambda url: {"token": SECRET},
    accepted=Answer(status=200),
    replies=(
        Recorded(answer=Answer(status=400), means=Rejected),
        Recorded(answer=Answer(status=401), means=Misconfigured),
    ),
    callbacks=CALLBACKS,
)
