"""Apache Kafka: one node for all tests, or several of a test's own. Each node is broker and controller."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka.admin import AdminClient

from tests.needs import require
from tests.servers.certificates import issue
from tests.servers.java import LIBRARIES, SMALL, SOURCES, libraries
from tests.servers.process import Started, free_port, run, shared, start, wait_for

WHY = "Kafka runs on it"
CLUSTER = "Y2xhcmlvbi10ZXN0cy0xMQ"
"""Any 16 bytes in base64: the name of the cluster, written into the folders of its nodes."""
SECURED = "SECURED"
"""The name of the listener with TLS."""
USER, PASSWORD = "clarion", "s3cret/+@"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
ARCHIVE = LIBRARIES / "kafka" / "classes.jsa"
"""The classes of a node as Java keeps them in memory: it starts in half the time."""


class Kafka(NamedTuple):
    """Where it is. Tests tell their topics apart by a prefix of their own."""

    servers: str
    """`127.0.0.1:9092`, of several nodes with commas."""
    secured: str = ""
    """The same over TLS, for `USER` only."""
    ca: str = ""
    """The file with the certificate of who signed theirs."""

    def broker(self, prefix: str, options: str = "replication=1&partitions=2&session_s=2") -> str:
        """The URL of a broker of Clarion whose topics begin so."""
        return f"kafka://{self.servers}/{prefix}?{options}"


class Node(NamedTuple):
    """One of the servers of a cluster, in a folder of its own."""

    home: Path
    port: int
    settings: tuple[tuple[str, object], ...]
    users: tuple[str, ...] = ()
    """Who is known from the start, as the tool wants it."""

    def java(self, *, keep: bool = False) -> list[str | Path]:
        """How its programs are begun; with `keep` the archive is made, unless there is one."""
        classes = libraries("kafka", WHY)
        made = "SharedArchiveFile" if ARCHIVE.exists() or not keep else "ArchiveClassesAtExit"
        kept = f"-XX:{made}={ARCHIVE}"
        log = f"-Dlog4j2.configurationFile={SOURCES / 'kafka' / 'log4j2.yaml'}"
        return [
            require("java", WHY), "-Xms64m", "-Xmx256m", *SMALL, "-Xshare:auto", kept, log,
            "-Djava.net.preferIPv4Stack=true", "-cp", f"{classes}/*",
        ]  # fmt: skip

    def prepare(self) -> None:
        """Write its settings, and format its folder as Kafka's own tool does."""
        text = "".join(f"{name}={value}\n" for name, value in self.settings)
        (self.home / "server.properties").write_text(text)
        run(
            [
                *self.java(),
                "kafka.tools.StorageTool",
                "format",
                "-t",
                CLUSTER,
                "-c",
                self.home / "server.properties",
                *(word for user in self.users for word in ("--add-scram", user)),
            ],
            home=self.home,
        )

    def begin(self) -> subprocess.Popen[bytes]:
        """Start it; it is not ready yet."""
        return start([*self.java(keep=True), "kafka.Kafka", self.home / "server.properties"], home=self.home)


def nodes(home: Path, count: int, secured: Mapping[str, object] | None = None) -> list[Node]:
    """A cluster that is formatted, but not started. `secured`: more settings of nodes that encrypt and ask who one is."""
    ports = [free_port() for _ in range(count)]
    controllers = [free_port() for _ in range(count)]
    copies = min(3, count)
    of_all = {
        "process.roles": "broker,controller",
        "controller.quorum.voters": ",".join(
            f"{n + 1}@127.0.0.1:{port}" for n, port in enumerate(controllers)
        ),
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "offsets.topic.replication.factor": copies,
        "offsets.topic.num.partitions": 3,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": min(2, count),
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": min(2, count),
        "min.insync.replicas": min(2, count),
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        "group.consumer.min.session.timeout.ms": 1000,
        "group.consumer.session.timeout.ms": 6000,
        "group.consumer.min.heartbeat.interval.ms": 100,
        "group.consumer.heartbeat.interval.ms": 300,
        "num.network.threads": 1,
        "num.io.threads": 2,
        "background.threads": 2,
        "log.cleaner.dedupe.buffer.size": 4194304,
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        "auto.create.topics.enable": "false",
    }
    made = []
    for place, (port, controller) in enumerate(zip(ports, controllers, strict=True)):
        folder = home / f"node-{place + 1}"
        folder.mkdir()
        own = {
            "node.id": place + 1,
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "log.dirs": folder / "data",
        }
        if secured:
            of_all |= secured
            for setting in ("listeners", "advertised.listeners"):
                own[setting] = f"{own[setting]},{SECURED}://127.0.0.1:{secured['port']}"
        users = tuple(f"{one}=[name={USER},password={PASSWORD}]" for one in MECHANISMS[1:] if secured)
        made.append(Node(folder, port, tuple((of_all | own).items()), users))
        made[-1].prepare()
    return made


def ready(cluster: list[Node], started: list[subprocess.Popen[bytes]]) -> None:
    """Wait until every node takes part."""
    servers = ",".join(f"127.0.0.1:{node.port}" for node in cluster)
    quiet: dict[str, Any] = {"bootstrap.servers": servers, "log_level": 0, "socket.timeout.ms": 2000}
    for node, process in zip(cluster, started, strict=True):

        def answers() -> None:
            found = AdminClient(quiet).list_topics(timeout=2)
            assert len(found.brokers) == len(cluster)

        wait_for(answers, process, node.home)


def _secured(home: Path, port: int) -> Mapping[str, object]:
    """Settings of a second listener, with TLS and each way to show a password. It has a certificate of its own."""
    issue(home)
    both = home / "server.pem"
    both.write_bytes((home / "key.pem").read_bytes() + (home / "cert.pem").read_bytes())
    login = "org.apache.kafka.common.security"
    scram = f"{login}.scram.ScramLoginModule required;"
    return {
        "port": port,
        "listener.security.protocol.map": f"PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,{SECURED}:SASL_SSL",
        "inter.broker.listener.name": "PLAINTEXT",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": both,
        "sasl.enabled.mechanisms": ",".join(MECHANISMS),
        f"listener.name.{SECURED.lower()}.plain.sasl.jaas.config": (
            f'{login}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
        ),
        f"listener.name.{SECURED.lower()}.scram-sha-256.sasl.jaas.config": scram,
        f"listener.name.{SECURED.lower()}.scram-sha-512.sasl.jaas.config": scram,
    }


def _begin(home: Path) -> Started:
    port = free_port()
    (node,) = nodes(home, 1, _secured(home, port))
    process = node.begin()
    ready([node], [process])
    where = {"servers": f"127.0.0.1:{node.port}", "secured": f"127.0.0.1:{port}"}
    return Started(process, {**where, "ca": str(home / "ca.pem")})


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """One node for all tests."""
    libraries("kafka", WHY)
    with shared("kafka", tmp_path_factory, _begin) as facts:
        yield Kafka(str(facts["servers"]), str(facts["secured"]), str(facts["ca"]))
