"""NATS JetStream as the broker: a stream for each lane, read by one durable consumer that all processes share.

What is planned is deleted: a stream holds what is still to be planned, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import structlog
from msgspec import json
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, BadRequestError, NotFoundError

from clarion.adapters.brokers.entry_encoding import UnreadableEntry, decoded
from clarion.adapters.brokers.lane_window import MOST_ENTRIES
from clarion.adapters.brokers.queue_broker import DeliveredEntry, broker_on
from clarion.adapters.nats import FAULTS, NatsUrl, connect, faults, parse, said
from clarion.adapters.server_url import number_of
from clarion.errors import ConfigError, InvalidInput, Unavailable
from clarion.model.channel import LANES, Lane
from clarion.model.event import Entry
from clarion.model.ids import Instant, time_of
from clarion.ports.backend import BackendTools
from clarion.ports.broker import Broker
from clarion.ports.ledger import Store

log = structlog.get_logger(__name__)

OPTIONS = ("replicas", "hold_s", "sync")
CONSUMER = "clarion"
ANSWER_S = 10.0
PULL = 512
"""Entries asked for at once."""
PULL_S = 5.0
"""How long the server keeps a question for entries."""
AROUND = 512
"""Bytes that a message has besides its data, at most."""
FIRST_S = 3.0
"""At the start as much is fetched as there is room for before anything is delivered, if that takes no longer: until then nobody
knows whose turn it is."""
SAME_ID_S = 120.0
"""The server drops an entry that is published again within this time."""
HOLD_S = 30


class JetStreamQueues:
    """`queue_broker.LaneQueues` on NATS: an entry is held by a process until it is acknowledged, which deletes it."""

    def __init__(self, url: NatsUrl) -> None:
        """Raises ConfigError for an option that cannot be understood."""
        self._client: Client
        self._jetstream: JetStreamContext
        self._url = url
        self._connections = 0
        """How often the connection was made anew: the server has forgotten what it was asked before."""
        self._asking: set[asyncio.Event] = set()
        try:
            self._replicas = number_of(url.options, "replicas", 3, 1, 5)
            self.hold_s = float(number_of(url.options, "hold_s", HOLD_S, 1, 3_600))
        except ValueError as wrong:
            raise ConfigError(f"broker: {wrong}") from None
        if (sync := url.options.get("sync", "")) not in ("", "always"):
            raise ConfigError(f"broker: sync must be always, or left out, not {sync!r}")

    async def connect(self) -> None:
        """Raises ConfigError when there is no server, or none that lets us in."""
        self._client = await connect(self._url, "broker", reconnected=self._reconnected)
        self._jetstream = self._client.jetstream(timeout=ANSWER_S, publish_async_max_pending=100_000)

    async def open(self, *, dry_run: bool = False) -> None:
        """Make sure that all streams and consumers exist. Raises ConfigError when they are not safe to use."""
        try:
            if dry_run:
                await self._jetstream.account_info()
                return
            for lane in LANES:
                await self._stream(self.stream(lane), self.subject(lane), RetentionPolicy.WORK_QUEUE)
                await self._jetstream.add_consumer(
                    self.stream(lane),
                    ConsumerConfig(
                        durable_name=CONSUMER,
                        ack_policy=AckPolicy.EXPLICIT,
                        ack_wait=self.hold_s,
                        max_ack_pending=8 * MOST_ENTRIES,
                    ),
                )
            await self._stream(self.dead_letters, self.dead_letters, RetentionPolicy.LIMITS)
        except FAULTS as fault:
            raise ConfigError(
                f"broker: JetStream of NATS at {self._url.shown} cannot be used ({said(fault)}): it must be switched on, and the "
                "user may make streams and consumers"
            ) from None
        if self._url.options.get("sync") != "always":
            log.warning(
                "broker_may_lose_minutes",
                replicas=self._replicas,
                detail="a NATS server writes to disk every two minutes unless its `sync_interval` says otherwise; a power cut "
                "at as many servers as make a majority loses accepted events. Set `jetstream { sync_interval: always }` on each, "
                "and say so with sync=always in the URL",
            )

    async def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(*FAULTS):
            await self._client.close()

    async def send(self, lane: Lane, entries: Sequence[tuple[Entry, bytes]]) -> None:
        """See `LaneQueues.send`."""
        most = self._client.max_payload - AROUND
        for _, data in entries:
            if len(data) > most:
                raise InvalidInput(
                    f"the event is {len(data):,} bytes when it is sealed, and NATS at {self._url.shown} takes {most:,}: send "
                    "less, or raise max_payload of the servers",
                    status=413,
                )
        if not self._client.is_connected:
            raise Unavailable(f"NATS at {self._url.shown} cannot be reached")
        with faults(self._url.shown):
            sent = [
                await self._jetstream.publish_async(
                    self.subject(lane), data, headers={"Nats-Msg-Id": _name(entry)}, stream=self.stream(lane)
                )
                for entry, data in entries
            ]
            async with asyncio.timeout(ANSWER_S):
                await asyncio.gather(*sent)

    async def receive(self, lane: Lane) -> AsyncGenerator[Sequence[DeliveredEntry]]:
        """See `LaneQueues.receive`."""
        arrived: list[Msg] = []
        some = asyncio.Event()

        async def came(message: Msg) -> None:
            arrived.append(message)
            some.set()

        inbox = self._client.new_inbox()
        with faults(self._url.shown):
            found = await self._jetstream.consumer_info(self.stream(lane), CONSUMER)
            subscription = await self._client.subscribe(inbox, cb=came)
        asked, asked_s, connection = 0, 0.0, 0
        now_s = asyncio.get_running_loop().time
        first_until_s = now_s() + (FIRST_S if found.num_pending else 0)
        deliveries: list[DeliveredEntry] = []
        self._asking.add(some)
        try:
            while True:
                if asked < PULL // 2 or now_s() > asked_s + PULL_S or connection != self._connections:
                    connection = self._connections
                    await self._pull(lane, inbox)
                    asked, asked_s = PULL, now_s()
                some.clear()
                if not arrived:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(asked_s + PULL_S - now_s()):
                            await some.wait()
                messages = [message for message in arrived if not _is_status(message)]
                asked = 0 if len(messages) < len(arrived) else asked - len(messages)
                arrived.clear()
                deliveries += map(_delivered, messages)
                more = bool(messages and messages[-1].metadata.num_pending)
                if deliveries and not (more and len(deliveries) < MOST_ENTRIES and now_s() < first_until_s):
                    yield deliveries
                    deliveries = []
        finally:
            self._asking.discard(some)
            with contextlib.suppress(*FAULTS):
                await subscription.unsubscribe()

    async def done(self, lane: Lane, handles: Sequence[str]) -> None:
        """See `LaneQueues.done`."""
        await self._tell(handles, b"+ACK")

    async def give_back(self, lane: Lane, handles: Sequence[str]) -> None:
        """See `LaneQueues.give_back`."""
        await self._tell(handles, b"-NAK")

    async def keep(self, lane: Lane, handles: Sequence[str]) -> None:
        """See `LaneQueues.keep`."""
        await self._tell(handles, b"+WPI")

    async def bury(self, lane: Lane, delivery: DeliveredEntry, reason: str) -> None:
        """See `LaneQueues.bury`."""
        with faults(self._url.shown):
            await self._jetstream.publish(
                self.dead_letters, delivery.data, headers={"reason": reason, "lane": lane.value}
            )
        await self.done(lane, [delivery.handle])

    async def waiting(self, lane: Lane) -> int:
        """See `LaneQueues.waiting`."""
        with faults(self._url.shown):
            return (await self._jetstream.stream_info(self.stream(lane))).state.messages

    async def oldest_at(self, lane: Lane) -> Instant | None:
        """See `LaneQueues.oldest_at`."""
        with faults(self._url.shown):
            state = (await self._jetstream.stream_info(self.stream(lane))).state
            if not state.messages:
                return None
            try:
                first = await self._jetstream.get_msg(self.stream(lane), seq=state.first_seq)
            except NotFoundError:
                return None  # It has just been planned.
        try:
            return time_of(decoded(first.data or b"", lane, 0).event_id)
        except UnreadableEntry:
            return None

    @property
    def dead_letters(self) -> str:
        """The stream with what could not be read."""
        return f"{self._url.prefix}-dead-letters"

    def stream(self, lane: Lane) -> str:
        """Of a lane."""
        return f"{self._url.prefix}-{lane}"

    def subject(self, lane: Lane) -> str:
        """What the stream of a lane takes."""
        return f"{self._url.prefix}.{lane}"

    def _reconnected(self) -> None:
        self._connections += 1
        for one in self._asking:
            one.set()

    async def _pull(self, lane: Lane, inbox: str) -> None:
        wanted = json.encode({"batch": PULL, "expires": int(PULL_S * 1e9)})
        with faults(self._url.shown):
            await self._client.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{self.stream(lane)}.{CONSUMER}", wanted, reply=inbox
            )

    async def _tell(self, handles: Sequence[str], what: bytes) -> None:
        with faults(self._url.shown):
            for handle in handles:
                await self._client.publish(handle, what)  # into a buffer
            await self._client.flush(int(ANSWER_S))

    async def _stream(self, name: str, subject: str, retention: RetentionPolicy) -> None:
        wanted = StreamConfig(
            name=name,
            subjects=[subject],
            retention=retention,
            storage=StorageType.FILE,
            num_replicas=self._replicas,
            duplicate_window=SAME_ID_S,
        )
        try:
            found = (await self._jetstream.stream_info(name)).config
        except NotFoundError:
            try:
                await self._jetstream.add_stream(wanted)
            except (BadRequestError, APIError) as refused:
                raise ConfigError(
                    f"broker: NATS at {self._url.shown} cannot keep {self._replicas} copies of each event ({said(refused)}): add "
                    "servers to the cluster, or accept with replicas=1 that events are lost with a server's disk"
                ) from None
            return
        if found.storage != StorageType.FILE:
            raise ConfigError(
                f"broker: the stream {name} is in memory: delete it, so that it is made with storage=file"
            )
        if (found.num_replicas or 1) < self._replicas:
            raise ConfigError(
                f"broker: the stream {name} has {found.num_replicas} copies, not {self._replicas}: change it with "
                f"`nats stream edit {name} --replicas {self._replicas}`, or accept it with replicas={found.num_replicas}"
            )
        if found.retention != retention:
            raise ConfigError(
                f"broker: the stream {name} has the retention {found.retention}: it must be {retention.value}, delete it or choose "
                "another prefix"
            )


def _name(entry: Entry) -> str:
    return f"{entry.event_id.hex()}{entry.workflow}"


def _is_status(message: Msg) -> bool:
    """The server has no more, or asks us to ask again."""
    return not message.reply


def _delivered(message: Msg) -> DeliveredEntry:
    return DeliveredEntry(message.reply, message.data, message.metadata.num_delivered or 1)


@contextlib.asynccontextmanager
async def opened(url: str, tools: BackendTools, store: Store) -> AsyncIterator[Broker]:
    """The broker on NATS. See `ports.backend.OpenBroker`."""
    queues = JetStreamQueues(parse(url, "broker", OPTIONS))
    await queues.connect()
    async with broker_on(queues, tools, store) as broker:
        yield broker
