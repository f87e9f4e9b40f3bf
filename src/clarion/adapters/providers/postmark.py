"""Postmark: emails over its API, and its webhooks.

https://postmarkapp.com/developer/api/email-api
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from clarion.adapters.email import (
    EmailProvider,
    EmailReport,
    EmailSettings,
    address_in,
    check_password,
    encoded,
    mailbox,
    render,
    sender_of,
)
from clarion.adapters.http import HttpProvider, HttpReply, HttpRequest, outcome_of
from clarion.adapters.service_json import answer_of, moment, object_in, object_of, text_in
from clarion.errors import ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.outcome import Accepted, Gone, Misconfigured, Outcome, Rejected, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.receipt import ReceiptKind
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.ports.callback import Callback, CallbackRequest, Callbacks, CallbackTools, ReportedReceipt
from clarion.ports.provider import Provider, ProviderPlugin, ProviderTools, Token, WebUrl

REFERENCE = "clarion"
"""Our name among the metadata, which webhooks repeat."""
MOST_BYTES = 10 * 1024 * 1024
"""Of one email with its attachments."""
TAG_CHARS = 1_000
INACTIVE = 406
SET_UP = {
    10: "the server token is wrong",
    400: "the sender is not known to Postmark",
    401: "the sender is not confirmed",
    405: "the account may not send: its credits are used up",
    412: "the account is not approved yet",
    413: "the account may not send",
    1235: "the message stream does not exist",
}
"""Error codes that an operator must mend."""


class PostmarkConfig(EmailSettings, frozen=True, kw_only=True):
    """A server at Postmark."""

    server_token: Token
    """Token of the server."""
    message_stream: Annotated[
        str, msgspec.Meta(pattern=r"\A[a-z0-9-]{0,30}\Z", description="the id of a message stream")
    ] = "outbound"
    """Id of the message stream: `outbound`, or `broadcast` for mail to many."""
    webhook_password: Token = ""
    """What Postmark shows in webhooks, with the user name `clarion`; empty: no reports are accepted."""
    api_url: WebUrl = "https://api.postmarkapp.com"
    """Where the API is."""


class PostmarkMails:
    """Makes requests for one integration."""

    def __init__(self, config: PostmarkConfig, tools: ProviderTools) -> None:
        self._config = config
        self._tools = tools
        self._sender = sender_of(config, tools)
        self._url = config.api_url.rstrip("/")
        self._headers = {
            "accept": "application/json",
            "content-type": "application/json",
            "x-postmark-server-token": config.server_token,
        }

    @property
    def ping(self) -> HttpRequest:
        """Asks for the server."""
        return HttpRequest(method="GET", url=f"{self._url}/server", headers=self._headers)

    def build(self, outgoing: Outgoing) -> HttpRequest | Outcome:
        """The request for one message. Raises ContentError."""
        email = render(outgoing, self._sender, self._tools)
        document: dict[str, Any] = {
            "From": mailbox(self._sender.name, self._sender.address),
            "To": mailbox(email.to_name, email.to),
            "Subject": email.subject,
            "TextBody": email.text if email.text or email.html else " ",
            "HtmlBody": email.html,
            "Tag": outgoing.message.category[:TAG_CHARS],
            "Metadata": {REFERENCE: self._tools.reference(outgoing.message)},
            "Headers": [{"Name": name, "Value": value} for name, value in email.headers.items()],
            "MessageStream": self._config.message_stream,
        }
        if self._sender.reply_to:
            document["ReplyTo"] = self._sender.reply_to
        if email.files:
            document["Attachments"] = [
                {
                    "Name": one.name,
                    "Content": encoded(one),
                    "ContentType": one.type,
                    **({"ContentID": f"cid:{one.inline_id}"} if one.inline_id else {}),
                }
                for one in email.files
            ]
        body = msgspec.json.encode(document)
        if len(body) > MOST_BYTES * 4 // 3:
            return Rejected(detail="the email is larger than the 10 MB that Postmark takes")
        return HttpRequest(url=f"{self._url}/email", headers=self._headers, body=body)


def read(outgoing: Outgoing, reply: HttpReply) -> Outcome:
    """What Postmark's answer means."""
    answer = answer_of(reply)
    code = answer.get("ErrorCode")
    if code == 0 and 200 <= reply.status < 300:
        return Accepted(provider_id=text_in(answer, "MessageID") or None)
    if code == INACTIVE:
        return Gone(detail="Postmark 406: the address bounced, complained or was suppressed before")
    if isinstance(code, int) and code in SET_UP:
        return Misconfigured(detail=f"Postmark {code}: {SET_UP[code]}")
    if 200 <= reply.status < 300:
        return Unknown(detail="an answer that is not Postmark's")
    if reply.status == 422:
        return Rejected(
            detail=f"Postmark {code}" if isinstance(code, int) and 0 < code < 10_000 else "status 422"
        )
    return outcome_of(reply)


def check_pong(reply: HttpReply) -> None:
    """What to do about the answer to a ping."""
    if reply.status == 200:
        return
    if reply.status in {401, 403, 404, 422}:
        raise ConfigError(
            "Postmark refuses the token: copy it from the server's API tokens into `server_token`"
        )
    raise Unavailable(
        f"Postmark answered {reply.status}: try again later, or look at https://status.postmarkapp.com"
    )


# ── webhooks ──────────────────────────────────────────────────────────────────────────────────────────────


def verify(request: CallbackRequest, config: Any, tools: CallbackTools) -> None:
    """Postmark signs nothing: it shows a password."""
    check_password(request, config.webhook_password)


_PLAIN = {
    "Delivery": (ReceiptKind.DELIVERED, "DeliveredAt"),
    "Open": (ReceiptKind.OPENED, "ReceivedAt"),
    "Click": (ReceiptKind.CLICKED, "ReceivedAt"),
    "SpamComplaint": (ReceiptKind.COMPLAINED, "BouncedAt"),
}
_BOUNCES = {
    "Transient": ReceiptKind.DELAYED,
    "AutoResponder": ReceiptKind.AUTO_REPLY,
    "ChallengeVerification": ReceiptKind.AUTO_REPLY,
    "SpamComplaint": ReceiptKind.COMPLAINED,
    "Unsubscribe": ReceiptKind.UNSUBSCRIBED,
    "SpamNotification": ReceiptKind.BLOCKED,
    "VirusNotification": ReceiptKind.BLOCKED,
    "Blocked": ReceiptKind.BLOCKED,
    "DMARCPolicy": ReceiptKind.BLOCKED,
}
_PERMANENT = frozenset({"HardBounce", "BadEmailAddress"})
_NOT_SENT = frozenset({"SMTPApiError", "InboundError", "TemplateRenderingFailed"})
_OF_NO_MESSAGE = frozenset({"Subscribe", "Unconfirmed", "OpenRelayTest"})


def read_event(request: CallbackRequest, config: Any, tools: CallbackTools) -> Callback:
    """A receipt, when it is about one of our emails."""
    document = object_of(request.body)
    reference = text_in(object_in(document, "Metadata"), REFERENCE)
    receipt = _receipt(reference, document, tools) if reference else None
    return Callback() if receipt is None else Callback(receipts=(receipt,))


def _receipt(reference: str, document: Mapping[str, Any], tools: CallbackTools) -> ReportedReceipt | None:
    kind = text_in(document, "RecordType")
    at = _PLAIN[kind][1] if kind in _PLAIN else "BouncedAt" if kind == "Bounce" else "ChangedAt"
    report = EmailReport(
        reference=reference,
        at=moment(text_in(document, at)),
        address=address_in(document, "Email") or address_in(document, "Recipient"),
        provider_id=text_in(document, "MessageID") or None,
    )
    if kind in _PLAIN:
        return report.receipt(_PLAIN[kind][0])
    if kind == "Bounce":
        return _bounced(report, document, tools)
    if (
        kind == "SubscriptionChange"
        and document.get("SuppressSending") is True
        and text_in(document, "Origin") == "Recipient"
        and text_in(document, "SuppressionReason") == "ManualSuppression"
    ):
        return report.receipt(ReceiptKind.UNSUBSCRIBED)
    return None


def _bounced(
    report: EmailReport, document: Mapping[str, Any], tools: CallbackTools
) -> ReportedReceipt | None:
    kind, said = text_in(document, "Type"), text_in(document, "Details")
    if kind in _BOUNCES:
        return report.receipt(_BOUNCES[kind], detail=tools.refused_email("", said).detail)
    if kind == "ManuallyDeactivated":
        return report.opted_out("Postmark did not send it: the address is suppressed there")
    if kind in _NOT_SENT:
        return report.receipt(
            ReceiptKind.FAILED, reason=Reason.PROVIDER_REJECTED, detail="Postmark could not send it"
        )
    if kind in _OF_NO_MESSAGE:
        return None
    return report.refused(tools, status="", said=said, permanent=kind in _PERMANENT)


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    mails = PostmarkMails(config, tools)
    http = HttpProvider(
        integration, tools, build=mails.build, read=read, ping=mails.ping, check_pong=check_pong
    )
    return EmailProvider(integration, tools, http)


plugin = ProviderPlugin(
    name="postmark",
    title="Postmark",
    channels=frozenset({Channel.EMAIL}),
    config=PostmarkConfig,
    open=_open,
    callbacks=Callbacks(
        verify=verify,
        read=read_event,
        kinds=frozenset(
            {
                *(kind for kind, _ in _PLAIN.values()),
                *_BOUNCES.values(),
                ReceiptKind.BOUNCED,
                ReceiptKind.FAILED,
            }
        ),
    ),
    batch=50,
    secrets=frozenset({"server_token", "webhook_password"}),
    example={"server_token": "...", "from_address": "news@example.com", "from_name": "Example News"},
)
