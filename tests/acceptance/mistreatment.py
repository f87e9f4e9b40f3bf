"""Kills and pauses an installation under load again and again, then holds it to everything it said."""

from __future__ import annotations

import asyncio
import os
import random
import signal

from bench import processes
from bench.server import Server
from tests.acceptance.device import Device, user_token
from tests.acceptance.history import History, violations
from tests.acceptance.reader import settled
from tests.acceptance.setup_data import USERS, create_setup
from tests.acceptance.traffic import Traffic

KILLED_WHILE_STARTING = 0.1
"""Share of rounds in which the recovery itself is killed first."""
PAUSED = 0.4
"""Share of rounds in which the process stands still for a while before it is killed."""
KILLED_WHILE_PAUSED = 0.2
"""Share of those in which it never goes on."""


async def mistreat(server: Server, rounds: int, seed: int) -> None:
    """Crash one installation again and again, then hold it to everything it said."""
    dice, history = random.Random(seed), History()
    await server.start()
    await create_setup(server.api)
    devices = [Device(server.port, user, await user_token(server.api, user)) for user in USERS[:3]]
    traffic = Traffic(server.port, server.api.key, history, seed)
    async with asyncio.TaskGroup() as group:
        for device in devices:
            group.create_task(device.run())
            await device.has(0)
        group.create_task(traffic.run())
        for _ in range(rounds):
            await asyncio.sleep(dice.uniform(0.02, 0.5))
            if dice.random() < PAUSED:
                await pause(server, dice)
            server.kill()
            if dice.random() < KILLED_WHILE_STARTING:
                server.launch()
                await asyncio.sleep(dice.uniform(0.2, 2.0))
                server.kill()
            await server.start()
        async with asyncio.timeout(120):
            while len(history.accepted) <= 10 * rounds:  # noqa: ASYNC110 - the history has no event to wait for
                await asyncio.sleep(0.05)
        traffic.stopping = True
        await traffic.settle_unanswered()
        seen = await settled(server.api, history)
        for device in devices:
            await device.has(len(seen.inboxes[device.user].items))
            device.stop()
    print(
        f"{len(history.submissions)} events, {len(seen.messages)} messages, answers {dict(history.answers)}"
    )
    assert violations(history, seen) == []
    for device in devices:
        assert device.stream.problems == []
        assert sorted(device.stream.items) == sorted(seen.inboxes[device.user].items)
    assert await server.stop() == 0


async def pause(server: Server, dice: random.Random) -> None:
    """Let it, or its store process alone, stand still in the middle of whatever it does, and mostly go on for a moment."""
    one = dice.choice(processes.family(server.pid))
    os.kill(one, signal.SIGSTOP)
    await asyncio.sleep(dice.uniform(0.02, 0.5))
    if dice.random() >= KILLED_WHILE_PAUSED:
        os.kill(one, signal.SIGCONT)
        await asyncio.sleep(dice.uniform(0.0, 0.2))
