"""The in-app inbox of a user: a stream of changes that keeps each item once, at its latest change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.rows import MessageRows
from clarion.adapters.ledgers.memory.tables import Tables, having
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.ids import Instant, MessageId, UserNo
from clarion.model.inbox import (
    InboxAction,
    InboxCard,
    InboxChange,
    InboxCounts,
    InboxItem,
    InboxReplacement,
)
from clarion.model.status import Reason, Status
from clarion.rules.inbox import SATISFIES, after_mark, replaced


class MemoryInboxes:
    """Implements `ports.ledger.Inboxes`."""

    def __init__(self, tables: Tables, transactions: Transactions, rows: MessageRows) -> None:
        self._tables = tables
        self._transactions = transactions
        self._rows = rows

    async def page(
        self,
        user: UserNo,
        before: MessageId | None,
        limit: int,
        *,
        archived: bool = False,
        unread: bool = False,
    ) -> Sequence[InboxItem]:
        found = self._matching(user, archived, unread)
        return [item for item in found if before is None or item.message_id < before][:limit]

    async def matching(
        self, user: UserNo, *, archived: bool = False, unread: bool = False
    ) -> Sequence[MessageId]:
        return [item.message_id for item in self._matching(user, archived, unread)]

    async def since(self, user: UserNo, offset: int, limit: int) -> Sequence[InboxItem]:
        missed = [item for item in self._items(user).values() if item.offset > offset]
        return sorted(missed, key=lambda item: item.offset)[:limit]

    async def head(self, user: UserNo) -> tuple[int, InboxCounts]:
        return self._tables.offsets.get(user, 0), self._counts(user)

    async def unread(self, users: Sequence[UserNo]) -> Mapping[UserNo, int]:
        return {user: self._counts(user).unread for user in users}

    async def mark(
        self,
        user: UserNo,
        action: InboxAction,
        ids: Sequence[MessageId],
        at: Instant,
        *,
        recorded: bool = False,
    ) -> InboxChange | None:
        return await self._transactions.write(lambda: self._mark(user, action, ids, at, recorded))

    def _items(self, user: UserNo) -> Mapping[MessageId, InboxItem]:
        return self._tables.inboxes.get(user, {})

    def _matching(self, user: UserNo, archived: bool, unread: bool) -> list[InboxItem]:
        found = [
            item
            for item in self._items(user).values()
            if (item.archived_at is not None) == archived and not (unread and item.read_at is not None)
            if item.sealed
        ]
        return sorted(found, key=lambda item: item.message_id, reverse=True)

    def _counts(self, user: UserNo) -> InboxCounts:
        live = [item for item in self._items(user).values() if item.archived_at is None]
        return InboxCounts(
            unseen=sum(item.seen_at is None for item in live),
            unread=sum(item.read_at is None for item in live),
            total=len(live),
        )

    # -- inside a transaction ---------------------------------------------------------------------------------

    def add(self, records: Sequence[InboxItem | InboxCard]) -> tuple[InboxChange, ...]:
        """Stores new items, and what is new about cards; what to fan out."""
        users: dict[UserNo, list[InboxItem]] = {}
        for record in records:
            item = record if isinstance(record, InboxItem) else self._newer(record)
            if item is not None:
                users.setdefault(item.user, []).append(self._place(item))
        return tuple(self._change(placed) for placed in users.values())

    def replaced(self, replacements: Sequence[InboxReplacement], at: Instant) -> list[InboxChange]:
        """Gives items other content, or withdraws them; what to fan out."""
        changes: list[InboxChange] = []
        for one in replacements:
            item = self._items(one.user).get(one.message_id)
            if item is None or not item.sealed or item.sealed == one.sealed:
                continue
            changes.append(self._change([self._place(replaced(item, one.sealed, at))]))
            if not one.sealed:
                cards = self._tables.cards
                for card in [place for place, (shown, _) in cards.items() if shown == one.message_id]:
                    del cards[card]
        return changes

    def _newer(self, card: InboxCard) -> InboxItem | None:
        """The item of a card as it is from now on; None: it shows something newer already."""
        item, cards = card.item, self._tables.cards
        shown, sequence = cards.get((item.user, card.live), (item.message_id, -1))
        there = self._items(item.user).get(shown)
        if there is not None and card.sequence is not None and card.sequence <= sequence:
            return None
        if there is not None:
            item = replace(there, sealed=item.sealed)
        cards[item.user, card.live] = item.message_id, card.sequence or 0
        return item

    def _place(self, item: InboxItem) -> InboxItem:
        """At the end of its user's stream."""
        offset = self._tables.offsets.get(item.user, 0) + 1
        self._tables.offsets[item.user] = offset
        placed = replace(item, offset=offset)
        self._tables.inboxes[item.user] = having(self._items(item.user), item.message_id, placed)
        return placed

    def _change(self, placed: Sequence[InboxItem]) -> InboxChange:
        first = placed[0]
        return InboxChange(
            tenant=first.tenant, user=first.user, items=tuple(placed), counts=self._counts(first.user)
        )

    def _mark(
        self, user: UserNo, action: InboxAction, ids: Sequence[MessageId], at: Instant, recorded: bool
    ) -> InboxChange | None:
        items = self._items(user)
        named = sorted((items[one] for one in {*ids} if one in items), key=lambda item: item.offset)
        placed = [self._place(new) for item in named if (new := after_mark(action, item, at)) != item]
        if not placed:
            return None
        for item in placed:
            message = self._rows.change(
                item.message_id, seen_at=item.seen_at, read_at=item.read_at, archived_at=item.archived_at
            )
            if recorded:
                self._rows.note(message, at, outcome=action)
        self._satisfy(action, placed, at)
        return self._change(placed)

    def _satisfy(self, action: InboxAction, items: Sequence[InboxItem], at: Instant) -> None:
        """Stop the rungs behind these items, and those of ladders beside which they went, that waited for this."""
        messages = self._tables.messages
        rungs = [rung for item in items for rung in messages[item.message_id].later_rungs if rung in messages]
        satisfied = [rung for rung in rungs if messages[rung].until in SATISFIES.get(action, ())]
        why = (Status.CANCELED, Reason.LADDER_SATISFIED, at)
        self._rows.stop(satisfied, *why, only=(Status.DEFERRED,))
