"""Bird (formerly MessageBird): text messages over its SMS API, with its reports of what became of them.

https://developers.messagebird.com/api/sms-messaging/
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import msgspec

from clarion.adapters.http import HttpProvider, HttpReply, HttpRequest, outcome_of
from clarion.adapters.phone_errors import PhoneError, PhoneErrorEffect, PhoneErrors
from clarion.adapters.service_json import answer_as, moment
from clarion.adapters.signed_jwt import check_digest, check_times, claims_of
from clarion.errors import CallbackForged, CallbackUnreadable, ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.content import SmsContent
from clarion.model.ids import Instant
from clarion.model.outcome import Accepted, Misconfigured, Outcome, Rejected, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.receipt import ReceiptKind
from clarion.model.setup import Integration
from clarion.ports.callback import Callback, CallbackRequest, Callbacks, CallbackTools, ReportedReceipt
from clarion.ports.provider import Provider, ProviderPlugin, ProviderSettings, ProviderTools, Token, WebUrl
from clarion.ports.vault import normal_address

TEXT_CHARS = 1377
LONGEST_VALIDITY_S = 172_800
WINDOW_S = 600
ISSUER = "MessageBird"
SIGNATURE = "messagebird-signature-jwt"
ANSWERS = PhoneErrors(
    "Bird",
    {
        "2": PhoneError("the access key is wrong", PhoneErrorEffect.SET_UP),
        "9": PhoneError("a parameter is missing", PhoneErrorEffect.REFUSED),
        "10": PhoneError("a parameter is not valid", PhoneErrorEffect.REFUSED),
        "20": PhoneError("nothing is there", PhoneErrorEffect.SET_UP),
        "21": PhoneError("the request is not valid", PhoneErrorEffect.REFUSED),
        "25": PhoneError("the account has no credit", PhoneErrorEffect.SET_UP),
        "98": PhoneError("this API does not exist", PhoneErrorEffect.SET_UP),
        "99": PhoneError("an error inside Bird", PhoneErrorEffect.UNCLEAR),
    },
)
"""When sending."""
ERRORS = PhoneErrors(
    "Bird",
    {
        "1": PhoneError("the number is unknown to its network", PhoneErrorEffect.GONE),
        "6": PhoneError("the phone is off or out of reach", PhoneErrorEffect.UNREACHABLE),
        "11": PhoneError("the carrier has suspended texts for this number", PhoneErrorEffect.UNREACHABLE),
        "13": PhoneError("the recipient or their carrier blocks messages", PhoneErrorEffect.BLOCKED),
        "27": PhoneError("the phone is off or out of reach", PhoneErrorEffect.UNREACHABLE),
        "31": PhoneError("the phone was busy", PhoneErrorEffect.UNREACHABLE),
        "32": PhoneError("the phone did not take the message", PhoneErrorEffect.UNREACHABLE),
        "34": PhoneError("a network failed", PhoneErrorEffect.UNCLEAR),
        "expired": PhoneError("the message waited too long", PhoneErrorEffect.EXPIRED),
        "delivery_failed": PhoneError("the message was not delivered", PhoneErrorEffect.UNCLEAR),
    },
)
"""Codes of GSM networks in reports, and statuses where the code is not known."""


class MessageBirdConfig(ProviderSettings, frozen=True, kw_only=True):
    """An account and who sends."""

    access_key: Token
    """The live access key of the account."""
    sender: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\A(\+?[1-9][0-9]{2,14}|(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9 ]{1,11})\Z",
            description="a number (+15005550006), a short code, or a name of up to 11 characters",
        ),
    ]
    """Who sends: a number, a short code, or a name where the country allows names."""
    signing_key: Token = ""
    """Bird signs its reports with it; empty: no reports are asked for."""
    api_url: WebUrl = "https://rest.messagebird.com"
    """Where the API is."""


class MessageBirdError(msgspec.Struct):
    """One error."""

    code: int = 0


class MessageBirdAnswer(msgspec.Struct):
    """What we read of Bird's JSON: a message, or errors."""

    id: str = ""
    errors: list[MessageBirdError] = []


class MessageBirdMessages:
    """Makes requests for one integration."""

    def __init__(self, integration: Integration, config: MessageBirdConfig, tools: ProviderTools) -> None:
        self._key = integration.key
        self._config = config
        self._tools = tools
        self._url = config.api_url.rstrip("/")
        self._headers = {"authorization": f"AccessKey {config.access_key}"}

    @property
    def ping(self) -> HttpRequest:
        """Asks for the balance."""
        return HttpRequest(method="GET", url=f"{self._url}/balance", headers=self._headers)

    def build(self, outgoing: Outgoing) -> HttpRequest | Outcome:
        """The request for one message."""
        assert isinstance(outgoing.content, SmsContent), "each channel has its own content"
        assert outgoing.contact is not None, "text messages go to a number"
        text = outgoing.content.text.encode("utf-8", "replace").decode()
        if len(text) > TEXT_CHARS:
            return Rejected(detail=f"the text is longer than the {TEXT_CHARS} characters that Bird takes")
        document: dict[str, Any] = {
            "originator": (outgoing.sender or self._config.sender).removeprefix("+"),
            "recipients": [normal_address(Channel.SMS, outgoing.contact.address).removeprefix("+")],
            "body": text,
            "datacoding": "auto",
            **self._validity(outgoing.message.expires_at),
        }
        url = self._tools.callback_url(outgoing.message.tenant, self._key)
        if url and self._config.signing_key:
            document |= {"reference": self._tools.reference(outgoing.message), "reportUrl": url}
        return HttpRequest(
            url=f"{self._url}/messages",
            headers={**self._headers, "content-type": "application/json"},
            body=msgspec.json.encode(document),
        )

    def _validity(self, expires_at: Instant | None) -> dict[str, int]:
        """Bird gives up what waits longer."""
        if expires_at is None:
            return {}
        left_s = (expires_at - self._tools.clock.now()) // 1000
        return {"validity": max(1, left_s)} if left_s < LONGEST_VALIDITY_S else {}


def answer_of(reply: HttpReply) -> MessageBirdAnswer:
    """The JSON of an answer; empty when there is none."""
    return answer_as(reply, MessageBirdAnswer)


def read(outgoing: Outgoing, reply: HttpReply) -> Outcome:
    """What Bird's answer means."""
    answer = answer_of(reply)
    if 200 <= reply.status < 300:
        return (
            Accepted(provider_id=answer.id) if answer.id else Unknown(detail="an answer that is not Bird's")
        )
    if reply.status == 504:
        return Unknown(detail="status 504: Bird may have taken it")
    code = str(answer.errors[0].code) if answer.errors else ""
    outcome = ANSWERS.outcome(code, reply.retry_after_s)
    if outcome is None and reply.status == 402:
        return Misconfigured(detail="status 402: the account has no credit")
    return outcome or outcome_of(reply)


def check_pong(reply: HttpReply) -> None:
    """What to do about the answer to a ping."""
    if reply.status == 200:
        return
    if reply.status in {401, 403}:
        raise ConfigError("Bird refuses the access key: compare `access_key` with its dashboard")
    if reply.status == 404:
        raise ConfigError("nothing is at this URL: check `api_url`", pointer="#/api_url")
    raise Unavailable(f"Bird answered {reply.status}: try again later, or look at https://status.bird.com")


# ── reports ───────────────────────────────────────────────────────────────────────────────────────────────

ON_THE_WAY = frozenset({"scheduled", "sent", "buffered"})
DELIVERED = "delivered"


def verify(request: CallbackRequest, config: Any, tools: CallbackTools) -> None:
    """The token of Bird, over digests of the URL and the body.

    https://developers.messagebird.com/docs/verify-http-requests
    """
    if not config.signing_key:
        raise CallbackForged("no reports are expected: `signing_key` is not set")
    claims = claims_of(request.headers.get(SIGNATURE, ""), config.signing_key)
    if claims.get("iss") != ISSUER:
        raise CallbackForged("the token is made by somebody else")
    check_times({**claims, "iat": claims.get("nbf")}, tools.now, WINDOW_S)
    url = request.url.encode("utf-8", "replace")
    check_digest(claims, "url_hash", hashlib.sha256(url).hexdigest())
    if request.body or claims.get("payload_hash"):
        check_digest(claims, "payload_hash", hashlib.sha256(request.body).hexdigest())


def read_report(request: CallbackRequest, config: Any, tools: CallbackTools) -> Callback:
    """A receipt; everything stands in the URL."""
    fields = request.query
    status = fields.get("status", "")
    if status in ON_THE_WAY:
        return Callback()
    receipt = ReportedReceipt(
        reference=fields.get("reference", ""),
        kind=ReceiptKind.DELIVERED,
        at=moment(fields.get("statusDatetime", "")),
        provider_id=fields.get("id") or None,
    )
    if status == DELIVERED:
        return Callback(receipts=(receipt,))
    if status not in ERRORS.codes:
        raise CallbackUnreadable("its status is not known")
    given = fields.get("statusErrorCode", "")
    code = given if given in ERRORS.codes else status
    return Callback(receipts=(ERRORS.failed(receipt, code),))


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    messages = MessageBirdMessages(integration, config, tools)
    return HttpProvider(
        integration, tools, build=messages.build, read=read, ping=messages.ping, check_pong=check_pong
    )


plugin = ProviderPlugin(
    name="messagebird",
    title="Bird (MessageBird)",
    channels=frozenset({Channel.SMS}),
    config=MessageBirdConfig,
    open=_open,
    callbacks=Callbacks(
        verify=verify,
        read=read_report,
        kinds=frozenset({ReceiptKind.DELIVERED, *ERRORS.kinds}),
        methods=frozenset({"GET"}),
        replay_window_s=WINDOW_S,
    ),
    batch=50,
    secrets=frozenset({"access_key", "signing_key"}),
    example={"access_key": "...", "sender": "Example"},
)
