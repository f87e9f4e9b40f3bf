"""Mail that comes in: returned mail becomes receipts, a mail to leave is obeyed, what is unclear waits for a person.

Whoever knows the address can send mail to it, so what a mail achieves depends on what proves that it is about one
of ours: the signed tag of the return path, or the Message-ID, which only whoever got the mail has seen. An
address proves nothing: such a bounce counts, but retires nobody's address by itself.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from clarion.content.bounces import BounceVerdict, Return, answer_in, read
from clarion.content.bounces.safe_mime import decoded, headers_of
from clarion.flow.ledger import Ledger
from clarion.flow.waiting import retry_until_stored
from clarion.model.channel import Channel
from clarion.model.consent import ConsentSource
from clarion.model.ids import Instant, MessageId, TenantId
from clarion.model.inbound import InboundVerdict
from clarion.model.message import Message, MessageFilter
from clarion.model.quarantine import Quarantined
from clarion.model.receipt import Receipt, ReceiptKind
from clarion.model.status import SUCCEEDED, Status
from clarion.model.user import User
from clarion.ports.clock import Clock
from clarion.ports.vault import Vault, contact_hash
from clarion.rules.replies import verdict_of
from clarion.services.inbound_messages import languages_of
from clarion.services.message_references import MessageReferences
from clarion.services.responses import Responses
from clarion.services.unsubscribe import UnsubscribeLinks

MOST_KEPT = 256 * 1024
"""Bytes kept of a mail that waits for a person."""
RECENT_MS = 10 * 24 * 3_600_000
"""Mail servers give up after five days; what was sent longer ago does not come back."""
MOST_ADDRESSED = 20

MOST_TAGS = 4
ANSWER = "answer"
"""The verdict of a mail that answers a question."""

_RECIPIENTS = ("to", "cc", "delivered-to", "x-original-to", "envelope-to")
"""Only whom the mail is sent to counts: what it returns or quotes has such addresses in it too."""
_WAY_OUT = re.compile(r"\bu\+([0-9a-fA-F]{56})@")
_KINDS = {
    BounceVerdict.HARD: ReceiptKind.BOUNCED,
    BounceVerdict.SOFT: ReceiptKind.BOUNCED,
    BounceVerdict.BLOCK: ReceiptKind.BLOCKED,
    BounceVerdict.COMPLAINT: ReceiptKind.COMPLAINED,
    BounceVerdict.UNSUBSCRIBE: ReceiptKind.UNSUBSCRIBED,
    BounceVerdict.AUTO_REPLY: ReceiptKind.AUTO_REPLY,
    BounceVerdict.DELIVERED: ReceiptKind.DELIVERED,
}
_CAME_BACK = SUCCEEDED | {Status.BOUNCED, Status.UNDELIVERED}

Receive = Callable[[Sequence[Receipt]], Awaitable[Sequence[bool]]]


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one email."""

    verdict: str
    """A `Verdict`."""
    delayed: bool = False
    status: str = ""
    detail: str = ""
    message: Message | None = None
    changed: bool = False
    """Something is different now; False for what was known already."""
    kept: str = ""
    """Why it waits for a person; empty: it does not."""


class _Found(msgspec.Struct, frozen=True):
    message: Message
    proven: bool


class InboundMail:
    """Takes mail, one at a time; taking the same mail again changes nothing."""

    def __init__(
        self,
        ledger: Ledger,
        vault: Vault,
        receive: Receive,
        unsubscribe: UnsubscribeLinks,
        responses: Responses,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._vault = vault
        self._receive = receive
        self._unsubscribe = unsubscribe
        self._responses = responses
        self._clock = clock
        self._tags = MessageReferences(vault)

    async def take(self, raw: bytes, home: TenantId, *, any_tenant: bool = False) -> Taken:
        """Durable when this returns. `home` is the tenant who is shown what is unclear; with `any_tenant` the mail
        may be about messages of others too, as in a mailbox that all share."""
        tenant = None if any_tenant else home
        if (left := await self._left(raw, tenant)) is not None:
            return left
        found = await asyncio.to_thread(read, raw)
        about: _Found | None
        if found.verdict is not BounceVerdict.UNKNOWN:
            about = await self._message(found, tenant, home)
        else:
            replied = await self._replied_to(raw, tenant)
            if replied is not None and await self._answers(replied[0].message, replied[1]):
                return Taken(verdict=ANSWER, message=replied[0].message, changed=True)
            if replied is None or not await self._asks_to_leave(replied[0].message, replied[1]):
                return await self._keep(raw, home, found, "not_understood")
            about, found = replied[0], Return(verdict=BounceVerdict.UNSUBSCRIBE)
        if about is None:
            if found.verdict in (BounceVerdict.AUTO_REPLY, BounceVerdict.DELIVERED) or found.delayed:
                return _taken(found)
            return await self._keep(raw, home, found, "no_message")
        if found.verdict in (BounceVerdict.COMPLAINT, BounceVerdict.UNSUBSCRIBE) and not about.proven:
            return await self._keep(raw, home, found, "no_proof")
        receipt = await self._receipt(found, about)
        (changed,) = await self._receive([receipt])
        return _taken(found, message=about.message, changed=changed)

    async def resolve(
        self, mail: Quarantined, verdict: BounceVerdict, message_id: MessageId | None = None
    ) -> Taken | None:
        """What follows from the verdict of a person, durably; then the mail is no longer kept.

        Without a message, the one that the mail itself is about. None when there is none.
        """
        raw = self._vault.open(self._vault.tenant_key(mail.tenant), mail.sealed)
        found = await asyncio.to_thread(read, raw)
        found = msgspec.structs.replace(found, verdict=verdict, delayed=False)
        if message_id is None:
            about = await self._message(found, mail.tenant, mail.tenant)
        else:
            named = (await self._ledger.receipts.messages([message_id])).get(message_id)
            mine = named is not None and named.tenant == mail.tenant and named.channel is Channel.EMAIL
            about = _Found(named, True) if named is not None and mine else None
        if about is None:
            return None
        receipt = await self._receipt(found, _Found(about.message, True))
        # A person has said so: whom else the mail names does not matter.
        receipt = msgspec.structs.replace(receipt, permanent=verdict is BounceVerdict.HARD)
        (changed,) = await self._receive([receipt])
        await self._ledger.quarantine.drop(mail.tenant, mail.seq)
        return _taken(found, message=about.message, changed=changed)

    async def discard(self, tenant: TenantId, seq: int) -> bool:
        """Delete a mail from quarantine, and change nothing else. Whether it was there."""
        return await self._ledger.quarantine.drop(tenant, seq)

    async def _left(self, raw: bytes, tenant: TenantId | None) -> Taken | None:
        """What came of a mail to the `mailto:` way out (RFC 2369); None for any other mail."""
        head = headers_of(raw)
        to = " ".join(decoded(value) for name in _RECIPIENTS for value in head.headers.get_all(name, ()))
        for tag in _WAY_OUT.findall(to)[:MOST_TAGS]:
            genuine = self._tags.read(tag)
            if genuine is None:
                continue
            owner, message_id = genuine
            message = (await self._ledger.receipts.messages([message_id])).get(message_id)
            if message is None or not {owner, tenant} <= {None, message.tenant}:
                continue
            choice = await self._unsubscribe.about(message)
            if choice is not None:
                changed = choice.subscribed
                await self._unsubscribe.leave(choice, ConsentSource.UNSUBSCRIBE_EMAIL)
                return Taken(verdict=BounceVerdict.UNSUBSCRIBE.value, message=message, changed=changed)
        return None

    async def _replied_to(self, raw: bytes, tenant: TenantId | None) -> tuple[_Found, str] | None:
        """The message that a person answered, and their words. Its Message-ID proves that they got it."""
        answer = await asyncio.to_thread(answer_in, raw)
        if answer is None or not answer.answers:
            return None
        ids = [MessageId(one) for one in answer.answers]
        known = await self._ledger.receipts.messages(ids)
        message = next((known[one] for one in ids if one in known), None)
        if message is None or tenant not in (None, message.tenant) or message.channel is not Channel.EMAIL:
            return None
        return _Found(message, True), answer.words

    async def _asks_to_leave(self, message: Message, words: str) -> bool:
        """STOP or the like."""
        user = (await self._ledger.users.get([message.user])).get(message.user)
        spoken = languages_of(self._ledger.setup.tenants.all()[message.tenant], user)
        return verdict_of(words, spoken) is InboundVerdict.OPT_OUT

    async def _answers(self, message: Message, words: str) -> bool:
        """Whether it answers the question of the message, which is done then."""
        question = await self._responses.asked_in(message)
        if question is None:
            return False
        return await self._responses.read(question, words, Channel.EMAIL.value) is not None

    async def _message(self, found: Return, tenant: TenantId | None, home: TenantId) -> _Found | None:
        named: list[tuple[TenantId | None, MessageId]] = []
        named += [genuine for tag in found.tags if (genuine := self._tags.read(tag)) is not None]
        named += [(None, MessageId(one)) for one in found.message_ids]
        known = await self._ledger.receipts.messages([message_id for _, message_id in named])
        for owner, message_id in named:
            message = known.get(message_id)
            if message is not None and {owner, tenant} <= {None, message.tenant}:
                return _Found(message, True)
        return await self._addressed(found, home)

    async def _addressed(self, found: Return, tenant: TenantId) -> _Found | None:
        """The newest mail that went to whom it names."""
        since = Instant(max(0, self._clock.now() - RECENT_MS))
        for hashed in self._hashes(found, tenant):
            for user in await self._ledger.directory.with_contact(tenant, Channel.EMAIL, hashed, 1):
                where = MessageFilter(user=user.no, channels=frozenset({Channel.EMAIL}), since=since)
                sent, _ = await self._ledger.records.page(tenant, where, None, MOST_ADDRESSED)
                for message in sent:
                    if message.status in _CAME_BACK:
                        return _Found(message, False)
        return None

    async def _receipt(self, found: Return, about: _Found) -> Receipt:
        message = about.message
        user = (await self._ledger.users.get([message.user])).get(message.user)
        hashes = self._hashes(found, message.tenant)
        contact = _own(user, hashes)
        # Whom it names is nobody of ours: a forwarded copy failed, or the address has been replaced since.
        stranger = bool(hashes) and not contact
        return Receipt(
            tenant=message.tenant,
            message_id=message.id,
            kind=ReceiptKind.DELAYED if found.delayed else _KINDS[found.verdict],
            at=self._clock.now(),
            permanent=found.verdict is BounceVerdict.HARD and about.proven and not stranger,
            contact=contact,
            detail=found.detail,
        )

    def _hashes(self, found: Return, tenant: TenantId) -> list[bytes]:
        named = dict.fromkeys(address for address in (found.sent_to, *found.recipients) if address)
        return [contact_hash(self._vault, tenant, Channel.EMAIL, address) for address in named]

    async def set_aside(self, raw: bytes, tenant: TenantId) -> None:
        """Store an email that could not be processed in quarantine."""
        await self._keep(raw, tenant, Return(verdict=BounceVerdict.UNKNOWN), "not_understood")

    async def _keep(self, raw: bytes, tenant: TenantId, found: Return, why: str) -> Taken:
        mail = Quarantined(
            tenant=tenant,
            why=why,
            sealed=self._vault.seal(self._vault.tenant_key(tenant), raw[:MOST_KEPT]),
            digest=self._vault.hash("stray", raw),
            at=self._clock.now(),
        )
        await retry_until_stored("quarantine", lambda: self._ledger.quarantine.keep(mail), self._clock)
        return msgspec.structs.replace(_taken(found), kept=why)


def _own(user: User | None, hashes: Sequence[bytes]) -> bytes:
    """The contact of this person that is meant."""
    contacts = user.profile.contacts if user is not None else ()
    own = {contact.hash for contact in contacts if contact.channel is Channel.EMAIL}
    return next((hashed for hashed in hashes if hashed in own), b"")


def _taken(found: Return, message: Message | None = None, changed: bool = False) -> Taken:
    return Taken(
        verdict=found.verdict.value,
        delayed=found.delayed,
        status=found.status,
        detail=found.detail,
        message=message,
        changed=changed,
    )
