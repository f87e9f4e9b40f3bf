"""A full disk: Clarion says so, keeps every promise it made, and goes on when there is room again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.server import Server
from bench.wire import Answer
from tests.acceptance.history import History, violations
from tests.acceptance.reader import settled
from tests.acceptance.setup_data import USERS, create_setup
from tests.acceptance.traffic import Traffic
from tests.needs import missing, require

DISK_MIB = 48


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few MiB."""
    mount = require("mount", "a small file system is mounted to be filled")
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(disk)],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        reason = f"a small file system cannot be mounted here: {done.stderr.strip()}"
        if os.geteuid() == 0:
            missing(reason)
        pytest.skip(f"{reason} (only root may)")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def server(small_disk: Path, new_server: Callable[[str], Server]) -> Server:
    """A server whose data lies on the small disk (its log does not)."""
    return new_server(f"{small_disk.name}/data")


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


async def test_a_full_disk_refuses_honestly_and_recovers(server, small_disk):
    """503 with Retry-After instead of a false 202; alive and reading; accepting again once there is room."""
    history = History()
    await server.start()
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
    assert b"disk" in ready.body

    ballast.unlink()
    before = history.answers[202]
    async with asyncio.timeout(60):
        while history.answers[202] < before + 50:  # noqa: ASYNC110 - the history has no event to wait for
            await asyncio.sleep(0.02)
    await until_ready(server, 200)
    traffic.stopping = True
    await task
    await traffic.settle_unanswered()
    assert violations(history, await settled(server.api, history)) == []


async def test_what_was_accepted_before_the_disk_filled_survives_a_crash(server, small_disk):
    """Every 202 is there after a kill on the full disk and a start with room again."""
    history = History()
    await server.start()
    await create_setup(server.api)
    traffic = Traffic(server.port, server.dev["api_key"], history, 2)
    task = asyncio.create_task(traffic.run())
    ballast = fill(small_disk)
    await until_refused(history)
    server.kill()
    ballast.unlink()
    await server.start()
    traffic.stopping = True
    await task
    await traffic.settle_unanswered()
    assert violations(history, await settled(server.api, history)) == []
