"""What is to be withdrawn or edited: kept until it is done, handed to one at a time, and items of inboxes that go with it."""

from __future__ import annotations

from typing import Any

from clarion.model.channel import Channel
from clarion.model.ids import Instant, TenantId
from clarion.model.inbox import InboxCard, InboxItem, InboxReplacement
from clarion.model.message import Message, MessageFilter
from clarion.model.operation import Operation, OperationId, OperationKind, OperationStep
from clarion.model.setup import Tenant
from clarion.model.status import Reason, Status
from clarion.model.withdrawal import Withdrawal
from clarion.testing.ledger_contract.subject import LedgerSubject


def _asked(subject: LedgerSubject, message: Message, **fields: Any) -> Withdrawal:
    given: dict[str, Any] = {"asked_at": subject.now, "due_at": subject.now} | fields
    return Withdrawal(tenant=message.tenant, user=message.user, message_id=message.id, **given)


async def _claimed(subject: LedgerSubject, limit: int = 10) -> list[Withdrawal]:
    until = Instant(subject.now + 60_000)
    return [*await subject.ledger.withdrawals.claim(subject.now, until, limit)]


async def _item(subject: LedgerSubject, live: bytes = b"") -> Message:
    """An item in Ada's inbox; with `live` it is a card."""
    message = subject.planned(channel=Channel.IN_APP)
    await subject.plan(message)
    item = InboxItem(
        tenant=message.tenant,
        user=message.user,
        message_id=message.id,
        sealed=b"hello",
        at=subject.now,
        workflow=message.workflow,
        category=message.category,
    )
    record = InboxCard(item=item, live=live, sequence=1) if live else item
    await subject.settle(message, Status.DELIVERED, record=record)
    subject.clock.advance(1)
    return message


async def a_withdrawal_is_handed_to_one_at_a_time(subject: LedgerSubject) -> None:
    """The oldest first, and again when its time is over: then whoever had it has died. Until then it waits for its end."""
    withdrawals = subject.ledger.withdrawals
    first, second = subject.planned(), subject.planned(subject.bob)
    asked = [
        _asked(subject, first, sealed=b"words"),
        _asked(subject, second, due_at=Instant(subject.now + 5)),
    ]
    await withdrawals.ask(asked)
    assert await _claimed(subject) == asked[:1]
    assert await _claimed(subject) == []
    assert {one.message_id for one in await withdrawals.waiting([first.id, second.id])} == {
        first.id,
        second.id,
    }
    subject.clock.advance(1)
    assert await _claimed(subject) == asked[1:]
    subject.clock.advance(61)
    assert [one.message_id for one in await _claimed(subject, 1)] == [first.id]


async def a_withdrawal_is_put_off_or_ends(subject: LedgerSubject) -> None:
    """It is due again when it says so, with its calls counted; what has ended is forgotten."""
    withdrawals = subject.ledger.withdrawals
    message = subject.planned()
    await withdrawals.ask([_asked(subject, message)])
    (claimed,) = await _claimed(subject)
    later = _asked(
        subject, message, asked_at=claimed.asked_at, due_at=Instant(subject.now + 5_000), attempt=1
    )
    await withdrawals.put_off([later])
    assert await _claimed(subject) == []
    subject.clock.advance(5)
    assert await _claimed(subject) == [later]
    assert await withdrawals.end([later], [], subject.now) == []
    assert await withdrawals.waiting([message.id]) == []


async def the_latest_that_is_asked_counts(subject: LedgerSubject) -> None:
    """Also when the earlier one is just being done: neither its end nor its delay takes the later one away, although both
    were asked in the same moment."""
    withdrawals = subject.ledger.withdrawals
    message = subject.planned()
    await withdrawals.ask([_asked(subject, message, sealed=b"one")])
    (claimed,) = await _claimed(subject)
    await withdrawals.ask([_asked(subject, message, sealed=b"two")])
    await withdrawals.put_off([claimed])
    await withdrawals.end([claimed], [], subject.now)
    assert [one.sealed for one in await _claimed(subject)] == [b"two"]


async def a_withdrawn_item_leaves_the_inbox(subject: LedgerSubject) -> None:
    """Its content is gone, the counters are exact, whoever was away learns it, it stands in no list, and no mark brings it
    back. Once more changes nothing."""
    inboxes, ada = subject.ledger.inboxes, subject.ada.no
    kept, gone = await _item(subject), await _item(subject)
    replacement = InboxReplacement(user=ada, message_id=gone.id, sealed=b"")
    (change,) = await subject.ledger.withdrawals.end([], [replacement], subject.now)
    (item,) = change.items
    assert (item.message_id, item.sealed, item.offset, item.archived_at) == (gone.id, b"", 3, subject.now)
    offset, counts = await inboxes.head(ada)
    assert change.counts in (None, counts)
    assert (offset, counts.total, counts.unread, counts.unseen) == (3, 1, 1, 1)
    assert [one.message_id for one in await inboxes.page(ada, None, 10)] == [kept.id]
    assert await inboxes.page(ada, None, 10, archived=True) == []
    assert await inboxes.matching(ada, archived=True) == []
    assert [(one.message_id, one.sealed) for one in await inboxes.since(ada, 2, 10)] == [(gone.id, b"")]
    assert await inboxes.mark(ada, "unarchived", [gone.id], subject.now) is None
    assert await subject.ledger.withdrawals.end([], [replacement], subject.now) == []
    message = await subject.ledger.records.get(subject.tenant, gone.id)
    assert message is not None
    assert message.archived_at is None


async def an_edited_item_stays_in_its_place(subject: LedgerSubject) -> None:
    """It moves to the end of the stream of changes, so that every device learns it; what was read stays read."""
    inboxes, ada = subject.ledger.inboxes, subject.ada.no
    message = await _item(subject)
    await inboxes.mark(ada, "read", [message.id], subject.now)
    replacement = InboxReplacement(user=ada, message_id=message.id, sealed=b"other")
    (change,) = await subject.ledger.withdrawals.end([], [replacement], subject.now)
    assert [(one.sealed, one.offset) for one in change.items] == [(b"other", 3)]
    ((item,), (_, counts)) = await inboxes.page(ada, None, 10), await inboxes.head(ada)
    assert (item.sealed, item.read_at is not None) == (b"other", True)
    assert (counts.total, counts.unread) == (1, 0)


async def a_card_that_was_withdrawn_comes_anew(subject: LedgerSubject) -> None:
    """The next state of what it showed is a new item, not one that nobody sees."""
    first = await _item(subject, live=b"k" * 16)
    replacement = InboxReplacement(user=subject.ada.no, message_id=first.id, sealed=b"")
    await subject.ledger.withdrawals.end([], [replacement], subject.now)
    second = await _item(subject, live=b"k" * 16)
    shown = await subject.ledger.inboxes.page(subject.ada.no, None, 10)
    assert [one.message_id for one in shown] == [second.id]


async def an_operation_withdraws_what_is_out_and_cancels_the_rest(subject: LedgerSubject) -> None:
    """In one transaction: nothing is both canceled and asked for, and what failed is told apart."""
    waits, out, begun, failed = (subject.planned() for _ in range(4))
    await subject.plan(waits, out, begun, failed)
    await subject.settle(out, Status.SENT)
    await subject.settle(failed, Status.DEAD_LETTERED, reason=Reason.ATTEMPTS_EXHAUSTED)
    operation = Operation(
        id=OperationId(subject.event()),
        tenant=subject.tenant,
        kind=OperationKind.WITHDRAW_MESSAGES,
        where=MessageFilter(),
        created_at=subject.now,
        updated_at=subject.now,
    )
    assert await subject.ledger.operations.add(operation, 10)
    step = OperationStep(
        ids=[waits.id, out.id, begun.id, failed.id], at=subject.now, total=4, begun=frozenset({begun.id})
    )
    done = await subject.ledger.steps.advance(operation, step)
    assert (done.operation.done, done.operation.failed) == (3, 1)
    assert done.moved == {waits.id, out.id, begun.id}
    assert await subject.state(waits) == (Status.CANCELED, Reason.WITHDRAWN)
    assert (await subject.state(out))[0] is Status.SENT
    assert {one.message_id for one in await _claimed(subject)} == {out.id, begun.id}


async def what_is_asked_goes_with_its_user(subject: LedgerSubject) -> None:
    """Who is erased is not written to any more, not even to take something back; that of another tenant stays."""
    other = (await subject.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="other"))).id
    carl = await subject.put_user("ada", tenant=other)
    mine, theirs = subject.planned(), subject.planned(carl)
    await subject.ledger.withdrawals.ask([_asked(subject, mine), _asked(subject, theirs)])
    await subject.ledger.users.delete(subject.tenant, "ada")
    assert [one.message_id for one in await _claimed(subject)] == [theirs.id]


WITHDRAWALS_CONTRACT = (
    a_withdrawal_is_handed_to_one_at_a_time,
    a_withdrawal_is_put_off_or_ends,
    the_latest_that_is_asked_counts,
    a_withdrawn_item_leaves_the_inbox,
    an_edited_item_stays_in_its_place,
    a_card_that_was_withdrawn_comes_anew,
    an_operation_withdraws_what_is_out_and_cancels_the_rest,
    what_is_asked_goes_with_its_user,
)
