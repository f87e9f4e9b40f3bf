"""Channels of a server: what others publish on them comes to a function of ours. Sharded, as a Cluster has them, and
servers without one have them too."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as AwayError

from clarion.adapters.redis.client import RedisUrl, client_of, close, node_of

Came = Callable[[bytes, bytes], None]
"""Is called with the channel and what was published."""
Part = Callable[[bytes], str]
"""The name of the node that has a channel."""

SILENT_S = 2.0
"""A server that says nothing for so long is asked whether it is there; as long again, and it counts as away."""


class Channels:
    """Subscriptions, by one connection to the server or to each node of a Cluster."""

    def __init__(self, url: RedisUrl, came: Came) -> None:
        self._url = url
        self._came = came
        self._wanted: set[bytes] = set()
        self._part: Part = lambda channel: ""
        self._connections: dict[str, _Connection] = {}
        """By node; none while the server is away."""

    def subscribe(self, channel: bytes) -> asyncio.Future[None] | None:
        """What is returned is done when everything published on it comes here, or the way is cut; None: one of both is
        so already."""
        self._wanted.add(channel)
        if not self._connections:
            return None
        return self._connections[self._part(channel)].subscribe(channel)

    def unsubscribe(self, channel: bytes) -> None:
        """Nothing of it is needed any more."""
        self._wanted.discard(channel)
        if self._connections:
            self._connections[self._part(channel)].unsubscribe(channel)

    async def run(self, whole: Callable[[], None]) -> None:
        """Subscribe to everything that is wanted, call `whole`, and go on until one of the connections is cut: raises a
        group of what `client.FAULTS` lists."""
        async with self._nodes() as (nodes, part):
            self._part = part
            self._connections = {
                name: _Connection(node, self._came, self._url.timeout_s) for name, node in nodes.items()
            }
            try:
                async with asyncio.TaskGroup() as tasks:
                    for connection in self._connections.values():
                        tasks.create_task(connection.run())
                    asked = [self.subscribe(channel) for channel in self._wanted]
                    if waiting := [one for one in asked if one is not None]:
                        await asyncio.wait(waiting)
                    whole()
            finally:
                cut, self._connections = self._connections, {}
                for connection in cut.values():
                    await connection.close()

    @contextlib.asynccontextmanager
    async def _nodes(self) -> AsyncIterator[tuple[dict[str, Redis], Part]]:
        """The nodes by name, and which has what."""
        client: Any = client_of(self._url, listens=not self._url.cluster)
        nodes: dict[str, Redis] = {}
        try:
            if not self._url.cluster:
                yield {"": client}, lambda channel: ""
                return
            await client.initialize()
            for node in client.get_primaries():
                nodes[str(node.name)] = node_of(self._url, str(node.host), int(node.port))
            yield nodes, lambda channel: _owner(client, channel)
        finally:
            for one in (client, *nodes.values()):
                await close(one)


def _owner(cluster: Any, channel: bytes) -> str:
    return str(cluster.nodes_manager.get_node_from_slot(cluster.keyslot(channel)).name)


class _Connection:
    """The subscriptions at one node."""

    def __init__(self, client: Redis, came: Came, timeout_s: float) -> None:
        self._pubsub: Any = client.pubsub()
        self._came = came
        self._timeout_s = timeout_s
        self._wanted: dict[bytes, asyncio.Future[None]] = {}
        """Each is done when the server has confirmed the subscription."""
        self._orders: dict[bytes, bool] = {}
        """What the server has still to be told: to begin (True) or to end a subscription."""
        self._ordered = asyncio.Event()
        self._unconfirmed: Counter[bytes] = Counter()

    def subscribe(self, channel: bytes) -> asyncio.Future[None] | None:
        """See `Channels`."""
        confirmed = self._wanted.get(channel)
        if confirmed is None:
            confirmed = self._wanted[channel] = asyncio.get_running_loop().create_future()
            self._order(channel, begin=True)
        return None if confirmed.done() else confirmed

    def unsubscribe(self, channel: bytes) -> None:
        """See `Channels`."""
        confirmed = self._wanted.pop(channel, None)
        if confirmed is not None:
            _done(confirmed)
            self._order(channel, begin=False)

    async def run(self) -> None:
        """Until the connection is cut."""
        await self._ordered.wait()
        async with asyncio.timeout(self._timeout_s):
            await self._pubsub.connect()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tell())
            tasks.create_task(self._read())

    async def close(self) -> None:
        """Nothing comes any more."""
        for confirmed in self._wanted.values():
            _done(confirmed)
        await self._pubsub.aclose()
        await asyncio.sleep(0)  # it is gone when the loop has had a turn

    def _order(self, channel: bytes, *, begin: bool) -> None:
        self._orders[channel] = begin
        self._ordered.set()

    async def _tell(self) -> None:
        while True:
            await self._ordered.wait()
            self._ordered.clear()
            while self._orders:
                channel, begin = self._orders.popitem()
                if begin:
                    self._unconfirmed[channel] += 1
                    await self._pubsub.ssubscribe(channel)
                else:
                    await self._pubsub.sunsubscribe(channel)

    async def _read(self) -> None:
        asked = False
        while True:
            message = await self._pubsub.get_message(timeout=SILENT_S)
            if message is not None:
                asked = False
                self._understand(message["type"], message["channel"], message["data"])
            elif asked:
                raise AwayError("it says nothing")
            elif self._pubsub.subscribed:
                asked = True
                await self._pubsub.ping()

    def _understand(self, kind: str, channel: bytes, data: Any) -> None:
        if kind == "smessage":
            self._came(channel, data)
        elif kind == "ssubscribe":
            self._unconfirmed[channel] -= 1  # perhaps of one that was ended since, and began again
            if self._has(channel):
                _done(self._wanted[channel])
        elif kind == "sunsubscribe" and self._has(channel):
            raise AwayError("the channel is on another node now")

    def _has(self, channel: bytes) -> bool:
        """Whether we have told the server to begin it, and it has said that it did."""
        return channel in self._wanted and channel not in self._orders and not self._unconfirmed[channel]


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
