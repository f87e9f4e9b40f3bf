"""What providers of email share: the rendered email for services with fields of their own, and how their reports are read."""

from __future__ import annotations

import asyncio
import hmac
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from email import message_from_bytes
from email.message import Message
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from clarion.adapters.attachments import Attachments, by_url
from clarion.adapters.http.basic import basic
from clarion.adapters.isolation import surprised
from clarion.adapters.service_json import list_of, object_of, text_in
from clarion.errors import CallbackForged
from clarion.model.content import Attachment, EmailContent
from clarion.model.ids import Instant
from clarion.model.outcome import Outcome, Retry
from clarion.model.outgoing import Outgoing
from clarion.model.receipt import ReceiptKind
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.ports.callback import Callback, CallbackRequest, CallbackTools, ReportedReceipt
from clarion.ports.mail import Mail, OutgoingEmail, Sender
from clarion.ports.provider import ProviderSettings, ProviderTools

FETCH_SHARE = 0.35
"""Of the integration's `timeout_s`: for attachments that are elsewhere."""
TIME_SHARE = 0.9
"""Of it, for everything: every email gets its own outcome."""
CARRIED = ("List-Id", "List-Unsubscribe", "List-Unsubscribe-Post", "Feedback-ID", "Auto-Submitted")
"""Header fields that services take from us; they write the others themselves."""
LONGEST_ADDRESS = 320


class EmailSettings(ProviderSettings, frozen=True, kw_only=True):
    """In whose name a service is given emails."""

    from_address: str
    """The sender's address; the service must know it or its domain as ours."""
    from_name: str = ""
    """The sender's name."""
    reply_to: str = ""
    """Where answers go; empty: to `from_address`."""
    list_domain: str = ""
    """Domain of List-Id; empty: the domain of `from_address`."""
    feedback_id: str = ""
    """Sender part of Feedback-ID, by which Gmail counts complaints; empty: none is written."""


class RenderedEmail(msgspec.Struct, frozen=True, kw_only=True):
    """One email for one person, in the parts that services have fields for."""

    to: str
    to_name: str
    subject: str
    text: str
    html: str
    headers: Mapping[str, str]
    """Those that do not follow from the other parts."""
    files: tuple[Attachment, ...]
    """Fetched; with the invitation, if there is one."""


def sender_of(config: EmailSettings, tools: ProviderTools) -> Sender:
    """In whose name emails are made. Raises ConfigError when that cannot be anybody's."""
    sender = Sender(
        address=config.from_address,
        name=config.from_name,
        reply_to=config.reply_to,
        list_domain=config.list_domain,
        feedback_id=config.feedback_id,
    )
    tools.mail.check(sender)
    return sender


def content_of(outgoing: Outgoing) -> EmailContent:
    """The content of a message on the email channel."""
    assert isinstance(outgoing.content, EmailContent), "each channel has its own content"
    return outgoing.content


def email_of(outgoing: Outgoing, at: Instant) -> OutgoingEmail:
    """The email for the mail builder. Its person's name is the attribute `name`, where the application keeps one."""
    assert outgoing.contact is not None, "emails go to an address"
    name = outgoing.user.profile.attributes.get("name")
    return OutgoingEmail(
        message=outgoing.message,
        to=outgoing.contact.address,
        to_name=name if isinstance(name, str) else "",
        content=content_of(outgoing),
        unsubscribe_url=outgoing.unsubscribe_url,
        at=at,
    )


def mail_of(outgoing: Outgoing, sender: Sender, tools: ProviderTools) -> Mail:
    """The email as MIME. Raises ContentError when it cannot be written."""
    return tools.mail.make(sender, email_of(outgoing, tools.clock.now()))


def render(outgoing: Outgoing, sender: Sender, tools: ProviderTools) -> RenderedEmail:
    """The email in parts, with the header fields that its MIME would have. Raises ContentError as the mail builder does."""
    content = content_of(outgoing)
    light = replace(
        content,
        text="-",
        html="",
        attachments=tuple(replace(one, content=b"-") for one in content.attachments),
    )
    email = email_of(outgoing, tools.clock.now())
    mail = tools.mail.make(sender, replace(email, content=light))
    parsed = message_from_bytes(mail.body)
    invitations = [part for part in parsed.walk() if part.get_content_type() == "text/calendar"]
    calendars = tuple(
        Attachment(
            name="invite.ics",
            type=f"text/calendar; charset=utf-8; method={part.get_param('method')}",
            content=_decoded(part),
        )
        for part in invitations
    )
    return RenderedEmail(
        to=mail.recipient,
        to_name=_line(email.to_name),
        subject=_line(content.subject),
        text=_encodable(content.text),
        html=_encodable(content.html),
        headers={name: _line(parsed[name]) for name in CARRIED if name in parsed},
        files=(*(replace(one, name=_file_name(one)) for one in content.attachments), *calendars),
    )


class Sending(Protocol):
    """Sends emails whose attachments are there; `adapters.http.HttpProvider` is one."""

    async def send(self, batch: Sequence[Outgoing], *, within_s: float | None = None) -> Sequence[Outcome]:
        """As `Provider.send`, in less time than the integration has if `within_s` says so."""

    async def ping(self) -> None:
        """As `Provider.ping`."""

    async def close(self) -> None:
        """As `Provider.close`."""


class EmailProvider:
    """Implements `ports.provider.Provider` around one that sends emails whose attachments are there: fetches the others."""

    def __init__(self, integration: Integration, tools: ProviderTools, inner: Sending) -> None:
        self._inner = inner
        self._tools = tools
        self._fetch_s = integration.limits.timeout_s * FETCH_SHARE
        self._all_s = integration.limits.timeout_s * TIME_SHARE
        self._attachments: Attachments | None = None

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        """What is there goes at once; what must be fetched goes one by one, a few at a time."""
        ready = [at for at, outgoing in enumerate(batch) if not by_url(content_of(outgoing))]
        if len(ready) == len(batch):
            return await self._inner.send(batch)
        outcomes: dict[int, Outcome] = {}

        async def send_ready() -> None:
            sent = await self._inner.send([batch[at] for at in ready])
            outcomes.update(zip(ready, sent, strict=True))

        async def send_fetched(at: int) -> None:
            outcomes[at] = await self._fetch_and_send(batch[at])

        async with asyncio.TaskGroup() as group:
            if ready:
                group.create_task(send_ready())
            for at in set(range(len(batch))).difference(ready):
                group.create_task(send_fetched(at))
        return [outcomes[at] for at in range(len(batch))]

    async def ping(self) -> None:
        """Reach the service."""
        await self._inner.ping()

    async def close(self) -> None:
        """Release the connections."""
        await self._inner.close()
        if self._attachments is not None:
            await self._attachments.close()

    async def _fetch_and_send(self, outgoing: Outgoing) -> Outcome:
        clock = self._tools.clock
        until_s = clock.monotonic() + self._all_s
        if self._attachments is None:
            self._attachments = Attachments(self._tools, self._fetch_s)
        seats = self._attachments.seats
        try:
            async with clock.timeout(self._fetch_s):
                await seats.acquire()
        except TimeoutError:
            return Retry(of_address=True, called=False, detail="others with attachments by URL came first")
        try:
            content = await self._fetched(self._attachments, content_of(outgoing))
            if not isinstance(content, EmailContent):
                return content
            left_s = max(0.001, until_s - clock.monotonic())
            return (await self._inner.send([replace(outgoing, content=content)], within_s=left_s))[0]
        finally:
            seats.release()

    async def _fetched(self, attachments: Attachments, content: EmailContent) -> EmailContent | Outcome:
        try:
            async with self._tools.clock.timeout(self._fetch_s):
                return await attachments.into(content)
        except TimeoutError:
            return Retry(of_address=True, detail="the attachments could not be fetched in time")
        except Exception as surprise:  # noqa: BLE001 - concerns this email only, and it has not been sent
            return surprised(surprise, idempotent=True)


def mailbox(name: str, address: str) -> str:
    """`"Name" <address>`, or the address alone, for services that read both from one text."""
    if not name:
        return address
    quoted = _line(name).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address}>'


def encoded(file: Attachment) -> str:
    """The file as services want it in JSON."""
    return b64encode(file.content).decode()


# ── reports ───────────────────────────────────────────────────────────────────────────────────────────────


WEBHOOK_USER = "clarion"
"""User name that services without a signature show with `webhook_password`."""


def check_password(request: CallbackRequest, password: str) -> None:
    """Raises CallbackForged unless the request shows the password, for services that sign nothing."""
    if not password:
        raise CallbackForged("webhook_password is not set: choose one, and enter it at the service, too")
    shown = request.headers.get("authorization", "").encode("utf-8", "replace")
    if not hmac.compare_digest(shown, basic(WEBHOOK_USER, password).encode()):
        raise CallbackForged("the user name or the password is wrong")


class EmailReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a service says about one email, in the words of the port."""

    reference: str
    at: Instant | None = None
    address: str = ""
    provider_id: str | None = None

    def receipt(self, kind: ReceiptKind, **more: Any) -> ReportedReceipt:
        """A receipt of this kind about it."""
        return ReportedReceipt(
            reference=self.reference,
            kind=kind,
            at=self.at,
            address=self.address,
            provider_id=self.provider_id,
            **more,
        )

    def refused(
        self,
        tools: CallbackTools,
        *,
        status: str,
        said: str,
        permanent: bool | None = None,
        unknown: ReceiptKind = ReceiptKind.BOUNCED,
    ) -> ReportedReceipt:
        """A receipt about an email that a mail server did not take. `permanent`: whether the service calls it so; None:
        it does not say. Policy concerns the sender, and a full mailbox passes, whatever the service calls them.
        `unknown`: the kind where the server's words say nothing."""
        found = tools.refused_email(status, said)
        if found.cause == "sender":
            return self.receipt(ReceiptKind.BLOCKED, detail=found.detail)
        if found.cause == "unknown" and unknown is not ReceiptKind.BOUNCED:
            return self.receipt(unknown, detail=found.detail)
        gone = permanent is not False if found.cause == "address" else permanent is True
        return self.receipt(
            ReceiptKind.BOUNCED, permanent=gone and found.cause != "moment", detail=found.detail
        )

    def opted_out(self, detail: str) -> ReportedReceipt:
        """A receipt about an email that the service did not send, because the person wants none."""
        return self.receipt(ReceiptKind.BOUNCED, permanent=True, reason=Reason.OPTED_OUT, detail=detail)


def address_in(document: Mapping[str, Any], name: str) -> str:
    """An address; empty when there is none."""
    value = text_in(document, name)
    return value if len(value) <= LONGEST_ADDRESS else ""


def callback_of(body: bytes, receipt: Callable[[Mapping[str, Any]], ReportedReceipt | None]) -> Callback:
    """What `receipt` says of each event in the body: a JSON object, or an array of them. Raises CallbackUnreadable."""
    documents = list_of(body) if body.lstrip()[:1] == b"[" else [object_of(body)]
    receipts: list[ReportedReceipt] = []
    odd = 0
    for document in documents:
        if not isinstance(document, dict):
            odd += 1
        elif (found := receipt(document)) is not None:
            receipts.append(found)
    return Callback(receipts=tuple(receipts), unread=f"{odd} events are no JSON objects" if odd else "")


def _decoded(part: Message) -> bytes:
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""


def _line(text: str) -> str:
    return _encodable(" ".join(text.split()))


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _file_name(file: Attachment) -> str:
    return _line(file.name).replace("\\", "/").rpartition("/")[2] or "attachment"
