"""Plivo: text messages, with its reports of what became of them.

https://www.plivo.com/docs/messaging/api/message/send-a-message
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec

from clarion.adapters.http import HttpProvider, HttpReply, HttpRequest, outcome_of
from clarion.adapters.http.basic import basic
from clarion.adapters.phone_errors import PhoneError, PhoneErrorEffect, PhoneErrors, with_plus
from clarion.errors import CallbackForged, CallbackUnreadable, ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.content import SmsContent
from clarion.model.inbound import InboundMessage
from clarion.model.outcome import Accepted, Misconfigured, Outcome, Rejected, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.receipt import ReceiptKind
from clarion.model.setup import Integration
from clarion.ports.callback import (
    Callback,
    CallbackAnswer,
    CallbackRequest,
    Callbacks,
    CallbackTools,
    ReportedReceipt,
)
from clarion.ports.provider import Provider, ProviderPlugin, ProviderSettings, ProviderTools, Token, WebUrl
from clarion.ports.vault import normal_address

TEXT_CHARS = 1600
MOST_FIELDS = 1_000
REFERENCE = "ref"
"""Parameter of the callback URL."""
ERRORS = PhoneErrors(
    "Plivo",
    {
        "10": PhoneError("a carrier refused the message as not valid", PhoneErrorEffect.REFUSED),
        "20": PhoneError("a carrier's network failed", PhoneErrorEffect.UNCLEAR),
        "30": PhoneError("a carrier filtered the message as spam", PhoneErrorEffect.BLOCKED),
        "40": PhoneError(
            "the sender is not a number of this account that sends texts", PhoneErrorEffect.SET_UP
        ),
        "50": PhoneError("the number is not valid", PhoneErrorEffect.GONE),
        "60": PhoneError("the carrier found a loop", PhoneErrorEffect.REFUSED),
        "70": PhoneError("the number is no longer in use", PhoneErrorEffect.GONE),
        "80": PhoneError("the phone is off or out of reach", PhoneErrorEffect.UNREACHABLE),
        "90": PhoneError("there is no way to this network", PhoneErrorEffect.REFUSED),
        "100": PhoneError("the carrier takes no such message", PhoneErrorEffect.BLOCKED),
        "110": PhoneError("the message is too long", PhoneErrorEffect.REFUSED),
        "200": PhoneError("the recipient answered STOP", PhoneErrorEffect.OPTED_OUT),
        "201": PhoneError("this toll-free number cannot send to this country", PhoneErrorEffect.REFUSED),
        "300": PhoneError("the message was not handed over", PhoneErrorEffect.UNCLEAR),
        "420": PhoneError("the message waited too long", PhoneErrorEffect.EXPIRED),
        "450": PhoneError("sending to this country is not enabled for the account", PhoneErrorEffect.REFUSED),
        "900": PhoneError("the account has no credit", PhoneErrorEffect.SET_UP),
        "910": PhoneError("the account is disabled", PhoneErrorEffect.SET_UP),
        "1000": PhoneError("nobody gave a reason", PhoneErrorEffect.UNCLEAR),
    },
)
"""https://www.plivo.com/docs/messaging/troubleshooting/error-codes"""
_POWERPACK = re.compile(r"\A[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z").fullmatch


class PlivoConfig(ProviderSettings, frozen=True, kw_only=True):
    """An account and who sends."""

    auth_id: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\A[MS]A[0-9A-Z]{18}\Z",
            description="the auth ID as the console shows it: MA..., or SA...",
        ),
    ]
    """The account, or a subaccount."""
    auth_token: Token
    """Its token. Plivo signs its callbacks with it."""
    sender: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\A(\+?[1-9][0-9]{2,14}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
            r"|(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9 ]{1,11})\Z",
            description="a number (+15005550006), a short code, a name of up to 11 characters, or the UUID of a powerpack",
        ),
    ]
    """Who sends: a number, a short code, a name where the country allows names, or the UUID of a powerpack."""
    api_url: WebUrl = "https://api.plivo.com"
    """Where the API is."""


class PlivoAnswer(msgspec.Struct):
    """What we read of Plivo's JSON."""

    message_uuid: list[str] = []


class PlivoMessages:
    """Makes requests for one integration."""

    def __init__(self, integration: Integration, config: PlivoConfig, tools: ProviderTools) -> None:
        self._key = integration.key
        self._tools = tools
        self._url = f"{config.api_url.rstrip('/')}/v1/Account/{config.auth_id}/"
        self._headers = {"authorization": basic(config.auth_id, config.auth_token)}
        self._sender = config.sender

    @property
    def ping(self) -> HttpRequest:
        """Asks for the account."""
        return HttpRequest(method="GET", url=self._url, headers=self._headers)

    def build(self, outgoing: Outgoing) -> HttpRequest | Outcome:
        """The request for one message."""
        assert isinstance(outgoing.content, SmsContent), "each channel has its own content"
        assert outgoing.contact is not None, "text messages go to a number"
        text = outgoing.content.text.encode("utf-8", "replace").decode()
        if len(text) > TEXT_CHARS:
            return Rejected(detail=f"the text is longer than the {TEXT_CHARS} characters that Plivo takes")
        sender = outgoing.sender or self._sender
        document = {
            "powerpack_uuid" if _POWERPACK(sender) else "src": sender,
            "dst": normal_address(Channel.SMS, outgoing.contact.address),
            "text": text,
            "type": "sms",
        }
        if url := self._tools.callback_url(outgoing.message.tenant, self._key):
            reference = quote(self._tools.reference(outgoing.message))
            document |= {"url": f"{url}?{REFERENCE}={reference}", "method": "POST"}
        return HttpRequest(
            url=f"{self._url}Message/",
            headers={**self._headers, "content-type": "application/json"},
            body=msgspec.json.encode(document),
        )


def read(outgoing: Outgoing, reply: HttpReply) -> Outcome:
    """What Plivo's answer means. Its errors have words only, no codes."""
    if 200 <= reply.status < 300:
        try:
            uuids = msgspec.json.decode(reply.body, type=PlivoAnswer).message_uuid
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            uuids = []
        return Accepted(provider_id=uuids[0]) if uuids else Unknown(detail="an answer that is not Plivo's")
    if reply.status == 402:
        return Misconfigured(detail="status 402: the account has no credit")
    if reply.status == 504:
        return Unknown(detail="status 504: Plivo may have taken it")
    return outcome_of(reply)


def check_pong(reply: HttpReply) -> None:
    """What to do about the answer to a ping."""
    if reply.status == 200:
        return
    if reply.status in {401, 403, 404}:
        raise ConfigError(
            "Plivo refuses the credentials: compare `auth_id` and `auth_token` with its console"
        )
    raise Unavailable(f"Plivo answered {reply.status}: try again later, or look at https://status.plivo.com")


# ── callbacks ─────────────────────────────────────────────────────────────────────────────────────────────

ON_THE_WAY = frozenset({"queued", "sent"})
ARRIVED = {"delivered": ReceiptKind.DELIVERED, "read": ReceiptKind.OPENED}
FAILED = frozenset({"failed", "undelivered", "rejected"})
NONCES = ("x-plivo-signature-v3-nonce", "x-plivo-signature-ma-v3-nonce")
SIGNATURES = ("x-plivo-signature-v3", "x-plivo-signature-ma-v3")
"""By the token of a subaccount, and by that of the main account."""
NO_REPLY = CallbackAnswer(body=b"<Response/>", media_type="text/xml")


def verify(request: CallbackRequest, config: Any, tools: CallbackTools) -> None:
    """Signature V3: HMAC-SHA256 over the URL, its parameters, the fields of the form and a nonce.

    https://www.plivo.com/docs/messaging/concepts/signature-validation
    """
    nonce = next((request.headers[name] for name in NONCES if name in request.headers), "")
    given = [one for name in SIGNATURES for one in request.headers.get(name, "").split(",") if one]
    if not nonce or not given:
        raise CallbackForged("X-Plivo-Signature-V3 or its nonce is missing")
    right = b64encode(
        hmac.digest(
            config.auth_token.encode(), signed_text(request, nonce).encode("utf-8", "replace"), "sha256"
        )
    )
    if not any(hmac.compare_digest(one.strip().encode("utf-8", "replace"), right) for one in given):
        raise CallbackForged("X-Plivo-Signature-V3 is wrong")


def signed_text(request: CallbackRequest, nonce: str) -> str:
    """What Plivo signs. Raises CallbackForged for a form without end."""
    place = urlsplit(request.url)
    query = "&".join(f"{name}={value}" for name, value in sorted(_pairs(place.query)))
    fields = "".join(f"{name}{value}" for name, value in sorted(_fields(request)))
    text = f"{place.scheme}://{place.netloc}{place.path}"
    if query or fields:
        text += f"?{query}"
    if query and fields:
        text += "."
    return f"{text}{fields}.{nonce}"


def _pairs(text: str) -> Iterable[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise CallbackForged("it has too many fields") from None


def _fields(request: CallbackRequest) -> Iterable[tuple[str, str]]:
    return _pairs(request.body.decode("utf-8", "replace"))


def read_callback(request: CallbackRequest, config: Any, tools: CallbackTools) -> Callback:
    """A receipt, or the message of a person."""
    fields = dict(_fields(request))
    if not fields.get("MessageUUID"):
        raise CallbackUnreadable("there is no MessageUUID")
    status = fields.get("Status", "")
    if not status and "Text" in fields:
        return Callback(messages=(_message(fields),), answer=NO_REPLY)
    if status in ON_THE_WAY:
        return Callback()
    if status not in ARRIVED and status not in FAILED:
        raise CallbackUnreadable("its Status is not known")
    receipt = ReportedReceipt(
        reference=request.query.get(REFERENCE, ""),
        kind=ARRIVED.get(status, ReceiptKind.FAILED),
        provider_id=fields["MessageUUID"],
    )
    if status in FAILED:
        receipt = ERRORS.failed(receipt, fields.get("ErrorCode", ""))
    return Callback(receipts=(receipt,))


def _message(fields: Mapping[str, str]) -> InboundMessage:
    return InboundMessage(
        provider_id=fields["MessageUUID"],
        sender=with_plus(fields.get("From", "")),
        recipient=with_plus(fields.get("To", "")),
        text=fields["Text"],
    )


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    messages = PlivoMessages(integration, config, tools)
    return HttpProvider(
        integration, tools, build=messages.build, read=read, ping=messages.ping, check_pong=check_pong
    )


plugin = ProviderPlugin(
    name="plivo",
    title="Plivo",
    channels=frozenset({Channel.SMS}),
    config=PlivoConfig,
    open=_open,
    callbacks=Callbacks(
        verify=verify,
        read=read_callback,
        kinds=frozenset({*ARRIVED.values(), *ERRORS.kinds}),
        inbound=True,
    ),
    batch=50,
    secrets=frozenset({"auth_token"}),
    example={"auth_id": "MA000000000000000000", "auth_token": "...", "sender": "+15005550006"},
)
