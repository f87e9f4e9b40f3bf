"""RabbitMQ as the broker: quorum queues for each lane, publisher confirms, and dead letters.

A lane is several queues, by tenant, so that one tenant's backlog does not stand before everybody else's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from typing import NamedTuple

import structlog
from aiormq import Channel, spec
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import DeliveryError, PublishError

from clarion.adapters.brokers.queue_broker import MOST_DELIVERIES, DeliveredEntry, broker_on
from clarion.adapters.rabbitmq import FAULTS, RabbitMqConnection, RabbitMqUrl, declare, faults, parse, said
from clarion.errors import Busy, ConfigError, Unavailable
from clarion.model.channel import LANES, Lane
from clarion.model.event import Entry
from clarion.model.ids import Instant
from clarion.ports.backend import BackendTools
from clarion.ports.broker import Broker
from clarion.ports.ledger import Store

log = structlog.get_logger(__name__)

BUCKETS = 4
"""Queues of a lane. Changing it leaves entries behind in queues that nobody reads."""
PREFETCH = 512
"""Deliveries of one queue that may be unacknowledged: more are not sent to us, which is how we slow the server down."""
DELIVERY_LIMIT = 2 * MOST_DELIVERIES
"""Of the server, in case that we cannot even set an entry aside: then it lies with the dead letters."""
PERSISTENT = 2
PUBLISH_S = 15.0
"""The longest that publishing is tried."""
LOOK_S = 0.5
"""Between two looks whether the server has raised an alarm."""
PAUSE_S = 0.2
"""Before the next try to publish what was not confirmed."""


class _Message(NamedTuple):
    exchange: str
    queue: str
    """Or routing key."""
    body: bytes
    headers: dict[str, str]


class _Channel:
    """A channel with deliveries that are settled in any order. An acknowledgement covers all before it where it can."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._low = 0
        """Everything up to there is settled."""
        self._above: set[int] = set()
        """Settled, too."""

    async def ack(self, tags: Sequence[int]) -> None:
        """These are done."""
        self._settle(tags)
        covered = max((tag for tag in tags if tag <= self._low), default=0)
        if covered:
            await self.channel.basic_ack(covered, multiple=True, wait=False)
        for tag in tags:
            if tag > self._low:
                await self.channel.basic_ack(tag, wait=False)

    async def give_back(self, tags: Sequence[int]) -> None:
        """These are for somebody else."""
        self._settle(tags)
        for tag in tags:
            await self.channel.basic_nack(tag, wait=False)

    def _settle(self, tags: Sequence[int]) -> None:
        self._above.update(tags)
        while self._low + 1 in self._above:
            self._low += 1
            self._above.remove(self._low)


Handle = tuple[_Channel, int]


class RabbitMqQueues:
    """`queue_broker.LaneQueues` on RabbitMQ: one connection to publish, which the server may block, and one to consume."""

    hold_s = 0.0

    def __init__(self, url: RabbitMqUrl, setting: str) -> None:
        self._url = url
        self._setting = setting
        self._publishing = RabbitMqConnection(url, setting)
        self._consuming = RabbitMqConnection(url, setting)
        self._opening = asyncio.Lock()
        self._publisher: Channel | None = None
        self._looker: Channel | None = None
        self._channels: dict[Lane, _Channel] = {}
        self._dead = f"{url.prefix}.dead"

    async def open(self, *, dry_run: bool = False) -> None:
        """Make sure that all queues exist. Raises ConfigError and Unavailable."""
        channel = await self._consuming.channel()
        with faults(self._url.shown):
            if not dry_run:
                await channel.exchange_declare(self._dead, exchange_type="fanout", durable=True)
                await declare(channel, self._dead, {}, self._setting)
                await channel.queue_bind(self._dead, self._dead)
                for lane in LANES:
                    await self._declare(channel, lane)
            await channel.close()

    async def _declare(self, channel: Channel, lane: Lane) -> None:
        arguments: dict[str, str | int] = {
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": self._dead,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }
        for queue in self._queues(lane):
            await declare(channel, queue, arguments, self._setting)

    async def close(self) -> None:
        """Close the connections."""
        await self._publishing.close()
        await self._consuming.close()

    async def send(self, lane: Lane, entries: Sequence[tuple[Entry, bytes]]) -> None:
        """See `LaneQueues.send`."""
        queues = self._queues(lane)
        await self._publish(
            [_Message("", queues[entry.tenant % BUCKETS], data, {}) for entry, data in entries]
        )

    async def receive(self, lane: Lane) -> AsyncGenerator[Sequence[DeliveredEntry]]:
        """See `LaneQueues.receive`."""
        if (old := self._channels.pop(lane, None)) is not None:
            with contextlib.suppress(*FAULTS):
                await old.channel.close()  # What it delivered comes again.
        channel = await self._consuming.channel()
        settling = self._channels[lane] = _Channel(channel)
        arrived: list[DeliveredMessage] = []
        changed = asyncio.Event()
        canceled: list[object] = []

        async def deliver(message: DeliveredMessage) -> None:
            arrived.append(message)
            changed.set()

        def cancel(frame: object) -> None:
            canceled.append(frame)
            changed.set()

        channel.closing.add_done_callback(lambda _: changed.set())
        channel.on_consumer_cancel_callbacks.add(cancel)
        try:
            with faults(self._url.shown):
                await self._declare(channel, lane)
                await channel.basic_qos(prefetch_count=PREFETCH)
                for queue in self._queues(lane):
                    await channel.basic_consume(queue, deliver, consumer_tag=queue)
            while True:
                await changed.wait()
                changed.clear()
                if channel.is_closed or canceled:
                    raise Unavailable(f"RabbitMQ at {self._url.shown} has ended the connection or a consumer")
                if arrived:
                    batch = [_delivery(settling, message) for message in arrived]
                    arrived.clear()
                    yield batch
        finally:
            if not channel.is_closed:
                with contextlib.suppress(*FAULTS):
                    for queue in self._queues(lane):
                        await channel.basic_cancel(queue)
                    await settling.give_back([message.delivery_tag or 0 for message in arrived])

    async def done(self, lane: Lane, handles: Sequence[Handle]) -> None:
        """See `LaneQueues.done`."""
        for channel, tags in _open(handles):
            with faults(self._url.shown):
                await channel.ack(tags)

    async def give_back(self, lane: Lane, handles: Sequence[Handle]) -> None:
        """See `LaneQueues.give_back`."""
        for channel, tags in _open(handles):
            with faults(self._url.shown):
                await channel.give_back(tags)

    async def keep(self, lane: Lane, handles: Sequence[Handle]) -> None:
        """See `LaneQueues.keep`: the connection does."""

    async def bury(self, lane: Lane, delivery: DeliveredEntry, reason: str) -> None:
        """See `LaneQueues.bury`."""
        headers = {"clarion-lane": lane.value, "clarion-reason": reason}
        await self._publish([_Message(self._dead, "", delivery.data, headers)])
        await self.done(lane, [delivery.handle])

    async def waiting(self, lane: Lane) -> int:
        """See `LaneQueues.waiting`."""
        if self._looker is None or self._looker.is_closed:
            self._looker = await self._consuming.channel()
        with faults(self._url.shown):
            found = [await self._looker.queue_declare(queue, passive=True) for queue in self._queues(lane)]
        return sum(one.message_count or 0 for one in found)

    async def oldest_at(self, lane: Lane) -> Instant | None:
        """See `LaneQueues.oldest_at`: RabbitMQ does not show what waits in a queue."""
        return None

    def _queues(self, lane: Lane) -> Sequence[str]:
        return [f"{self._url.prefix}.{lane}.{bucket}" for bucket in range(BUCKETS)]

    async def _publish(self, messages: Sequence[_Message]) -> None:
        """Until all are confirmed. After a refusal over a new channel: RabbitMQ 3.10 refuses everything on one whose first
        message met a queue that was electing its leader, also long after the election."""
        until_s = asyncio.get_running_loop().time() + PUBLISH_S
        while True:
            channel: Channel | None = None
            try:
                channel = await self._publishing_channel()
                refused = await self._confirmed(channel, messages)
                if not refused:
                    return
                messages = [messages[place] for place in refused]
                why = _refusal(next(iter(refused.values())))
                if any(isinstance(fault, PublishError) for fault in refused.values()):
                    await self.open()  # Somebody has deleted a queue.
            except FAULTS as fault:
                why = said(fault)
            except (Unavailable, ConfigError) as away:
                why = away.detail
            await self._drop(channel)
            if asyncio.get_running_loop().time() > until_s:
                raise Unavailable(f"RabbitMQ at {self._url.shown} does not take events ({why})")
            await asyncio.sleep(PAUSE_S)

    async def _confirmed(self, channel: Channel, messages: Sequence[_Message]) -> dict[int, BaseException]:
        """Why some were not confirmed, by their places. Raises Busy when the server has raised an alarm."""
        if await self._publishing.blocked():
            raise self._busy()
        sending = [asyncio.ensure_future(_send(channel, message)) for message in messages]
        try:
            pending = set(sending)
            until_s = asyncio.get_running_loop().time() + PUBLISH_S
            while pending and asyncio.get_running_loop().time() < until_s:
                _, pending = await asyncio.wait(pending, timeout=LOOK_S)
                if pending and await self._publishing.blocked():
                    raise self._busy()
            if pending:
                raise TimeoutError
            return {
                place: fault for place, one in enumerate(sending) if (fault := one.exception()) is not None
            }
        finally:
            for one in sending:
                one.cancel()

    def _busy(self) -> Busy:
        return Busy(
            f"RabbitMQ at {self._url.shown} has raised a resource alarm (memory or disk) and takes no events until it is over."
        )

    async def _publishing_channel(self) -> Channel:
        async with self._opening:
            if self._publisher is None or self._publisher.is_closed:
                self._publisher = await self._publishing.channel(confirms=True)
            return self._publisher

    async def _drop(self, channel: Channel | None) -> None:
        """Publish over another one from now on."""
        if channel is not None:
            if self._publisher is channel:
                self._publisher = None
            with contextlib.suppress(*FAULTS):
                await channel.close()


async def _send(channel: Channel, message: _Message) -> None:
    properties = spec.Basic.Properties(delivery_mode=PERSISTENT, headers=dict(message.headers))
    await channel.basic_publish(
        message.body,
        exchange=message.exchange,
        routing_key=message.queue,
        properties=properties,
        mandatory=True,
        wait=False,
    )


def _refusal(fault: BaseException) -> str:
    if isinstance(fault, PublishError):
        return "a queue is missing"
    if isinstance(fault, DeliveryError):
        return "it refuses the messages: a queue is full, or has no leader"
    return said(fault)


def _delivery(channel: _Channel, message: DeliveredMessage) -> DeliveredEntry:
    headers = message.header.properties.headers or {}
    count = headers.get("x-delivery-count", 0)
    number = 1 + count if isinstance(count, int) else 1
    return DeliveredEntry((channel, message.delivery_tag or 0), message.body, number)


def _open(handles: Sequence[Handle]) -> Iterator[tuple[_Channel, list[int]]]:
    """The handles of each channel that is still open."""
    by_channel: defaultdict[_Channel, list[int]] = defaultdict(list)
    for channel, tag in handles:
        if not channel.channel.is_closed:
            by_channel[channel].append(tag)
    yield from by_channel.items()


@contextlib.asynccontextmanager
async def opened(url: str, tools: BackendTools, store: Store) -> AsyncIterator[Broker]:
    """The broker on RabbitMQ. See `ports.backend.OpenBroker`."""
    queues = RabbitMqQueues(parse(url, "broker"), "broker")
    async with broker_on(queues, tools, store) as broker:
        yield broker
