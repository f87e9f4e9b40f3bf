"""Fan-out through Redis or Valkey: a gateway subscribes to the slots of the users who are connected to it, so each change
goes to the gateways that may need it, and to no other.

Redis keeps nothing of it. Whatever may have been lost on the way, gateways find in the ledger: each looks there when its
own connection was cut, and all do when somebody could not publish.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import msgspec
from redis.asyncio import Redis

from clarion.adapters.fanouts.server import NAME_BYTES, ServerFanout, running
from clarion.adapters.redis.channels import Channels
from clarion.adapters.redis.client import FAULTS, Client, RedisUrl, client_of, close, parse, trouble_of
from clarion.model.ids import UserNo
from clarion.model.inbox import InboxChange
from clarion.ports.backend import BackendTools
from clarion.ports.clock import Clock
from clarion.ports.fanout import Fanout, FanoutState

SLOTS = 1_024
"""Parts into which users fall. A gateway hears of everybody who shares a slot with somebody connected to it."""
PUBLISH = """
for place, channel in ipairs(KEYS) do redis.call('SPUBLISH', channel, ARGV[place]) end
"""
"""One command for all slots of a batch. A Cluster has them on several nodes: there it is one command for each."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[InboxChange]).decode


class RedisFanout(ServerFanout):
    """A publication for each slot; a process subscribes to those of its users."""

    def __init__(self, client: Client, url: RedisUrl, clock: Clock, name: bytes, trouble: str) -> None:
        """`name`: by which this process knows its own publications. `trouble`: why the server is away; empty: it is not."""
        super().__init__(clock, FAULTS, trouble)
        self._client = client
        self._url = url
        self._name = name
        self._script = client.register_script(PUBLISH) if isinstance(client, Redis) else None
        self._everybody = f"{url.prefix}:inbox:missed".encode()
        """The channel that every process listens to."""
        self._users: set[UserNo] = set()
        self._slots: Counter[int] = Counter()
        """How many of them each has."""
        self._channels = Channels(url, self._came)
        self._channels.subscribe(self._everybody)

    # -- sending -------------------------------------------------------------------------------------------------------

    async def _send(self, changes: Sequence[InboxChange]) -> None:
        by_slot: dict[int, list[InboxChange]] = {}
        for change in changes:
            by_slot.setdefault(change.user % SLOTS, []).append(change)
        frames = {self._channel(slot): self._name + _encode(its) for slot, its in by_slot.items()}
        if self._script is not None:
            await self._script(keys=list(frames), args=list(frames.values()))
        else:
            await asyncio.gather(
                *(self._client.execute_command("SPUBLISH", *frame) for frame in frames.items())
            )

    async def _announce(self) -> None:
        await self._client.execute_command("SPUBLISH", self._everybody, self._name)

    # -- following -----------------------------------------------------------------------------------------------------

    def follow(self, user: UserNo) -> asyncio.Future[None] | None:
        """Subscribe to the user's slot, if nobody else did. See `ports.fanout.Fanout`."""
        slot = user % SLOTS
        if user not in self._users:
            self._users.add(user)
            self._slots[slot] += 1
        return self._channels.subscribe(self._channel(slot))

    def unfollow(self, user: UserNo) -> None:
        """See `ports.fanout.Fanout`."""
        if user not in self._users:
            return
        slot = user % SLOTS
        self._users.discard(user)
        self._slots[slot] -= 1
        if not self._slots[slot]:
            del self._slots[slot]
            self._channels.unsubscribe(self._channel(slot))

    def state(self) -> FanoutState:
        """With the slots that are heard."""
        trouble, counted = super().state()
        return FanoutState(trouble, {**counted, "slots": len(self._slots)})

    # -- hearing -------------------------------------------------------------------------------------------------------

    async def _hear(self) -> None:
        await self._channels.run(self._whole)

    def _said(self, fault: BaseException) -> str:
        return f"{self._url.shown} does not answer ({fault})"

    def _came(self, channel: bytes, data: bytes) -> None:
        sender, frame = data[:NAME_BYTES], data[NAME_BYTES:]
        if sender == self._name:
            return
        if channel == self._everybody:
            self._missed()
            return
        try:
            changes = _decode(frame)
        except msgspec.DecodeError:
            self._not_understood()
        else:
            self._received(changes)

    def _channel(self, slot: int) -> bytes:
        return f"{self._url.prefix}:inbox:{slot}".encode()


@contextlib.asynccontextmanager
async def opened(url: str, tools: BackendTools) -> AsyncIterator[Fanout]:
    """The fan-out of all processes on this server. One that is away at the start is awaited in the background, because
    everything works without it. See `ports.backend.OpenFanout`."""
    where = parse(url, "fanout")
    client = client_of(where)
    try:
        trouble = await trouble_of(client, where, "fanout")
        fanout = RedisFanout(client, where, tools.clock, tools.random.bytes(NAME_BYTES), trouble)
        async with running(fanout):
            yield fanout
    finally:
        await close(client)
