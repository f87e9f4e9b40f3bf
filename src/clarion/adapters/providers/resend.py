"""Resend: emails over its API, which knows repeated requests, and its webhooks, which Svix signs.

https://resend.com/docs/api-reference/emails/send-email
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from clarion.adapters.email import (
    EmailProvider,
    EmailReport,
    EmailSettings,
    encoded,
    mailbox,
    render,
    sender_of,
)
from clarion.adapters.http import HttpProvider, HttpReply, HttpRequest, outcome_of
from clarion.adapters.service_json import answer_of, moment, object_in, object_of, text_in
from clarion.errors import CallbackForged, ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.outcome import Accepted, Misconfigured, Outcome, Rejected, Retry, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.receipt import ReceiptKind
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.ports.callback import Callback, CallbackRequest, Callbacks, CallbackTools, ReportedReceipt
from clarion.ports.provider import Provider, ProviderPlugin, ProviderTools, Token, WebUrl

REFERENCE = "clarion"
"""Our name among the tags, which webhooks repeat."""
MOST_BYTES = 40_000_000
WINDOW_S = 300
"""Svix signs each attempt anew."""
QUOTA_WAIT_S = 3_600.0
SET_UP = frozenset(
    {
        "missing_api_key",
        "invalid_api_key",
        "restricted_api_key",
        "invalid_from_address",
        "invalid_access",
        "invalid_region",
        "security_error",
    }
)
QUOTAS = frozenset({"daily_quota_exceeded", "monthly_quota_exceeded"})


class ResendConfig(EmailSettings, frozen=True, kw_only=True):
    """A team at Resend."""

    api_key: Token
    """A key with *sending access*: `re_...`."""
    webhook_secret: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\A(whsec_[A-Za-z0-9+/]+={0,2})?\Z",
            description="the signing secret of a webhook: whsec_...",
        ),
    ] = ""
    """Signing secret of the webhook: `whsec_...`; empty: no reports are accepted."""
    api_url: WebUrl = "https://api.resend.com"
    """Where the API is."""


class ResendMails:
    """Makes requests for one integration."""

    def __init__(self, config: ResendConfig, tools: ProviderTools) -> None:
        self._tools = tools
        self._sender = sender_of(config, tools)
        self._url = config.api_url.rstrip("/")
        self._headers = {"authorization": f"Bearer {config.api_key}", "content-type": "application/json"}

    @property
    def ping(self) -> HttpRequest:
        """Asks for the domains."""
        return HttpRequest(method="GET", url=f"{self._url}/domains", headers=self._headers)

    def build(self, outgoing: Outgoing) -> HttpRequest | Outcome:
        """The request for one message. Raises ContentError."""
        email = render(outgoing, self._sender, self._tools)
        document: dict[str, Any] = {
            "from": mailbox(self._sender.name, self._sender.address),
            "to": [mailbox(email.to_name, email.to)],
            "subject": email.subject or " ",
            "headers": email.headers,
            "tags": [{"name": REFERENCE, "value": self._tools.reference(outgoing.message)}],
            "text": email.text if email.text or email.html else " ",
        }
        if email.html:
            document["html"] = email.html
        if self._sender.reply_to:
            document["reply_to"] = self._sender.reply_to
        if email.files:
            document["attachments"] = [
                {
                    "filename": one.name,
                    "content": encoded(one),
                    "content_type": one.type,
                    **({"content_id": one.inline_id} if one.inline_id else {}),
                }
                for one in email.files
            ]
        body = msgspec.json.encode(document)
        if len(body) > MOST_BYTES:
            return Rejected(detail="the email is larger than the 40 MB that Resend takes")
        key = {"idempotency-key": outgoing.message.id.hex()}
        return HttpRequest(url=f"{self._url}/emails", headers={**self._headers, **key}, body=body)


def read(outgoing: Outgoing, reply: HttpReply) -> Outcome:
    """What Resend's answer means."""
    answer = answer_of(reply)
    if 200 <= reply.status < 300:
        sent = text_in(answer, "id")
        return (
            Accepted(provider_id=sent)
            if sent
            else Retry(detail="an answer that is not Resend's, or half of one")
        )
    name = text_in(answer, "name")
    if name in QUOTAS:
        return Retry(reason=Reason.RATE_LIMITED, after_s=QUOTA_WAIT_S, detail=f"Resend {name}")
    if name == "invalid_idempotent_request":
        return Unknown(detail="Resend got another email with this key before, within a day")
    if name == "concurrent_idempotent_requests":
        return Retry(detail=f"Resend {name}")
    if name in SET_UP or reply.status == 403:
        known = f"Resend {name}" if name in SET_UP else f"status {reply.status}"
        return Misconfigured(detail=f"{known}: look at the API key, the domain and `from_address`")
    return outcome_of(reply)


def check_pong(reply: HttpReply) -> None:
    """What to do about the answer to a ping."""
    if reply.status == 200 or text_in(answer_of(reply), "name") == "restricted_api_key":
        return  # a key that may only send may not ask
    if reply.status in {400, 401, 403, 404}:
        raise ConfigError("Resend refuses the key: make a new one with sending access and set `api_key`")
    raise Unavailable(f"Resend answered {reply.status}: try again later")


# ── webhooks ──────────────────────────────────────────────────────────────────────────────────────────────


def verify(request: CallbackRequest, config: Any, tools: CallbackTools) -> None:
    """HMAC over id, time and body, as Standard Webhooks and Svix do.

    https://docs.svix.com/receiving/verifying-payloads/how-manual
    """
    if not config.webhook_secret:
        raise CallbackForged("webhook_secret is not set: copy the signing secret of the webhook into it")
    sent_id, sent_at = request.headers.get("svix-id", ""), request.headers.get("svix-timestamp", "")
    if not (sent_at.isascii() and sent_at.isdecimal()) or len(sent_at) > 12:
        raise CallbackForged("the time of the signature is missing")
    try:
        secret = b64decode(config.webhook_secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        raise CallbackForged("webhook_secret is not a signing secret") from None
    text = f"{sent_id}.{sent_at}.".encode("utf-8", "replace") + request.body
    right = b64encode(hmac.digest(secret, text, hashlib.sha256))
    shown = request.headers.get("svix-signature", "").split()
    if not any(hmac.compare_digest(one.encode("utf-8", "replace"), b"v1," + right) for one in shown):
        raise CallbackForged("the signature is wrong")
    if abs(tools.now // 1000 - int(sent_at)) > WINDOW_S:
        raise CallbackForged("the time of the signature is too old")


_PLAIN = {
    "email.delivered": ReceiptKind.DELIVERED,
    "email.delivery_delayed": ReceiptKind.DELAYED,
    "email.opened": ReceiptKind.OPENED,
    "email.clicked": ReceiptKind.CLICKED,
    "email.complained": ReceiptKind.COMPLAINED,
}


def read_event(request: CallbackRequest, config: Any, tools: CallbackTools) -> Callback:
    """A receipt, when it is about one of our emails."""
    document = object_of(request.body)
    kind, data = text_in(document, "type"), object_in(document, "data")
    reference = _tag(data.get("tags"))
    if not reference:
        return Callback()
    to = data.get("to")
    report = EmailReport(
        reference=reference,
        at=moment(text_in(document, "created_at")),
        address=to[0] if isinstance(to, list) and len(to) == 1 and isinstance(to[0], str) else "",
        provider_id=text_in(data, "email_id") or None,
    )
    receipt = _receipt(report, kind, data, tools)
    return Callback() if receipt is None else Callback(receipts=(receipt,))


def _receipt(
    report: EmailReport, kind: str, data: Mapping[str, Any], tools: CallbackTools
) -> ReportedReceipt | None:
    if kind in _PLAIN:
        return report.receipt(_PLAIN[kind])
    if kind == "email.bounced":
        bounce = object_in(data, "bounce")
        return report.refused(
            tools,
            status="",
            said=text_in(bounce, "message"),
            permanent=text_in(bounce, "type") == "Permanent",
        )
    if kind == "email.suppressed":
        detail = "Resend did not send it: the address bounced or complained before"
        return report.receipt(ReceiptKind.BOUNCED, permanent=True, detail=detail)
    if kind == "email.failed":
        return report.receipt(
            ReceiptKind.FAILED, reason=Reason.PROVIDER_REJECTED, detail="Resend could not send it"
        )
    return None


def _tag(tags: Any) -> str:
    """Ours: tags are an object, or a list of names and values."""
    if isinstance(tags, dict):
        return text_in(tags, REFERENCE)
    if isinstance(tags, list):
        for one in tags:
            if isinstance(one, dict) and one.get("name") == REFERENCE:
                return text_in(one, "value")
    return ""


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    mails = ResendMails(config, tools)
    http = HttpProvider(
        integration,
        tools,
        build=mails.build,
        read=read,
        ping=mails.ping,
        check_pong=check_pong,
        idempotent=True,
    )
    return EmailProvider(integration, tools, http)


plugin = ProviderPlugin(
    name="resend",
    title="Resend",
    channels=frozenset({Channel.EMAIL}),
    config=ResendConfig,
    open=_open,
    idempotent=True,
    callbacks=Callbacks(
        verify=verify,
        read=read_event,
        kinds=frozenset({*_PLAIN.values(), ReceiptKind.BOUNCED, ReceiptKind.BLOCKED, ReceiptKind.FAILED}),
        replay_window_s=WINDOW_S,
    ),
    batch=50,
    secrets=frozenset({"api_key", "webhook_secret"}),
    example={"api_key": "re_...", "from_address": "news@example.com", "from_name": "Example News"},
)
