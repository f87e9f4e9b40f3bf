"""A queue of RabbitMQ. It forgets what is acknowledged, so it cannot be rewound."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from clarion.adapters.rabbitmq_settings import SECRETS, RabbitMqServers, vet
from clarion.errors import ConfigError, InvalidInput
from clarion.model.ids import Instant
from clarion.model.source import StartAt
from clarion.ports.provider import ProviderTools
from clarion.ports.source import Position, RecordReader, SourcePlugin, SourceRecord

if TYPE_CHECKING:
    from clarion.adapters.rabbitmq import RabbitMqUrl

FETCH_S = 1.0
PREFETCH = 1_000
"""Deliveries that may wait here unacknowledged."""


class RabbitMqSource(RabbitMqServers, frozen=True, kw_only=True):
    """A queue that is read."""

    queue: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class RabbitMqReader:
    """Implements `ports.source.RecordReader`."""

    def __init__(self, config: RabbitMqSource, address: RabbitMqUrl, tools: ProviderTools) -> None:
        from clarion.adapters.rabbitmq import RabbitMqConnection

        self._config = config
        self._address = address
        self._tools = tools
        self._connection = RabbitMqConnection(address, "connection")
        self._channel: Any = None
        self._came: asyncio.Queue[Any] = asyncio.Queue()
        self._unsettled = 0

    async def seek(self, to: Position | StartAt | Instant) -> Position:
        if not isinstance(to, StartAt):
            raise InvalidInput("a queue of RabbitMQ forgets what was taken: it cannot be rewound.")
        return {}

    async def fetch(self, limit: int) -> Sequence[SourceRecord]:
        await self._consume()
        found = []
        try:
            async with self._tools.clock.timeout(FETCH_S):
                found.append(await self._came.get())
        except TimeoutError:
            await self._check()
            return []
        while len(found) < limit and not self._came.empty():
            found.append(self._came.get_nowait())
        self._unsettled += len(found)
        return [self._record(one) for one in found]

    async def done(self, records: Sequence[SourceRecord]) -> None:
        from clarion.adapters.rabbitmq import faults

        with faults(self._address.shown):
            # Everything that came before was settled before, so one acknowledgement covers the rest.
            await self._channel.basic_ack(records[-1].receipt, multiple=True)
        self._unsettled -= len(records)

    async def peek(self, limit: int) -> Sequence[SourceRecord]:
        """What comes next, given back. Quorum queues count it as a delivery."""
        from clarion.adapters.rabbitmq import faults

        channel = await self._new_channel()
        found: list[SourceRecord] = []
        with faults(self._address.shown):
            while len(found) < limit:
                message = await channel.basic_get(self._config.queue)
                if not message.delivery_tag:
                    break
                found.append(self._record(message))
            await channel.close()
        return found

    async def lag(self) -> Mapping[str, int | None]:
        channel = await self._new_channel()
        ready = (await self._declared(channel)).message_count or 0
        with suppress(Exception):
            await channel.close()
        return {"": int(ready) + self._came.qsize() + self._unsettled}

    async def close(self) -> None:
        await self._connection.close()

    async def _consume(self) -> None:
        from clarion.adapters.rabbitmq import faults

        if self._channel is not None:
            return
        channel = await self._new_channel()
        with faults(self._address.shown):
            await channel.basic_qos(prefetch_count=PREFETCH)
            await channel.basic_consume(self._config.queue, self._came.put)
        self._channel = channel

    async def _new_channel(self) -> Any:
        await vet(self._address, self._tools)
        channel = await self._connection.channel()
        await self._declared(channel)
        return channel

    async def _declared(self, channel: Any) -> Any:
        from aiormq.exceptions import ChannelNotFoundEntity

        from clarion.adapters.rabbitmq import faults

        with faults(self._address.shown):
            try:
                return await channel.queue_declare(self._config.queue, passive=True)
            except ChannelNotFoundEntity:
                raise ConfigError(
                    f"RabbitMQ has no queue {self._config.queue!r} in {self._config.vhost!r}: create it, or check `queue`",
                    pointer="#/queue",
                ) from None

    async def _check(self) -> None:
        """Nothing came: the connection may be gone, and asking shows it."""
        if self._channel.is_closed:
            await self._declared(self._channel)

    def _record(self, message: Any) -> SourceRecord:
        properties = message.header.properties
        headers = {name: _text(value) for name, value in (properties.headers or {}).items()}
        if properties.content_type:
            headers["content-type"] = properties.content_type
        at = properties.timestamp
        return SourceRecord(
            topic=self._config.queue,
            id=properties.message_id or "",
            key=message.routing_key,
            value=message.body,
            headers=headers,
            at=None if at is None else Instant(round(at.timestamp() * 1_000)),
            receipt=message.delivery_tag,
        )


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def opened(config: RabbitMqSource, tools: ProviderTools) -> RecordReader:
    """Reaches nobody."""
    return RabbitMqReader(config, config.address(), tools)


plugin = SourcePlugin(
    name="rabbitmq",
    title="RabbitMQ",
    config=RabbitMqSource,
    open=opened,
    rewinds=False,
    competing=True,
    secrets=SECRETS,
    example={
        "servers": "rabbitmq.example.com",
        "queue": "orders",
        "username": "clarion",
        "password": "secret",
    },
)
