"""Stopping: a signal drains, a second one stops at once, and either way nothing is lost."""

from __future__ import annotations

import asyncio
import time

import pytest

from bench.rig import set_outcome
from bench.server import Server
from tests.acceptance.history import History, Seen, violations
from tests.acceptance.reader import settled
from tests.acceptance.traffic import Traffic
from tests.acceptance.world import furnish

DRAIN_S = 5.0


async def under_load(server: Server, history: History, seed: int) -> tuple[Traffic, asyncio.Task[None]]:
    """Traffic, once it has been accepted for a while."""
    traffic = Traffic(server.port, server.dev["api_key"], history, seed)
    task = asyncio.create_task(traffic.run())
    wanted = history.answers[202] + 100
    async with asyncio.timeout(20):
        while history.answers[202] < wanted:  # noqa: ASYNC110 - the history has no event to wait for
            await asyncio.sleep(0.01)
    return traffic, task


async def finish(server: Server, history: History, traffics: list[Traffic]) -> Seen:
    """Everything visible after all traffic was answered and drained."""
    for traffic in traffics:
        await traffic.settle_unanswered()
    return await settled(server.api, history)


async def test_a_stop_under_load_loses_nothing_and_sends_nothing_twice(server):
    """SIGTERM: exit code 0 within seconds; the next start goes on with one attempt per message."""
    history, traffics = History(), []
    await server.start()
    await furnish(server.api)
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


@pytest.mark.parametrize("channel", ["email", "sms"])
async def test_a_second_signal_stops_at_once_and_loses_nothing(server, channel):
    """A provider that hangs would hold the drain; whoever signals twice does not wait for it."""
    history = History()
    await server.start()
    await furnish(server.api)
    await set_outcome(server.api, channel, "hang", timeout_s=5)
    traffic, task = await under_load(server, history, 1)
    server.signal()
    await asyncio.sleep(0.1)
    began = time.perf_counter()
    if server.running:
        server.signal()
    await server.ended(within=1)
    assert time.perf_counter() - began < 1
    traffic.stopping = True
    await task
    await server.start()
    await set_outcome(server.api, channel, "accept")
    seen = await finish(server, history, [traffic])
    assert violations(history, seen) == []
