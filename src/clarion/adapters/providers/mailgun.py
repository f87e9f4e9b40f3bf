"""Mailgun: emails as MIME over its API, and its signed webhooks.

https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from clarion.adapters.email import (
    EmailProvider,
    EmailReport,
    EmailSettings,
    address_in,
    mail_of,
    sender_of,
)
from clarion.adapters.http import HttpProvider, HttpReply, HttpRequest, outcome_of
from clarion.adapters.http.basic import basic
from clarion.adapters.service_json import answer_of, object_in, object_of, second, text_in
from clarion.errors import CallbackForged, CallbackUnreadable, ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.outcome import Accepted, Misconfigured, Outcome, Rejected, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.receipt import ReceiptKind
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.ports.callback import Callback, CallbackRequest, Callbacks, CallbackTools, ReportedReceipt
from clarion.ports.provider import HostName, Provider, ProviderPlugin, ProviderTools, Token, WebUrl

REFERENCE = "clarion"
"""Our name among the variables, which webhooks repeat."""
MOST_BYTES = 25 * 1000 * 1000
TAG_CHARS = 128
WINDOW_S = 25 * 3600
"""Mailgun repeats a webhook for eight hours."""


class MailgunConfig(EmailSettings, frozen=True, kw_only=True):
    """A sending domain at Mailgun."""

    api_key: Token
    """A key of the account; one that may only send from a domain passes no `clarion check`."""
    domain: HostName
    """The sending domain, as Mailgun shows it."""
    webhook_key: Token = ""
    """HTTP webhook signing key of the account; empty: no reports are accepted."""
    api_url: WebUrl = "https://api.mailgun.net"
    """Where the API is; in the EU `https://api.eu.mailgun.net`."""


class MailgunMails:
    """Makes requests for one integration."""

    def __init__(self, config: MailgunConfig, tools: ProviderTools) -> None:
        self._tools = tools
        self._sender = sender_of(config, tools)
        self._domain = config.domain
        self._url = f"{config.api_url.rstrip('/')}/v3"
        self._headers = {"authorization": basic("api", config.api_key)}

    @property
    def ping(self) -> HttpRequest:
        """Asks for the domain."""
        return HttpRequest(method="GET", url=f"{self._url}/domains/{self._domain}", headers=self._headers)

    def build(self, outgoing: Outgoing) -> HttpRequest | Outcome:
        """The request for one message. Raises ContentError."""
        mail = mail_of(outgoing, self._sender, self._tools)
        if len(mail.body) > MOST_BYTES:
            return Rejected(detail="the email is larger than the 25 MB that Mailgun takes")
        message = outgoing.message
        fields = {
            "to": mail.recipient,
            f"v:{REFERENCE}": self._tools.reference(message),
            "o:tag": message.category.encode("ascii", "replace").decode()[:TAG_CHARS],
        }
        boundary = f"=_{message.id.hex()}f"
        while boundary.encode() in mail.body:
            boundary += "x"
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="message"; filename="message.eml"\r\n'
            "Content-Type: message/rfc822\r\n\r\n"
        )
        return HttpRequest(
            url=f"{self._url}/{self._domain}/messages.mime",
            headers={**self._headers, "content-type": f'multipart/form-data; boundary="{boundary}"'},
            body=b"%b%b\r\n--%b--\r\n" % ("".join(parts).encode(), mail.body, boundary.encode()),
        )


def read(outgoing: Outgoing, reply: HttpReply) -> Outcome:
    """What Mailgun's answer means."""
    if 200 <= reply.status < 300:
        sent = text_in(answer_of(reply), "id").strip("<>")
        return Accepted(provider_id=sent) if sent else Unknown(detail="an answer that is not Mailgun's")
    if reply.status == 402:
        return Misconfigured(detail="status 402: the account may not send")
    return outcome_of(reply)


def check_pong(reply: HttpReply) -> None:
    """What to do about the answer to a ping."""
    if reply.status == 200:
        domain = object_in(answer_of(reply), "domain")
        if text_in(domain, "state") in {"unverified", "disabled"}:
            raise ConfigError(
                "Mailgun has not verified the domain, or has disabled it: look at its DNS records there"
            )
        return
    if reply.status in {401, 403}:
        raise ConfigError(
            "Mailgun refuses the key: set `api_key` to a key of the account, and check its region"
        )
    if reply.status == 404:
        raise ConfigError("Mailgun does not know the domain: check `domain`, and for the EU `api_url`")
    raise Unavailable(f"Mailgun answered {reply.status}: try again later")


# ── webhooks ──────────────────────────────────────────────────────────────────────────────────────────────


def verify(request: CallbackRequest, config: Any, tools: CallbackTools) -> None:
    """HMAC over a time and a token, which says who sent the request but not what.

    https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks
    """
    if not config.webhook_key:
        raise CallbackForged("webhook_key is not set: copy the HTTP webhook signing key into it")
    try:
        signature = object_in(object_of(request.body), "signature")
    except CallbackUnreadable:
        raise CallbackForged("the signature is missing") from None
    sent_at, token = text_in(signature, "timestamp"), text_in(signature, "token")
    if not (sent_at.isascii() and sent_at.isdecimal()) or len(sent_at) > 12:
        raise CallbackForged("the time of the signature is missing")
    right = hmac.digest(
        config.webhook_key.encode(), f"{sent_at}{token}".encode("utf-8", "replace"), hashlib.sha256
    ).hex()
    if not hmac.compare_digest(text_in(signature, "signature").encode("utf-8", "replace"), right.encode()):
        raise CallbackForged("the signature is wrong")
    if abs(tools.now // 1000 - int(sent_at)) > WINDOW_S:
        raise CallbackForged("the time of the signature is too old")


_PLAIN = {
    "delivered": ReceiptKind.DELIVERED,
    "opened": ReceiptKind.OPENED,
    "clicked": ReceiptKind.CLICKED,
    "unsubscribed": ReceiptKind.UNSUBSCRIBED,
    "complained": ReceiptKind.COMPLAINED,
}


def read_event(request: CallbackRequest, config: Any, tools: CallbackTools) -> Callback:
    """A receipt, when it is about one of our emails."""
    data = object_in(object_of(request.body), "event-data")
    reference = text_in(object_in(data, "user-variables"), REFERENCE)
    if not reference:
        return Callback()
    report = EmailReport(
        reference=reference,
        at=second(data.get("timestamp")),
        address=address_in(data, "recipient"),
        provider_id=text_in(object_in(object_in(data, "message"), "headers"), "message-id") or None,
    )
    receipt = _receipt(report, data, tools)
    return Callback() if receipt is None else Callback(receipts=(receipt,))


def _receipt(report: EmailReport, data: Mapping[str, Any], tools: CallbackTools) -> ReportedReceipt | None:
    kind = text_in(data, "event")
    if kind in _PLAIN:
        return report.receipt(_PLAIN[kind])
    if kind == "rejected":
        return report.receipt(
            ReceiptKind.FAILED, reason=Reason.PROVIDER_REJECTED, detail="Mailgun did not send it"
        )
    return _failed(report, data, tools) if kind == "failed" else None


def _failed(report: EmailReport, data: Mapping[str, Any], tools: CallbackTools) -> ReportedReceipt:
    reason, delivery = text_in(data, "reason"), object_in(data, "delivery-status")
    said = text_in(delivery, "message") or text_in(delivery, "description")
    if text_in(data, "severity") == "temporary":
        return report.receipt(ReceiptKind.DELAYED, detail=tools.refused_email("", said).detail)
    if reason in {"suppress-complaint", "suppress-unsubscribe"}:
        return report.opted_out("Mailgun did not send it: the person unsubscribed there, or called it spam")
    if reason == "suppress-bounce":
        detail = "Mailgun did not send it: the address bounced before"
        return report.receipt(ReceiptKind.BOUNCED, permanent=True, detail=detail)
    return report.refused(
        tools,
        status=text_in(delivery, "enhanced-code"),
        said=said,
        permanent=True if reason == "bounce" else False if reason == "old" else None,
        unknown=ReceiptKind.BLOCKED if reason == "espblock" else ReceiptKind.BOUNCED,
    )


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    mails = MailgunMails(config, tools)
    http = HttpProvider(
        integration, tools, build=mails.build, read=read, ping=mails.ping, check_pong=check_pong
    )
    return EmailProvider(integration, tools, http)


plugin = ProviderPlugin(
    name="mailgun",
    title="Mailgun",
    channels=frozenset({Channel.EMAIL}),
    config=MailgunConfig,
    open=_open,
    callbacks=Callbacks(
        verify=verify,
        read=read_event,
        kinds=frozenset(
            {
                *_PLAIN.values(),
                ReceiptKind.DELAYED,
                ReceiptKind.BOUNCED,
                ReceiptKind.BLOCKED,
                ReceiptKind.FAILED,
            }
        ),
        replay_window_s=WINDOW_S,
    ),
    batch=50,
    secrets=frozenset({"api_key", "webhook_key"}),
    example={
        "api_key": "...",
        "domain": "mg.example.com",
        "from_address": "news@mg.example.com",
        "from_name": "Example News",
    },
)
