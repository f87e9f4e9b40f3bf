"""SendGrid: emails over its v3 API, and its signed event webhook.

https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from clarion.adapters.email import (
    TIME_SHARE,
    EmailProvider,
    EmailReport,
    EmailSettings,
    RenderedEmail,
    address_in,
    callback_of,
    content_of,
    render,
    sender_of,
)
from clarion.adapters.http import HttpProvider, HttpReply, HttpRequest, outcome_of
from clarion.adapters.service_json import second, text_in
from clarion.errors import CallbackForged, ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.outcome import Accepted, Gone, Misconfigured, Outcome, Rejected, Retry, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.receipt import ReceiptKind
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.ports.callback import Callback, CallbackRequest, Callbacks, CallbackTools, ReportedReceipt
from clarion.ports.clock import Clock
from clarion.ports.provider import Provider, ProviderPlugin, ProviderTools, Token, WebUrl

MOST_TOGETHER = 1_000
"""Personalizations in one request."""
MOST_BYTES = 30 * 1000 * 1000
"""Of one email with everything in it, as SendGrid counts."""
CATEGORY_CHARS = 255
REFERENCE = "clarion"
"""Our name among the custom arguments, which events repeat."""
REPLAY_WINDOW_S = 25 * 3600
"""SendGrid repeats events for 24 hours."""
SIGNATURE = "x-twilio-email-event-webhook-signature"
SENT_AT = "x-twilio-email-event-webhook-timestamp"

_RECIPIENT = re.compile(r"personalizations\.\d+\.to\b").match
_SENDER = re.compile(r"(?:from|reply_to)\b").match


class SendGridConfig(EmailSettings, frozen=True, kw_only=True):
    """An account with SendGrid."""

    api_key: Token
    """Needs the permission *Mail Send*."""
    webhook_key: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\A[A-Za-z0-9+/]*={0,2}\Z",
            description="the verification key of the signed event webhook, as SendGrid shows it: MFkw...",
        ),
    ] = ""
    """Verification key of the signed event webhook; empty: no reports are accepted."""
    api_url: WebUrl = "https://api.sendgrid.com"
    """Where the API is; for the EU `https://api.eu.sendgrid.com`."""

    def __post_init__(self) -> None:
        if self.webhook_key:
            public_key(self.webhook_key)


class SendGridError(msgspec.Struct):
    """One error of the API. Its words may quote what was sent."""

    message: str = ""
    field: str | None = None


class SendGridErrors(msgspec.Struct):
    """What is answered instead of 202."""

    errors: list[SendGridError] = []


@lru_cache(maxsize=64)
def public_key(encoded: str) -> EllipticCurvePublicKey:
    """The key as SendGrid shows it: base64 of its DER. Raises ValueError."""
    key = load_der_public_key(b64decode(encoded, validate=True))
    if not isinstance(key, EllipticCurvePublicKey):
        raise ValueError("webhook_key is not the verification key of a signed event webhook")
    return key


class SendGridMails:
    """Makes requests for one integration, and reads their answers."""

    def __init__(self, config: SendGridConfig, tools: ProviderTools) -> None:
        self._config = config
        self._tools = tools
        self._sender = sender_of(config, tools)
        self._url = f"{config.api_url.rstrip('/')}/v3/mail/send"
        self._headers = {"authorization": f"Bearer {config.api_key}", "content-type": "application/json"}

    @property
    def ping(self) -> HttpRequest:
        """An email in sandbox mode: checked as any, and sent to nobody."""
        document = {
            "personalizations": [{"to": [{"email": self._config.from_address}]}],
            "from": {"email": self._config.from_address},
            "subject": "Check",
            "content": [{"type": "text/plain", "value": "Check"}],
            "mail_settings": {"sandbox_mode": {"enable": True}},
        }
        return HttpRequest(url=self._url, headers=self._headers, body=msgspec.json.encode(document))

    def build(self, group: Sequence[Outgoing]) -> HttpRequest | Outcome:
        """The request for messages of equal content. Raises ContentError."""
        emails = [render(outgoing, self._sender, self._tools) for outgoing in group]
        email, message = emails[0], group[0].message
        document = {
            "personalizations": [
                self._personalization(outgoing, one) for outgoing, one in zip(group, emails, strict=True)
            ],
            "from": _mailbox(self._sender.address, self._sender.name),
            "subject": email.subject or " ",
            "content": _bodies(email),
            "categories": [message.category[:CATEGORY_CHARS]] if message.category.isascii() else [],
        }
        if self._sender.reply_to:
            document["reply_to"] = {"email": self._sender.reply_to}
        if email.files:
            document["attachments"] = [
                {
                    "content": b64encode(one.content).decode(),
                    "type": one.type,
                    "filename": one.name,
                    **(
                        {"disposition": "inline", "content_id": one.inline_id}
                        if one.inline_id
                        else {"disposition": "attachment"}
                    ),
                }
                for one in email.files
            ]
        body = msgspec.json.encode(document)
        if len(body) > MOST_BYTES:
            return Rejected(detail="the email is larger than the 30 MB that SendGrid takes")
        return HttpRequest(url=self._url, headers=self._headers, body=body)

    def _personalization(self, outgoing: Outgoing, email: RenderedEmail) -> dict[str, Any]:
        return {
            "to": [_mailbox(email.to, email.to_name)],
            "headers": email.headers,
            "custom_args": {REFERENCE: self._tools.reference(outgoing.message)},
        }

    def read(self, group: Sequence[Outgoing], reply: HttpReply) -> Outcome:
        """What SendGrid's answer means."""
        if 200 <= reply.status < 300:
            return Accepted(provider_id=reply.headers.get("x-message-id"))
        if reply.status == 400:
            return _refused(_errors(reply))
        if reply.status == 429:
            return Retry(reason=Reason.RATE_LIMITED, after_s=self._wait_s(reply), detail="status 429")
        if reply.status == 451:
            return Misconfigured(detail="status 451: the account is in another region: set `api_url`")
        if reply.status == 504:
            return Unknown(detail="status 504: SendGrid may have taken it")
        return outcome_of(reply)

    def _wait_s(self, reply: HttpReply) -> float | None:
        reset = reply.headers.get("x-ratelimit-reset", "")
        if reply.retry_after_s is not None or not (reset.isascii() and reset.isdecimal() and len(reset) < 12):
            return reply.retry_after_s
        return float(max(1, int(reset) - self._tools.clock.now() // 1000))


class SendGridBatches:
    """Implements `ports.provider.Provider`: messages of equal content share a request."""

    def __init__(self, http: HttpProvider[Sequence[Outgoing]], clock: Clock, timeout_s: float) -> None:
        self._http = http
        self._clock = clock
        self._timeout_s = timeout_s

    async def send(self, batch: Sequence[Outgoing], *, within_s: float | None = None) -> Sequence[Outcome]:
        """A request that is refused as a whole was taken for nobody: its messages are sent again one by one."""
        until_s = self._clock.monotonic() + (within_s or self._timeout_s)
        groups: dict[Hashable, list[int]] = {}
        for at, outgoing in enumerate(batch):
            groups.setdefault(_equal(outgoing, at), []).append(at)
        todo = list(groups.values())
        outcomes = dict(await self._sent(batch, todo, until_s))
        alone = [
            [at]
            for group in todo
            if len(group) > 1
            for at in group
            if isinstance(outcomes[at], Gone | Rejected)
        ]
        if alone:
            outcomes.update(await self._sent(batch, alone, until_s))
        return [outcomes[at] for at in range(len(batch))]

    async def ping(self) -> None:
        """Ask in sandbox mode."""
        await self._http.ping()

    async def close(self) -> None:
        """Release the connections."""
        await self._http.close()

    async def _sent(
        self, batch: Sequence[Outgoing], groups: Sequence[Sequence[int]], until_s: float
    ) -> list[tuple[int, Outcome]]:
        left_s = max(0.001, until_s - self._clock.monotonic())
        answers = await self._http.send([[batch[at] for at in group] for group in groups], within_s=left_s)
        return [(at, answer) for group, answer in zip(groups, answers, strict=True) for at in group]


def _equal(outgoing: Outgoing, at: int) -> Hashable:
    """The same for messages that differ in their recipient only."""
    content = content_of(outgoing)
    if content.calendar is not None:
        return at  # an invitation names its guest
    message = outgoing.message
    return message.workflow, message.category, content


def _mailbox(address: str, name: str) -> dict[str, str]:
    return {"email": address, "name": name} if name else {"email": address}


def _bodies(email: RenderedEmail) -> list[dict[str, str]]:
    """Plain text before HTML, and none of them empty."""
    bodies = (("text/plain", email.text), ("text/html", email.html))
    found = [{"type": kind, "value": value} for kind, value in bodies if value]
    return found or [{"type": "text/plain", "value": " "}]


def _errors(reply: HttpReply) -> list[SendGridError]:
    try:
        return msgspec.json.decode(reply.body, type=SendGridErrors).errors
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return []


def _refused(errors: Sequence[SendGridError]) -> Outcome:
    """What a 400 means, by the field that is wrong."""
    fields = [error.field or "" for error in errors]
    if any(map(_SENDER, fields)):
        return Misconfigured(detail="status 400: SendGrid does not take the sender")
    if any(map(_RECIPIENT, fields)):
        return Gone(detail="status 400: SendGrid does not take the address")
    return Rejected(detail="status 400")


def check_pong(reply: HttpReply) -> None:
    """What to do about the answer to a ping."""
    if 200 <= reply.status < 300:
        return
    if reply.status == 401:
        raise ConfigError("SendGrid refuses the key: make a new one in its settings and set `api_key`")
    if reply.status == 403:
        raise ConfigError(
            "SendGrid does not let this key send as `from_address`: give it the permission Mail Send, and verify the "
            "sender or its domain"
        )
    if reply.status in {400, 404, 451}:
        raise ConfigError(f"SendGrid answered {reply.status}: check `from_address` and `api_url`")
    raise Unavailable(f"SendGrid answered {reply.status}: try again later")


# ── events ────────────────────────────────────────────────────────────────────────────────────────────────


def verify(request: CallbackRequest, config: Any, tools: CallbackTools) -> None:
    """ECDSA over the time and the body."""
    if not config.webhook_key:
        raise CallbackForged("webhook_key is not set: copy the verification key of the event webhook into it")
    sent_at = request.headers.get(SENT_AT, "")
    if not (sent_at.isascii() and sent_at.isdecimal()) or len(sent_at) > 12:
        raise CallbackForged("the time of the signature is missing")
    try:
        signature = b64decode(request.headers.get(SIGNATURE, ""), validate=True)
        public_key(config.webhook_key).verify(signature, sent_at.encode() + request.body, ECDSA(SHA256()))
    except (ValueError, InvalidSignature):
        raise CallbackForged("the signature is wrong") from None
    if abs(tools.now // 1000 - int(sent_at)) > REPLAY_WINDOW_S:
        raise CallbackForged("the time of the signature is too old")


def read_events(request: CallbackRequest, config: Any, tools: CallbackTools) -> Callback:
    """A receipt for each event that says something new about one of our emails."""
    return callback_of(request.body, lambda document: _receipt(document, tools))


_PLAIN = {
    "delivered": ReceiptKind.DELIVERED,
    "click": ReceiptKind.CLICKED,
    "spamreport": ReceiptKind.COMPLAINED,
    "unsubscribe": ReceiptKind.UNSUBSCRIBED,
    "group_unsubscribe": ReceiptKind.UNSUBSCRIBED,
}


def _receipt(document: Mapping[str, Any], tools: CallbackTools) -> ReportedReceipt | None:
    reference, kind = text_in(document, REFERENCE), text_in(document, "event")
    if not reference:
        return None  # somebody else's email
    event = EmailReport(
        reference=reference,
        at=second(document.get("timestamp")),
        address=address_in(document, "email"),
        provider_id=text_in(document, "sg_message_id").partition(".")[0] or None,
    )
    if kind in _PLAIN:
        return event.receipt(_PLAIN[kind])
    if kind == "open":
        return None if document.get("sg_machine_open") is True else event.receipt(ReceiptKind.OPENED)
    if kind == "deferred":
        return event.receipt(
            ReceiptKind.DELAYED, detail=tools.refused_email("", text_in(document, "response")).detail
        )
    if kind == "bounce":
        blocked = text_in(document, "type") == "blocked"
        return event.refused(
            tools,
            status=text_in(document, "status"),
            said=text_in(document, "reason"),
            permanent=not blocked,
            unknown=ReceiptKind.BLOCKED if blocked else ReceiptKind.BOUNCED,
        )
    return _dropped(event, text_in(document, "reason").lower()) if kind == "dropped" else None


def _dropped(event: EmailReport, reason: str) -> ReportedReceipt:
    """An email that SendGrid did not try to deliver."""
    if "unsubscribed" in reason or "spam report" in reason:
        return event.opted_out("SendGrid did not send it: the person unsubscribed there, or called it spam")
    if "bounced" in reason or reason == "invalid":
        detail = "SendGrid did not send it: the address bounced before, or is not valid"
        return event.receipt(ReceiptKind.BOUNCED, permanent=True, detail=detail)
    if "spam content" in reason:
        return event.receipt(
            ReceiptKind.BLOCKED, detail="SendGrid did not send it: it takes the content for spam"
        )
    if "quota" in reason:
        detail = "SendGrid did not send it: the quota of the account is used up"
        return event.receipt(ReceiptKind.FAILED, reason=Reason.RATE_LIMITED, detail=detail)
    return event.receipt(
        ReceiptKind.FAILED, reason=Reason.PROVIDER_REJECTED, detail="SendGrid did not send it"
    )


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    mails = SendGridMails(config, tools)
    http: HttpProvider[Sequence[Outgoing]] = HttpProvider(
        integration,
        tools,
        build=mails.build,
        read=mails.read,
        ping=mails.ping,
        check_pong=check_pong,
    )
    return EmailProvider(
        integration, tools, SendGridBatches(http, tools.clock, TIME_SHARE * integration.limits.timeout_s)
    )


plugin = ProviderPlugin(
    name="sendgrid",
    title="SendGrid",
    channels=frozenset({Channel.EMAIL}),
    config=SendGridConfig,
    open=_open,
    callbacks=Callbacks(
        verify=verify,
        read=read_events,
        kinds=frozenset(
            {
                *_PLAIN.values(),
                ReceiptKind.OPENED,
                ReceiptKind.DELAYED,
                ReceiptKind.BOUNCED,
                ReceiptKind.BLOCKED,
                ReceiptKind.FAILED,
            }
        ),
        replay_window_s=REPLAY_WINDOW_S,
    ),
    batch=MOST_TOGETHER,
    secrets=frozenset({"api_key"}),
    example={"api_key": "SG...", "from_address": "news@example.com", "from_name": "Example News"},
)
