"""The rows of messages: how they change, how they stop before they were sent, and who was waiting for them.

Everything here runs inside a transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.calls import found
from clarion.adapters.ledgers.memory.tables import Tables, having, lacking
from clarion.model.ids import Instant, MessageId, WorkerId
from clarion.model.message import Change, Message
from clarion.model.status import ACTIVE, Reason, Status, may_move

NOT_STARTED = (Status.QUEUED, Status.DEFERRED)


def allowed(old: Status, new: Status) -> bool:
    """Whether a message may go from `old` to `new`; what is active may also stay as it is."""
    return may_move(old, new) or (old is new and old in ACTIVE)


class MessageRows:
    """Used by every writer of messages."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def save(self, message: Message, holder: WorkerId | None, counted_at: Instant | None) -> None:
        """A message as it is from now on, who holds it, and when caps count it."""
        tables, message_id = self._tables, message.id
        tables.messages[message_id] = message
        _point(tables.due, message_id, message.due_at)
        _point(tables.holders, message_id, holder)
        waits = message.status is Status.DEFERRED
        _point(tables.waiters, message_id, message.waits_for if waits else None)
        counted = tables.counted.get(message.user, {})
        if counted_at is not None:
            tables.counted[message.user] = having(counted, message_id, counted_at)
        elif message_id in counted:
            tables.counted[message.user] = lacking(counted, message_id)

    def change(self, message_id: MessageId, **fields: Any) -> Message:
        """A stored message with other fields; its holder and its count stay."""
        message = replace(self._tables.messages[message_id], **fields)
        self.save(message, self._tables.holders.get(message_id), self.counted_at(message))
        return message

    def counted_at(self, message: Message) -> Instant | None:
        """When caps count it; None: not at all."""
        return self._tables.counted.get(message.user, {}).get(message.id)

    def note(self, message: Message, at: Instant, **said: Any) -> None:
        """One more entry in its timeline: where it is now, and what was said."""
        change = Change(
            seq=self._tables.next("changes"),
            message_id=message.id,
            tenant=message.tenant,
            at=at,
            status=message.status,
            reason=message.reason,
            due_at=message.due_at if message.status is Status.DEFERRED else None,
            **said,
        )
        self._tables.changes[change.seq] = change
        timeline = self._tables.timelines.get(message.id, ())
        self._tables.timelines[message.id] = (*timeline, change.seq)

    def stop(
        self,
        ids: Iterable[MessageId],
        status: Status,
        reason: Reason,
        at: Instant,
        *,
        only: Collection[Status] = NOT_STARTED,
    ) -> list[MessageId]:
        """End those of `ids` that are still `only`, with a change each; whoever holds one will be refused."""
        named = [found(self._tables, one) for one in dict.fromkeys(ids)]
        stopped = [m.id for m in named if m is not None and m.status in only and may_move(m.status, status)]
        self._give_way(stopped)
        for m in [self._tables.messages[one] for one in stopped]:
            ended = replace(m, status=status, reason=reason, due_at=None, fence=m.fence + 1, updated_at=at)
            counted_at = self.counted_at(m)
            if Status.QUEUED in only:  # What is deferred is not counted.
                ended, counted_at = replace(ended, charged=False), None
            self.save(ended, None, counted_at)
            self.note(ended, at)
        self.release(stopped, at)
        return stopped

    def _give_way(self, stopping: Collection[MessageId]) -> None:
        """Whoever waits for one of these that waits itself waits for what is in front of it."""
        waiters = self._tables.waiters
        for waiter, ahead in list(waiters.items()):
            first = ahead
            while first in stopping and first in waiters:
                first = waiters[first]
            if first != ahead:
                self.change(waiter, waits_for=first)

    def release(self, finished: Collection[MessageId], at: Instant) -> None:
        """Whoever waits for one of these has its turn now."""
        for waiter in [one for one, first in self._tables.waiters.items() if first in finished]:
            self.change(waiter, waits_for=None, due_at=at)


def _point(table: Any, message_id: MessageId, value: Any) -> None:
    if value is not None:
        table[message_id] = value
    else:
        table.pop(message_id, None)
