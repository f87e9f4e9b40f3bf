"""Messages a worker holds in memory: one bounded queue per lane and channel.

A slot is reserved before a message is written as held and released when it is settled, so the number of
messages in memory is bounded whatever the backlog. What finds no slot is written for anyone to claim later.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from typing import Any, Protocol

from clarion.model.channel import CHANNELS, LANES, Channel, Lane
from clarion.model.event import Event
from clarion.model.ids import Instant, MessageId, TenantId, WorkerId
from clarion.model.inbox import InboxChange
from clarion.model.live_update import LiveUpdate
from clarion.model.message import Message
from clarion.model.settlement import Settlement
from clarion.model.setup import Template
from clarion.model.user import Contact, User
from clarion.rules.eligibility import Decision

CAPACITY = {Lane.CRITICAL: 4_000, Lane.HIGH: 4_000, Lane.NORMAL: 4_000, Lane.BULK: 2_000}
"""Messages held per queue, waiting and under way together."""
SPARED = 8
"""One slot in so many is kept for tenants that have little in the queue: a flood must not shut them out."""
HELD_MS = 120_000
"""What has not begun to be sent by then is given back, and looked at anew when it is claimed again."""

LONGEST_REST_S = 5.0
"""How long a queue whose messages cannot be sent is left alone before the next look."""


class InFlight:
    """A message this process holds, with what is needed to send it."""

    __slots__ = (
        "checked_s",
        "choice",
        "data",
        "decision",
        "devices",
        "event",
        "live",
        "message",
        "note",
        "replaces",
        "since",
        "template",
        "user",
        "worker",
    )

    def __init__(
        self,
        message: Message,
        event: Event,
        user: User,
        decision: Decision | None,
        worker: WorkerId,
        since: Instant,
    ) -> None:
        self.message = message
        self.event = event
        self.user = user
        self.decision = decision
        """The verdict it was planned on; None makes the dispatcher decide again."""
        self.worker = worker
        """As whom this process holds it."""
        self.since = since
        self.checked_s = float("-inf")
        """Monotonic: when the check was asked for by which it may be sent."""
        self.data: Any = None
        """The event's data, decoded when first rendered."""
        self.live: LiveUpdate | None = event.live
        """Which state of a live resource it shows: the newest when it is made."""
        self.template: Template | None = None
        """What it is rendered from, found right before."""
        self.choice = ""
        """Why it goes through its integration, when there were several."""
        self.replaces = ""
        """What its provider called the message of its thread that it changes."""
        self.note = ""
        """What its timeline says beside what the provider does: why the earlier message of its thread stays."""
        self.devices: tuple[tuple[Contact, Any], ...] = ()
        """A push to somebody who has several: which of them, each by which integration."""


class LaneQueue:
    """The queue of one lane and channel."""

    __slots__ = (
        "_capacity",
        "_coming",
        "_count",
        "_used",
        "_waiting",
        "channel",
        "lane",
        "ready",
        "rests_until_s",
        "slot_free",
        "taken",
    )

    def __init__(self, lane: Lane, channel: Channel, capacity: int) -> None:
        self.lane = lane
        self.channel = channel
        self.ready = asyncio.Event()
        self.slot_free = asyncio.Event()
        """Set whenever a batch of this queue is over: an integration it waits for may have a slot again."""
        self.rests_until_s = 0.0
        """Monotonic: until then nothing is claimed, because nothing could be sent. What is planned still comes in."""
        self.taken = 0
        """Messages taken so far."""
        self._capacity = capacity
        self._used = 0
        self._waiting: OrderedDict[TenantId, deque[InFlight]] = OrderedDict()
        self._count = 0
        self._coming: Counter[TenantId] = Counter()
        """Slots reserved for a tenant whose messages are not here yet: their plan is being stored."""

    @property
    def room(self) -> int:
        """Slots that are free."""
        return self._capacity - self._used

    @property
    def in_flight(self) -> int:
        """Slots in use: reserved, waiting or under way."""
        return self._used

    @property
    def waiting(self) -> int:
        """Messages that nobody has taken yet."""
        return self._count

    @property
    def claimable(self) -> int:
        """Slots that may be filled from the store: some are kept for tenants that have little here."""
        return self.room - self._capacity // SPARED

    @property
    def crowding(self) -> frozenset[TenantId]:
        """Tenants that have so much here that the kept slots are not for them."""
        return frozenset([tenant for tenant, its in self._waiting.items() if len(its) >= self._much])

    @property
    def _much(self) -> int:
        return self._capacity // (2 * SPARED)

    def reserve(self, tenant: TenantId) -> bool:
        """Take one slot, if there is one; the last ones are for tenants that have little here."""
        room = self._capacity - self._used
        if room <= self._capacity // SPARED and (
            room <= 0 or len(self._waiting.get(tenant, ())) + self._coming[tenant] >= self._much
        ):
            return False
        self._used += 1
        self._coming[tenant] += 1
        return True

    def hold(self, n: int) -> None:
        """Take `n` free slots, whosever they are for."""
        self._used += n

    def release(self, n: int) -> None:
        """Give back `n` slots: settled, or never used."""
        self._used -= n

    def give_back(self, tenant: TenantId) -> None:
        """Release a slot that was reserved for a tenant and is not used."""
        self._used -= 1
        self._came(tenant)

    def _came(self, tenant: TenantId) -> None:
        if self._coming[tenant] > 1:
            self._coming[tenant] -= 1
        else:
            del self._coming[tenant]

    def rest(self, now_s: float, wait_s: float) -> None:
        """Claim nothing for a while: a long backlog must not be fetched and put back over and over."""
        self.rests_until_s = now_s + min(wait_s, LONGEST_REST_S)

    def put(self, in_flight: InFlight) -> None:
        """Hand over a message whose slot was reserved."""
        tenant = in_flight.message.tenant
        self._waiting.setdefault(tenant, deque()).append(in_flight)
        if self._coming:
            self._came(tenant)
        self._count += 1
        self.ready.set()

    def take(self, limit: int) -> list[InFlight]:
        """Up to `limit` messages, the tenants in turn, those of each oldest first; they keep their slots."""
        waiting = self._waiting
        batch: list[InFlight] = []
        while waiting and len(batch) < limit:
            share = max(1, (limit - len(batch)) // len(waiting))
            for tenant in list(waiting):
                its = waiting[tenant]
                turn = min(share, len(its), limit - len(batch))
                batch += [its.popleft() for _ in range(turn)]
                if its:
                    waiting.move_to_end(tenant)
                else:
                    del waiting[tenant]
                if len(batch) == limit:
                    break
        self._count -= len(batch)
        self.taken += len(batch)
        if not waiting:
            self.ready.clear()
        return batch


class Queues:
    """All queues of this process: of the lanes and channels it sends on. What goes on others finds no room here, and is
    written for another process to claim."""

    def __init__(self, lanes: Collection[Lane] = LANES, channels: Collection[Channel] = CHANNELS) -> None:
        self._served = {
            (lane, channel): LaneQueue(lane, channel, CAPACITY[lane])
            for lane in lanes
            for channel in channels
        }
        self._others = {
            (lane, channel): LaneQueue(lane, channel, 0)
            for lane in LANES
            for channel in CHANNELS
            if (lane, channel) not in self._served
        }

    def of(self, lane: Lane, channel: Channel) -> LaneQueue:
        """The queue of a lane and channel."""
        return self._served.get((lane, channel)) or self._others[lane, channel]

    def __iter__(self) -> Iterator[LaneQueue]:
        """Those that are served."""
        return iter(self._served.values())

    @property
    def held(self) -> int:
        """Messages in memory."""
        return sum(queue.in_flight for queue in self._served.values())


class StoredDelivery(Protocol):
    """Delivers messages whose delivery is to store them, so that they are stored with their plan."""

    async def settle(self, lane: Lane, batch: Sequence[InFlight]) -> list[Settlement]:
        """What became of some of them, final; the others go their way through the queues."""

    def stored(self, settlements: Sequence[Settlement], inbox: Sequence[InboxChange]) -> None:
        """Called when these are stored."""


Settle = Callable[[Sequence[Settlement]], Awaitable[frozenset[MessageId]]]
"""Stores settlements; the ids that were refused."""
