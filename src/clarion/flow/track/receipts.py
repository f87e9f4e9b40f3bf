"""Stores what providers, mail servers and users report about sent messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog
from msgspec.structs import replace

from clarion.errors import UserUnreadable
from clarion.flow.cancellation_guard import CancellationGuard
from clarion.flow.ledger import Ledger
from clarion.flow.provider_scores import ProviderScores
from clarion.flow.waiting import retry_until_stored
from clarion.model.channel import Channel
from clarion.model.ids import Instant, MessageId, UserNo
from clarion.model.message import Message
from clarion.model.receipt import Receipt, ReceiptKind
from clarion.model.settlement import ReceiptEffect
from clarion.model.suppression import BY_PROVIDER, Suppression
from clarion.model.user import User
from clarion.ports.clock import Clock
from clarion.rules.outcomes import bounded_detail
from clarion.rules.receipts import SOFT_WINDOW_MS, Interpretation, interpret, is_soft

log = structlog.get_logger(__name__)

BATCH = 500
"""Stored in one transaction."""
_REPORTED = frozenset({ReceiptKind.DELIVERED, ReceiptKind.BOUNCED})
"""What shows that a provider did its part: it brought the message there, or the address was at fault."""


class ReceiptTracker:
    """Stores receipts, however long the store is unavailable; opt-outs are obeyed first and recorded after."""

    def __init__(
        self,
        ledger: Ledger,
        opt_out: Callable[[Message], Awaitable[None]],
        guard: CancellationGuard,
        scores: ProviderScores,
        clock: Clock,
    ) -> None:
        """`opt_out(message)` opts its person out of its category on its channel; harmless to repeat."""
        self._ledger = ledger
        self._opt_out = opt_out
        self._guard = guard
        self._scores = scores
        self._clock = clock
        self.received: Counter[tuple[str, bool]] = Counter()
        """(kind, whether it changed anything) to how many receipts; read by metrics."""

    async def receive(self, receipts: Sequence[Receipt]) -> Sequence[bool]:
        """Store what was reported, however long the store is unavailable; for each whether it changed anything.

        Who has unsubscribed is opted out when this returns. Late, repeated, and about messages that do not exist
        (here, or for this tenant): nothing changes.
        """
        taken: list[bool] = []
        for at in range(0, len(receipts), BATCH):
            taken += await self._receive(receipts[at : at + BATCH])
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
        stayed = await self._opt_out_first(
            [m for _, receipt, m in known if receipt.kind is ReceiptKind.UNSUBSCRIBED]
        )
        known = [
            one for one in known if one[1].kind is not ReceiptKind.UNSUBSCRIBED or one[2].id not in stayed
        ]
        soft = await self._soft_bounces([message for _, receipt, message in known if is_soft(receipt)])
        ladders = await self._ladders_beside([message for _, _, message in known])
        users = await self._ledger.users.get(list({message.user for _, _, message in known}))
        now = self._clock.now()
        effects: list[ReceiptEffect] = []
        places: list[int] = []
        for place, receipt, message in known:
            try:
                came_back = soft.get((message.user, message.channel), 0)
                means = interpret(message, receipt, came_back, ladders.get(message.id, ""))
                if means.cancels:
                    going = self._guard.stoppable(means.cancels)
                    means = means._replace(cancels=tuple([rung for rung in means.cancels if rung in going]))
                said = replace(receipt, at=min(max(receipt.at, message.created_at), now))
                effects.append(_effect(said, message, means, users.get(message.user)))
                places.append(place)
            except Exception as fault:
                log.exception("receipt_not_understood", kind=receipt.kind, error=type(fault).__name__)
        stored = await retry_until_stored(
            "receive", lambda: self._ledger.receipts.receive(effects), self._clock
        )
        taken = [False] * len(receipts)
        for place, effect, new in zip(places, effects, stored, strict=True):
            taken[place] = new
            if not new:
                self._guard.undo(effect.cancels)
        self._scores.reported(
            [
                ((message.tenant, receipt.integration), message.updated_at)
                for place, receipt, message in known
                if taken[place] and _is_report(receipt, message)
            ]
        )
        return taken

    async def _opt_out_first(self, messages: Sequence[Message]) -> set[MessageId]:
        """Opt out first and record it after: a crash in between repeats both. What is recorded was obeyed
        then, and says nothing against a person who has come back since. Returns where it could not be obeyed."""
        stayed: set[MessageId] = set()
        by_id = {one.id: one for one in messages}
        obeyed = (
            await self._ledger.receipts.known(list(by_id), ReceiptKind.UNSUBSCRIBED) if by_id else frozenset()
        )
        for message in by_id.values():
            if message.id in obeyed:
                continue
            try:
                await retry_until_stored("opt_out", partial(self._opt_out, message), self._clock)
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


def _effect(receipt: Receipt, message: Message, means: Interpretation, user: User | None) -> ReceiptEffect:
    contact = receipt.contact or _contact(message, user)
    suppression = Suppression(
        tenant=message.tenant,
        channel=message.channel,
        hash=contact,
        reason=means.suppress,
        source=BY_PROVIDER,
        at=receipt.at,
    )
    return ReceiptEffect(
        message=message,
        kind=receipt.kind,
        at=receipt.at,
        status=means.status,
        reason=means.reason,
        detail=bounded_detail(receipt.detail),
        provider_id=bounded_detail(receipt.provider_id),
        cancels=means.cancels,
        advances=means.advances,
        suppression=suppression if means.suppress and contact else None,
    )


def _is_report(receipt: Receipt, message: Message) -> bool:
    """Whether a provider says what became of a message it had taken, and that has not gone another way since."""
    return (
        receipt.kind in _REPORTED
        and receipt.integration == (message.integration or receipt.integration) != ""
    )


def _contact(message: Message, user: User | None) -> bytes:
    """The contact a message went to: the first that may be used, as the gate chooses. Of several devices nobody knows."""
    if user is None:
        return b""
    usable = user.usable(message.channel)
    return b"" if not usable or (message.channel is Channel.PUSH and len(usable) > 1) else usable[0].hash
