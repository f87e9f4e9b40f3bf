"""Opens `kafka:` URLs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from clarion.adapters.brokers.kafka.address import read_address
from clarion.adapters.brokers.none import NoBroker
from clarion.adapters.extras import needs
from clarion.ports.backend import BackendTools
from clarion.ports.broker import Broker
from clarion.ports.ledger import Store


@contextlib.asynccontextmanager
async def opened(url: str, tools: BackendTools, store: Store) -> AsyncIterator[Broker]:
    """The broker on Kafka, its topics ready. See `ports.backend.OpenBroker`."""
    with needs("kafka", "broker: a `kafka:` URL"):
        from confluent_kafka.admin import AdminClient

        from clarion.adapters.brokers.kafka.broker import KafkaBroker
        from clarion.adapters.brokers.kafka.topics import prepare
        from clarion.adapters.kafka import KafkaRefusal, quiet
    address, refusal = read_address(url), KafkaRefusal()
    settings: dict[str, Any] = {**address.client, "error_cb": refusal.note}
    admin = AdminClient(settings, logger=quiet)
    topics = await asyncio.to_thread(partial(prepare, admin, address, refusal, dry_run=tools.dry_run))
    if topics is None:
        yield NoBroker()
        return
    broker = KafkaBroker(address, admin, topics, store.partitions, tools.clock)
    try:
        yield broker
    finally:
        await broker.leave()
