"""Redis or Valkey as the broker: streams for each lane, read by a group of all processes.

A lane is several streams, by tenant, so that one tenant's backlog does not stand before everybody else's. What is planned
is deleted: a stream holds what is still to be planned, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

import structlog
from redis.asyncio import RedisCluster
from redis.exceptions import OutOfMemoryError, ResponseError

from clarion.adapters.brokers.entry_encoding import UnreadableEntry, decoded
from clarion.adapters.brokers.lane_window import MOST_ENTRIES
from clarion.adapters.brokers.queue_broker import DeliveredEntry, broker_on
from clarion.adapters.redis import client
from clarion.adapters.redis.client import FAULTS, Client, RedisUrl, client_of, trouble_of
from clarion.adapters.server_url import number_of
from clarion.errors import Busy, ConfigError, Unavailable
from clarion.model.channel import LANES, Lane
from clarion.model.event import Entry
from clarion.model.ids import Instant, time_of
from clarion.ports.backend import BackendTools
from clarion.ports.broker import Broker
from clarion.ports.ledger import Store

log = structlog.get_logger(__name__)

BUCKETS = 16
"""Streams of a lane. Changing it leaves entries behind in streams that nobody reads."""
GROUP = "clarion"
RETURNED = "returned"
"""The consumer that has what was given back, for anybody to claim."""
READ = 256
"""Entries of each stream in one answer."""
WAIT_S = 1.0
"""An idle lane waits so long for entries, then looks for those of dead processes; or half as long as an answer may take."""
HOLD_S = 10
FORGET_S = 24 * 3600
"""A consumer without entries that nobody has heard of for so long is forgotten."""
ACK_MS = 1_000
"""How long replicas have to confirm."""
DATA = b"entry"


class RedisOptions(NamedTuple):
    """What a URL says besides where the server is."""

    replicas: int = 0
    """How many replicas must have an entry before it counts as published."""
    hold_s: int = HOLD_S
    """Entries of a process that says nothing for so long go to the others."""
    persistence: str = "required"
    """`required`: a server that does not write to disk is refused; `optional`: it is not."""


Handle = tuple[str, bytes]
"""Stream and id."""


def parse(url: str) -> tuple[RedisUrl, RedisOptions]:
    """Where the server is, and the options that only a broker has. Raises ConfigError; no message shows a password."""
    where, _, query = url.partition("?")
    theirs = dict(parse_qsl(query, keep_blank_values=True))
    ours = {name: theirs.pop(name) for name in RedisOptions._fields if name in theirs}
    server = client.parse(where + (f"?{urlencode(theirs)}" if theirs else ""), "broker")
    try:
        options = RedisOptions(
            replicas=number_of(ours, "replicas", 0, 0, 5),
            hold_s=number_of(ours, "hold_s", HOLD_S, 1, 3_600),
            persistence=ours.get("persistence", "required"),
        )
    except ValueError as wrong:
        raise ConfigError(f"broker: {wrong}") from None
    if options.persistence not in {"required", "optional"}:
        raise ConfigError(
            f"broker: persistence must be `required` or `optional`, not {options.persistence!r}"
        )
    if options.replicas and server.cluster:
        raise ConfigError(
            "broker: a Cluster cannot wait for replicas: set min-replicas-to-write on its nodes instead"
        )
    return server, options


class RedisStreams:
    """`queue_broker.LaneQueues` on Redis: an entry is pending with the consumer of a process until it is deleted."""

    def __init__(self, client: Client, url: RedisUrl, options: RedisOptions, name: str) -> None:
        """`name`: of this process, like no other's."""
        self._client = client
        self._url = url
        self._options = options
        self._name = name
        self._required = options.persistence == "required"
        self.hold_s = float(options.hold_s)

    async def open(self, *, dry_run: bool = False) -> None:
        """Make sure that all streams exist. Raises ConfigError when the server cannot be trusted with events."""
        if trouble := await trouble_of(self._client, self._url, "broker"):
            raise Unavailable(f"Redis at {trouble}")
        with self._faults():
            await self._check()
            for lane in () if dry_run else LANES:
                await self._create(lane)
                await self._forget_the_dead(lane)

    async def close(self) -> None:
        """Close the connections."""
        with contextlib.suppress(*FAULTS):
            await client.close(self._client)

    async def send(self, lane: Lane, entries: Sequence[tuple[Entry, bytes]]) -> None:
        """See `LaneQueues.send`."""
        streams = self._streams(lane)
        with self._faults():
            pipeline = self._pipeline()
            for entry, data in entries:
                pipeline.xadd(streams[entry.tenant % BUCKETS], {DATA: data})
            if self._options.replicas:
                pipeline.execute_command("WAIT", self._options.replicas, ACK_MS)
            answers = await pipeline.execute()
        if self._options.replicas and answers[-1] < self._options.replicas:
            raise Unavailable(
                f"Redis at {self._url.shown}: {answers[-1]} of {self._options.replicas} replicas confirmed the events"
            )

    async def receive(self, lane: Lane) -> AsyncGenerator[Sequence[DeliveredEntry]]:
        """See `LaneQueues.receive`. What dead processes had comes first."""
        streams: dict[Any, Any] = dict.fromkeys(self._streams(lane), ">")
        clock = asyncio.get_running_loop().time
        look_at_s, wait_s = 0.0, min(WAIT_S, self._url.timeout_s / 2)
        with self._faults():
            await self._create(lane)
        while True:
            deliveries: list[DeliveredEntry] = []
            with self._faults():
                if clock() >= look_at_s:
                    look_at_s = clock() + wait_s
                    deliveries = await self._claim(lane)
                    if deliveries:
                        look_at_s = 0.0  # Perhaps there are more.
                if not deliveries:
                    wait_ms = max(1, int(1000 * (look_at_s - clock())))
                    answer = await self._client.xreadgroup(
                        GROUP, self._name, streams, count=READ, block=wait_ms
                    )
                    deliveries = list(_read(answer))
            if deliveries:
                yield deliveries

    async def done(self, lane: Lane, handles: Sequence[Handle]) -> None:
        """See `LaneQueues.done`. What is deleted and still pending is nobody's loss; the other way round it would stay for ever."""
        pipeline = self._pipeline()
        for stream, ids in _by_stream(handles):
            pipeline.xdel(stream, *ids)
            pipeline.xack(stream, GROUP, *ids)
        with self._faults():
            await pipeline.execute()

    async def give_back(self, lane: Lane, handles: Sequence[Handle]) -> None:
        """See `LaneQueues.give_back`."""
        await self._assign(handles, RETURNED, idle_ms=1000 * self._options.hold_s)

    async def keep(self, lane: Lane, handles: Sequence[Handle]) -> None:
        """See `LaneQueues.keep`."""
        await self._assign(handles, self._name, idle_ms=0)

    async def bury(self, lane: Lane, delivery: DeliveredEntry, reason: str) -> None:
        """See `LaneQueues.bury`."""
        with self._faults():
            await self._client.xadd(
                self.dead(lane), {DATA: delivery.data, b"reason": reason, b"lane": lane.value}
            )
        await self.done(lane, [delivery.handle])

    async def waiting(self, lane: Lane) -> int:
        """See `LaneQueues.waiting`."""
        return sum(await self._of_each(lane, lambda pipeline, stream: pipeline.xlen(stream)))

    async def oldest_at(self, lane: Lane) -> Instant | None:
        """See `LaneQueues.oldest_at`."""
        firsts = await self._of_each(lane, lambda pipeline, stream: pipeline.xrange(stream, count=1))
        times = []
        for first in firsts:
            for _, fields in first:
                with contextlib.suppress(UnreadableEntry):
                    times.append(time_of(decoded(fields.get(DATA, b""), lane, 0).event_id))
        return min(times, default=None)

    def dead(self, lane: Lane) -> str:
        """The stream with what could not be read."""
        return f"{self._url.prefix}:{{{lane}}}:dead"

    def _streams(self, lane: Lane) -> Sequence[str]:
        """On one node of a Cluster, since they are read by one command."""
        return [f"{self._url.prefix}:{{{lane}}}:{bucket}" for bucket in range(BUCKETS)]

    def _pipeline(self) -> Any:
        return self._client.pipeline(transaction=False)

    async def _of_each(self, lane: Lane, ask: Any) -> Sequence[Any]:
        with self._faults():
            pipeline = self._pipeline()
            for stream in self._streams(lane):
                ask(pipeline, stream)
            return list(await pipeline.execute())

    async def _create(self, lane: Lane) -> None:
        for stream in self._streams(lane):
            try:
                await self._client.xgroup_create(stream, GROUP, id="0", mkstream=True)
            except ResponseError as fault:
                if not str(fault).startswith("BUSYGROUP"):
                    raise

    async def _forget_the_dead(self, lane: Lane) -> None:
        for stream in self._streams(lane):
            for consumer in await self._client.xinfo_consumers(stream, GROUP):
                if not consumer["pending"] and consumer["idle"] > 1000 * FORGET_S:
                    await self._client.xgroup_delconsumer(stream, GROUP, consumer["name"])

    async def _claim(self, lane: Lane) -> list[DeliveredEntry]:
        """What others have held for too long."""
        idle_ms = 1000 * self._options.hold_s
        answers = await self._of_each(
            lane,
            lambda pipeline, stream: pipeline.xautoclaim(stream, GROUP, self._name, idle_ms, count=READ),
        )
        deliveries: list[DeliveredEntry] = []
        for stream, (_, found, *_) in zip(self._streams(lane), answers, strict=True):
            if found:
                counts = await self._counts(stream, found[0][0], found[-1][0])
                deliveries += [
                    DeliveredEntry((stream, id_), fields.get(DATA, b""), counts.get(id_, 1))
                    for id_, fields in found
                ]
        return deliveries

    async def _counts(self, stream: str, first: bytes, last: bytes) -> Mapping[bytes, int]:
        """How often each of the entries that we have was delivered."""
        pending: Any = await self._client.xpending_range(stream, GROUP, first, last, MOST_ENTRIES, self._name)
        return {one["message_id"]: one["times_delivered"] for one in pending}

    async def _assign(self, handles: Sequence[Handle], consumer: str, *, idle_ms: int) -> None:
        pipeline = self._pipeline()
        for stream, ids in _by_stream(handles):
            pipeline.xclaim(stream, GROUP, consumer, 0, ids, idle=idle_ms, justid=True)
        with self._faults():
            await pipeline.execute()

    async def _check(self) -> None:
        """Whether the server keeps what it is given."""
        for facts in await self._facts():
            policy = str(facts.get("maxmemory_policy", "noeviction"))
            if policy.startswith("allkeys"):
                raise ConfigError(
                    f"broker: Redis at {self._url.shown} has maxmemory-policy {policy}, so that it would delete events when "
                    "it is full: set it to noeviction"
                )
            if self._required and not facts.get("aof_enabled"):
                raise ConfigError(
                    f"broker: Redis at {self._url.shown} does not write what it is given to disk: set `appendonly yes`. "
                    "Or add `persistence=optional` to the URL; a crash of the server then loses accepted events."
                )
        fsync = await self._appendfsync()
        if self._required and fsync != "always":
            log.warning(
                "broker_may_lose_a_second",
                appendfsync=fsync or "unknown",
                detail="a power cut at the Redis server may lose the events of the last second or two; "
                "`appendfsync always` loses none",
            )

    async def _facts(self) -> Sequence[Mapping[str, Any]]:
        """Of each node that takes writes."""
        sections = ("persistence", "memory")
        if not isinstance(self._client, RedisCluster):
            found = [await self._client.info(section) for section in sections]
            return [{name: value for one in found for name, value in one.items()}]
        nodes: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        for section in sections:
            answers = await self._client.info(section, target_nodes=RedisCluster.PRIMARIES)
            for node, facts in answers.items():
                nodes[node].update(facts)
        return list(nodes.values())

    async def _appendfsync(self) -> str:
        """Empty where the user may not ask."""
        try:
            found = await self._client.config_get("appendfsync")
        except ResponseError:
            return ""
        return str(next(iter(found.values()), ""))

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except OutOfMemoryError:
            raise Busy(
                f"Redis at {self._url.shown} is full (maxmemory): it takes events again when some are planned."
            ) from None
        except FAULTS as fault:
            raise Unavailable(
                f"Redis at {self._url.shown} does not answer ({type(fault).__name__}: {fault})"
            ) from None


def _read(answer: Any) -> Iterator[DeliveredEntry]:
    """New entries."""
    for stream, entries in answer or ():
        name = stream.decode()
        for id_, fields in entries:
            yield DeliveredEntry((name, id_), fields.get(DATA, b""))


def _by_stream(handles: Sequence[Handle]) -> Iterator[tuple[str, list[bytes]]]:
    found: defaultdict[str, list[bytes]] = defaultdict(list)
    for stream, id_ in handles:
        found[stream].append(id_)
    yield from found.items()


@contextlib.asynccontextmanager
async def opened(url: str, tools: BackendTools, store: Store) -> AsyncIterator[Broker]:
    """The broker on Redis. See `ports.backend.OpenBroker`."""
    server, options = parse(url)
    streams = RedisStreams(client_of(server), server, options, tools.random.bytes(8).hex())
    async with broker_on(streams, tools, store) as broker:
        yield broker
