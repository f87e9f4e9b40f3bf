"""A dry run looks whether a broker could be used, and leaves its server as it was."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka.admin import AdminClient
from msgspec.structs import replace

from clarion.adapters.ledgers.memory import MemoryLedger
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ClarionError, Unavailable
from clarion.model.channel import Lane
from clarion.plugins import BROKERS, backend
from clarion.ports.backend import BackendTools, OpenBroker
from clarion.ports.broker import Broker
from tests.servers import brokers
from tests.servers.process import free_port

CLOCK, RANDOM = SystemClock(), SystemRandom()


class Installation:
    """What opens a broker."""

    def __init__(self, directory: Path) -> None:
        vault = LocalVault(b"k" * 32, RANDOM)
        self.store = MemoryLedger(vault=vault, clock=CLOCK, random=RANDOM)
        self.tools = BackendTools(data_dir=directory, clock=CLOCK, random=RANDOM, vault=vault)

    def open(self, url: str, *, dry_run: bool) -> Any:
        opened: OpenBroker = backend(BROKERS, "broker", url)
        return opened(url, replace(self.tools, dry_run=dry_run), self.store)


async def usable(broker: Broker) -> None:
    """Wait until the server has got over what was made there."""
    async with asyncio.timeout(60):
        while True:
            try:
                await broker.backlog(Lane.NORMAL)
                return
            except Unavailable:
                await asyncio.sleep(0.1)


@pytest.mark.parametrize("kind", [kind for kind in brokers.BROKERS if kind != "redis"])
async def test_a_dry_run_makes_nothing(request, tmp_path, kind):
    """What is missing is still missing, and made by the start; a dry run afterwards finds it."""
    url = brokers.broker_url(request, kind, f"dry-{uuid4().hex[:8]}")
    installation = Installation(tmp_path)
    async with installation.open(url, dry_run=True) as broker:
        with pytest.raises(Unavailable):
            await broker.backlog(Lane.NORMAL)
    async with installation.open(url, dry_run=False) as broker:
        await usable(broker)
    async with installation.open(url, dry_run=True) as broker:
        assert (await broker.backlog(Lane.NORMAL)).entries == 0


async def test_a_dry_run_makes_no_topic(kafka, tmp_path):
    """Nor do the servers make one by themselves."""
    prefix = f"dry-{uuid4().hex[:8]}"
    async with Installation(tmp_path).open(kafka.broker(prefix), dry_run=True):
        pass
    topics = AdminClient({"bootstrap.servers": kafka.servers}).list_topics(timeout=30).topics
    assert not [name for name in topics if name.startswith(prefix)]


async def test_a_dry_run_says_what_the_start_would_say(kafka, tmp_path):
    """Topics that cannot be made, since there are too few servers."""
    with pytest.raises(ClarionError, match=r"has 1 servers.*replication=1"):
        async with Installation(tmp_path).open(kafka.broker("dry", ""), dry_run=True):
            pass


async def test_a_dry_run_makes_no_stream(redis, tmp_path):
    """Nor a group of its readers."""
    prefix = f"dry-{uuid4().hex[:8]}"
    async with Installation(tmp_path).open(f"{redis.url}?prefix={prefix}", dry_run=True) as broker:
        assert await broker._queues._client.keys(f"{prefix}*") == []


async def test_a_dry_run_tells_of_a_server_that_is_away(tmp_path):
    """As the start would."""
    with pytest.raises(ClarionError, match=r"^RabbitMQ at 127|^broker: "):
        async with Installation(tmp_path).open(f"amqp://guest:guest@127.0.0.1:{free_port()}/", dry_run=True):
            pass
