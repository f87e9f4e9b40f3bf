"""What people write to us: opt-outs are obeyed before the provider is answered, everything is kept and becomes an event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

import msgspec
import structlog

from clarion.content.localise.locales import language_of
from clarion.errors import ClarionError, NotFound
from clarion.flow.ledger import Ledger
from clarion.model.channel import Channel
from clarion.model.consent import EVERY_PURPOSE, ConsentAction, ConsentSource, ConsentStatement
from clarion.model.ids import NO_USER, Instant, MessageId, TenantId, UserNo, id_text
from clarion.model.inbound import (
    FOR_A_PERSON,
    InboundContent,
    InboundMessage,
    InboundStored,
    InboundVerdict,
    ReceivedMessage,
    ReplyStatus,
)
from clarion.model.setup import Integration, Tenant
from clarion.model.submission import Acceptance, Submission
from clarion.model.user import User
from clarion.ports.clock import Clock
from clarion.ports.vault import Vault, contact_hash
from clarion.rules.replies import verdict_of
from clarion.services.consents import ConsentOrigin, ConsentService
from clarion.services.inbound_contents import opened, sealed
from clarion.services.inbound_replies import InboundReplies
from clarion.services.message_references import MessageReferences
from clarion.services.responses import Responses

log = structlog.get_logger(__name__)

RECEIVED = "clarion.message.received"
SOURCE = "clarion"
REPEATED_MS = 24 * 3_600_000
"""A message taken again raises its event again within this time, which its key makes harmless; later it does not."""
LONGEST_TEXT = 64 * 1024
"""Characters kept."""

LONGEST_PROOF = 1_000
"""Characters of a message that prove an opt-out or an opt-in."""

_ACTIONS = {InboundVerdict.OPT_OUT: ConsentAction.WITHDRAWN, InboundVerdict.OPT_IN: ConsentAction.GRANTED}

Submit = Callable[[TenantId, Sequence[Submission]], Awaitable[Sequence[Acceptance | ClarionError]]]

_json = msgspec.json.Encoder().encode


class InboundMessages:
    """Takes the messages of all integrations. A message may be passed on again: `provider_id` tells."""

    def __init__(
        self,
        ledger: Ledger,
        vault: Vault,
        submit: Submit,
        replies: InboundReplies,
        consents: ConsentService,
        responses: Responses,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._vault = vault
        self._submit = submit
        self._replies = replies
        self._consents = consents
        self._responses = responses
        self._clock = clock
        self._references = MessageReferences(vault)
        self.taken: Counter[str] = Counter()
        """By verdict; read by metrics."""

    async def take(
        self, tenant: TenantId, integration: Integration, messages: Sequence[InboundMessage]
    ) -> None:
        """Everything that follows from them is durable when this returns; only then the provider is answered. Raises
        Busy or Unavailable, and is to be repeated then."""
        channel = integration.channel
        senders = {one.sender: contact_hash(self._vault, tenant, channel, one.sender) for one in messages}
        users = {sender: await self._user(tenant, channel, hashed) for sender, hashed in senders.items()}
        owner = self._ledger.setup.tenants.all()[tenant]
        taken = await self._ledger.inbound.take(
            [self._read(owner, integration, one, senders[one.sender], users[one.sender]) for one in messages]
        )
        known = {user.no: user for user in users.values() if user is not None}
        for stored, message in zip(taken, messages, strict=True):
            if stored.new:
                self.taken[stored.inbound.verdict.value] += 1
            await self._consent(stored.inbound, known.get(stored.inbound.user), message.text)
            if stored.inbound.verdict in FOR_A_PERSON:
                await self._answer(stored.inbound, message)
        if any(stored.inbound.verdict is InboundVerdict.OPT_OUT for stored in taken):
            await self._consents.in_force()
        if any(stored.inbound.reply is ReplyStatus.DUE for stored in taken):
            self._replies.wake()
        await self._announce(tenant, taken, known)
        log.info("messages_received", tenant=tenant, integration=integration.key, count=len(messages))

    async def review(self, tenant: TenantId, seq: int, verdict: InboundVerdict) -> ReceivedMessage | None:
        """The message with the verdict of a person, whose consequences are durable. None: there is no such message."""
        reviewed = await self._ledger.inbound.review(tenant, seq, verdict, self._clock.now())
        if reviewed is not None and reviewed.user != NO_USER:
            user = (await self._ledger.users.get([reviewed.user])).get(reviewed.user)
            content = opened(self._vault, reviewed, user)
            await self._consent(reviewed, user, "" if content is None else content.text)
        return reviewed

    async def _consent(self, inbound: ReceivedMessage, user: User | None, text: str) -> None:
        """STOP withdraws every purpose on the channel, START ends that. The same message says it once, however often it comes."""
        action = _ACTIONS.get(inbound.verdict)
        if action is None or user is None or user.unreadable:
            return
        statement = ConsentStatement(EVERY_PURPOSE, inbound.channel, action)
        proof = {"inbound_id": str(inbound.seq), "text": text[:LONGEST_PROOF]}
        origin = ConsentOrigin(
            source=ConsentSource.REPLY, at=inbound.reviewed_at or inbound.at, proof=proof, once=inbound.digest
        )
        with suppress(NotFound):  # deleted meanwhile: nothing is sent any more
            await self._consents.record(user, [statement], origin)

    async def _answer(self, inbound: ReceivedMessage, message: InboundMessage) -> None:
        """What somebody writes may answer a question: that of the message they reply to, or the newest one they were sent on
        the channel. Taken again it changes nothing."""
        if message.button:
            channel = inbound.channel.value
            if await self._responses.press_by_id(message.button, channel, tenant=inbound.tenant) is not None:
                return
        if inbound.user == NO_USER:
            return
        question = await self._responses.asked_lately(inbound.tenant, inbound.user, inbound.channel)
        if question is not None:
            await self._responses.read(question, message.text, inbound.channel.value)

    async def _user(self, tenant: TenantId, channel: Channel, hashed: bytes) -> User | None:
        found = await self._ledger.directory.with_contact(tenant, channel, hashed, 1)
        return next((user for user in found if not user.unreadable), None)

    def _read(
        self,
        tenant: Tenant,
        integration: Integration,
        message: InboundMessage,
        sender: bytes,
        user: User | None,
    ) -> ReceivedMessage:
        now = self._clock.now()
        verdict = verdict_of(message.text, languages_of(tenant, user))
        content = InboundContent(
            text=message.text[:LONGEST_TEXT],
            sender=message.sender,
            recipient=message.recipient,
            media=message.media,
        )
        replied = not message.answered and self._replies.text(tenant, verdict, integration.channel, user)
        return ReceivedMessage(
            tenant=tenant.id,
            channel=integration.channel,
            integration=integration.key,
            digest=self._vault.hash(
                f"inbound:{tenant.id}:{integration.key}",
                message.provider_id.encode(errors="surrogatepass"),
            ),
            sender=sender,
            user=NO_USER if user is None else user.no,
            message_id=self._answered(tenant.id, message),
            verdict=verdict,
            at=now if message.at is None else Instant(max(0, min(message.at, now))),
            reply=ReplyStatus.DUE if replied else None,
            reply_due_at=now if replied else None,
            sealed=sealed(self._vault, tenant.id, user, content),
        )

    def _answered(self, tenant: TenantId, message: InboundMessage) -> MessageId | None:
        about = self._references.read(message.reference) if message.reference else None
        return about[1] if about is not None and about[0] == tenant else None

    async def _announce(
        self, tenant: TenantId, taken: Sequence[InboundStored], users: Mapping[UserNo, User]
    ) -> None:
        """Raise the events, under keys that make a repetition harmless: a crash before this loses none."""
        recent = self._clock.now() - REPEATED_MS
        events = [
            _event(one.inbound, users[one.inbound.user].id)
            for one in taken
            if one.inbound.user in users and (one.new or one.inbound.at > recent)
        ]
        for answer in await self._submit(tenant, events) if events else ():
            if isinstance(answer, ClarionError):
                log.warning("message_event_refused", tenant=tenant, error=answer.code)


def languages_of(tenant: Tenant, user: User | None) -> set[str]:
    """Those that a person may be expected to answer in."""
    replies = (tenant.replies.opted_out, tenant.replies.opted_in, tenant.replies.help)
    locales = {tenant.locale, *tenant.required_locales, *(one for texts in replies for one in texts)}
    if user is not None:
        locales.add(user.profile.locale)
    return {language_of(one) for one in locales}


def _event(inbound: ReceivedMessage, user_id: str) -> Submission:
    data = {
        "inbound_id": str(inbound.seq),
        "user_id": user_id,
        "channel": inbound.channel.value,
        "integration": inbound.integration,
        "verdict": inbound.verdict.value,
        "message_id": None if inbound.message_id is None else id_text(inbound.message_id),
    }
    return Submission(
        source=SOURCE,
        type=RECEIVED,
        subject=user_id,
        event_key=f"inbound/{inbound.seq}",
        time=inbound.at,
        data=msgspec.Raw(_json(data)),
    )
