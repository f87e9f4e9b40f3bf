"""Messages: claiming, settling, and receipts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Protocol

from clarion.model.channel import Channel, Lane
from clarion.model.ids import Instant, MessageId, TenantId, UserNo, WorkerId
from clarion.model.message import Message
from clarion.model.receipt import ReceiptKind
from clarion.model.settlement import ReceiptEffect, Settlement, SettleResult


class Messages(Protocol):
    """The hot pair, claim and settle, and what belongs to them."""

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
        """Due messages that nobody holds: the worker holds them now, each with a higher fence and no `due_at`.

        Tenants take turns, the messages of each come oldest `due_at` first. Nothing of the tenants `but`.
        The returned `status` is the one found: `sending` means an earlier holder died with the outcome unknown.
        Nothing when the worker has been given up.
        """

    async def begin_calls(
        self, worker: WorkerId, batches: Mapping[str, Sequence[Message]], at: Instant
    ) -> frozenset[MessageId]:
        """Durably note, in one row for each batch, that its integration (the key) is about to be called; the ids that
        were refused (old fence). All of them when the worker has been given up.

        They are `sending` until something newer is said about them. What its worker gives back, or leaves behind when it
        is given up, stays `sending`, with the integration: it is in doubt.
        """

    async def settle(self, worker: WorkerId, settlements: Sequence[Settlement]) -> SettleResult:
        """Attempts and new states in one transaction. All are refused when the worker has been given up."""

    async def due(self, now: Instant) -> Sequence[tuple[Lane, Channel]]:
        """The queues that have something to claim."""

    async def depth(self) -> Mapping[tuple[Lane, Channel], int]:
        """Messages per queue that wait for their time and that nobody holds, bounded counting (at most 100,000
        each)."""


class Receipts(Protocol):
    """What providers, mail servers and people report about messages that were sent."""

    async def messages(self, ids: Sequence[MessageId]) -> Mapping[MessageId, Message]:
        """Those that exist."""

    async def receive(self, consequences: Sequence[ReceiptEffect]) -> Sequence[bool]:
        """One transaction; for each whether it changed anything, in order.

        Taken is what moves its message forward, and what has more to say than a status (stays, or suppresses)
        if it is the first of its kind for its message. Whatever is taken leaves one change.
        """

    async def known(self, ids: Sequence[MessageId], kind: ReceiptKind) -> frozenset[MessageId]:
        """Those about which something of this kind has been taken already."""

    async def soft_bounces(self, users: Sequence[UserNo], channel: Channel, since: Instant) -> Sequence[int]:
        """How many messages to each user on the channel came back with `soft_bounce` since then."""
