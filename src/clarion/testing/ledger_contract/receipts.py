"""Receipts: a status moves forward only, once, with all its effects."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from clarion.model.channel import Channel
from clarion.model.ids import Instant, MessageId, TenantId
from clarion.model.message import Message
from clarion.model.quarantine import Quarantined, QuarantineFilter, QuarantineKind
from clarion.model.receipt import ReceiptKind
from clarion.model.settlement import ReceiptEffect
from clarion.model.status import Reason, Status
from clarion.model.suppression import Suppression, SuppressionFilter
from clarion.testing.ledger_contract.subject import LedgerSubject, later, rungs

SENT, DELIVERED, BOUNCED, UNDELIVERED = (
    Status.SENT,
    Status.DELIVERED,
    Status.BOUNCED,
    Status.UNDELIVERED,
)


async def _sent(subject: LedgerSubject, **fields: Any) -> Message:
    message = subject.planned(**fields)
    await subject.plan(message)
    await subject.settle(message)
    subject.clock.advance(1)
    return message


def _gone(subject: LedgerSubject, message: Message) -> Suppression:
    (contact,) = subject.ada.profile.contacts
    return Suppression(
        tenant=message.tenant,
        channel=message.channel,
        hash=contact.hash,
        reason="address_gone",
        at=subject.now,
    )


def _said(
    subject: LedgerSubject, message: Message, kind: ReceiptKind = ReceiptKind.DELIVERED, **fields: Any
) -> ReceiptEffect:
    if kind is ReceiptKind.DELIVERED:
        fields = {"status": DELIVERED} | fields
    elif kind is ReceiptKind.BOUNCED:
        fields = {"status": BOUNCED, "reason": Reason.ADDRESS_GONE} | fields
    return ReceiptEffect(message=message, kind=kind, at=subject.now, **fields)


async def _receive(subject: LedgerSubject, *consequences: ReceiptEffect) -> list[bool]:
    return list(await subject.ledger.receipts.receive(consequences))


async def messages_are_found_by_their_ids(subject: LedgerSubject) -> None:
    """Those that exist; the others are left out."""
    first, second = await _sent(subject), await _sent(subject)
    wanted = [first.id, MessageId(b"x" * 16), second.id]
    found = await subject.ledger.receipts.messages(wanted)
    assert {m: found[m].status for m in found} == {first.id: SENT, second.id: SENT}
    assert await subject.ledger.receipts.messages([]) == {}


async def a_receipt_moves_its_message_once(subject: LedgerSubject) -> None:
    """With one change that says what was reported; repeated it changes nothing."""
    message = await _sent(subject)
    said = _said(subject, message, detail="250 ok", provider_id="abc")
    assert await _receive(subject, said) == [True]
    assert await _receive(subject, said, said) == [False, False]
    stored = await subject.stored(message)
    assert (stored.status, stored.delivered_at, stored.updated_at) == (DELIVERED, subject.now, subject.now)
    *_, change = await subject.ledger.records.changes(subject.tenant, message.id)
    assert (change.status, change.outcome, change.detail, change.provider_id, change.integration) == (
        DELIVERED,
        "delivered",
        "250 ok",
        "abc",
        "main",
    )
    assert len(await subject.timeline(message)) == 3


async def a_late_receipt_changes_nothing(subject: LedgerSubject) -> None:
    """Nothing is delivered after it has bounced."""
    message = await _sent(subject)
    assert await _receive(subject, _said(subject, message, ReceiptKind.BOUNCED), _said(subject, message)) == [
        True,
        False,
    ]
    assert await subject.state(message) == (BOUNCED, Reason.ADDRESS_GONE)


async def two_receipts_of_one_batch_keep_their_order(subject: LedgerSubject) -> None:
    """What was delivered may still bounce."""
    message = await _sent(subject)
    batch = _said(subject, message), _said(subject, message, ReceiptKind.BOUNCED)
    assert await _receive(subject, *batch) == [True, True]
    assert [status for status, _ in await subject.timeline(message)][-2:] == [DELIVERED, BOUNCED]


async def a_receipt_that_moves_nothing_is_kept_once(subject: LedgerSubject) -> None:
    """A complaint stands in the timeline, whatever the status."""
    message = await _sent(subject)
    delayed = _said(subject, message, ReceiptKind.DELAYED)
    assert await _receive(subject, delayed, delayed) == [True, False]
    assert await subject.state(message) == (SENT, None)
    clicked = _said(subject, message, ReceiptKind.CLICKED, status=DELIVERED)
    assert await _receive(subject, clicked, clicked) == [True, False]
    stored = await subject.stored(message)
    assert (stored.status, stored.seen_at, stored.clicked_at) == (DELIVERED, subject.now, subject.now)


async def a_bounce_suppresses_its_address(subject: LedgerSubject) -> None:
    """At once, also for whoever has the user in memory; the duplicate does not bring it back."""
    message = await _sent(subject)
    await subject.ledger.users.get([subject.ada.no])
    gone = _gone(subject, message)
    bounce = _said(subject, message, ReceiptKind.BOUNCED, suppression=gone)
    assert await _receive(subject, bounce) == [True]
    user = await subject.reread(subject.ada)
    assert user is not None
    assert user.suppressed == {gone.hash}
    await subject.ledger.suppressions.remove(subject.tenant, Channel.EMAIL, gone.hash)
    assert await _receive(subject, bounce) == [False]
    assert list(await subject.ledger.suppressions.page(subject.tenant, SuppressionFilter(), None, 10)) == []


async def a_bounce_settles_an_unknown_outcome(subject: LedgerSubject) -> None:
    """It had gone out after all, and its address is suppressed."""
    message = subject.planned()
    await subject.plan(message)
    await subject.settle(message, Status.FAILED, reason=Reason.OUTCOME_UNKNOWN)
    bounce = _said(subject, message, ReceiptKind.BOUNCED, suppression=_gone(subject, message))
    assert await _receive(subject, bounce, bounce) == [True, False]
    assert await subject.state(message) == (Status.BOUNCED, Reason.ADDRESS_GONE)
    assert len(await subject.ledger.suppressions.page(subject.tenant, SuppressionFilter(), None, 10)) == 1


async def a_failure_starts_the_next_rung(subject: LedgerSubject) -> None:
    """Due at once instead of when the wait is over."""
    ladder = rungs(subject, Channel.EMAIL, Channel.SMS, Channel.VOICE, until="delivered")
    await subject.plan(*ladder)
    await subject.settle(ladder[0])
    subject.clock.advance(1)
    said = _said(subject, ladder[0], ReceiptKind.BOUNCED, advances=ladder[1].id)
    assert await _receive(subject, said, said) == [True, False]
    assert (await subject.stored(ladder[1])).due_at == subject.now
    assert (await subject.stored(ladder[2])).due_at == ladder[2].due_at


async def a_delivery_cancels_the_later_rungs(subject: LedgerSubject) -> None:
    """As far as they have not started."""
    ladder = rungs(subject, Channel.EMAIL, Channel.SMS, until="delivered")
    await subject.plan(*ladder)
    await subject.settle(ladder[0])
    assert await _receive(subject, _said(subject, ladder[0], cancels=ladder[0].later_rungs)) == [True]
    assert await subject.state(ladder[1]) == (Status.CANCELED, Reason.LADDER_SATISFIED)


async def a_receipt_overtakes_a_retry(subject: LedgerSubject) -> None:
    """It arrived although nobody answered: whoever holds it is refused, and who waited for it goes on."""
    first, second = subject.planned(), subject.planned()
    turns = (subject.turn(first), subject.turn(second))
    await subject.plan(first, turns=turns[:1])
    await subject.plan(second, turns=turns[1:])
    assert await _receive(subject, _said(subject, first)) == [True]
    assert (await subject.settle(first)).refused == {first.id}
    assert await subject.state(first) == (DELIVERED, None)
    assert second.id in {m.id for m in await subject.claim()}


async def what_was_never_sent_cannot_bounce(subject: LedgerSubject) -> None:
    """A message that was decided against stays as it is."""
    message = later(subject.planned(), 60)
    await subject.plan(message)
    await subject.ledger.records.cancel(subject.tenant, message.id, subject.now, frozenset())
    assert await _receive(subject, _said(subject, message, ReceiptKind.BOUNCED)) == [False]
    assert (await subject.state(message))[0] is Status.CANCELED


async def soft_bounces_are_counted_per_person_and_channel(subject: LedgerSubject) -> None:
    """Within a window, and nothing else."""
    for channel in (Channel.EMAIL, Channel.EMAIL, Channel.SMS):
        message = await _sent(subject, channel=channel)
        soft = _said(
            subject,
            message,
            ReceiptKind.BOUNCED,
            status=UNDELIVERED,
            reason=Reason.SOFT_BOUNCE,
            suppression=None,
        )
        await _receive(subject, soft)
    since, users = Instant(subject.now - 60_000), [subject.bob.no, subject.ada.no]
    receipts = subject.ledger.receipts
    assert list(await receipts.soft_bounces(users, Channel.EMAIL, since)) == [0, 2]
    assert list(await receipts.soft_bounces(users, Channel.EMAIL, Instant(subject.now + 1))) == [0, 0]


async def a_mail_is_kept_once_for_its_tenant(subject: LedgerSubject) -> None:
    """Newest first, until somebody has dealt with it."""
    kept, other = subject.ledger.quarantine, TenantId(subject.tenant + 1)

    def mail(digest: bytes, tenant: TenantId) -> Quarantined:
        return Quarantined(
            tenant=tenant, why="no_message", sealed=b"s" + digest, digest=digest, at=subject.now
        )

    for digest in (b"a" * 16, b"b" * 16, b"a" * 16):
        await kept.keep(mail(digest, subject.tenant))
    await kept.keep(mail(b"a" * 16, other))
    second, first = await kept.page(subject.tenant, QuarantineFilter(), None, 10)
    assert (first.digest, first.sealed, first.why, first.at) == (
        b"a" * 16,
        b"s" + b"a" * 16,
        "no_message",
        subject.now,
    )
    assert [s.seq for s in await kept.page(subject.tenant, QuarantineFilter(), second.seq, 10)] == [first.seq]
    assert await kept.get(subject.tenant, first.seq) == first
    assert await kept.get(other, first.seq) is None
    for where, count in (
        (QuarantineFilter(why="no_message"), 2),
        (QuarantineFilter(why="no_proof"), 0),
        (QuarantineFilter(since=subject.now), 2),
        (QuarantineFilter(before=subject.now), 0),
    ):
        assert len(await kept.page(subject.tenant, where, None, 10)) == count
    assert not await kept.drop(other, first.seq)
    assert await kept.drop(subject.tenant, first.seq)
    assert not await kept.drop(subject.tenant, first.seq)
    assert [s.seq for s in await kept.page(subject.tenant, QuarantineFilter(), None, 10)] == [second.seq]


async def callbacks_are_kept_beside_mail(subject: LedgerSubject) -> None:
    """Each with its integration, and found by kind."""
    kept = subject.ledger.quarantine
    mail = Quarantined(tenant=subject.tenant, why="no_proof", sealed=b"m", digest=b"m" * 16, at=subject.now)
    callback = Quarantined(
        tenant=subject.tenant,
        kind=QuarantineKind.CALLBACK,
        why="not_understood",
        integration="texts",
        sealed=b"c",
        digest=b"c" * 16,
        at=subject.now,
    )
    for one in (mail, callback, callback):
        await kept.keep(one)
    for kind, expected in ((QuarantineKind.EMAIL, mail), (QuarantineKind.CALLBACK, callback)):
        (found,) = await kept.page(subject.tenant, QuarantineFilter(kind=kind), None, 10)
        assert found == replace(expected, seq=found.seq)
    assert len(await kept.page(subject.tenant, QuarantineFilter(), None, 10)) == 2


RECEIPTS_CONTRACT = (
    a_mail_is_kept_once_for_its_tenant,
    callbacks_are_kept_beside_mail,
    messages_are_found_by_their_ids,
    a_receipt_moves_its_message_once,
    a_late_receipt_changes_nothing,
    two_receipts_of_one_batch_keep_their_order,
    a_receipt_that_moves_nothing_is_kept_once,
    a_bounce_suppresses_its_address,
    a_bounce_settles_an_unknown_outcome,
    a_failure_starts_the_next_rung,
    a_delivery_cancels_the_later_rungs,
    a_receipt_overtakes_a_retry,
    what_was_never_sent_cannot_bounce,
    soft_bounces_are_counted_per_person_and_channel,
)
