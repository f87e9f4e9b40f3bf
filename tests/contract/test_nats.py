"""The broker on NATS JetStream keeps the contract on a real server."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from clarion.adapters.brokers.nats import JetStreamQueues, opened
from clarion.adapters.brokers.queue_broker import QueueBroker
from clarion.adapters.ledgers.memory import MemoryLedger
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError, InvalidInput
from clarion.model.channel import Lane
from clarion.ports.backend import BackendTools
from clarion.ports.broker import Broker
from clarion.testing import broker_contract
from clarion.testing.broker_contract import BROKER_CONTRACT, BrokerServer, BrokerSubject
from tests.needs import require
from tests.servers.nats import WHY, Nats, serve
from tests.servers.process import free_port, home_for, stop

CLOCK, RANDOM = SystemClock(), SystemRandom()


def new_prefix() -> str:
    """What nobody else's streams begin with."""
    return f"check-{uuid4().hex[:8]}"


class NatsLanes(BrokerServer):
    """Streams of their own."""

    ordered = False  # What was given back comes when the server gets to it.

    def __init__(self, server: Nats, directory: Path, ends: AsyncExitStack) -> None:
        self._url = server.broker(new_prefix())
        self._ends = ends
        vault = LocalVault(b"k" * 32, RANDOM)
        self._ledger = MemoryLedger(vault=vault, clock=CLOCK, random=RANDOM)
        self._tools = BackendTools(data_dir=directory, clock=CLOCK, random=RANDOM, vault=vault)
        self.queues: JetStreamQueues

    async def connect(self) -> Broker:
        broker = await self._ends.enter_async_context(opened(self._url, self._tools, self._ledger))
        assert isinstance(broker, QueueBroker)
        assert isinstance(broker._queues, JetStreamQueues)
        self.queues = broker._queues
        return broker

    async def crash(self, broker: Broker) -> None:
        assert isinstance(broker, QueueBroker)
        assert isinstance(broker._queues, JetStreamQueues)
        await broker._queues.close()

    async def put(self, lane: Lane, raw: bytes) -> bool:
        await self.queues._jetstream.publish(self.queues.subject(lane), raw)
        return True

    async def dead_letters(self, lane: Lane) -> Sequence[tuple[bytes, str]]:
        jetstream, name = self.queues._jetstream, self.queues.dead_letters
        state = (await jetstream.stream_info(name)).state
        found = [await jetstream.get_msg(name, seq=seq) for seq in range(1, state.messages + 1)]
        return [(one.data or b"", (one.headers or {})["reason"]) for one in found]


class OwnNats(NatsLanes):
    """On a server that this test alone uses, and may restart."""

    def __init__(self, home: Path, directory: Path, ends: AsyncExitStack) -> None:
        self._home, self._port = home, free_port()
        self._process = serve(home, self._port)
        super().__init__(Nats(self._port), directory, ends)

    async def restart(self) -> bool:
        await asyncio.to_thread(self._again)
        return True

    def kill(self) -> None:
        """At once."""
        stop(self._process.pid, signal.SIGKILL)
        self._process.poll()

    def _again(self) -> None:
        self.kill()
        self._process = serve(self._home, self._port)


@pytest.mark.parametrize("check", BROKER_CONTRACT, ids=lambda check: check.__name__)
async def test_nats_keeps_the_contract(check, nats, tmp_path):
    """On new streams for every check."""
    async with (
        AsyncExitStack() as ends,
        BrokerSubject(NatsLanes(nats, tmp_path, ends), CLOCK, RANDOM) as subject,
    ):
        await check(subject)


async def test_a_nats_that_was_killed_has_everything(tmp_path):
    """Whatever was published before, and whoever waits goes on when it is back."""
    require("nats-server", WHY)
    home = home_for("nats")
    async with AsyncExitStack() as ends:
        server = OwnNats(home, tmp_path, ends)
        try:
            async with BrokerSubject(server, CLOCK, RANDOM) as subject:
                await broker_contract.a_restarted_server_has_everything(subject)
        finally:
            await ends.aclose()
            server.kill()
            shutil.rmtree(home)


async def start(url: str, directory: Path) -> None:
    """Open and close it."""
    vault = LocalVault(b"k" * 32, RANDOM)
    tools = BackendTools(data_dir=directory, clock=CLOCK, random=RANDOM, vault=vault)
    async with opened(url, tools, MemoryLedger(vault=vault, clock=CLOCK, random=RANDOM)):
        pass


async def test_too_few_servers_are_said_at_the_start(nats, tmp_path):
    """Unless whoever runs it says that one copy is enough."""
    with pytest.raises(ConfigError, match=r"cannot keep 3 copies.*replicas=1"):
        await start(nats.broker(new_prefix(), ""), tmp_path)


async def test_how_often_the_server_writes_to_disk_is_said_at_the_start(nats, tmp_path):
    """Nobody can ask it, so whoever runs it says that it does at once."""
    prefix = new_prefix()
    with capture_logs() as said:
        await start(nats.broker(prefix), tmp_path)
    (warning,) = said
    assert (warning["log_level"], warning["event"]) == ("warning", "broker_may_lose_minutes")
    assert "sync_interval: always" in warning["detail"]
    with capture_logs() as said:
        await start(nats.broker(prefix, "replicas=1&sync=always"), tmp_path)
    assert said == []


async def test_a_server_that_does_not_answer_is_said_at_the_start(tmp_path, monkeypatch):
    """Without waiting for long."""
    monkeypatch.setattr("clarion.adapters.nats.CONNECT_S", 0.2)
    with pytest.raises(ConfigError, match="cannot be used"):
        await start(f"nats://127.0.0.1:{free_port()}", tmp_path)


async def test_an_event_that_is_too_large_is_refused(nats, tmp_path):
    """Before anything of the call is published, and with the number of bytes."""
    async with (
        AsyncExitStack() as ends,
        BrokerSubject(NatsLanes(nats, tmp_path, ends), CLOCK, RANDOM) as subject,
    ):
        small, large = subject.entries(2)
        with pytest.raises(InvalidInput, match="takes 1,048,064"):
            await subject.publish([small, replace(large, sealed=bytes(1_048_060))])
        await subject.waits(0)


async def test_an_entry_that_is_published_again_at_once_comes_once(nats, tmp_path):
    """The server knows its id."""
    async with (
        AsyncExitStack() as ends,
        BrokerSubject(NatsLanes(nats, tmp_path, ends), CLOCK, RANDOM) as subject,
    ):
        published = subject.entries(2)
        await subject.publish(published)
        await subject.publish(published)
        await subject.waits(2, published[0])
