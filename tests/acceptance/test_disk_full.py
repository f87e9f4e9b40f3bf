"""A full disk: Clarion says so, keeps every promise it made, and goes on when there is room again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from bench.server import Server
from bench.wire import Answer
from tests.acceptance.backends import LEASE_S
from tests.acceptance.history import History, violations
from tests.acceptance.reader import settled
from tests.acceptance.setup_data import USERS, create_setup
from tests.acceptance.traffic import Traffic
from tests.needs import DEEP, missing, require
from tests.servers import postgresql
from tests.servers.process import free_port, home_for, stop

DISK_MIB = 160


KINDS = ["sqlite", "postgresql, its tables", "postgresql, all of it"] if DEEP else ["sqlite"]
"""What lies on the small disk."""


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of a few MiB that anybody may write to."""
    mount = require("mount", "a small file system is mounted to be filled")
    disk = home_for("disk")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=777", "tmpfs", str(disk)],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        disk.rmdir()
        reason = f"a small file system cannot be mounted here: {done.stderr.strip()}"
        if os.geteuid() == 0:
            missing(reason)
        pytest.skip(f"{reason} (only root may)")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)
    disk.rmdir()


class DatabaseServer:
    """A PostgreSQL with little room: for the tables of one database, or for everything."""

    def __init__(self, disk: Path, *, tables_only: bool) -> None:
        self.home = home_for("postgresql-small", postgresql.USER) if tables_only else disk / "server"
        self._port = free_port()
        where = disk / "tables" if tables_only else self.home
        where.mkdir()
        shutil.chown(where, postgresql.USER)
        postgresql.initialised(self.home)
        self._process = self._served()
        server = postgresql.PostgreSql(self._port)
        if tables_only:
            with psycopg.connect(server.url(), autocommit=True) as connection:
                connection.execute(f"CREATE TABLESPACE small LOCATION '{where}'")
                connection.execute("CREATE DATABASE clarion TABLESPACE small")
            self.url = server.url("clarion")
        else:
            self.url = server.create("clarion")

    def restart_if_ended(self) -> None:
        """As whatever watches over services does."""
        if self._process.poll() is not None:
            self._process = self._served()

    def stop(self) -> None:
        """With all its processes."""
        stop(self._process.pid, signal.SIGINT)
        self._process.wait()

    def _served(self) -> subprocess.Popen[bytes]:
        return postgresql.serve(self.home, self._port, ("-c", "max_wal_size=32MB", "-c", "min_wal_size=32MB"))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """What lies on the small disk."""
    return str(request.param)


@pytest.fixture
def database(kind: str, small_disk: Path) -> Iterator[DatabaseServer | None]:
    """The server whose data lies on the small disk; None: that of Clarion itself does."""
    if kind == "sqlite":
        yield None
        return
    postgresql.programs()
    made = DatabaseServer(small_disk, tables_only="tables" in kind)
    yield made
    made.stop()
    shutil.rmtree(made.home)


@pytest.fixture
def server(
    database: DatabaseServer | None,
    small_disk: Path,
    tmp_path: Path,
    new_server: Callable[[str], Server],
) -> Server:
    """A server whose data lies on the small disk (its log does not)."""
    if database is None:
        return new_server(str(small_disk / "data"))
    made = new_server("data")
    made.env = {"CLARION_DATABASE": database.url, "CLARION_LEASE_S": LEASE_S}
    return made


def fill(disk: Path, leave: int = 512 * 1024) -> Path:
    """Take all room but `leave` bytes."""
    ballast = disk / "ballast"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with ballast.open("ab") as file:
        file.write(b"\0" * max(0, free - leave))
    return ballast


async def until_refused(history: History, within: float = 60) -> None:
    """Wait until the disk is full and the server has said so a few times."""
    until = time.perf_counter() + within
    while history.answers[503] < 5:
        assert time.perf_counter() < until, f"never refused: {dict(history.answers)}"
        await asyncio.sleep(0.02)


async def until_no_room(server: Server, disk: Path, within: float = 60) -> Answer:
    """Our own request, refused: a checkpoint may give back some room first, which is taken as well."""
    body = {"recipients": [USERS[0]], "data": {"n": "x" * 4000}}
    until = time.perf_counter() + within
    while True:
        fill(disk, leave=0)
        answer = await server.api.call("POST", "/v1/workflows/acc-order/trigger", body)
        if answer.status != 202:
            return answer
        assert time.perf_counter() < until, "still accepted on a full disk"


async def until_ready(server: Server, status: int, within: float = 60) -> Answer:
    """The first answer of `/readyz` with this status."""
    until = time.perf_counter() + within
    while (answer := await server.api.call("GET", "/readyz")).status != status:
        assert time.perf_counter() < until, f"still {answer.status}: {answer.body!r}"
        await asyncio.sleep(0.02)
    return answer


async def test_a_full_disk_refuses_honestly_and_recovers(server, small_disk, database):
    """503 with Retry-After instead of a false 202; alive and reading; accepting again once there is room."""
    history = History()
    await server.start(within=120)
    await create_setup(server.api)
    traffic = Traffic(server.port, server.dev["api_key"], history, 1)
    task = asyncio.create_task(traffic.run())
    ballast = fill(small_disk)
    await until_refused(history)

    refused = await until_no_room(server, small_disk)
    assert refused.status == 503
    assert int(refused.header("retry-after") or 0) >= 1
    assert refused.json()["code"] == "unavailable"
    assert (await server.api.call("GET", "/healthz")).status == 200
    ready = await until_ready(server, 503)
    assert (b"disk" if database is None else b"database") in ready.body

    ballast.unlink()
    if database is not None:
        database.restart_if_ended()
    before = history.answers[202]
    async with asyncio.timeout(60):
        while history.answers[202] < before + 50:  # noqa: ASYNC110 - the history has no event to wait for
            await asyncio.sleep(0.02)
    await until_ready(server, 200)
    traffic.stopping = True
    await task
    await traffic.settle_unanswered()
    assert violations(history, await settled(server.api, history)) == []


async def test_what_was_accepted_before_the_disk_filled_survives_a_crash(server, small_disk, database):
    """Every 202 is there after a kill on the full disk and a start with room again."""
    history = History()
    await server.start(within=120)
    await create_setup(server.api)
    traffic = Traffic(server.port, server.dev["api_key"], history, 2)
    task = asyncio.create_task(traffic.run())
    ballast = fill(small_disk)
    await until_refused(history)
    server.kill()
    ballast.unlink()
    if database is not None:
        database.restart_if_ended()
    await server.start(within=120)
    traffic.stopping = True
    await task
    await traffic.settle_unanswered()
    assert violations(history, await settled(server.api, history)) == []
