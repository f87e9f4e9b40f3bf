"""Brevo: emails over its API, and its webhooks.

https://developers.brevo.com/reference/sendtransacemail
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from clarion.adapters.email import (
    EmailProvider,
    EmailReport,
    EmailSettings,
    address_in,
    callback_of,
    check_password,
    encoded,
    render,
    sender_of,
)
from clarion.adapters.http import HttpProvider, HttpReply, HttpRequest, outcome_of
from clarion.adapters.service_json import answer_of, second, text_in
from clarion.errors import ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.outcome import Accepted, Misconfigured, Outcome, Rejected, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.receipt import ReceiptKind
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.ports.callback import Callback, CallbackRequest, Callbacks, CallbackTools, ReportedReceipt
from clarion.ports.provider import Provider, ProviderPlugin, ProviderTools, Token, WebUrl

REFERENCE = "X-Mailin-custom"
"""The header field that webhooks repeat."""
MOST_BYTES = 20 * 1000 * 1000


class BrevoConfig(EmailSettings, frozen=True, kw_only=True):
    """An account with Brevo."""

    api_key: Token
    """An API key: `xkeysib-...`."""
    webhook_password: Token = ""
    """What Brevo shows in webhooks, with the user name `clarion`; empty: no reports are accepted."""
    api_url: WebUrl = "https://api.brevo.com"
    """Where the API is."""


class BrevoMails:
    """Makes requests for one integration."""

    def __init__(self, config: BrevoConfig, tools: ProviderTools) -> None:
        self._tools = tools
        self._sender = sender_of(config, tools)
        self._url = f"{config.api_url.rstrip('/')}/v3"
        self._headers = {
            "accept": "application/json",
            "api-key": config.api_key,
            "content-type": "application/json",
        }

    @property
    def ping(self) -> HttpRequest:
        """Asks for the account."""
        return HttpRequest(method="GET", url=f"{self._url}/account", headers=self._headers)

    def build(self, outgoing: Outgoing) -> HttpRequest | Outcome:
        """The request for one message. Raises ContentError."""
        email = render(outgoing, self._sender, self._tools)
        document: dict[str, Any] = {
            "sender": _mailbox(self._sender.name, self._sender.address),
            "to": [_mailbox(email.to_name, email.to)],
            "subject": email.subject or " ",
            "textContent": email.text if email.text or email.html else " ",
            "headers": {**email.headers, REFERENCE: self._tools.reference(outgoing.message)},
            "tags": [outgoing.message.category],
        }
        if email.html:
            document["htmlContent"] = email.html
        if self._sender.reply_to:
            document["replyTo"] = {"email": self._sender.reply_to}
        if email.files:
            document["attachment"] = [{"name": one.name, "content": encoded(one)} for one in email.files]
        body = msgspec.json.encode(document)
        if len(body) > MOST_BYTES:
            return Rejected(detail="the email is larger than the 20 MB that Brevo takes")
        return HttpRequest(url=f"{self._url}/smtp/email", headers=self._headers, body=body)


def _mailbox(name: str, address: str) -> dict[str, str]:
    return {"email": address, "name": name} if name else {"email": address}


def read(outgoing: Outgoing, reply: HttpReply) -> Outcome:
    """What Brevo's answer means."""
    answer = answer_of(reply)
    if 200 <= reply.status < 300:
        sent = text_in(answer, "messageId").strip("<>")
        return Accepted(provider_id=sent) if sent else Unknown(detail="an answer that is not Brevo's")
    if reply.status == 402:
        return Misconfigured(detail="status 402: the account has no credits left")
    if reply.status == 400 and "sender" in text_in(answer, "message").lower():
        return Misconfigured(detail="status 400: Brevo does not take the sender: verify it or its domain")
    return outcome_of(reply)


def check_pong(reply: HttpReply) -> None:
    """What to do about the answer to a ping."""
    if reply.status == 200:
        return
    if reply.status in {400, 401, 403, 404}:
        raise ConfigError(
            "Brevo refuses the key, or this machine's address: look at its API keys and authorised IPs"
        )
    raise Unavailable(f"Brevo answered {reply.status}: try again later")


# ── webhooks ──────────────────────────────────────────────────────────────────────────────────────────────


def verify(request: CallbackRequest, config: Any, tools: CallbackTools) -> None:
    """Brevo signs nothing: it shows a password."""
    check_password(request, config.webhook_password)


_PLAIN = {
    "delivered": ReceiptKind.DELIVERED,
    "deferred": ReceiptKind.DELAYED,
    "opened": ReceiptKind.OPENED,
    "unique_opened": ReceiptKind.OPENED,
    "click": ReceiptKind.CLICKED,
    "spam": ReceiptKind.COMPLAINED,
    "unsubscribed": ReceiptKind.UNSUBSCRIBED,
}


def read_events(request: CallbackRequest, config: Any, tools: CallbackTools) -> Callback:
    """A receipt for each event about one of our emails; Brevo sends one, or a list of them."""
    return callback_of(request.body, lambda document: _receipt(document, tools))


def _receipt(document: Mapping[str, Any], tools: CallbackTools) -> ReportedReceipt | None:
    reference, kind = text_in(document, REFERENCE), text_in(document, "event")
    if not reference:
        return None  # somebody else's email
    report = EmailReport(
        reference=reference,
        at=second(document.get("ts_event")),
        address=address_in(document, "email"),
        provider_id=text_in(document, "message-id").strip("<>") or None,
    )
    if kind in _PLAIN:
        return report.receipt(_PLAIN[kind])
    if kind in {"hard_bounce", "soft_bounce"}:
        return report.refused(
            tools, status="", said=text_in(document, "reason"), permanent=kind == "hard_bounce"
        )
    if kind == "blocked":
        return report.opted_out("Brevo did not send it: the address is on its blocklist")
    if kind == "invalid_email":
        detail = "Brevo did not send it: the address is not valid"
        return report.receipt(ReceiptKind.BOUNCED, permanent=True, detail=detail)
    if kind == "error":
        return report.receipt(
            ReceiptKind.FAILED, reason=Reason.PROVIDER_ERROR, detail="Brevo could not send it"
        )
    return None


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    mails = BrevoMails(config, tools)
    http = HttpProvider(
        integration, tools, build=mails.build, read=read, ping=mails.ping, check_pong=check_pong
    )
    return EmailProvider(integration, tools, http)


plugin = ProviderPlugin(
    name="brevo",
    title="Brevo",
    channels=frozenset({Channel.EMAIL}),
    config=BrevoConfig,
    open=_open,
    callbacks=Callbacks(
        verify=verify,
        read=read_events,
        kinds=frozenset({*_PLAIN.values(), ReceiptKind.BOUNCED, ReceiptKind.BLOCKED, ReceiptKind.FAILED}),
    ),
    batch=50,
    secrets=frozenset({"api_key", "webhook_password"}),
    example={"api_key": "xkeysib-...", "from_address": "news@example.com", "from_name": "Example News"},
)
