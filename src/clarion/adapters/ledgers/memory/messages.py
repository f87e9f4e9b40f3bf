"""Claims due messages and settles attempts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.calls import drop_ended
from clarion.adapters.ledgers.memory.devices import refused
from clarion.adapters.ledgers.memory.endpoints import record
from clarion.adapters.ledgers.memory.inboxes import MemoryInboxes
from clarion.adapters.ledgers.memory.leases import MemoryLeases
from clarion.adapters.ledgers.memory.rows import MessageRows, allowed
from clarion.adapters.ledgers.memory.spending import give_back
from clarion.adapters.ledgers.memory.suppressions import suppress
from clarion.adapters.ledgers.memory.tables import CallUnderWay, Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.channel import Channel, Lane
from clarion.model.endpoint import Delivery
from clarion.model.ids import Instant, MessageId, TenantId, WorkerId
from clarion.model.inbox import Captured, InboxCard, InboxChange, InboxItem
from clarion.model.message import Message
from clarion.model.settlement import Settlement, SettleResult
from clarion.model.status import ACTIVE, SUCCEEDED, Reason, Status
from clarion.rules.exact import counts_from

Queue = tuple[Lane, Channel]


class MemoryMessages:
    """Implements `ports.ledger.Messages`."""

    def __init__(
        self,
        tables: Tables,
        transactions: Transactions,
        rows: MessageRows,
        inboxes: MemoryInboxes,
        leases: MemoryLeases,
    ) -> None:
        self._tables = tables
        self._transactions = transactions
        self._rows = rows
        self._inboxes = inboxes
        self._leases = leases
        self._last_turn: dict[Queue, TenantId] = {}
        """The tenant that had the last turn."""

    async def claim(
        self,
        worker: WorkerId,
        lane: Lane,
        channel: Channel,
        limit: int,
        now: Instant,
        *,
        but: Set[TenantId] = frozenset(),
    ) -> Sequence[Message]:
        def claim() -> list[Message]:
            if not self._leases.live(worker):
                return []
            due = [
                m for m in self._due(now) if (m.lane, m.channel) == (lane, channel) and m.tenant not in but
            ]
            chosen = self._in_turn((lane, channel), due, limit)
            return [self._hold(message, worker) for message in chosen]

        return await self._transactions.write(claim)

    async def begin_calls(
        self, worker: WorkerId, batches: Mapping[str, Sequence[Message]], at: Instant
    ) -> frozenset[MessageId]:
        def begin() -> frozenset[MessageId]:
            refused: set[MessageId] = set()
            for integration, batch in batches.items():
                going = [m for m in batch if self._holds(worker, m, Status.SENDING)]
                refused |= {m.id for m in batch} - {m.id for m in going}
                if going:
                    self._begin(worker, integration, going, at)
            return frozenset(refused)

        return await self._transactions.write(begin)

    async def settle(self, worker: WorkerId, settlements: Sequence[Settlement]) -> SettleResult:
        def settle() -> SettleResult:
            first = {s.message.id: s for s in reversed(settlements)}  # The first of a double counts.
            batch = [s for s in settlements if first[s.message.id] is s]
            taken = [s for s in batch if self._holds(worker, s.message, s.status)]
            inbox = self.follow(worker, taken)
            drop_ended(self._tables)
            refused = frozenset(s.message.id for s in batch) - {s.message.id for s in taken}
            return SettleResult(refused=refused, inbox=inbox)

        return await self._transactions.write(settle)

    async def due(self, now: Instant) -> Sequence[Queue]:
        return list(dict.fromkeys((m.lane, m.channel) for m in self._due(now)))

    async def depth(self) -> Mapping[Queue, int]:
        depth: dict[Queue, int] = {}
        for message_id in self._tables.due:
            m = self._tables.messages[message_id]
            depth[m.lane, m.channel] = depth.get((m.lane, m.channel), 0) + 1
        return depth

    def _due(self, now: Instant) -> Iterable[Message]:
        return (self._tables.messages[one] for one, at in self._tables.due.items() if at <= now)

    def _in_turn(self, queue: Queue, due: Iterable[Message], limit: int) -> list[Message]:
        """One of each tenant after the other, the oldest of each first, beginning behind the last turn."""
        tenants: dict[TenantId, list[Message]] = {}
        for m in sorted(due, key=lambda m: (m.due_at, m.id)):
            tenants.setdefault(m.tenant, []).append(m)
        last = self._last_turn.get(queue, TenantId(-1))
        turns = sorted(tenants, key=lambda tenant: (tenant <= last, tenant))
        chosen: list[Message] = []
        while turns and len(chosen) < limit:
            tenant = turns.pop(0)
            chosen.append(tenants[tenant].pop(0))
            if tenants[tenant]:
                turns.append(tenant)
        if chosen:
            self._last_turn[queue] = chosen[-1].tenant
        return chosen

    # -- inside a transaction ---------------------------------------------------------------------------------

    def follow(self, worker: WorkerId, settlements: Sequence[Settlement]) -> tuple[InboxChange, ...]:
        """The messages go where their settlements say, with everything these bring along; what to fan out."""
        for s in settlements:
            self._follow(worker, s)
        give_back(self._tables, settlements)
        items = [s.record for s in settlements if isinstance(s.record, InboxItem | InboxCard)]
        for s in settlements:
            self._record(s)
            self._move_on(s)
        return self._inboxes.add(items)

    def _begin(self, worker: WorkerId, integration: str, batch: Sequence[Message], at: Instant) -> None:
        for m in batch:
            self._rows.note(replace(m, status=Status.SENDING, reason=None), at, attempt=m.attempt)
        begun = {m.id: self._tables.timelines[m.id][-1] for m in batch}
        call = CallUnderWay(worker=worker, integration=integration, since=at, begun=begun)
        self._tables.calls[self._tables.next("calls")] = call

    def _hold(self, message: Message, worker: WorkerId) -> Message:
        """The worker holds it. It is returned as it was found."""
        held = replace(message, fence=message.fence + 1, due_at=None)
        status = message.status if message.status is Status.SENDING else Status.QUEUED
        counted_at = self._rows.counted_at(message)
        self._rows.save(replace(held, status=status), worker, counted_at)
        return held

    def _holds(self, worker: WorkerId, message: Message, new: Status) -> bool:
        """Whether the worker lives and holds it like that, and it may go there."""
        stored = self._tables.messages.get(message.id)
        return (
            stored is not None
            and self._leases.live(worker)
            and stored.fence == message.fence
            and self._tables.holders.get(message.id) == worker
            and allowed(stored.status, new)
        )

    def _follow(self, worker: WorkerId, s: Settlement) -> None:
        """The message goes where the settlement says, and its timeline with it."""
        m = self._tables.messages[s.message.id]
        active, succeeded = s.status in ACTIVE, s.status in SUCCEEDED
        counted_at = self._rows.counted_at(m)
        if s.message.charged:
            counted_at = counts_from(s.status, s.outcome, s.at)
        new = replace(
            m,
            status=s.status,
            reason=s.reason,
            due_at=s.due_at if active else None,
            attempt=s.attempt,
            unknowns=s.unknowns,
            integration=s.integration or m.integration,
            updated_at=s.at,
            tried_at=m.tried_at or s.at if active and s.outcome is not None else m.tried_at,
            sent_at=m.sent_at or s.at if succeeded or s.reason is Reason.WAITING_FOR_RECEIPT else m.sent_at,
            delivered_at=s.at if s.status is Status.DELIVERED else m.delivered_at,
            charged=m.charged and not s.message.charged,
        )
        held = s.status in (Status.QUEUED, Status.SENDING)
        self._rows.save(new, worker if held else None, counted_at)
        self._rows.note(
            new,
            s.at,
            attempt=s.attempt,
            integration=s.integration,
            outcome=s.outcome,
            provider_id=s.provider_id,
            took_ms=s.took_ms,
            detail=None if s.detail is None else s.detail.encode(errors="replace").decode(),
            traceparent=s.traceparent,
            choice=s.choice,
        )

    def _record(self, s: Settlement) -> None:
        for kept in (s.record, *s.copies):
            if isinstance(kept, Captured):
                seq = self._tables.next("captures")
                self._tables.captures[seq] = replace(kept, seq=seq)
            elif isinstance(kept, Delivery):
                record(self._tables, [kept])
        suppress(self._tables, s.suppressions)
        refused(self._tables, s)

    def _move_on(self, s: Settlement) -> None:
        """Rungs and turns that follow."""
        if s.advances is not None:
            advance(self._rows, self._tables, s.advances, s.at)
        self._rows.stop(s.cancels, Status.CANCELED, Reason.LADDER_SATISFIED, s.at)
        if s.status not in ACTIVE:
            self._rows.release([s.message.id], s.at)


def advance(rows: MessageRows, tables: Tables, rung: MessageId, at: Instant) -> None:
    """The next rung of a ladder is due now, if it still waits for its time."""
    m = tables.messages.get(rung)
    if m is None or (m.status, m.reason) != (Status.DEFERRED, Reason.WAITING_FOR_EARLIER_CHANNEL):
        return
    if m.due_at is not None and m.due_at > at:
        rows.change(rung, due_at=at)
