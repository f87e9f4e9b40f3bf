"""What people write to us: kept once, obeyed in the same transaction, replied to once."""

from __future__ import annotations

from typing import Any

from clarion.model.channel import Channel
from clarion.model.ids import NO_USER, Instant, MessageId, TenantId
from clarion.model.inbound import (
    ANY_INBOUND,
    OPTED_OUT,
    REPLY_WITHIN_MS,
    InboundFilter,
    InboundVerdict,
    ReceivedMessage,
    ReplyStatus,
)
from clarion.model.setup import Tenant
from clarion.model.suppression import Suppression, SuppressionFilter
from clarion.testing.ledger_contract.subject import LedgerSubject

OPT_OUT, OPT_IN, HELP, UNCLEAR, OTHER = InboundVerdict
DUE, SENDING, SENT, FAILED = ReplyStatus


def message(subject: LedgerSubject, verdict: InboundVerdict = OTHER, **fields: Any) -> ReceivedMessage:
    """An inbound email of ada's, whose reply is due at once."""
    (contact,) = subject.ada.profile.contacts
    given: dict[str, Any] = {
        "tenant": subject.tenant,
        "channel": Channel.EMAIL,
        "integration": "main",
        "digest": subject.random.bytes(16),
        "sender": contact.hash,
        "user": subject.ada.no,
        "verdict": verdict,
        "at": subject.now,
        "reply": DUE,
        "reply_due_at": subject.now,
        "sealed": b"sealed",
    } | fields
    return ReceivedMessage(**given)


async def _taken(subject: LedgerSubject, verdict: InboundVerdict = OTHER, **fields: Any) -> ReceivedMessage:
    (stored,) = await subject.ledger.inbound.take([message(subject, verdict, **fields)])
    assert stored.new
    return stored.inbound


async def _suppressed(subject: LedgerSubject) -> bool:
    """Whether ada's address is, for those who have her in memory too."""
    (contact,) = subject.ada.profile.contacts
    user = (await subject.ledger.users.get([subject.ada.no]))[subject.ada.no]
    found = await subject.ledger.suppressions.find(subject.tenant, contact.hash)
    assert (found is not None) == (contact.hash in user.suppressed)
    return found is not None


async def an_inbound_message_is_kept_once(subject: LedgerSubject) -> None:
    """As it came, found by its number, by its own tenant only; taken again it changes nothing."""
    first = message(subject, message_id=MessageId(b"m" * 16))
    twice = await subject.ledger.inbound.take([first, first])
    assert [one.new for one in twice] == [True, False]
    stored = twice[0].inbound
    assert (stored.digest, stored.message_id, stored.sealed) == (first.digest, b"m" * 16, b"sealed")
    assert await subject.ledger.inbound.get(subject.tenant, stored.seq) == stored
    assert await subject.ledger.inbound.get(TenantId(subject.tenant + 1), stored.seq) is None
    assert await subject.ledger.inbound.page(subject.tenant, ANY_INBOUND, None, 10) == [stored]


async def inbound_messages_come_newest_first_and_filtered(subject: LedgerSubject) -> None:
    """By everything a filter names, page by page."""
    old = await _taken(subject, UNCLEAR)
    subject.clock.advance(1)
    reply = await _taken(subject, channel=Channel.SMS, user=NO_USER, sender=b"s" * 16)
    inbound = subject.ledger.inbound
    for where, expected in (
        (InboundFilter(), [reply, old]),
        (InboundFilter(user=subject.ada.no), [old]),
        (InboundFilter(channels=frozenset({Channel.SMS, Channel.CHAT})), [reply]),
        (InboundFilter(verdicts=frozenset({UNCLEAR, HELP})), [old]),
        (InboundFilter(needs_review=True), [reply, old]),
        (InboundFilter(needs_review=False), []),
        (InboundFilter(since=reply.at), [reply]),
        (InboundFilter(before=reply.at), [old]),
    ):
        assert await inbound.page(subject.tenant, where, None, 10) == expected
    assert await inbound.page(subject.tenant, ANY_INBOUND, None, 1) == [reply]
    assert await inbound.page(subject.tenant, ANY_INBOUND, reply.seq, 1) == [old]


async def an_opt_out_suppresses_its_sender_in_the_same_transaction(subject: LedgerSubject) -> None:
    """When it is kept, it is obeyed, also by whoever has the user in memory; what else is written suppresses nobody."""
    await subject.ledger.users.get([subject.ada.no])
    for verdict in (OTHER, UNCLEAR, HELP, OPT_IN):
        await _taken(subject, verdict)
    assert not await _suppressed(subject)
    await _taken(subject, OPT_OUT)
    assert await _suppressed(subject)
    (suppression,) = await subject.ledger.suppressions.page(subject.tenant, SuppressionFilter(), None, 10)
    assert (suppression.reason, suppression.at, suppression.channel) == (
        OPTED_OUT,
        subject.now,
        Channel.EMAIL,
    )


async def an_opt_in_lifts_what_an_opt_out_made(subject: LedgerSubject) -> None:
    """A repeated opt-out from before it does not come back; a later one does not yield to a late opt-in."""
    first = message(subject, OPT_OUT)
    await subject.ledger.inbound.take([first])
    subject.clock.advance(1)
    await _taken(subject, OPT_IN)
    assert not await _suppressed(subject)
    await subject.ledger.inbound.take([first])
    assert not await _suppressed(subject)
    subject.clock.advance(1)
    await _taken(subject, OPT_OUT)
    await _taken(subject, OPT_IN, at=Instant(subject.now - 500))
    assert await _suppressed(subject)


async def an_opt_in_lifts_no_other_suppression(subject: LedgerSubject) -> None:
    """A hard bounce and the word of a caller stay, whether or not the person opted out as well."""
    (contact,) = subject.ada.profile.contacts
    for reason in ("address_gone", "by_caller"):
        bounced = Suppression(
            tenant=subject.tenant, channel=Channel.EMAIL, hash=contact.hash, reason=reason, at=subject.now
        )
        await subject.ledger.suppressions.add([bounced])
        await _taken(subject, OPT_OUT)
        subject.clock.advance(1)
        await _taken(subject, OPT_IN)
        assert await _suppressed(subject)
        await subject.ledger.suppressions.remove(subject.tenant, Channel.EMAIL, contact.hash)


async def tenants_are_opted_out_of_each_for_themselves(subject: LedgerSubject) -> None:
    """What one tenant's sender wrote says nothing about another tenant."""
    other = await subject.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="other"))
    await _taken(subject, OPT_OUT, tenant=other.id, user=NO_USER)
    assert not await _suppressed(subject)
    assert await subject.ledger.inbound.page(subject.tenant, ANY_INBOUND, None, 10) == []


async def a_person_gives_the_verdict(subject: LedgerSubject) -> None:
    """With everything that follows from it; who wrote something later is not overruled by an opt-in of before."""
    unclear = await _taken(subject, UNCLEAR)
    subject.clock.advance(1)
    inbound = subject.ledger.inbound
    assert await inbound.review(TenantId(subject.tenant + 1), unclear.seq, OPT_OUT, subject.now) is None
    reviewed = await inbound.review(subject.tenant, unclear.seq, OPT_OUT, subject.now)
    assert reviewed is not None
    assert (reviewed.verdict, reviewed.reviewed_at) == (OPT_OUT, subject.now)
    assert await _suppressed(subject)
    assert await inbound.page(subject.tenant, InboundFilter(needs_review=False), None, 10) == [reviewed]
    assert await inbound.review(subject.tenant, unclear.seq, OPT_IN, subject.now) is not None
    assert not await _suppressed(subject)
    await _taken(subject, OPT_OUT)
    assert await inbound.review(subject.tenant, unclear.seq, OPT_IN, subject.now) is not None
    assert await _suppressed(subject)


async def a_reply_is_handed_out_once(subject: LedgerSubject) -> None:
    """It ends as told; put off it comes again."""
    asked = await _taken(subject, HELP)
    assert (asked.reply, asked.reply_due_at) == (DUE, subject.now)
    inbound = subject.ledger.inbound
    assert await inbound.claim_replies(Instant(subject.now - 1), 10) == []
    (claimed,) = await inbound.claim_replies(subject.now, 10)
    assert (claimed.seq, claimed.reply, claimed.reply_due_at) == (asked.seq, SENDING, None)
    assert await inbound.claim_replies(subject.now, 10) == []
    await inbound.end_reply(subject.tenant, asked.seq, DUE, Instant(subject.now + 5))
    assert [one.seq for one in await inbound.claim_replies(Instant(subject.now + 5), 10)] == [asked.seq]
    await inbound.end_reply(subject.tenant, asked.seq, SENT)
    stored = await inbound.get(subject.tenant, asked.seq)
    assert stored is not None
    assert (stored.reply, stored.reply_due_at) == (SENT, None)
    assert await inbound.claim_replies(Instant(subject.now + 1000), 10) == []


async def a_reply_that_is_late_is_not_sent(subject: LedgerSubject) -> None:
    """After five minutes it has failed."""
    asked = await _taken(subject, HELP)
    late = Instant(subject.now + REPLY_WITHIN_MS)
    assert await subject.ledger.inbound.claim_replies(late, 10) == []
    stored = await subject.ledger.inbound.get(subject.tenant, asked.seq)
    assert stored is not None
    assert (stored.reply, stored.reply_due_at) == (FAILED, None)


async def what_changes_nothing_has_no_reply(subject: LedgerSubject) -> None:
    """One opt-out is confirmed, not its repetition; and nobody is told twice within five minutes that they may ask for
    help."""
    replies = []
    for verdict in (OPT_IN, OPT_OUT, OPT_OUT, HELP, HELP, OTHER):
        replies.append((await _taken(subject, verdict)).reply)
        subject.clock.advance(1)
    assert replies == [None, DUE, None, DUE, None, None]
    subject.clock.advance(REPLY_WITHIN_MS / 1_000)
    assert (await _taken(subject, HELP)).reply is DUE
    assert (await _taken(subject, HELP, sender=b"o" * 16, user=NO_USER)).reply is DUE


async def what_erased_people_wrote_is_gone(subject: LedgerSubject) -> None:
    """Also what came from their address before it was known to be theirs; what others wrote stays."""
    await _taken(subject)
    await _taken(subject, user=NO_USER)
    other = await _taken(subject, user=subject.bob.no, sender=b"b" * 16)
    await subject.ledger.users.delete(subject.tenant, subject.ada.id)
    assert await subject.ledger.inbound.page(subject.tenant, ANY_INBOUND, None, 10) == [other]


INBOUND_CONTRACT = (
    an_inbound_message_is_kept_once,
    inbound_messages_come_newest_first_and_filtered,
    an_opt_out_suppresses_its_sender_in_the_same_transaction,
    an_opt_in_lifts_what_an_opt_out_made,
    an_opt_in_lifts_no_other_suppression,
    tenants_are_opted_out_of_each_for_themselves,
    a_person_gives_the_verdict,
    a_reply_is_handed_out_once,
    a_reply_that_is_late_is_not_sent,
    what_changes_nothing_has_no_reply,
    what_erased_people_wrote_is_gone,
)
