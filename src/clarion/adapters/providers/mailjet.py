"""Mailjet: emails over its Send API v3.1, and its event callbacks.

https://dev.mailjet.com/email/guides/send-api-v31/
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
from clarion.adapters.http.basic import basic
from clarion.adapters.service_json import answer_of, second, text_in
from clarion.errors import ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.outcome import Accepted, Gone, Misconfigured, Outcome, Rejected, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.receipt import ReceiptKind
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.ports.callback import Callback, CallbackRequest, Callbacks, CallbackTools, ReportedReceipt
from clarion.ports.provider import Provider, ProviderPlugin, ProviderTools, Token, WebUrl

MOST_BYTES = 15 * 1000 * 1000
INVALID_ADDRESS = "mj-0013"
NOT_A_SENDER = "send-0008"
OF_CONTENT = frozenset({"content", "spam", "policy"})
"""What a bounce is related to, where the sender is meant."""


class MailjetConfig(EmailSettings, frozen=True, kw_only=True):
    """An account with Mailjet."""

    api_key: Token
    """The API key."""
    secret_key: Token
    """Its secret."""
    webhook_password: Token = ""
    """What Mailjet shows in callbacks, with the user name `clarion`; empty: no reports are accepted."""
    api_url: WebUrl = "https://api.mailjet.com"
    """Where the API is; for accounts in the USA `https://api.us.mailjet.com`."""


class MailjetMails:
    """Makes requests for one integration."""

    def __init__(self, config: MailjetConfig, tools: ProviderTools) -> None:
        self._tools = tools
        self._sender = sender_of(config, tools)
        self._from = _mailbox(config.from_name, config.from_address)
        self._url = f"{config.api_url.rstrip('/')}/v3.1/send"
        self._headers = {
            "authorization": basic(config.api_key, config.secret_key),
            "content-type": "application/json",
        }

    @property
    def ping(self) -> HttpRequest:
        """An email in sandbox mode: checked as any, and sent to nobody."""
        email = {"From": self._from, "To": [self._from], "Subject": "Check", "TextPart": "Check"}
        document = {"Messages": [email], "SandboxMode": True}
        return HttpRequest(url=self._url, headers=self._headers, body=msgspec.json.encode(document))

    def build(self, outgoing: Outgoing) -> HttpRequest | Outcome:
        """The request for one message. Raises ContentError."""
        email = render(outgoing, self._sender, self._tools)
        document: dict[str, Any] = {
            "From": self._from,
            "To": [_mailbox(email.to_name, email.to)],
            "Subject": email.subject,
            "TextPart": email.text if email.text or email.html else " ",
            "HTMLPart": email.html,
            "Headers": email.headers,
            "CustomID": self._tools.reference(outgoing.message),
        }
        if self._sender.reply_to:
            document["ReplyTo"] = {"Email": self._sender.reply_to}
        for name, files in (
            ("Attachments", [one for one in email.files if not one.inline_id]),
            ("InlinedAttachments", [one for one in email.files if one.inline_id]),
        ):
            if files:
                document[name] = [
                    {
                        "ContentType": one.type,
                        "Filename": one.name,
                        "Base64Content": encoded(one),
                        **({"ContentID": one.inline_id} if one.inline_id else {}),
                    }
                    for one in files
                ]
        body = msgspec.json.encode({"Messages": [document]})
        if len(body) > MOST_BYTES * 4 // 3:
            return Rejected(detail="the email is larger than the 15 MB that Mailjet takes")
        return HttpRequest(url=self._url, headers=self._headers, body=body)


def _mailbox(name: str, address: str) -> dict[str, str]:
    return {"Email": address, "Name": name} if name else {"Email": address}


def read(outgoing: Outgoing, reply: HttpReply) -> Outcome:
    """What Mailjet's answer means."""
    message = _first(answer_of(reply).get("Messages"))
    if 200 <= reply.status < 300:
        if text_in(message, "Status") != "success":
            return Unknown(detail="an answer that is not Mailjet's")
        sent = _first(message.get("To")).get("MessageID")
        return Accepted(provider_id=str(sent) if isinstance(sent, int) else None)
    error = _first(message.get("Errors"))
    code, about = text_in(error, "ErrorCode"), error.get("ErrorRelatedTo")
    field = about[0] if isinstance(about, list) and about and isinstance(about[0], str) else ""
    if code == NOT_A_SENDER or field.startswith(("From", "ReplyTo")):
        return Misconfigured(detail="Mailjet does not take the sender: verify it or its domain")
    if code == INVALID_ADDRESS and field.startswith("To"):
        return Gone(detail=f"Mailjet {INVALID_ADDRESS}: the address is not valid")
    return outcome_of(reply)


def _first(values: object) -> Mapping[str, Any]:
    """The first object of a list; an empty one when there is none."""
    found = values[0] if isinstance(values, list) and values else None
    return found if isinstance(found, dict) else {}


def check_pong(reply: HttpReply) -> None:
    """What to do about the answer to a ping."""
    if reply.status == 200:
        return
    if reply.status in {401, 403, 404}:
        raise ConfigError("Mailjet refuses the key: compare `api_key` and `secret_key` with its API keys")
    if reply.status == 400:
        raise ConfigError("Mailjet does not take the sender: verify `from_address` or its domain there")
    raise Unavailable(f"Mailjet answered {reply.status}: try again later")


# ── events ────────────────────────────────────────────────────────────────────────────────────────────────


def verify(request: CallbackRequest, config: Any, tools: CallbackTools) -> None:
    """Mailjet signs nothing: it shows a password."""
    check_password(request, config.webhook_password)


_PLAIN = {
    "sent": ReceiptKind.DELIVERED,
    "open": ReceiptKind.OPENED,
    "click": ReceiptKind.CLICKED,
    "spam": ReceiptKind.COMPLAINED,
    "unsub": ReceiptKind.UNSUBSCRIBED,
}


def read_events(request: CallbackRequest, config: Any, tools: CallbackTools) -> Callback:
    """A receipt for each event about one of our emails; Mailjet sends one, or a list of them."""
    return callback_of(request.body, lambda document: _receipt(document, tools))


def _receipt(document: Mapping[str, Any], tools: CallbackTools) -> ReportedReceipt | None:
    reference, kind = text_in(document, "CustomID"), text_in(document, "event")
    if not reference:
        return None  # somebody else's email
    sent = document.get("MessageID")
    report = EmailReport(
        reference=reference,
        at=second(document.get("time")),
        address=address_in(document, "email"),
        provider_id=str(sent) if isinstance(sent, int) else None,
    )
    if kind in _PLAIN:
        return report.receipt(_PLAIN[kind])
    if kind not in {"bounce", "blocked"}:
        return None
    error, of_content = text_in(document, "error"), text_in(document, "error_related_to") in OF_CONTENT
    if kind == "bounce":
        return report.refused(
            tools,
            status="",
            said=text_in(document, "comment") or error,
            permanent=document.get("hard_bounce") is True,
            unknown=ReceiptKind.BLOCKED if of_content else ReceiptKind.BOUNCED,
        )
    if error == "preblocked":
        detail = "Mailjet did not send it: the address bounced or complained before"
        return report.receipt(ReceiptKind.BOUNCED, permanent=True, detail=detail)
    if of_content:
        return report.receipt(ReceiptKind.BLOCKED, detail="Mailjet did not send it: it takes it for spam")
    return report.receipt(
        ReceiptKind.FAILED, reason=Reason.PROVIDER_REJECTED, detail="Mailjet did not send it"
    )


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    mails = MailjetMails(config, tools)
    http = HttpProvider(
        integration, tools, build=mails.build, read=read, ping=mails.ping, check_pong=check_pong
    )
    return EmailProvider(integration, tools, http)


plugin = ProviderPlugin(
    name="mailjet",
    title="Mailjet",
    channels=frozenset({Channel.EMAIL}),
    config=MailjetConfig,
    open=_open,
    callbacks=Callbacks(
        verify=verify,
        read=read_events,
        kinds=frozenset({*_PLAIN.values(), ReceiptKind.BOUNCED, ReceiptKind.BLOCKED, ReceiptKind.FAILED}),
    ),
    batch=50,
    secrets=frozenset({"secret_key", "webhook_password"}),
    example={
        "api_key": "...",
        "secret_key": "...",
        "from_address": "news@example.com",
        "from_name": "Example News",
    },
)
