"""A server that one test has for itself: it may be killed and started again, and has what it was given."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.needs import require
from tests.servers import kafka, nats, postgresql, rabbitmq, redis
from tests.servers.java import libraries
from tests.servers.process import free_port, home_for, stop


class OwnServer:
    """One on a port that stays the same."""

    def __init__(self, url: str, port: int, begin: Callable[[], subprocess.Popen[bytes]]) -> None:
        """`begin` returns when it answers."""
        self.url, self.port = url, port
        self._begin = begin
        self._process = begin()

    def kill(self) -> None:
        """At once, with everything it has started."""
        stop(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def start(self) -> None:
        """Again; returns when it answers."""
        self._process = self._begin()

    def restart(self) -> None:
        """As after a crash."""
        self.kill()
        self.start()


@contextlib.contextmanager
def own_server(kind: str) -> Iterator[OwnServer]:
    """A `postgresql`, `redis`, `kafka`, `nats` or `rabbitmq`; its `url` is what Clarion is told, of those that may be either of a
    broker."""
    if kind == "rabbitmq":
        with rabbitmq.one_node() as node:
            yield _RabbitMq(node)
        return
    user = postgresql.USER if kind == "postgresql" else None
    home, port = home_for(kind, user), free_port()
    server = None
    try:
        server = _MADE[kind](home, port)
        yield server
    finally:
        if server is not None:
            server.kill()
        shutil.rmtree(home, ignore_errors=True)


class _RabbitMq(OwnServer):
    def __init__(self, node: rabbitmq.Node) -> None:
        self.url, self.port = rabbitmq.url_of(node.port), node.port
        self.kill = node.kill  # type: ignore[method-assign]
        self._node = node

    def start(self) -> None:
        self._node.begin()
        self._node.wait()


def _postgresql(home: Path, port: int) -> OwnServer:
    postgresql.initialised(home)
    server = OwnServer("", port, lambda: postgresql.serve(home, port))
    server.url = postgresql.PostgreSql(port).create("clarion")
    return server


def _redis(home: Path, port: int) -> OwnServer:
    return OwnServer(f"redis://127.0.0.1:{port}/0", port, lambda: redis.serve(home, port))


def _nats(home: Path, port: int) -> OwnServer:
    require("nats-server", nats.WHY)
    return OwnServer(
        nats.Nats(port).broker("clarion", "replicas=1&hold_s=5"), port, lambda: nats.serve(home, port)
    )


def _kafka(home: Path, port: int) -> OwnServer:
    libraries("kafka", kafka.WHY)
    (node,) = kafka.nodes(home, 1)

    def begin() -> subprocess.Popen[bytes]:
        process = node.begin()
        kafka.ready([node], [process])
        return process

    return OwnServer(kafka.Kafka(f"127.0.0.1:{node.port}").broker("clarion"), node.port, begin)


_MADE = {"postgresql": _postgresql, "redis": _redis, "nats": _nats, "kafka": _kafka}
