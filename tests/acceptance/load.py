"""Callers and devices that are busy with an installation while something happens to it, and what they saw."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from tests.acceptance.device import Device, user_token
from tests.acceptance.history import History, Seen, violations
from tests.acceptance.reader import settled
from tests.acceptance.setup_data import USERS
from tests.acceptance.topology import Topology
from tests.acceptance.traffic import Traffic


@dataclass
class Load:
    """Callers and devices, and what they saw."""

    installation: Topology
    traffic: Traffic
    devices: list[Device]

    async def accepted(self, more: int) -> None:
        """Wait until so many more requests are."""
        answers = self.traffic.history.answers
        wanted = answers[202] + more
        async with asyncio.timeout(240):
            while answers[202] < wanted:  # noqa: ASYNC110 - the history has no event to wait for
                await asyncio.sleep(0.01)

    async def finish(self) -> Seen:
        """Everything that can be seen, when all of it has ended and every device has caught up."""
        self.traffic.stopping = True
        await self.traffic.settle_unanswered()
        seen = await settled(self.installation.api, self.traffic.history)
        for device in self.devices:
            await device.has(len(seen.inboxes[device.user].items))
            device.stop()
        return seen


@contextlib.asynccontextmanager
async def load(installation: Topology, ports: list[int], devices: int = 2) -> AsyncIterator[Load]:
    """Traffic and devices at these ports, each of which goes to the next one after a cut."""
    traffic = Traffic(ports, installation.key, History(), 7, callers=3)
    following = [
        Device(
            [*ports[number % len(ports) :], *ports[: number % len(ports)]],
            user,
            await user_token(installation.api, user),
        )
        for number, user in enumerate(USERS[:devices])
    ]
    async with asyncio.TaskGroup() as group:
        for device in following:
            group.create_task(device.run())
            await device.has(0)
        group.create_task(traffic.run())
        yield Load(installation, traffic, following)


def complete(seen: Seen, load: Load) -> None:
    """Nothing is lost or doubled, and no device has a hole."""
    assert violations(load.traffic.history, seen) == []
    for device in load.devices:
        assert device.stream.problems == []
        assert sorted(device.stream.items) == sorted(seen.inboxes[device.user].items)
