"""An exchange of RabbitMQ. The routing key is the event's type, and every event is confirmed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from clarion.adapters.rabbitmq_settings import SECRETS, RabbitMqServers, vet
from clarion.errors import ConfigError, Unavailable
from clarion.ports.provider import ProviderTools
from clarion.ports.sink import MEDIA_TYPE, EventWriter, OutEvent, SinkPlugin

if TYPE_CHECKING:
    from clarion.adapters.rabbitmq import RabbitMqUrl

WRITE_S = 30.0
PERSISTENT = 2


class RabbitMqSink(RabbitMqServers, frozen=True, kw_only=True):
    """An exchange that is written to."""

    exchange: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class RabbitMqWriter:
    """Implements `ports.sink.EventWriter`."""

    def __init__(self, config: RabbitMqSink, address: RabbitMqUrl, tools: ProviderTools) -> None:
        from clarion.adapters.rabbitmq import RabbitMqConnection

        self._config = config
        self._address = address
        self._tools = tools
        self._connection = RabbitMqConnection(address, "connection")
        self._channel: Any = None

    async def write(self, events: Sequence[OutEvent]) -> Sequence[str | None]:
        channel = await self._ready()
        try:
            async with self._tools.clock.timeout(WRITE_S):
                await self._publish(channel, events)
        except TimeoutError:
            self._channel = None
            raise Unavailable("RabbitMQ did not confirm all events in time: they are written again") from None
        except Unavailable:
            self._channel = None  # A channel that was refused once may be refused for ever.
            raise
        return [None] * len(events)

    async def ping(self) -> None:
        await self._ready()

    async def close(self) -> None:
        await self._connection.close()

    async def _publish(self, channel: Any, events: Sequence[OutEvent]) -> None:
        from aiormq import spec
        from aiormq.exceptions import DeliveryError

        from clarion.adapters.rabbitmq import faults

        async def one(event: OutEvent) -> None:
            await channel.basic_publish(
                event.body,
                exchange=self._config.exchange,
                routing_key=event.type,
                properties=spec.Basic.Properties(
                    content_type=MEDIA_TYPE, delivery_mode=PERSISTENT, message_id=event.id
                ),
            )

        with faults(self._address.shown):
            try:
                # They are sent in this order, and then waited for together.
                await asyncio.gather(*map(one, events))
            except DeliveryError:
                raise Unavailable("RabbitMQ refused an event: they are written again") from None

    async def _ready(self) -> Any:
        from aiormq.exceptions import ChannelNotFoundEntity

        from clarion.adapters.rabbitmq import faults

        if self._channel is None or self._channel.is_closed:
            await vet(self._address, self._tools)
            channel = await self._connection.channel(confirms=True)
            with faults(self._address.shown):
                try:
                    await channel.exchange_declare(self._config.exchange, passive=True)
                except ChannelNotFoundEntity:
                    raise ConfigError(
                        f"RabbitMQ has no exchange {self._config.exchange!r} in {self._config.vhost!r}: create it, or check "
                        "`exchange`",
                        pointer="#/exchange",
                    ) from None
            self._channel = channel
        return self._channel


def opened(config: RabbitMqSink, tools: ProviderTools) -> EventWriter:
    """Reaches nobody."""
    return RabbitMqWriter(config, config.address(), tools)


plugin = SinkPlugin(
    name="rabbitmq",
    title="RabbitMQ",
    config=RabbitMqSink,
    open=opened,
    secrets=SECRETS,
    example={
        "servers": "rabbitmq.example.com",
        "exchange": "notifications",
        "username": "clarion",
        "password": "secret",
    },
)
