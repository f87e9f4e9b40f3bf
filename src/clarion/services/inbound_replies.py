"""Automatic replies to STOP, START and HELP: each once, within five minutes, through the integration that was written to."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

import structlog

from clarion.content.localise.locales import choose
from clarion.errors import Busy, Unavailable
from clarion.flow.dispatch.direct_calls import DirectCalls
from clarion.flow.ledger import Ledger
from clarion.flow.waiting import retry_until_stored
from clarion.model.channel import Channel, Lane
from clarion.model.content import AnyContent, ChatContent, SmsContent, WhatsAppContent
from clarion.model.ids import NO_USER, EventId, Instant, MessageId
from clarion.model.inbound import REPLY_WITHIN_MS, InboundVerdict, ReceivedMessage, ReplyStatus
from clarion.model.message import Message
from clarion.model.outcome import Accepted, Outcome, Retry
from clarion.model.outgoing import Outgoing
from clarion.model.setup import Tenant
from clarion.model.status import Status
from clarion.model.user import Contact, Profile, User
from clarion.ports.clock import Clock
from clarion.ports.vault import Vault
from clarion.services.inbound_contents import opened

log = structlog.get_logger(__name__)

EVERY_S = 30.0
"""How often replies are looked for that a process left behind, or that are to be tried again."""
RETRY_S = 10.0
AT_ONCE = 50

CONTENTS: Mapping[Channel, Callable[[str], AnyContent]] = {
    Channel.SMS: lambda text: SmsContent(text=text),
    Channel.WHATSAPP: lambda text: WhatsAppContent(text=text),
    Channel.CHAT: lambda text: ChatContent(text=text),
}
"""The channels on which people are answered."""
TEXTS: Mapping[InboundVerdict, str] = {
    InboundVerdict.OPT_OUT: "{name}: You are unsubscribed and will get no more messages here. Reply START to get them again.",
    InboundVerdict.OPT_IN: "{name}: You will get messages here again. Reply STOP to unsubscribe.",
    InboundVerdict.HELP: "{name}: Reply STOP to get no more messages here.",
}
"""Where the tenant has none of its own."""


class InboundReplies:
    """Sends the replies that are due. A reply whose call may have gone through is never repeated."""

    def __init__(self, ledger: Ledger, calls: DirectCalls, vault: Vault, clock: Clock) -> None:
        self._ledger = ledger
        self._calls = calls
        self._vault = vault
        self._clock = clock
        self._due = asyncio.Event()
        self.ended: Counter[str] = Counter()
        """By status; read by metrics."""

    def text(self, tenant: Tenant, verdict: InboundVerdict, channel: Channel, user: User | None) -> str:
        """What is replied; empty: nothing is."""
        own = {
            InboundVerdict.OPT_OUT: tenant.replies.opted_out,
            InboundVerdict.OPT_IN: tenant.replies.opted_in,
            InboundVerdict.HELP: tenant.replies.help,
        }
        if verdict not in own or channel not in CONTENTS:
            return ""
        chosen = choose(own[verdict], user.profile.locale if user is not None else "", tenant.locale)
        return (
            TEXTS[verdict].format(name=tenant.name or tenant.key) if chosen is None else own[verdict][chosen]
        )

    def wake(self) -> None:
        """A reply is due."""
        self._due.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.send_due()
            except (Busy, Unavailable):
                log.warning("replies_wait")
            try:
                async with self._clock.timeout(EVERY_S):
                    await self._due.wait()
            except TimeoutError:
                continue
            self._due.clear()

    async def send_due(self) -> None:
        """Send every reply that is due."""
        while claimed := await self._ledger.inbound.claim_replies(self._clock.now(), AT_ONCE):
            for one in claimed:
                await self._send(one)

    async def _send(self, inbound: ReceivedMessage) -> None:
        users = await self._ledger.users.get([inbound.user] if inbound.user != NO_USER else [])
        user = users.get(inbound.user)
        tenant = self._ledger.setup.tenants.all()[inbound.tenant]
        text = self.text(tenant, inbound.verdict, inbound.channel, user)
        outgoing = self._outgoing(inbound, user, text)
        status, due_at = ReplyStatus.FAILED, None
        if outgoing is not None and text:
            outcome = await self._calls.send(inbound.tenant, inbound.integration, outgoing)
            status, due_at = self._after(outcome)
            if status is not ReplyStatus.SENT:
                log.warning("reply_not_sent", tenant=inbound.tenant, outcome=type(outcome).__name__)
        if status is not ReplyStatus.DUE:
            self.ended[status.value] += 1
        await retry_until_stored(
            "reply",
            lambda: self._ledger.inbound.end_reply(inbound.tenant, inbound.seq, status, due_at),
            self._clock,
        )

    def _after(self, outcome: Outcome) -> tuple[ReplyStatus, Instant | None]:
        if isinstance(outcome, Accepted):
            return ReplyStatus.SENT, None
        if isinstance(outcome, Retry):
            after_s = RETRY_S if outcome.after_s is None else max(outcome.after_s, RETRY_S)
            return ReplyStatus.DUE, Instant(self._clock.now() + round(after_s * 1000))
        return ReplyStatus.FAILED, None

    def _outgoing(self, inbound: ReceivedMessage, user: User | None, text: str) -> Outgoing | None:
        """The reply to whoever wrote; None when that can no longer be read."""
        content = opened(self._vault, inbound, user)
        if content is None:
            return None
        now = self._clock.now()
        message = Message(
            id=MessageId(inbound.digest),
            tenant=inbound.tenant,
            user=inbound.user,
            event_id=EventId(inbound.digest),
            workflow="",
            workflow_version=0,
            category="",
            step="",
            template="",
            channel=inbound.channel,
            lane=Lane.HIGH,
            status=Status.SENDING,
            created_at=now,
            expires_at=Instant(inbound.at + REPLY_WITHIN_MS),
        )
        return Outgoing(
            message=message,
            user=user or User(no=NO_USER, tenant=inbound.tenant, id="", key=b"", profile=Profile()),
            contact=Contact(channel=inbound.channel, address=content.sender, hash=inbound.sender),
            content=CONTENTS[inbound.channel](text),
        )
