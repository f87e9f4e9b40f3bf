"""A Kafka of the tests' own, with one node."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.needs import require
from tests.servers.java import SMALL, libraries
from tests.servers.process import Started, free_port, listens, run, shared, start, wait_for

WHY = "Kafka runs on it"


class Kafka(NamedTuple):
    """Where it is. Tests tell their topics apart by names of their own."""

    port: int

    @property
    def servers(self) -> str:
        """For Clarion and for clients."""
        return f"127.0.0.1:{self.port}"


def properties(home: Path, port: int, controller: int) -> str:
    """The settings of a node that is everything."""
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": home / "data",
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 3,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 3,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 3,
        "group.initial.rebalance.delay.ms": 0,
        "num.network.threads": 1,
        "num.io.threads": 2,
        "log.cleaner.dedupe.buffer.size": 4_194_304,
        "auto.create.topics.enable": "false",
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _begin(home: Path) -> Started:
    program = [require("java", WHY), "-Xms64m", "-Xmx256m", *SMALL, "-cp", f"{libraries('kafka', WHY)}/*"]
    port = free_port()
    where = home / "server.properties"
    where.write_text(properties(home, port, free_port()))
    cluster = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")
    run([*program, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", where], home=home)
    process = start([*program, "kafka.Kafka", where], home=home)
    wait_for(lambda: listens(port), process, home)
    return Started(process, {"port": port})


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """One server for all tests."""
    require("java", WHY)
    with shared("kafka", tmp_path_factory, _begin) as facts:
        yield Kafka(int(facts["port"]))
