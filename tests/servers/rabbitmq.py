"""A RabbitMQ of the tests' own: one node, or several that form a cluster."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.needs import missing
from tests.servers.certificates import issue
from tests.servers.process import Started, free_port, home_for, listens, run, shared, start, wait_for

PROGRAMS = Path("/usr/lib/rabbitmq/bin")
"""Not /usr/sbin: what is there changes the user and writes to folders of the system."""
USER = "nobody"
CONFIG = """\
log.file = false
log.console = true
log.console.level = warning
vm_memory_high_watermark.absolute = 300MB
disk_free_limit.absolute = 10MB
net_ticktime = 5
"""
CLUSTER = """\
cluster_partition_handling = pause_minority
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.randomized_startup_delay_range.min = 0
cluster_formation.randomized_startup_delay_range.max = 1
"""
ONE_CORE = "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none +A 4 -kernel inet_dist_use_interface {127,0,0,1}"


class RabbitMq(NamedTuple):
    """Where it is. Tests tell their queues apart by a prefix of their own."""

    port: int
    secured: int = 0
    """Over TLS."""
    ca: str = ""
    """The file with the certificate of who signed its own."""

    @property
    def url(self) -> str:
        """For Clarion and for clients."""
        return url_of(self.port)


def url_of(port: int) -> str:
    """Of a node."""
    return f"amqp://guest:guest@127.0.0.1:{port}/"


class Node:
    """One node in a folder of its own, which keeps its queues while it is down."""

    def __init__(self, home: Path, number: int, names: int, *, alone: bool) -> None:
        """`home`: of the cluster; `names`: the port of its name server, which a node that is alone brings along."""
        self._home = home
        self._folder = home / f"r{number}"
        self._number = number
        self._names = names
        self._alone = alone
        self.port = free_port()
        self._between = free_port()
        self.process: subprocess.Popen[bytes]

    def prepare(self, others: int, config: str) -> None:
        """Write its configuration; `others`: how many nodes the cluster has, this one included."""
        self._folder.mkdir()
        peers = "".join(
            f"cluster_formation.classic_config.nodes.{n} = r{n}@localhost\n" for n in range(1, others + 1)
        )
        (self._folder / "rabbitmq.conf").write_text(
            CONFIG + config + ("" if self._alone else CLUSTER + peers)
        )
        (self._folder / "enabled_plugins").write_text("[].\n")
        (self._folder / "rabbitmq-env.conf").write_text("")

    def begin(self) -> None:
        """Start it; `wait` tells when it answers."""
        server = f"exec {PROGRAMS}/rabbitmq-server"
        command = f"epmd -port {self._names} -address 127.0.0.1 & {server}" if self._alone else server
        self.process = start(["sh", "-c", command], home=self._folder, user=USER, env=self._env)

    def wait(self) -> None:
        """Until it accepts connections."""
        wait_for(lambda: listens(self.port), self.process, self._folder)

    def control(self, *words: str) -> None:
        """Tell it something; each call costs seconds, since it starts a whole Erlang."""
        run([PROGRAMS / "rabbitmqctl", *words], home=self._folder, user=USER, env=self._env)

    def kill(self) -> None:
        """At once, as a power cut would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @property
    def _env(self) -> Mapping[str, str]:
        folder = self._folder
        return {
            "HOME": str(self._home),
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"r{self._number}@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(self._between),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ONE_CORE,
            "RABBITMQ_SERVER_ERL_ARGS": "+P 100000 +t 1048576 +stbt db +zdbbl 8192",
            "RABBITMQ_CTL_ERL_ARGS": "+S 1:1",
        }


def _prepared(home: Path, count: int, names: int, config: str = "") -> list[Node]:
    """Nodes of one cluster, none of them started; `home` is a folder of `USER`."""
    made = [Node(home, number, names, alone=count == 1) for number in range(1, count + 1)]
    for node in made:
        node.prepare(count, config)
    cookie = home / ".erlang.cookie"
    cookie.write_text("OFTHETESTS")
    cookie.chmod(0o400)
    if os.geteuid() == 0:
        owner = home.stat()
        for path in home.rglob("*"):
            os.chown(path, owner.st_uid, owner.st_gid)
    return made


@contextlib.contextmanager
def one_node(config: str = "") -> Iterator[Node]:
    """A node for one test, which may kill it and begin it again; `config`: more lines for its configuration."""
    installed()
    home = home_for("rabbitmq", USER)
    (node,) = _prepared(home, 1, free_port(), config)
    node.begin()
    try:
        node.wait()
        yield node
    finally:
        node.kill()
        shutil.rmtree(home)


@contextlib.contextmanager
def cluster(count: int) -> Iterator[list[Node]]:
    """So many nodes for one test."""
    installed()
    home, port = home_for("rabbitmq", USER), free_port()
    command = ["epmd", "-port", str(port), "-address", "127.0.0.1"]
    names = start(command, home=home, user=USER)
    wait_for(lambda: listens(port), names, home)
    nodes = _prepared(home, count, port)
    try:
        for node in nodes:
            node.begin()
        for node in nodes:
            node.wait()
        nodes[0].control("await_online_nodes", str(count))
        yield nodes
    finally:
        for node in nodes:
            node.kill()
        names.kill()
        names.wait()
        shutil.rmtree(home)


def installed() -> None:
    """Without it the test is skipped, or fails in CI."""
    if not (PROGRAMS / "rabbitmq-server").exists():
        missing("RabbitMQ is not installed: a broker to run on")


def _begin(home: Path) -> Started:
    port = free_port()
    issue(home)
    config = (
        f"listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.cacertfile = {home}/ca.pem\n"
        f"ssl_options.certfile = {home}/cert.pem\nssl_options.keyfile = {home}/key.pem\n"
    )
    (node,) = _prepared(home, 1, free_port(), config)
    node.begin()
    node.wait()
    facts: dict[str, str | int] = {"port": node.port, "secured": port, "ca": str(home / "ca.pem")}
    return Started(node.process, facts, signal.SIGKILL)  # It has nothing to keep.


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMq]:
    """One server for all tests."""
    installed()
    with shared("rabbitmq", tmp_path_factory, _begin, user=USER) as facts:
        yield RabbitMq(int(facts["port"]), int(facts["secured"]), str(facts["ca"]))
