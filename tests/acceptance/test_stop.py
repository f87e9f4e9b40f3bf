"""Stopping: a signal drains, a second one stops at once, and either way nothing is lost."""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE

import pytest

from bench.rig import set_outcome
from bench.server import Server
from bench.wire import Api
from tests.acceptance.history import History, Seen, violations
from tests.acceptance.reader import settled
from tests.acceptance.setup_data import create_setup
from tests.acceptance.traffic import Traffic

DRAIN_S = 10.0
"""What a drain may take at most, unless it is set."""
QUIET_S = 1.0
ASKED = 'clarion_http_requests_total{route="other"}'


async def under_load(server: Server, history: History, seed: int) -> tuple[Traffic, asyncio.Task[None]]:
    """Traffic, once it has been accepted for a while."""
    traffic = Traffic(server.port, server.dev["api_key"], history, seed)
    task = asyncio.create_task(traffic.run())
    wanted = history.answers[202] + 100
    async with asyncio.timeout(60):
        while history.answers[202] < wanted:  # noqa: ASYNC110 - the history has no event to wait for
            await asyncio.sleep(0.01)
    return traffic, task


async def quiet(server: Server) -> None:
    """Wait until no request comes in for a while: whoever waits for changes has asked for them."""
    before, now = 0.0, 10.0
    async with asyncio.timeout(60):
        while now > before + 1:  # The look itself is one.
            await asyncio.sleep(QUIET_S)
            before, now = now, (await server.metrics())[ASKED]


async def finish(server: Server, history: History, traffics: list[Traffic]) -> Seen:
    """Everything visible after all traffic was answered and drained."""
    for traffic in traffics:
        await traffic.settle_unanswered()
    return await settled(server.api, history)


async def test_a_stop_under_load_loses_nothing_and_sends_nothing_twice(server):
    """SIGTERM: exit code 0 within seconds; the next start goes on with one attempt per message."""
    history, traffics = History(), []
    await server.start()
    await create_setup(server.api)
    for seed in range(3):
        traffic, task = await under_load(server, history, seed)
        began = time.perf_counter()
        assert await server.stop() == 0
        assert time.perf_counter() - began < DRAIN_S
        traffic.stopping = True
        await task
        traffics.append(traffic)
        await server.start()
    seen = await finish(server, history, traffics)
    assert violations(history, seen) == []
    assert {message.attempts for message in seen.messages} == {1}


async def test_whoever_waits_for_changes_is_told_of_the_stop(server):
    """A tail is cut, not failed: 503 with a reason, and the same cursor goes on at the next start without a gap."""
    await server.start()
    cursor = (await server.api.get("/v1/messages/tail?wait_s=0"))["next_cursor"]
    path = f"/v1/messages/tail?cursor={cursor}&wait_s=25"
    another = Api(server.port, server.api.key)
    waiting = asyncio.create_task(another.call("GET", path))
    await quiet(server)
    assert await server.stop() == 0
    told = await waiting
    another.close()
    assert (told.status, told.json()["code"], told.header("retry-after")) == (503, "stopping", "1")
    assert "incident" not in told.json()
    assert "Traceback" not in server.tail()
    await server.start()
    await server.api.post(
        "/v1/workflows/welcome/trigger", {"recipients": ["ada"], "data": {"plan": "R", "voucher": "V"}}
    )
    assert (await server.api.get(path))["items"]


async def test_the_command_that_follows_messages_says_why_it_ends(server):
    """One line on standard error and the exit code that means "try again later"."""
    await server.start()
    command = [sys.executable, "-m", "clarion", "messages", "tail", "--data-dir", str(server.data)]
    following = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
    assert following.stdout is not None
    async with asyncio.timeout(60):
        await server.api.post(
            "/v1/workflows/welcome/trigger", {"recipients": ["ada"], "data": {"plan": "R", "voucher": "V"}}
        )
        assert await following.stdout.readline()
        await quiet(server)  # The last changes are printed, and it waits for more.
        assert await server.stop() == 0
        _, said = await following.communicate()
    assert following.returncode == 3
    assert said.decode().startswith("clarion: Clarion is stopping")


@pytest.mark.parametrize("channel", ["email", "sms"])
async def test_a_second_signal_stops_at_once_and_loses_nothing(server, channel):
    """A provider that hangs would hold the drain; whoever signals twice does not wait for it."""
    history = History()
    await server.start()
    await create_setup(server.api)
    await set_outcome(server.api, channel, "hang", timeout_s=60)
    traffic, task = await under_load(server, history, 1)
    server.signal()
    await asyncio.sleep(0.1)
    began = time.perf_counter()
    if server.running:
        server.signal()
    await server.ended(within=60)
    assert time.perf_counter() - began < DRAIN_S / 2
    traffic.stopping = True
    await task
    await server.start()
    await set_outcome(server.api, channel, "accept")
    seen = await finish(server, history, [traffic])
    assert violations(history, seen) == []
