"""Brokers, sources and sinks over TLS with a login: they work, and say what is wrong when they do not."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote
from uuid import uuid4

import pytest

from clarion.adapters.ledgers.memory import MemoryLedger
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ClarionError, ConfigError
from clarion.model.source import StartAt
from clarion.plugins import BROKERS, backend, sinks, sources
from clarion.ports.backend import BackendTools, OpenBroker
from clarion.ports.broker import Broker
from clarion.testing import broker_contract
from clarion.testing.broker_contract import BrokerServer, BrokerSubject
from tests.contract.test_sink import event
from tests.contract.test_source import tools
from tests.servers import kafka as kafka_server
from tests.servers import nats as nats_server
from tests.servers.certificates import issue, stranger
from tests.servers.kafka_topic import new_topic
from tests.servers.process import free_port, home_for, stop

CLOCK, RANDOM = SystemClock(), SystemRandom()
PASSWORD = "s3cret/+@"
"""What a URL has to spell otherwise."""


class Secured(NamedTuple):
    """A server with TLS that knows one user."""

    url: str
    """With `{password}`, `{ca}` and `{prefix}` to be filled in."""
    ca: str

    def broker(self, *, password: str = PASSWORD, ca: str = "") -> str:
        """The URL of a broker there."""
        prefix = f"tls-{uuid4().hex[:8]}"
        return self.url.format(password=quote(password, safe=""), ca=ca or self.ca, prefix=prefix)


class OnServer(BrokerServer):
    """Whatever a URL opens."""

    def __init__(self, url: str, ends: AsyncExitStack) -> None:
        self._url, self._ends = url, ends
        vault = LocalVault(b"k" * 32, RANDOM)
        self._ledger = MemoryLedger(vault=vault, clock=CLOCK, random=RANDOM)
        self._tools = BackendTools(data_dir=Path(), clock=CLOCK, random=RANDOM, vault=vault)

    async def connect(self) -> Broker:
        opened: OpenBroker = backend(BROKERS, "broker", self._url)
        return await self._ends.enter_async_context(opened(self._url, self._tools, self._ledger))


@pytest.fixture
def nats_with_tls() -> Iterator[Secured]:
    """A server of this test's own: NATS has one port for everybody."""
    home, port = home_for("nats"), free_port()
    issue(home)
    tls = ("--tls", "--tlscert", home / "cert.pem", "--tlskey", home / "key.pem")
    try:
        process = nats_server.serve(home, port, *tls, "--user", "clarion", "--pass", PASSWORD)
        options = "tls=yes&ca={ca}&replicas=1"
        url = f"nats://clarion:{{password}}@127.0.0.1:{port}/{{prefix}}?{options}"
        yield Secured(url, str(home / "ca.pem"))
        stop(process.pid, signal.SIGKILL)
        process.wait()
    finally:
        shutil.rmtree(home, ignore_errors=True)


KINDS = ["nats", "rabbitmq", *(f"kafka {mechanism}" for mechanism in kafka_server.MECHANISMS)]


@pytest.fixture
def secured(request: pytest.FixtureRequest) -> Secured:
    """One of each kind."""
    kind, _, mechanism = request.param.partition(" ")
    if kind == "nats":
        found: Secured = request.getfixturevalue("nats_with_tls")
        return found
    server = request.getfixturevalue(kind)
    if kind == "rabbitmq":
        login = "guest:{password}"
        return Secured(f"amqps://{login}@127.0.0.1:{server.secured}/?ca={{ca}}&prefix={{prefix}}", server.ca)
    assert kafka_server.PASSWORD == PASSWORD
    options = f"tls=yes&ca={{ca}}&mechanism={mechanism}&replication=1&partitions=1"
    return Secured(f"kafka://clarion:{{password}}@{server.secured}/{{prefix}}?{options}", server.ca)


@pytest.mark.parametrize("secured", KINDS, indirect=True)
async def test_a_broker_works_over_tls(request, secured):
    """What is published arrives, with the password in whichever way it is shown."""
    password = "guest" if "rabbitmq" in request.node.name else PASSWORD
    async with (
        AsyncExitStack() as ends,
        BrokerSubject(OnServer(secured.broker(password=password), ends), CLOCK, RANDOM) as subject,
    ):
        await broker_contract.entries_arrive_unchanged(subject)


@pytest.mark.parametrize("secured", KINDS, indirect=True)
@pytest.mark.parametrize("wrong", ["password", "authority"])
async def test_what_is_wrong_is_said_at_the_start(request, secured, tmp_path, monkeypatch, wrong):
    """By the server and what to check, without the password."""
    monkeypatch.setattr("clarion.adapters.brokers.kafka.topics.ANSWER_S", 3.0)
    if wrong == "authority":
        password = "guest" if "rabbitmq" in request.node.name else PASSWORD
        url = secured.broker(password=password, ca=str(stranger(tmp_path)))
    else:
        url = secured.broker(password="wr0ng/+@")
    async with AsyncExitStack() as ends:
        with pytest.raises(ConfigError) as told:
            await OnServer(url, ends).connect()
    said = str(told.value)
    assert "127.0.0.1" in said
    assert PASSWORD not in said
    assert "wr0ng" not in said
    assert ("certificate" if wrong == "authority" else "password") in said


def connection(kafka: Any, topic: str, **wrong: str) -> dict[str, Any]:
    """Of a source or sink."""
    return {
        "servers": kafka.secured,
        "topic": topic,
        "tls": True,
        "ca": Path(kafka.ca).read_text(),
        "username": kafka_server.USER,
        "password": kafka_server.PASSWORD,
        **wrong,
    }


@pytest.mark.parametrize("mechanism", kafka_server.MECHANISMS)
async def test_a_sink_and_a_source_of_kafka_work_over_tls(kafka, mechanism):
    """What one writes the other reads."""
    place = connection(kafka, new_topic(kafka.servers, 1), mechanism=mechanism)
    sink, source = sinks()["kafka"], sources()["kafka"]
    writer = sink.open(sink.config(**place), tools())
    reader = source.open(source.config(**place), tools())
    try:
        await writer.ping()
        assert await writer.write([event("message", 1)]) == [None]
        await reader.seek(StartAt.EARLIEST)
        found: list[Any] = []
        while not found:
            found += await reader.fetch(10)
        assert [record.value for record in found] == [event("message", 1).body]
    finally:
        await writer.close()
        await reader.close()


@pytest.mark.parametrize(
    ("wrong", "pointer"), [({"password": "no"}, "#/username"), ({"ca": "stranger"}, "#/ca")]
)
async def test_a_sink_and_a_source_of_kafka_say_what_is_wrong(kafka, tmp_path, monkeypatch, wrong, pointer):
    """And where it stands in their document."""
    for module in ("kafka", "sources.kafka", "sinks.kafka"):
        monkeypatch.setattr(f"clarion.adapters.{module}.CALL_S", 3.0)
    if "ca" in wrong:
        wrong = {"ca": stranger(tmp_path).read_text()}
    place = connection(kafka, new_topic(kafka.servers, 1), **wrong)
    sink, source = sinks()["kafka"], sources()["kafka"]
    writer = sink.open(sink.config(**place), tools())
    reader = source.open(source.config(**place), tools())
    try:
        for asked in (writer.ping(), reader.seek(StartAt.EARLIEST)):
            with pytest.raises(ClarionError) as told:
                await asked
            assert isinstance(told.value, ConfigError), told.value
            assert told.value.pointer == pointer
    finally:
        await writer.close()
        await reader.close()
