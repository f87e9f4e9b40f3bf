"""Applies receipts to messages. A status only moves forward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.calls import found
from clarion.adapters.ledgers.memory.messages import advance
from clarion.adapters.ledgers.memory.rows import MessageRows, allowed
from clarion.adapters.ledgers.memory.suppressions import suppress
from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.channel import Channel
from clarion.model.ids import Instant, MessageId, UserNo, first_id_at
from clarion.model.message import Message
from clarion.model.receipt import ReceiptKind
from clarion.model.settlement import ReceiptEffect
from clarion.model.status import ACTIVE, Reason, Status
from clarion.rules.exact import says_more

_SEEN = frozenset({ReceiptKind.OPENED, ReceiptKind.CLICKED, ReceiptKind.ACKNOWLEDGED})


class MemoryReceipts:
    """Implements `ports.ledger.Receipts`."""

    def __init__(self, tables: Tables, transactions: Transactions, rows: MessageRows) -> None:
        self._tables = tables
        self._transactions = transactions
        self._rows = rows

    async def messages(self, ids: Sequence[MessageId]) -> Mapping[MessageId, Message]:
        return {one: m for one in ids if (m := found(self._tables, one)) is not None}

    async def known(self, ids: Sequence[MessageId], kind: ReceiptKind) -> frozenset[MessageId]:
        return frozenset(one for one in ids if self._known(one, kind))

    async def receive(self, consequences: Sequence[ReceiptEffect]) -> Sequence[bool]:
        return await self._transactions.write(lambda: [self._receive(c) for c in consequences])

    async def soft_bounces(self, users: Sequence[UserNo], channel: Channel, since: Instant) -> Sequence[int]:
        came_back = [
            m.user
            for m in self._tables.messages.values()
            if m.channel is channel and m.id >= first_id_at(since)
            if m.status is Status.UNDELIVERED and m.reason is Reason.SOFT_BOUNCE
        ]
        return [came_back.count(user) for user in users]

    def _known(self, message_id: MessageId, kind: ReceiptKind) -> bool:
        timeline = self._tables.timelines.get(message_id, ())
        return any(self._tables.changes[seq].outcome == kind for seq in timeline)

    # -- inside a transaction ---------------------------------------------------------------------------------

    def _receive(self, c: ReceiptEffect) -> bool:
        """Whether it was taken."""
        m = found(self._tables, c.message.id)
        if m is None:
            return False
        moves = c.status is not None and allowed(m.status, c.status)
        if not moves and not (says_more(c) and not self._known(m.id, c.kind)):
            return False
        moved = self._moved(m, c) if moves and c.status is not None else m
        new = replace(
            moved,
            updated_at=max(c.at, m.updated_at),
            seen_at=m.seen_at or c.at if c.kind in _SEEN else m.seen_at,
            clicked_at=m.clicked_at or c.at if c.kind is ReceiptKind.CLICKED else m.clicked_at,
        )
        active = new.status in ACTIVE
        self._rows.save(new, self._tables.holders.get(m.id) if active else None, self._rows.counted_at(m))
        self._rows.note(
            replace(new, due_at=None),  # About that a receipt says nothing.
            c.at,
            attempt=m.attempt,
            integration=m.integration,
            outcome=c.kind.value,
            provider_id=c.provider_id,
            detail=c.detail,
        )
        self._move_on(c, new)
        return True

    def _moved(self, m: Message, c: ReceiptEffect) -> Message:
        status = c.status or m.status
        active, delivered = status in ACTIVE, status is Status.DELIVERED
        return replace(
            m,
            status=status,
            reason=c.reason,
            due_at=m.due_at if active else None,
            waits_for=m.waits_for if active else None,
            fence=m.fence + (status is not m.status),
            sent_at=m.sent_at or c.at if delivered else m.sent_at,
            delivered_at=m.delivered_at or c.at if delivered else m.delivered_at,
        )

    def _move_on(self, c: ReceiptEffect, now: Message) -> None:
        """Rungs and turns that follow."""
        if c.advances is not None and c.status is now.status:
            advance(self._rows, self._tables, c.advances, c.at)
        self._rows.stop(c.cancels, Status.CANCELED, Reason.LADDER_SATISFIED, c.at)
        if now.status not in ACTIVE:
            self._rows.release([now.id], c.at)
        if c.suppression is not None:
            suppress(self._tables, [c.suppression])
