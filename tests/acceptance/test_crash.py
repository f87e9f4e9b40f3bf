"""Crashes: `kill -9` at random moments under load loses nothing and doubles nothing."""

from __future__ import annotations

import asyncio
import os
import random

import pytest

from bench.server import Server
from tests.acceptance.device import Device, user_token
from tests.acceptance.history import History, violations
from tests.acceptance.reader import settled
from tests.acceptance.traffic import Traffic
from tests.acceptance.world import USERS, furnish

ROUNDS = int(os.environ.get("CLARION_CRASH_ROUNDS", "200"))
SEED = int(os.environ.get("CLARION_CRASH_SEED", random.randrange(1 << 30)))
INSTALLATIONS = min(2, os.cpu_count() or 1)
"""The rounds are shared out: most of a round is one process starting up, so every core gets an installation."""
KILLED_WHILE_STARTING = 0.1
"""Share of rounds in which the recovery itself is killed first."""


@pytest.mark.timeout(900)
async def test_every_accepted_event_survives_crashes_exactly_once(new_server):
    """Every 202 has its messages once, every key its answer, every inbox its items, every device saw them all."""
    print(f"CLARION_CRASH_ROUNDS={ROUNDS} CLARION_CRASH_SEED={SEED}")
    rounds = -(-ROUNDS // INSTALLATIONS)
    async with asyncio.TaskGroup() as group:
        for i in range(INSTALLATIONS):
            group.create_task(mistreat(new_server(f"data-{i}"), rounds, SEED + i))


async def mistreat(server: Server, rounds: int, seed: int) -> None:
    """Crash one installation again and again, then hold it to everything it said."""
    dice, history = random.Random(seed), History()
    await server.start()
    await furnish(server.api)
    devices = [Device(server.port, user, await user_token(server.api, user)) for user in USERS[:3]]
    traffic = Traffic(server.port, server.api.key, history, seed)
    async with asyncio.TaskGroup() as group:
        for device in devices:
            group.create_task(device.run())
        group.create_task(traffic.run())
        for _ in range(rounds):
            await asyncio.sleep(dice.uniform(0.02, 0.5))
            server.kill()
            if dice.random() < KILLED_WHILE_STARTING:
                server.launch()
                await asyncio.sleep(dice.uniform(0.2, 2.0))
                server.kill()
            await server.start()
        traffic.stopping = True
        await traffic.settle_unanswered()
        seen = await settled(server.api, history)
        await caught_up(devices, {user: len(inbox.items) for user, inbox in seen.inboxes.items()})
        for device in devices:
            device.stop()
    print(
        f"{len(history.submissions)} events, {len(seen.messages)} messages, answers {dict(history.answers)}"
    )
    assert len(history.accepted) > 10 * rounds
    assert violations(history, seen) == []
    for device in devices:
        assert device.stream.problems == []
        assert sorted(device.stream.items) == sorted(seen.inboxes[device.user].items)
    assert await server.stop() == 0


async def caught_up(devices: list[Device], wanted: dict[str, int], within: float = 10) -> None:
    """Give the devices a moment to read what is on its way."""
    async with asyncio.timeout(within):
        for device in devices:
            while device.stream.offset < wanted[device.user]:  # noqa: ASYNC110 - the stream has no event to wait for
                await asyncio.sleep(0.02)
