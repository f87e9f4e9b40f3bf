"""Live resources, and the inbox cards that show them."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from clarion.model.channel import Channel
from clarion.model.ids import Instant, TenantId
from clarion.model.inbox import InboxCard, InboxItem
from clarion.model.live import LiveRow
from clarion.model.status import Status
from clarion.model.user import User
from clarion.testing.ledger_contract.subject import LedgerSubject

CARD = b"what it shows..."


def _row(subject: LedgerSubject, key: str = "order-1", sequence: int = 1, **fields: object) -> LiveRow:
    row = LiveRow(
        tenant=subject.tenant, key=key, id=key.ljust(16).encode(), sequence=sequence, sealed=b"%d" % sequence
    )
    return replace(row, **fields)


async def a_state_follows_the_one_that_was_read(subject: LedgerSubject) -> None:
    """Else nothing is stored: somebody else was faster."""
    lives = subject.ledger.lives
    first = _row(subject)
    assert not await lives.put(_row(subject, sequence=2), 1)
    assert await lives.put(first, None)
    assert not await lives.put(_row(subject, sealed=b"other"), None)
    assert await lives.get(subject.tenant, ["order-1", "order-2"]) == {"order-1": first}
    third = _row(subject, sequence=3, ended_at=subject.now, due_at=subject.now, sealed_for=subject.ada.no)
    assert await lives.put(third, 1)
    assert not await lives.put(_row(subject, sequence=2), 1)
    assert not await lives.put(_row(subject, sequence=4, id=b"another resource"), 3)
    assert await lives.get(subject.tenant, ["order-1"]) == {"order-1": third}
    assert await lives.get(TenantId(subject.tenant + 1), ["order-1"]) == {}


async def of_states_at_the_same_time_one_is_stored(subject: LedgerSubject) -> None:
    """All of them followed the same one."""
    lives = subject.ledger.lives
    await lives.put(_row(subject), None)
    stored = await asyncio.gather(*(lives.put(_row(subject, sequence=n), 1) for n in range(2, 12)))
    assert stored.count(True) == 1
    found = await lives.get(subject.tenant, ["order-1"])
    assert found["order-1"].sequence == stored.index(True) + 2


async def live_resources_are_listed_by_key(subject: LedgerSubject) -> None:
    """Page by page: all, those that have ended, or those that go on."""
    lives = subject.ledger.lives
    rows = [_row(subject, f"k{n}", ended_at=subject.now if n % 2 else None) for n in range(5)]
    for row in reversed(rows):
        await lives.put(row, None)
    await lives.put(_row(subject, "k9", tenant=TenantId(subject.tenant + 1)), None)
    assert await lives.page(subject.tenant, None, "", 3) == rows[:3]
    assert await lives.page(subject.tenant, None, "k2", 3) == rows[3:]
    assert await lives.page(subject.tenant, True, "", 9) == rows[1::2]
    assert await lives.page(subject.tenant, False, "k0", 9) == rows[2::2]


async def a_live_resource_is_dropped_once(subject: LedgerSubject) -> None:
    """And only if it is the one that is meant, not another under the same key."""
    lives = subject.ledger.lives
    row = _row(subject)
    await lives.put(row, None)
    assert not await lives.drop(subject.tenant, row.key, b"another resource")
    assert await lives.drop(subject.tenant, row.key, row.id)
    assert not await lives.drop(subject.tenant, row.key, row.id)
    assert await lives.get(subject.tenant, [row.key]) == {}


async def what_is_due_is_found_until_somebody_has_looked_at_it(subject: LedgerSubject) -> None:
    """The oldest first; whoever looked at an older state has not looked at the newer one."""
    lives = subject.ledger.lives
    rows = [_row(subject, f"k{n}", due_at=Instant(subject.now - n)) for n in range(4)]
    for row in rows:
        await lives.put(row, None)
    await lives.put(_row(subject, "later", due_at=Instant(subject.now + 1)), None)
    await lives.put(_row(subject, "never"), None)
    assert await lives.due(subject.now, 9) == rows[::-1]
    assert await lives.due(subject.now, 2) == [rows[3], rows[2]]
    for row in rows[1:]:
        await lives.looked_at(subject.tenant, row.key, row.id, row.sequence, None)
    assert await lives.due(subject.now, 9) == rows[:1]
    newer = _row(subject, "k0", 2, due_at=subject.now)
    await lives.put(newer, 1)
    await lives.looked_at(subject.tenant, "k0", newer.id, 1, None)
    assert await lives.due(subject.now, 9) == [newer]
    await lives.looked_at(subject.tenant, "k0", newer.id, 2, Instant(subject.now + 5))
    assert await lives.due(subject.now, 9) == []
    assert len(await lives.due(Instant(subject.now + 5), 9)) == 2


async def _card(
    subject: LedgerSubject, sequence: int, sealed: bytes, user: User | None = None, live: bytes = CARD
) -> InboxItem:
    """A message that brings a state to the card; how the item would come in."""
    message = subject.planned(user, channel=Channel.IN_APP)
    await subject.plan(message)
    item = subject.item(message, sealed)
    await subject.settle(message, Status.DELIVERED, record=InboxCard(item=item, live=live, sequence=sequence))
    subject.clock.advance(1)
    return item


async def a_card_changes_in_its_place(subject: LedgerSubject) -> None:
    """There is one item for all states; it moves to the end of the changes, and keeps its marks and counters."""
    inboxes, ada = subject.ledger.inboxes, subject.ada.no
    first = await _card(subject, 1, b"one")
    other = await subject.delivered(subject.ada)
    await inboxes.mark(ada, "read", [first.message_id], subject.now)
    offset, counts = await inboxes.head(ada)
    await _card(subject, 2, b"two")
    items = {item.message_id: item for item in await inboxes.page(ada, None, 9)}
    assert items.keys() == {first.message_id, other.id}
    item = items[first.message_id]
    assert (item.sealed, item.offset) == (b"two", offset + 1)
    assert item.read_at is not None
    assert await inboxes.head(ada) == (offset + 1, counts)
    assert [i.message_id for i in await inboxes.since(ada, 0, 9)] == [other.id, first.message_id]
    await inboxes.mark(ada, "archived", [first.message_id], subject.now)
    await _card(subject, 3, b"three")
    (archived,) = await inboxes.page(ada, None, 9, archived=True)
    assert archived.sealed == b"three"


async def an_older_state_changes_no_card(subject: LedgerSubject) -> None:
    """Nor does the same one again; its message is delivered all the same."""
    inboxes, ada = subject.ledger.inboxes, subject.ada.no
    await _card(subject, 5, b"five")
    before = await inboxes.head(ada)
    for sequence in (5, 4):
        late = await _card(subject, sequence, b"late")
        message = await subject.ledger.records.get(subject.tenant, late.message_id)
        assert message is not None
        assert message.status is Status.DELIVERED
    (item,) = await inboxes.page(ada, None, 9)
    assert item.sealed == b"five"
    assert await inboxes.head(ada) == before


async def everybody_has_a_card_of_their_own(subject: LedgerSubject) -> None:
    """And one for each thing that is shown."""
    inboxes = subject.ledger.inboxes
    await _card(subject, 2, b"ada")
    await _card(subject, 1, b"bob", subject.bob)
    await _card(subject, 1, b"other", live=b"something else..")
    assert [i.sealed for i in await inboxes.page(subject.bob.no, None, 9)] == [b"bob"]
    assert {i.sealed for i in await inboxes.page(subject.ada.no, None, 9)} == {b"ada", b"other"}


async def cards_are_stored_with_a_plan(subject: LedgerSubject) -> None:
    """As other items are; several states of one card in one transaction leave the newest."""
    messages = [subject.planned(channel=Channel.IN_APP, fence=1, due_at=None) for _ in range(3)]
    settled = tuple(
        subject.settlement(
            message,
            Status.DELIVERED,
            outcome="accepted",
            record=InboxCard(item=subject.item(message, b"%d" % n), live=CARD, sequence=n),
        )
        for n, message in zip((1, 3, 2), messages, strict=True)
    )
    result = await subject.plan(*messages, settled=settled)
    (item,) = await subject.ledger.inboxes.page(subject.ada.no, None, 9)
    assert (item.message_id, item.sealed) == (messages[0].id, b"3")
    assert result.inbox[-1].items[-1].sealed == b"3"
    offset, counts = await subject.ledger.inboxes.head(subject.ada.no)
    assert (offset, counts.total) == (item.offset, 1)


LIVES_CONTRACT = (
    a_state_follows_the_one_that_was_read,
    of_states_at_the_same_time_one_is_stored,
    live_resources_are_listed_by_key,
    a_live_resource_is_dropped_once,
    what_is_due_is_found_until_somebody_has_looked_at_it,
    a_card_changes_in_its_place,
    an_older_state_changes_no_card,
    everybody_has_a_card_of_their_own,
    cards_are_stored_with_a_plan,
)
