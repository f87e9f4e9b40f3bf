"""The store in a process of its own, beside the server: killed, paused, left alone and stopped, it loses nothing."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial

import pytest

from bench import processes
from bench.server import Server
from tests.acceptance.history import History, violations
from tests.acceptance.reader import settled
from tests.acceptance.setup_data import USERS, create_setup
from tests.acceptance.traffic import Traffic
from tests.needs import DEEP

KILLS = 8 if DEEP else 3
WITHIN_S = 60.0


@pytest.fixture
def server(new_server: Callable[[str], Server]) -> Server:
    """One with a store process, however many CPUs there are."""
    one = new_server("data")
    one.env = {"CLARION_STORE_PROCESS": "true"}
    return one


async def until(reached: Callable[[], bool]) -> None:
    """Wait for it."""
    limit = time.perf_counter() + WITHIN_S
    while not reached():
        assert time.perf_counter() < limit
        await asyncio.sleep(0.01)


def accepted(history: History, number: int) -> bool:
    """Whether so many events have been."""
    return history.answers[202] > number


async def readiness(server: Server, status: int) -> str:
    """What `/readyz` says, once it answers with this status."""
    limit = time.perf_counter() + WITHIN_S
    while True:
        answer = await server.api.call("GET", "/readyz")
        if answer.status == status:
            return answer.body.decode()
        assert time.perf_counter() < limit, answer.body
        await asyncio.sleep(0.05)


async def test_a_store_that_is_killed_again_and_again_is_started_again_and_nothing_is_lost(server):
    """Whoever asks meanwhile waits or is told 503; every 202 has its messages once, and the server stays the same."""
    dice, history = random.Random(5), History()
    await server.start()
    await create_setup(server.api)
    pid = server.pid
    traffic = Traffic(server.port, server.dev["api_key"], history, 5)
    task = asyncio.create_task(traffic.run())
    killed = 0
    for _ in range(KILLS):
        await asyncio.sleep(dice.uniform(0.1, 0.8))
        wanted = history.answers[202] + 50
        killed = server.store_pid
        os.kill(killed, signal.SIGKILL)
        await until(partial(accepted, history, wanted))
    traffic.stopping = True
    await task
    await traffic.settle_unanswered()
    await readiness(server, 200)
    assert violations(history, await settled(server.api, history)) == []
    assert (server.pid, server.running) == (pid, True)
    assert server.store_pid != killed
    assert "store_process_ended" in server.tail(10_000)
    assert await server.stop() == 0


async def test_a_store_that_stands_still_is_said_by_readyz(server):
    """Its part is not ready as long as it does not answer, and what was asked meanwhile is answered afterwards."""
    await server.start()
    await create_setup(server.api)
    store = server.store_pid
    os.kill(store, signal.SIGSTOP)
    asked = asyncio.create_task(
        server.api.call(
            "POST", "/v1/workflows/acc-order/trigger", {"recipients": [USERS[0]], "data": {"n": 1}}
        )
    )
    await asyncio.sleep(0)
    probe = Server(server.data)
    probe.port, probe._process = server.port, server._process
    assert "the store process does not answer" in await readiness(probe, 503)
    os.kill(store, signal.SIGCONT)
    assert (await asked).status == 202
    await readiness(probe, 200)
    probe.api.close()


async def test_a_store_does_not_outlive_a_server_that_is_killed(server):
    """It ends at once, and the directory is free for the next start."""
    await server.start()
    store = server.store_pid
    server.signal(signal.SIGKILL)
    assert await server.ended() == -signal.SIGKILL
    await until(lambda: not processes.is_alive(store))
    await server.start()
    assert server.store_pid != store


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_to_all_processes_drains_before_the_store_ends(server, number):
    """Ctrl-C reaches a whole terminal and a service manager signals every process: each message has one attempt."""
    history = History()
    await server.start()
    await create_setup(server.api)
    traffic = Traffic(server.port, server.dev["api_key"], history, 7)
    task = asyncio.create_task(traffic.run())
    await until(partial(accepted, history, 100))
    store = server.store_pid
    for pid in processes.family(server.pid):
        os.kill(pid, number)
    assert await server.ended() == 0
    assert not processes.is_alive(store)
    traffic.stopping = True
    await task
    assert "store_process_ended" not in server.tail(10_000)
    await server.start()
    await traffic.settle_unanswered()
    seen = await settled(server.api, history)
    assert violations(history, seen) == []
    assert {message.attempts for message in seen.messages} == {1}
