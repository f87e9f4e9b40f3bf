"""What comes back: forward only, once, and with everything that follows from it."""

from __future__ import annotations

from typing import Any

from clarion.model.channel import Channel
from clarion.model.ids import Instant, MessageId, TenantId
from clarion.model.message import Message
from clarion.model.quarantine import Quarantined, QuarantineFilter
from clarion.model.receipt import ReceiptKind
from clarion.model.settlement import ReceiptEffect
from clarion.model.status import Reason, Status
from clarion.model.suppression import Suppression
from clarion.testing.ledger_contract.world import World, later, rungs

SENT, DELIVERED, BOUNCED, UNDELIVERED = (
    Status.SENT,
    Status.DELIVERED,
    Status.BOUNCED,
    Status.UNDELIVERED,
)


async def _sent(world: World, **fields: Any) -> Message:
    message = world.planned(**fields)
    await world.plan(message)
    await world.settle(message)
    world.clock.advance(1)
    return message


def _gone(world: World, message: Message) -> Suppression:
    (contact,) = world.ada.profile.contacts
    return Suppression(
        tenant=message.tenant,
        channel=message.channel,
        hash=contact.hash,
        reason="address_gone",
        at=world.now,
    )


def _said(
    world: World, message: Message, kind: ReceiptKind = ReceiptKind.DELIVERED, **fields: Any
) -> ReceiptEffect:
    if kind is ReceiptKind.DELIVERED:
        fields = {"status": DELIVERED} | fields
    elif kind is ReceiptKind.BOUNCED:
        fields = {"status": BOUNCED, "reason": Reason.ADDRESS_GONE} | fields
    return ReceiptEffect(message=message, kind=kind, at=world.now, **fields)


async def _receive(world: World, *consequences: ReceiptEffect) -> list[bool]:
    return list(await world.ledger.receipts.receive(consequences))


async def messages_are_found_by_their_ids(world: World) -> None:
    """Those that exist; the others are left out."""
    first, second = await _sent(world), await _sent(world)
    wanted = [first.id, MessageId(b"x" * 16), second.id]
    found = await world.ledger.receipts.messages(wanted)
    assert {m: found[m].status for m in found} == {first.id: SENT, second.id: SENT}
    assert await world.ledger.receipts.messages([]) == {}


async def a_receipt_moves_its_message_once(world: World) -> None:
    """With one change that says what was reported; repeated it changes nothing."""
    message = await _sent(world)
    said = _said(world, message, detail="250 ok", provider_id="abc")
    assert await _receive(world, said) == [True]
    assert await _receive(world, said, said) == [False, False]
    stored = await world.stored(message)
    assert (stored.status, stored.delivered_at, stored.updated_at) == (DELIVERED, world.now, world.now)
    *_, change = await world.ledger.records.changes(world.tenant, message.id)
    assert (change.status, change.outcome, change.detail, change.provider_id, change.integration) == (
        DELIVERED,
        "delivered",
        "250 ok",
        "abc",
        "main",
    )
    assert len(await world.timeline(message)) == 3


async def a_late_receipt_changes_nothing(world: World) -> None:
    """Nothing is delivered after it has bounced."""
    message = await _sent(world)
    assert await _receive(world, _said(world, message, ReceiptKind.BOUNCED), _said(world, message)) == [
        True,
        False,
    ]
    assert await world.state(message) == (BOUNCED, Reason.ADDRESS_GONE)


async def two_receipts_of_one_batch_keep_their_order(world: World) -> None:
    """What was delivered may still bounce."""
    message = await _sent(world)
    batch = _said(world, message), _said(world, message, ReceiptKind.BOUNCED)
    assert await _receive(world, *batch) == [True, True]
    assert [status for status, _ in await world.timeline(message)][-2:] == [DELIVERED, BOUNCED]


async def a_receipt_that_moves_nothing_is_kept_once(world: World) -> None:
    """A complaint stands in the timeline, whatever the status."""
    message = await _sent(world)
    delayed = _said(world, message, ReceiptKind.DELAYED)
    assert await _receive(world, delayed, delayed) == [True, False]
    assert await world.state(message) == (SENT, None)
    clicked = _said(world, message, ReceiptKind.CLICKED, status=DELIVERED)
    assert await _receive(world, clicked, clicked) == [True, False]
    stored = await world.stored(message)
    assert (stored.status, stored.seen_at, stored.clicked_at) == (DELIVERED, world.now, world.now)


async def a_bounce_suppresses_its_address(world: World) -> None:
    """At once, also for whoever has the user in memory; the duplicate does not bring it back."""
    message = await _sent(world)
    await world.ledger.users.get([world.ada.no])
    gone = _gone(world, message)
    bounce = _said(world, message, ReceiptKind.BOUNCED, suppression=gone)
    assert await _receive(world, bounce) == [True]
    user = await world.reread(world.ada)
    assert user is not None
    assert user.suppressed == {gone.hash}
    await world.ledger.suppressions.remove(world.tenant, Channel.EMAIL, gone.hash)
    assert await _receive(world, bounce) == [False]
    assert list(await world.ledger.suppressions.page(world.tenant, None, 10)) == []


async def a_bounce_of_a_failed_message_still_suppresses(world: World) -> None:
    """It had gone out after all: the status stays, the address does not."""
    message = world.planned()
    await world.plan(message)
    await world.settle(message, Status.FAILED, reason=Reason.OUTCOME_UNKNOWN)
    bounce = _said(world, message, ReceiptKind.BOUNCED, suppression=_gone(world, message))
    assert await _receive(world, bounce, bounce) == [True, False]
    assert await world.state(message) == (Status.FAILED, Reason.OUTCOME_UNKNOWN)
    assert len(await world.ledger.suppressions.page(world.tenant, None, 10)) == 1


async def a_failure_starts_the_next_rung(world: World) -> None:
    """Due at once instead of when the wait is over."""
    ladder = rungs(world, Channel.EMAIL, Channel.SMS, Channel.VOICE, until="delivered")
    await world.plan(*ladder)
    await world.settle(ladder[0])
    world.clock.advance(1)
    said = _said(world, ladder[0], ReceiptKind.BOUNCED, advances=ladder[1].id)
    assert await _receive(world, said, said) == [True, False]
    assert (await world.stored(ladder[1])).due_at == world.now
    assert (await world.stored(ladder[2])).due_at == ladder[2].due_at


async def a_delivery_cancels_the_later_rungs(world: World) -> None:
    """As far as they have not started."""
    ladder = rungs(world, Channel.EMAIL, Channel.SMS, until="delivered")
    await world.plan(*ladder)
    await world.settle(ladder[0])
    assert await _receive(world, _said(world, ladder[0], cancels=ladder[0].later_rungs)) == [True]
    assert await world.state(ladder[1]) == (Status.CANCELED, Reason.LADDER_SATISFIED)


async def a_receipt_overtakes_a_retry(world: World) -> None:
    """It arrived although nobody answered: whoever holds it is refused, and who waited for it goes on."""
    first, second = world.planned(), world.planned()
    turns = (world.turn(first), world.turn(second))
    await world.plan(first, turns=turns[:1])
    await world.plan(second, turns=turns[1:])
    assert await _receive(world, _said(world, first)) == [True]
    assert (await world.settle(first)).refused == {first.id}
    assert await world.state(first) == (DELIVERED, None)
    assert second.id in {m.id for m in await world.claim()}


async def what_was_never_sent_cannot_bounce(world: World) -> None:
    """A message that was decided against stays as it is."""
    message = later(world.planned(), 60)
    await world.plan(message)
    await world.ledger.records.cancel(world.tenant, message.id, world.now, frozenset())
    assert await _receive(world, _said(world, message, ReceiptKind.BOUNCED)) == [False]
    assert (await world.state(message))[0] is Status.CANCELED


async def soft_bounces_are_counted_per_person_and_channel(world: World) -> None:
    """Within a window, and nothing else."""
    for channel in (Channel.EMAIL, Channel.EMAIL, Channel.SMS):
        message = await _sent(world, channel=channel)
        soft = _said(
            world,
            message,
            ReceiptKind.BOUNCED,
            status=UNDELIVERED,
            reason=Reason.SOFT_BOUNCE,
            suppression=None,
        )
        await _receive(world, soft)
    since, users = Instant(world.now - 60_000), [world.bob.no, world.ada.no]
    receipts = world.ledger.receipts
    assert list(await receipts.soft_bounces(users, Channel.EMAIL, since)) == [0, 2]
    assert list(await receipts.soft_bounces(users, Channel.EMAIL, Instant(world.now + 1))) == [0, 0]


async def a_mail_is_kept_once_for_its_tenant(world: World) -> None:
    """Newest first, until somebody has dealt with it."""
    kept, other = world.ledger.quarantine, TenantId(world.tenant + 1)

    def mail(digest: bytes, tenant: TenantId) -> Quarantined:
        return Quarantined(tenant=tenant, why="no_message", sealed=b"s" + digest, digest=digest, at=world.now)

    for digest in (b"a" * 16, b"b" * 16, b"a" * 16):
        await kept.keep(mail(digest, world.tenant))
    await kept.keep(mail(b"a" * 16, other))
    second, first = await kept.page(world.tenant, QuarantineFilter(), None, 10)
    assert (first.digest, first.sealed, first.why, first.at) == (
        b"a" * 16,
        b"s" + b"a" * 16,
        "no_message",
        world.now,
    )
    assert [s.seq for s in await kept.page(world.tenant, QuarantineFilter(), second.seq, 10)] == [first.seq]
    assert await kept.get(world.tenant, first.seq) == first
    assert await kept.get(other, first.seq) is None
    for where, count in (
        (QuarantineFilter(why="no_message"), 2),
        (QuarantineFilter(why="no_proof"), 0),
        (QuarantineFilter(since=world.now), 2),
        (QuarantineFilter(before=world.now), 0),
    ):
        assert len(await kept.page(world.tenant, where, None, 10)) == count
    assert not await kept.drop(other, first.seq)
    assert await kept.drop(world.tenant, first.seq)
    assert not await kept.drop(world.tenant, first.seq)
    assert [s.seq for s in await kept.page(world.tenant, QuarantineFilter(), None, 10)] == [second.seq]


RECEIPTS_CONTRACT = (
    a_mail_is_kept_once_for_its_tenant,
    messages_are_found_by_their_ids,
    a_receipt_moves_its_message_once,
    a_late_receipt_changes_nothing,
    two_receipts_of_one_batch_keep_their_order,
    a_receipt_that_moves_nothing_is_kept_once,
    a_bounce_suppresses_its_address,
    a_bounce_of_a_failed_message_still_suppresses,
    a_failure_starts_the_next_rung,
    a_delivery_cancels_the_later_rungs,
    a_receipt_overtakes_a_retry,
    what_was_never_sent_cannot_bounce,
    soft_bounces_are_counted_per_person_and_channel,
)
