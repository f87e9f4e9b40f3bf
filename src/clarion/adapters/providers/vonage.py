"""Vonage: text messages over the Messages API, with its reports of what became of them.

https://developer.vonage.com/en/api/messages
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import msgspec

from clarion.adapters.http import HttpProvider, HttpReply, HttpRequest, outcome_of
from clarion.adapters.http.basic import basic
from clarion.adapters.phone_errors import PhoneError, PhoneErrorEffect, PhoneErrors, with_plus
from clarion.adapters.service_json import answer_as, moment, object_in, object_of, text_in
from clarion.adapters.signed_jwt import check_digest, check_times, claims_of
from clarion.errors import CallbackForged, CallbackUnreadable, ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.content import SmsContent
from clarion.model.ids import Instant
from clarion.model.inbound import InboundMessage
from clarion.model.outcome import Accepted, Outcome, Rejected, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.receipt import ReceiptKind
from clarion.model.setup import Integration
from clarion.ports.callback import Callback, CallbackRequest, Callbacks, CallbackTools, ReportedReceipt
from clarion.ports.provider import Provider, ProviderPlugin, ProviderSettings, ProviderTools, Token, WebUrl
from clarion.ports.vault import normal_address

TEXT_CHARS = 1000
SHORTEST_TTL_S, LONGEST_TTL_S = 20, 604_800
WINDOW_S = 25 * 3600
"""Vonage repeats callbacks for a day."""
ERRORS = PhoneErrors(
    "Vonage",
    {
        "unauthorized": PhoneError("the API key or secret is wrong", PhoneErrorEffect.SET_UP),
        "forbidden": PhoneError("the account may not do this", PhoneErrorEffect.SET_UP),
        "low-balance": PhoneError("the account has no credit", PhoneErrorEffect.SET_UP),
        "account-suspended": PhoneError("the account is suspended", PhoneErrorEffect.SET_UP),
        "unprovisioned": PhoneError("the account is not enabled for this API", PhoneErrorEffect.SET_UP),
        "invalid-api-key": PhoneError("the API key does not exist", PhoneErrorEffect.SET_UP),
        "1000": PhoneError("too many requests at once", PhoneErrorEffect.LATER),
        "1010": PhoneError("a parameter is missing", PhoneErrorEffect.REFUSED),
        "1020": PhoneError("a parameter is not valid", PhoneErrorEffect.REFUSED),
        "1030": PhoneError("an error inside Vonage", PhoneErrorEffect.UNCLEAR),
        "1040": PhoneError(
            "the message cannot be processed, such as for an unknown prefix", PhoneErrorEffect.REFUSED
        ),
        "1050": PhoneError("the number is barred", PhoneErrorEffect.GONE),
        "1060": PhoneError("the account is barred", PhoneErrorEffect.SET_UP),
        "1070": PhoneError("the account has no credit", PhoneErrorEffect.SET_UP),
        "1090": PhoneError("the message is too long", PhoneErrorEffect.REFUSED),
        "1100": PhoneError("the message was not handed over", PhoneErrorEffect.UNCLEAR),
        "1120": PhoneError("the sender is not allowed in this country", PhoneErrorEffect.SET_UP),
        "1140": PhoneError("the account may not use this", PhoneErrorEffect.SET_UP),
        "1160": PhoneError(
            "the number is not on the account's list of allowed ones", PhoneErrorEffect.REFUSED
        ),
        "1170": PhoneError("the number is not valid", PhoneErrorEffect.GONE),
        "1180": PhoneError("the phone is off or out of reach", PhoneErrorEffect.UNREACHABLE),
        "1190": PhoneError("the number is no longer in use", PhoneErrorEffect.GONE),
        "1200": PhoneError("the number changed its carrier, and is not found", PhoneErrorEffect.UNREACHABLE),
        "1210": PhoneError("a carrier filtered the message as spam", PhoneErrorEffect.BLOCKED),
        "1220": PhoneError("the phone was busy", PhoneErrorEffect.UNREACHABLE),
        "1230": PhoneError("a network failed", PhoneErrorEffect.UNCLEAR),
        "1240": PhoneError("the recipient answered STOP", PhoneErrorEffect.OPTED_OUT),
        "1280": PhoneError("the carrier blocks messages to this number", PhoneErrorEffect.BLOCKED),
        "1290": PhoneError("the recipient's prepaid account is empty", PhoneErrorEffect.UNREACHABLE),
        "1330": PhoneError("the carrier gave no reason", PhoneErrorEffect.UNCLEAR),
        "1360": PhoneError("the time to live of the message is over", PhoneErrorEffect.EXPIRED),
        "1430": PhoneError("the number is not valid", PhoneErrorEffect.GONE),
    },
)
"""https://developer.vonage.com/en/api-errors/messages, and of all its APIs: https://developer.vonage.com/en/api-errors"""


class VonageConfig(ProviderSettings, frozen=True, kw_only=True):
    """An account and who sends."""

    api_key: Annotated[
        str,
        msgspec.Meta(pattern=r"\A[0-9A-Za-z]{4,64}\Z", description="the API key as the dashboard shows it"),
    ]
    """The account."""
    api_secret: Token
    """Its secret."""
    sender: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\A(\+?[1-9][0-9]{2,14}|(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9 ]{1,11})\Z",
            description="a number (15005550006), a short code, or a name of up to 11 characters",
        ),
    ]
    """Who sends: a number, a short code, or a name where the country allows names."""
    signature_secret: Token = ""
    """Vonage signs its reports with it; empty: no reports are asked for."""
    api_url: WebUrl = "https://api.nexmo.com"
    """Where the API is."""


class VonageAnswer(msgspec.Struct):
    """What we read of Vonage's JSON: a message, or a problem (RFC 7807)."""

    message_uuid: str = ""
    type: str = ""

    @property
    def code(self) -> str:
        """Of an error: `1120`, or a word."""
        return self.type.rpartition("#")[2] if "#" in self.type else ""


class VonageMessages:
    """Makes requests for one integration."""

    def __init__(self, integration: Integration, config: VonageConfig, tools: ProviderTools) -> None:
        self._key = integration.key
        self._config = config
        self._tools = tools
        self._url = f"{config.api_url.rstrip('/')}/v1/messages"
        self._headers = {
            "authorization": basic(config.api_key, config.api_secret),
            "content-type": "application/json",
        }

    @property
    def ping(self) -> HttpRequest:
        """Asks for a message without any field: it is refused, with another status than wrong credentials."""
        return HttpRequest(url=self._url, headers=self._headers, body=b"{}")

    def build(self, outgoing: Outgoing) -> HttpRequest | Outcome:
        """The request for one message."""
        assert isinstance(outgoing.content, SmsContent), "each channel has its own content"
        assert outgoing.contact is not None, "text messages go to a number"
        text = outgoing.content.text.encode("utf-8", "replace").decode()
        if len(text) > TEXT_CHARS:
            return Rejected(detail=f"the text is longer than the {TEXT_CHARS} characters that Vonage takes")
        document: dict[str, Any] = {
            "channel": "sms",
            "message_type": "text",
            "to": normal_address(Channel.SMS, outgoing.contact.address).removeprefix("+"),
            "from": (outgoing.sender or self._config.sender).removeprefix("+"),
            "text": text,
            "client_ref": self._tools.reference(outgoing.message),
            **self._ttl(outgoing.message.expires_at),
        }
        url = self._tools.callback_url(outgoing.message.tenant, self._key)
        if url and self._config.signature_secret:
            document |= {"webhook_url": url, "webhook_version": "v1"}
        return HttpRequest(url=self._url, headers=self._headers, body=msgspec.json.encode(document))

    def _ttl(self, expires_at: Instant | None) -> dict[str, int]:
        """Vonage gives up what waits longer."""
        if expires_at is None:
            return {}
        left_s = (expires_at - self._tools.clock.now()) // 1000
        return {"ttl": max(SHORTEST_TTL_S, left_s)} if left_s < LONGEST_TTL_S else {}


def answer_of(reply: HttpReply) -> VonageAnswer:
    """The JSON of an answer; empty when there is none."""
    return answer_as(reply, VonageAnswer)


def read(outgoing: Outgoing, reply: HttpReply) -> Outcome:
    """What Vonage's answer means."""
    answer = answer_of(reply)
    if 200 <= reply.status < 300:
        if not answer.message_uuid:
            return Unknown(detail="an answer that is not Vonage's")
        return Accepted(provider_id=answer.message_uuid)
    if reply.status == 504:
        return Unknown(detail="status 504: Vonage may have taken it")
    return ERRORS.outcome(answer.code, reply.retry_after_s) or outcome_of(reply)


def check_pong(reply: HttpReply) -> None:
    """What to do about the answer to a ping."""
    if reply.status in {400, 422}:
        return
    if reply.status in {401, 402, 403}:
        raise ConfigError(
            "Vonage refuses the account: compare `api_key` and `api_secret` with its dashboard, and its credit"
        )
    if reply.status == 404:
        raise ConfigError("nothing is at this URL: check `api_url`", pointer="#/api_url")
    raise Unavailable(
        f"Vonage answered {reply.status}: try again later, or look at https://vonageapi.statuspage.io"
    )


# ── reports ───────────────────────────────────────────────────────────────────────────────────────────────

ARRIVED = {"delivered": ReceiptKind.DELIVERED, "read": ReceiptKind.OPENED}
FAILED = frozenset({"rejected", "undeliverable"})
ON_THE_WAY = frozenset({"submitted"})


def verify(request: CallbackRequest, config: Any, tools: CallbackTools) -> None:
    """The token of Vonage, over a digest of the body.

    https://developer.vonage.com/en/getting-started/concepts/webhooks#decoding-signed-webhooks
    """
    if not config.signature_secret:
        raise CallbackForged("no reports are expected: `signature_secret` is not set")
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer":
        raise CallbackForged("the token is missing")
    claims = claims_of(token.strip(), config.signature_secret)
    check_times(claims, tools.now, WINDOW_S)
    check_digest(claims, "payload_hash", hashlib.sha256(request.body).hexdigest())


def read_report(request: CallbackRequest, config: Any, tools: CallbackTools) -> Callback:
    """A receipt, or the message of a person."""
    document = object_of(request.body)
    uuid, status = text_in(document, "message_uuid"), text_in(document, "status")
    if not uuid:
        raise CallbackUnreadable("there is no message_uuid")
    if not status and isinstance(document.get("text"), str):
        return Callback(messages=(_message(document, uuid),))
    if status in ON_THE_WAY:
        return Callback()
    receipt = ReportedReceipt(
        reference=text_in(document, "client_ref"),
        kind=ReceiptKind.FAILED,
        at=moment(text_in(document, "timestamp")),
        provider_id=uuid,
    )
    if status in ARRIVED:
        return Callback(receipts=(msgspec.structs.replace(receipt, kind=ARRIVED[status]),))
    if status not in FAILED:
        raise CallbackUnreadable("its status is not known")
    code = _code(document)
    return Callback(receipts=(ERRORS.failed(receipt, code),))


def _code(document: dict[str, Any]) -> str:
    """Of the error, which some versions wrap once more."""
    error = object_in(document, "error")
    error = object_in(error, "error") or error
    title = error.get("title")
    if isinstance(title, int | str) and str(title) in ERRORS.codes:
        return str(title)
    return text_in(error, "type").rpartition("#")[2]


def _message(document: dict[str, Any], uuid: str) -> InboundMessage:
    return InboundMessage(
        provider_id=uuid,
        sender=with_plus(text_in(document, "from")),
        recipient=with_plus(text_in(document, "to")),
        text=document["text"],
        at=moment(text_in(document, "timestamp")),
    )


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    messages = VonageMessages(integration, config, tools)
    return HttpProvider(
        integration, tools, build=messages.build, read=read, ping=messages.ping, check_pong=check_pong
    )


plugin = ProviderPlugin(
    name="vonage",
    title="Vonage",
    channels=frozenset({Channel.SMS}),
    config=VonageConfig,
    open=_open,
    callbacks=Callbacks(
        verify=verify,
        read=read_report,
        kinds=frozenset({*ARRIVED.values(), *ERRORS.kinds}),
        inbound=True,
        replay_window_s=WINDOW_S,
    ),
    batch=50,
    secrets=frozenset({"api_secret", "signature_secret"}),
    example={"api_key": "abcd1234", "api_secret": "...", "sender": "Example"},
)
