"""What people wrote to us, and the automatic replies to it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.suppressions import allow, suppress
from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.ids import Instant, TenantId
from clarion.model.inbound import (
    REPLY_WITHIN_MS,
    InboundFilter,
    InboundStored,
    InboundVerdict,
    ReceivedMessage,
    ReplyStatus,
)
from clarion.rules.exact import lifted_by, needs_reply, suppression_of


class MemoryInbound:
    """Implements `ports.ledger.InboundStore`."""

    def __init__(self, tables: Tables, transactions: Transactions) -> None:
        self._tables = tables
        self._transactions = transactions

    async def take(self, messages: Sequence[ReceivedMessage]) -> Sequence[InboundStored]:
        return await self._transactions.write(lambda: [self._take(one) for one in messages])

    async def get(self, tenant: TenantId, seq: int) -> ReceivedMessage | None:
        one = self._tables.inbound.get(seq)
        return one if one is not None and one.tenant == tenant else None

    async def page(
        self, tenant: TenantId, where: InboundFilter, before: int | None, limit: int
    ) -> Sequence[ReceivedMessage]:
        found = [
            one
            for one in self._tables.inbound.values()
            if one.tenant == tenant and (before is None or one.seq < before) and _matches(one, where)
        ]
        return sorted(found, key=lambda one: -one.seq)[:limit]

    async def review(
        self, tenant: TenantId, seq: int, verdict: InboundVerdict, at: Instant
    ) -> ReceivedMessage | None:
        def review() -> ReceivedMessage | None:
            one = self._tables.inbound.get(seq)
            if one is None or one.tenant != tenant:
                return None
            reviewed = replace(one, verdict=verdict, reviewed_at=at)
            self._tables.inbound[seq] = reviewed
            self._carry_out(reviewed)
            return reviewed

        return await self._transactions.write(review)

    async def claim_replies(self, now: Instant, limit: int) -> Sequence[ReceivedMessage]:
        def claim() -> list[ReceivedMessage]:
            due = [
                (one.reply_due_at, seq)
                for seq, one in self._tables.inbound.items()
                if one.reply_due_at is not None and one.reply_due_at <= now
            ]
            claimed = []
            for _, seq in sorted(due)[:limit]:
                one = self._tables.inbound[seq]
                late = one.at + REPLY_WITHIN_MS <= now
                status = ReplyStatus.FAILED if late else ReplyStatus.SENDING
                self._tables.inbound[seq] = one = replace(one, reply=status, reply_due_at=None)
                if not late:
                    claimed.append(one)
            return claimed

        return await self._transactions.write(claim)

    async def end_reply(
        self, tenant: TenantId, seq: int, status: ReplyStatus, due_at: Instant | None = None
    ) -> None:
        def end() -> None:
            one = self._tables.inbound.get(seq)
            if one is not None and one.tenant == tenant:
                self._tables.inbound[seq] = replace(one, reply=status, reply_due_at=due_at)

        await self._transactions.write(end)

    # -- inside a transaction ---------------------------------------------------------------------------------

    def _take(self, message: ReceivedMessage) -> InboundStored:
        tables = self._tables
        for one in tables.inbound.values():
            if (one.tenant, one.digest) == (message.tenant, message.digest):
                return InboundStored(inbound=one, new=False)
        stored = replace(message, seq=tables.next("inbound"))
        changed = self._carry_out(stored)
        replied = [
            one.at
            for one in tables.inbound.values()
            if (one.tenant, one.sender, one.verdict) == (stored.tenant, stored.sender, stored.verdict)
            if one.reply is not None
        ]
        if not needs_reply(stored, changed=changed, replied_at=max(replied, default=None)):
            stored = replace(stored, reply=None, reply_due_at=None)
        tables.inbound[stored.seq] = stored
        return InboundStored(inbound=stored, new=True)

    def _carry_out(self, message: ReceivedMessage) -> bool:
        """Whether its sender was suppressed by it, or no longer is."""
        tables, place = self._tables, (message.tenant, message.channel, message.sender)
        before = tables.suppressions.get(place)
        suppression = suppression_of(message)
        if suppression is not None:
            suppress(tables, [suppression])
            return before is None
        return lifted_by(message, before) and allow(tables, *place)


def _matches(one: ReceivedMessage, where: InboundFilter) -> bool:
    return (
        where.user in (None, one.user)
        and (not where.channels or one.channel in where.channels)
        and (not where.verdicts or one.verdict in where.verdicts)
        and where.needs_review in (None, one.needs_review)
        and (where.since is None or one.at >= where.since)
        and (where.before is None or one.at < where.before)
    )
