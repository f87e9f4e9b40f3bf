"""Stage 4, track: store what became of attempts and tell whoever watches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import chain

import structlog
from msgspec.structs import replace

from clarion.errors import ClarionError, UserUnreadable
from clarion.flow.patience import until_stored
from clarion.flow.settlement import bare_settlement, told
from clarion.model.channel import Channel
from clarion.model.ids import Instant, MessageId, UserNo
from clarion.model.inbox import InboxChange
from clarion.model.message import Message
from clarion.model.receipt import Kind, Receipt
from clarion.model.user import User
from clarion.ports.clock import Clock
from clarion.ports.fanout import Fanout
from clarion.ports.ledger import Consequence, Ledger, Settlement, SettleResult, Suppression
from clarion.rules.receipts import SOFT_WINDOW_MS, Meaning, is_soft, meaning

log = structlog.get_logger(__name__)

RECEIPTS = 500
"""Stored in one transaction."""


class Tracker:
    """Stores settlements, however long the store is unavailable, and publishes what they changed."""

    def __init__(
        self, ledger: Ledger, fanout: Fanout, leave: Callable[[Message], Awaitable[None]], clock: Clock
    ) -> None:
        """`leave(message)` opts its person out of its category on its channel; harmless to repeat."""
        self._ledger = ledger
        self._leave = leave
        self._messages = ledger.messages
        self._fanout = fanout
        self._clock = clock
        self.settled: Counter[tuple[str, str, str]] = Counter()
        """(channel, status, reason) to how many; read by metrics."""
        self.refused = 0
        """Settlements that came too late: somebody else holds the message now."""
        self.received: Counter[tuple[str, bool]] = Counter()
        """(kind, whether it changed anything) to how many receipts; read by metrics."""

    async def settle(self, settlements: Sequence[Settlement]) -> frozenset[MessageId]:
        """Returns when stored; the ids that were refused."""
        if not settlements:
            return frozenset()
        result = await self._stored(settlements)
        if result.inbox:
            content = {s.message.id: s.content for s in settlements if s.content}
            self._fanout.publish([_with_content(change, content) for change in result.inbox])
        self.refused += len(result.refused)
        count = self.settled
        for s in settlements:
            count[s.message.channel._value_, s.status._value_, s.reason._value_ if s.reason else ""] += 1
        return result.refused

    async def _stored(self, settlements: Sequence[Settlement]) -> SettleResult:
        """All together; where that fails one by one, so that only the one at fault is not stored as it is."""
        try:
            return await until_stored("settle", lambda: self._messages.settle(settlements), self._clock)
        except ClarionError:
            raise
        except Exception as fault:
            log.exception("settlements_not_stored", messages=len(settlements), error=type(fault).__name__)
        stored = [await self._stored_alone(one) for one in settlements]
        return SettleResult(
            refused=frozenset().union(*(one.refused for one in stored)),
            inbox=tuple(chain.from_iterable(one.inbox for one in stored)),
        )

    async def _stored_alone(self, settlement: Settlement) -> SettleResult:
        """In doubt without what it brought along: what became of a message counts for more."""
        for one in (settlement, bare_settlement(settlement)):
            try:
                return await until_stored("settle", lambda one=one: self._messages.settle([one]), self._clock)  # type: ignore[misc]
            except ClarionError:
                raise
            except Exception as fault:
                log.exception("settlement_not_stored", error=type(fault).__name__)
        return SettleResult()

    async def receive(self, receipts: Sequence[Receipt]) -> Sequence[bool]:
        """Store what was reported, however long the store is unavailable; for each whether it changed anything.

        Who has unsubscribed is opted out when this returns. Late, repeated, and about messages that do not exist
        (here, or for this tenant): nothing changes.
        """
        taken: list[bool] = []
        for at in range(0, len(receipts), RECEIPTS):
            taken += await self._receive(receipts[at : at + RECEIPTS])
        for receipt, new in zip(receipts, taken, strict=True):
            self.received[receipt.kind._value_, new] += 1
        return taken

    async def _receive(self, receipts: Sequence[Receipt]) -> Sequence[bool]:
        found = await self._ledger.receipts.messages([r.message_id for r in receipts])
        known = [
            (place, receipt, message)
            for place, receipt in enumerate(receipts)
            if (message := found.get(receipt.message_id)) is not None and message.tenant == receipt.tenant
        ]
        stayed = await self._let_go([m for _, receipt, m in known if receipt.kind is Kind.UNSUBSCRIBED])
        known = [one for one in known if one[1].kind is not Kind.UNSUBSCRIBED or one[2].id not in stayed]
        soft = await self._soft_bounces([message for _, receipt, message in known if is_soft(receipt)])
        ladders = await self._ladders_beside([message for _, _, message in known])
        users = await self._ledger.users.get(list({message.user for _, _, message in known}))
        now = self._clock.now()
        consequences: list[Consequence] = []
        places: list[int] = []
        for place, receipt, message in known:
            try:
                came_back = soft.get((message.user, message.channel), 0)
                means = meaning(message, receipt, came_back, ladders.get(message.id, ""))
                said = replace(receipt, at=min(max(receipt.at, message.created_at), now))
                consequences.append(_consequence(said, message, means, users.get(message.user)))
                places.append(place)
            except Exception as fault:
                log.exception("receipt_not_understood", kind=receipt.kind, error=type(fault).__name__)
        stored = await until_stored(
            "receive", lambda: self._ledger.receipts.receive(consequences), self._clock
        )
        taken = [False] * len(receipts)
        for place, new in zip(places, stored, strict=True):
            taken[place] = new
        return taken

    async def _let_go(self, messages: Sequence[Message]) -> set[MessageId]:
        """Opt out first and record it after: a crash in between repeats both. What is recorded was obeyed
        then, and says nothing against a person who has come back since. Returns where it could not be obeyed."""
        stayed: set[MessageId] = set()
        by_id = {one.id: one for one in messages}
        obeyed = await self._ledger.receipts.known(list(by_id), Kind.UNSUBSCRIBED) if by_id else frozenset()
        for message in by_id.values():
            if message.id in obeyed:
                continue
            try:
                await until_stored("opt_out", lambda message=message: self._leave(message), self._clock)  # type: ignore[misc]
            except UserUnreadable:
                log.error("opt_out_not_stored", tenant=message.tenant, user=message.user)
                stayed.add(message.id)
        return stayed

    async def _ladders_beside(self, messages: Sequence[Message]) -> dict[MessageId, str]:
        """What the ladders wait for beside which these messages went, by message."""
        rung_of = {m.id: m.later_rungs[0] for m in messages if m.later_rungs and not m.until}
        rungs = await self._ledger.receipts.messages(list(rung_of.values())) if rung_of else {}
        return {message: rungs[rung].until for message, rung in rung_of.items() if rung in rungs}

    async def _soft_bounces(self, messages: Sequence[Message]) -> dict[tuple[UserNo, Channel], int]:
        """How often each person of these had soft bounces lately, on the channel of their message."""
        since = Instant(max(0, self._clock.now() - SOFT_WINDOW_MS))
        counted: dict[tuple[UserNo, Channel], int] = {}
        for channel in {message.channel for message in messages}:
            users = list({message.user for message in messages if message.channel is channel})
            counts = await self._ledger.receipts.soft_bounces(users, channel, since)
            counted.update(((user, channel), count) for user, count in zip(users, counts, strict=True))
        return counted


def _with_content(change: InboxChange, content: Mapping[MessageId, bytes]) -> InboxChange:
    """The content goes along as it was sealed a moment ago, so that no device waits for it to be opened."""
    known = [content.get(item.message_id, b"") for item in change.items]
    return replace(change, content=tuple(known)) if all(known) else change


def _consequence(receipt: Receipt, message: Message, means: Meaning, user: User | None) -> Consequence:
    contact = receipt.contact or _contact(message, user)
    suppression = Suppression(
        tenant=message.tenant,
        channel=message.channel,
        hash=contact,
        reason=means.suppress,
        at=receipt.at,
    )
    return Consequence(
        message=message,
        kind=receipt.kind,
        at=receipt.at,
        status=means.status,
        reason=means.reason,
        detail=told(receipt.detail),
        provider_id=told(receipt.provider_id),
        cancels=means.cancels,
        advances=means.advances,
        suppression=suppression if means.suppress and contact else None,
    )


def _contact(message: Message, user: User | None) -> bytes:
    """The contact a message went to: the first that may be used, as the gate chooses. Of several devices nobody knows."""
    if user is None:
        return b""
    usable = user.usable(message.channel)
    return b"" if not usable or (message.channel is Channel.PUSH and len(usable) > 1) else usable[0].hash
