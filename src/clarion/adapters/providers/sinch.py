"""Sinch: text messages over the SMS REST API, with its reports of what became of them.

https://developers.sinch.com/docs/sms/api-reference/sms/tag/Batches/
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

from clarion.adapters.http import HttpProvider, HttpReply, HttpRequest, outcome_of
from clarion.adapters.phone_errors import PhoneError, PhoneErrorEffect, PhoneErrors, with_plus
from clarion.adapters.service_json import moment, object_of, text_in
from clarion.errors import CallbackForged, CallbackUnreadable, ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.content import SmsContent
from clarion.model.inbound import InboundMessage
from clarion.model.outcome import Accepted, Misconfigured, Outcome, Rejected, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.receipt import ReceiptKind
from clarion.model.setup import Integration
from clarion.ports.callback import Callback, CallbackRequest, Callbacks, CallbackTools, ReportedReceipt
from clarion.ports.provider import Provider, ProviderPlugin, ProviderSettings, ProviderTools, Token, WebUrl
from clarion.ports.vault import normal_address

TEXT_CHARS = 2000
LONGEST_WAIT_MS = 3 * 86_400_000
"""How long Sinch tries at most; what it does by itself."""
WINDOW_S = 25 * 3600
ERRORS = PhoneErrors(
    "Sinch",
    {
        "402": PhoneError("there is no way to this number", PhoneErrorEffect.REFUSED),
        "403": PhoneError("an error inside Sinch", PhoneErrorEffect.UNCLEAR),
        "404": PhoneError("the message could not be delivered this time", PhoneErrorEffect.UNREACHABLE),
        "405": PhoneError("a parameter of the text is missing", PhoneErrorEffect.REFUSED),
        "406": PhoneError("the message waited too long inside Sinch", PhoneErrorEffect.EXPIRED),
        "407": PhoneError("the message was cancelled", PhoneErrorEffect.REFUSED),
        "408": PhoneError("Sinch refused the message", PhoneErrorEffect.BLOCKED),
        "410": PhoneError("there is no default sender for this number", PhoneErrorEffect.SET_UP),
        "411": PhoneError("the message has too many parts", PhoneErrorEffect.REFUSED),
        "412": PhoneError("the account is not enabled for this region", PhoneErrorEffect.SET_UP),
        "413": PhoneError("the account is blocked", PhoneErrorEffect.SET_UP),
        "ABORTED": PhoneError("the message was aborted inside Sinch", PhoneErrorEffect.UNCLEAR),
        "CANCELLED": PhoneError("the message was cancelled", PhoneErrorEffect.REFUSED),
        "REJECTED": PhoneError("a carrier refused the message", PhoneErrorEffect.BLOCKED),
        "DELETED": PhoneError("a carrier deleted the message", PhoneErrorEffect.UNCLEAR),
        "FAILED": PhoneError("the message was not delivered", PhoneErrorEffect.UNCLEAR),
        "EXPIRED": PhoneError("the message waited too long", PhoneErrorEffect.EXPIRED),
        "UNKNOWN": PhoneError("nobody knows what became of it", PhoneErrorEffect.UNCLEAR),
    },
)
"""Codes, and statuses where the code is not known.
https://developers.sinch.com/docs/sms/api-reference/sms/tag/Delivery-reports/"""


class SinchConfig(ProviderSettings, frozen=True, kw_only=True):
    """A service plan and who sends."""

    service_plan_id: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\A[0-9A-Za-z_-]{6,64}\Z", description="the service plan ID as the dashboard shows it"
        ),
    ]
    """The service plan."""
    api_token: Token
    """Its token."""
    sender: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\A(\+?[1-9][0-9]{2,14}|(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9 ]{1,11})\Z",
            description="a number (+15005550006), a short code, or a name of up to 11 characters",
        ),
    ]
    """Who sends: a number, a short code, or a name where the country allows names."""
    region: Literal["us", "eu", "au", "br", "ca"] = "us"
    """Where the service plan is."""
    callback_secret: Token = ""
    """Sinch signs its reports with it; empty: no reports are asked for."""
    api_url: WebUrl = ""
    """Where the API is; empty: `https://<region>.sms.api.sinch.com`."""


class SinchAnswer(msgspec.Struct):
    """What we read of Sinch's JSON."""

    id: str = ""


class SinchMessages:
    """Makes requests for one integration."""

    def __init__(self, integration: Integration, config: SinchConfig, tools: ProviderTools) -> None:
        self._key = integration.key
        self._config = config
        self._tools = tools
        base = (config.api_url or f"https://{config.region}.sms.api.sinch.com").rstrip("/")
        self._url = f"{base}/xms/v1/{config.service_plan_id}/batches"
        self._headers = {"authorization": f"Bearer {config.api_token}"}

    @property
    def ping(self) -> HttpRequest:
        """Asks for the latest batch."""
        return HttpRequest(method="GET", url=f"{self._url}?page_size=1", headers=self._headers)

    def build(self, outgoing: Outgoing) -> HttpRequest | Outcome:
        """The request for one message."""
        assert isinstance(outgoing.content, SmsContent), "each channel has its own content"
        assert outgoing.contact is not None, "text messages go to a number"
        text = outgoing.content.text.encode("utf-8", "replace").decode()
        if len(text) > TEXT_CHARS:
            return Rejected(detail=f"the text is longer than the {TEXT_CHARS} characters that Sinch takes")
        document: dict[str, Any] = {
            "from": outgoing.sender or self._config.sender,
            "to": [normal_address(Channel.SMS, outgoing.contact.address)],
            "body": text,
            "client_reference": self._tools.reference(outgoing.message),
        }
        expires_at = outgoing.message.expires_at
        if expires_at is not None and expires_at - self._tools.clock.now() < LONGEST_WAIT_MS:
            at = datetime.fromtimestamp(expires_at / 1000, UTC).isoformat(timespec="milliseconds")
            document["expire_at"] = at.replace("+00:00", "Z")
        url = self._tools.callback_url(outgoing.message.tenant, self._key)
        if url and self._config.callback_secret:
            document |= {"callback_url": url, "delivery_report": "per_recipient_final"}
        return HttpRequest(
            url=self._url,
            headers={**self._headers, "content-type": "application/json"},
            body=msgspec.json.encode(document),
        )


def read(outgoing: Outgoing, reply: HttpReply) -> Outcome:
    """What Sinch's answer means: its status says it."""
    if 200 <= reply.status < 300:
        try:
            batch = msgspec.json.decode(reply.body, type=SinchAnswer).id
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            batch = ""
        return Accepted(provider_id=batch) if batch else Unknown(detail="an answer that is not Sinch's")
    if reply.status == 402:
        return Misconfigured(detail="status 402: the account has no credit")
    if reply.status == 504:
        return Unknown(detail="status 504: Sinch may have taken it")
    return outcome_of(reply)


def check_pong(reply: HttpReply) -> None:
    """What to do about the answer to a ping."""
    if reply.status == 200:
        return
    if reply.status in {401, 403, 404}:
        raise ConfigError(
            "Sinch refuses the credentials: compare `service_plan_id`, `api_token` and `region` with its dashboard"
        )
    raise Unavailable(f"Sinch answered {reply.status}: try again later, or look at https://status.sinch.com")


# ── callbacks ─────────────────────────────────────────────────────────────────────────────────────────────

REPORT = "recipient_delivery_report_sms"
INBOUND = "mo_text"
ON_THE_WAY = frozenset({"QUEUED", "DISPATCHED"})
DELIVERED = "DELIVERED"
SIGNATURE = "x-sinch-webhook-signature"


def verify(request: CallbackRequest, config: Any, tools: CallbackTools) -> None:
    """HMAC-SHA256 over the body, a nonce and the time.

    https://developers.sinch.com/docs/sms/api-reference/sms/tag/Webhooks/
    """
    if not config.callback_secret:
        raise CallbackForged("no reports are expected: `callback_secret` is not set")
    given = request.headers.get(SIGNATURE, "").encode("utf-8", "replace")
    nonce = request.headers.get(f"{SIGNATURE}-nonce", "")
    at = request.headers.get(f"{SIGNATURE}-timestamp", "")
    if not given or not nonce or not at:
        raise CallbackForged("X-Sinch-Webhook-Signature, its nonce or its time is missing")
    signed = request.body + f".{nonce}.{at}".encode("utf-8", "replace")
    right = b64encode(hmac.digest(config.callback_secret.encode(), signed, "sha256"))
    if not hmac.compare_digest(given, right):
        raise CallbackForged("X-Sinch-Webhook-Signature is wrong")
    if not (at.isascii() and at.isdecimal() and len(at) < 12) or abs(tools.now / 1000 - int(at)) > WINDOW_S:
        raise CallbackForged("its time is too old")


def read_callback(request: CallbackRequest, config: Any, tools: CallbackTools) -> Callback:
    """A receipt, or the message of a person."""
    document = object_of(request.body)
    kind = text_in(document, "type")
    if kind == INBOUND and text_in(document, "id"):
        return Callback(messages=(_message(document),))
    if kind != REPORT:
        raise CallbackUnreadable("its type is not known")
    status = text_in(document, "status").upper()
    if status in ON_THE_WAY:
        return Callback()
    receipt = ReportedReceipt(
        reference=text_in(document, "client_reference"),
        kind=ReceiptKind.DELIVERED,
        at=moment(text_in(document, "operator_status_at")) or moment(text_in(document, "at")),
        provider_id=text_in(document, "batch_id") or None,
    )
    if status == DELIVERED:
        return Callback(receipts=(receipt,))
    if status not in ERRORS.codes:
        raise CallbackUnreadable("its status is not known")
    number = document.get("code")
    code = str(number) if isinstance(number, int) and str(number) in ERRORS.codes else status
    return Callback(receipts=(ERRORS.failed(receipt, code),))


def _message(document: dict[str, Any]) -> InboundMessage:
    return InboundMessage(
        provider_id=text_in(document, "id"),
        sender=with_plus(text_in(document, "from")),
        recipient=with_plus(text_in(document, "to")),
        text=text_in(document, "body"),
        at=moment(text_in(document, "received_at")),
        reference=text_in(document, "client_reference"),
    )


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    messages = SinchMessages(integration, config, tools)
    return HttpProvider(
        integration, tools, build=messages.build, read=read, ping=messages.ping, check_pong=check_pong
    )


plugin = ProviderPlugin(
    name="sinch",
    title="Sinch",
    channels=frozenset({Channel.SMS}),
    config=SinchConfig,
    open=_open,
    callbacks=Callbacks(
        verify=verify,
        read=read_callback,
        kinds=frozenset({ReceiptKind.DELIVERED, *ERRORS.kinds}),
        inbound=True,
        replay_window_s=WINDOW_S,
    ),
    batch=50,
    secrets=frozenset({"api_token", "callback_secret"}),
    example={"service_plan_id": "example-plan", "api_token": "...", "sender": "+15005550006"},
)
