"""Bad networks: a device that loses its line again and again misses nothing."""

from __future__ import annotations

import asyncio
import random

from tests.acceptance.device import Device, user_token
from tests.acceptance.history import History, violations
from tests.acceptance.reader import settled
from tests.acceptance.setup_data import USERS, create_setup
from tests.acceptance.traffic import Traffic

CUTS = 100


async def test_a_device_cut_a_hundred_times_misses_nothing(server):
    """After every cut it gets exactly what it missed, in order, while messages keep coming."""
    dice, history = random.Random(5), History()
    await server.start()
    await create_setup(server.api)
    device = Device(server.port, USERS[0], await user_token(server.api, USERS[0]))
    traffic = Traffic(
        server.port, server.api.key, history, 5, callers=3, workflows=["acc-alarm", "acc-order"]
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(device.run())
        await device.has(0)
        group.create_task(traffic.run())
        cuts = 0
        while cuts < CUTS or device.stream.connections <= CUTS / 2:
            await asyncio.sleep(dice.uniform(0.01, 0.15))
            device.cut()
            cuts += 1
        traffic.stopping = True
        await traffic.settle_unanswered()
        seen = await settled(server.api, history)
        inbox = seen.inboxes[device.user].items
        await device.has(len(inbox))
        device.stop()
    assert violations(history, seen) == []
    assert device.stream.problems == []
    assert sorted(device.stream.items) == sorted(inbox)
