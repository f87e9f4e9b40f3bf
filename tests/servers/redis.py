"""A Redis of the tests' own, which notes every write on disk before it answers."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.needs import require
from tests.servers.certificates import issue
from tests.servers.process import Started, free_port, listens, run, shared, start, stop, wait_for

DURABLE = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
WHY = "streams, caches and limits live on it"


class Redis(NamedTuple):
    """Where it is. Tests tell their keys apart by a prefix of their own."""

    port: int

    @property
    def url(self) -> str:
        """For Clarion and for clients."""
        return f"redis://127.0.0.1:{self.port}/0"


def serve(home: Path, port: int, options: tuple[str, ...] = DURABLE) -> subprocess.Popen[bytes]:
    """Start a server in `home`, with what it holds already; returns when it answers."""
    program, client = require("redis-server", WHY), require("redis-cli", WHY)
    where = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(home))
    process = start([program, *where, *options], home=home)

    def answers() -> None:
        listens(port)
        run([client, "-e", "-p", str(port), "ping"], home=home)  # An error while it still reads its file.

    wait_for(answers, process, home)
    return process


def _begin(home: Path) -> Started:
    port = free_port()
    return Started(serve(home, port), {"port": port})


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """One server for all tests."""
    require("redis-server", WHY)
    with shared("redis", tmp_path_factory, _begin) as facts:
        yield Redis(int(facts["port"]))


# -- a Cluster, a server behind Sentinels, a server with TLS -----------------------------------------------------------

FORGETFUL = ("--appendonly", "no", "--save", "")


class Process(NamedTuple):
    """One server of several, for tests that kill it."""

    process: subprocess.Popen[bytes]
    home: Path
    port: int
    options: tuple[str, ...]

    def kill(self) -> None:
        """As by `kill -9`."""
        stop(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def again(self) -> Process:
        """Started again on the same port."""
        return self._replace(process=serve(self.home, self.port, self.options))


def start_one(folder: Path, *options: str) -> Process:
    """A server of one test's own, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    return Process(serve(folder, port, options or FORGETFUL), folder, port, options or FORGETFUL)


def _begin_cluster(home: Path) -> Started:
    """Three nodes without replicas; their leader is a shell, so that one signal ends all."""
    program, client = require("redis-server", WHY), require("redis-cli", WHY)
    ports = [free_port() for _ in range(3)]
    commands = []
    for port in ports:
        (home / str(port)).mkdir()
        commands.append(
            f"{program} --port {port} --bind 127.0.0.1 --dir {home / str(port)} {' '.join(FORGETFUL[:2])} --save '' "
            f"--cluster-enabled yes --cluster-port {free_port()} --cluster-node-timeout 1000 "
            f"--cluster-announce-ip 127.0.0.1 & "
        )
    process = start(["sh", "-c", f"trap 'kill 0' TERM; {''.join(commands)} wait"], home=home)
    for port in ports:
        wait_for(lambda port=port: listens(port), process, home)  # type: ignore[misc]
    nodes = [f"127.0.0.1:{port}" for port in ports]
    run([client, "--cluster", "create", *nodes, "--cluster-yes"], home=home)

    def agreed() -> None:
        for port in ports:
            said = subprocess.run(
                [client, "-p", str(port), "cluster", "info"], capture_output=True, text=True, check=True
            )
            assert "cluster_state:ok" in said.stdout

    wait_for(agreed, process, home)
    return Started(process, {"port": ports[0]}, signal.SIGTERM)


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Cluster for all tests."""
    require("redis-server", WHY)
    with shared("redis-cluster", tmp_path_factory, _begin_cluster) as facts:
        yield f"redis://127.0.0.1:{facts['port']}?cluster=true"


def _begin_with_tls(home: Path) -> Started:
    port = free_port()
    issue(home)
    files = ("--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem", "--tls-ca-cert-file", "ca.pem")
    socket = home / "redis.sock"
    process = start(
        [
            *(require("redis-server", WHY), "--port", "0", "--bind", "127.0.0.1", "--dir", home, *FORGETFUL),
            *("--tls-port", str(port), *files, "--tls-auth-clients", "no", "--unixsocket", socket),
            *("--user", "default", "off"),
            *("--user", "clarion", "on", ">s3cret/+", "~*", "&*", "+@all"),
        ],
        home=home,
    )
    wait_for(lambda: listens(port), process, home)
    return Started(process, {"port": port, "home": str(home)})


@pytest.fixture(scope="session")
def redis_with_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that speaks TLS, where only the user `clarion` may log in; `beside` says where it does not."""
    require("redis-server", WHY)
    with shared("redis-tls", tmp_path_factory, _begin_with_tls) as facts:
        yield f"rediss://clarion:s3cret%2F%2B@127.0.0.1:{facts['port']}/0?ca={facts['home']}/ca.pem"


def beside(url: str) -> str:
    """The URL of the Unix socket of the server with TLS, for the same user."""
    home = url.partition("?ca=")[2].removesuffix("/ca.pem")
    return f"redis://clarion:s3cret%2F%2B@/0?socket={home}/redis.sock"


class Watched(NamedTuple):
    """A master, its replica, and three Sentinels that know them as `main`."""

    master: Process
    replica: Process
    sentinels: list[Process]

    @property
    def url(self) -> str:
        """For Clarion."""
        return f"redis://{','.join(f'127.0.0.1:{one.port}' for one in self.sentinels)}/0?sentinel=main&timeout_s=0.5"


@contextlib.contextmanager
def watched(folder: Path) -> Iterator[Watched]:
    """Ready for a failover, which takes one or two seconds."""
    begun: list[Process] = []
    program, client = require("redis-sentinel", WHY), require("redis-cli", WHY)
    try:
        begun.append(start_one(folder / "master", *FORGETFUL, "--repl-diskless-sync-delay", "0"))
        master = begun[0]
        begun.append(start_one(folder / "replica", *FORGETFUL, "--replicaof", f"127.0.0.1 {master.port}"))
        for number in range(3):
            home, port = folder / f"sentinel{number}", free_port()
            home.mkdir()
            (home / "sentinel.conf").write_text(
                f"port {port}\nbind 127.0.0.1\ndir {home}\nsentinel monitor main 127.0.0.1 {master.port} 2\n"
                "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n"
            )
            process = start([program, home / "sentinel.conf"], home=home)
            begun.append(Process(process, home, port, ()))
        for one in begun[2:]:

            def knows(one: Process = one) -> None:
                said = subprocess.run(
                    [client, "-p", str(one.port), "sentinel", "master", "main"],
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout.split("\n")
                facts = dict(zip(said[::2], said[1::2], strict=False))
                assert (facts["num-slaves"], facts["num-other-sentinels"]) == ("1", "2")

            wait_for(knows, one.process, one.home)
        yield Watched(begun[0], begun[1], begun[2:])
    finally:
        for one in begun:
            one.kill()
