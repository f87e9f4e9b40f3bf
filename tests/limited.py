"""The limited process without a process: for tests of what it is used for."""

import asyncio
from collections.abc import Sequence

from clarion.ports.limited import Exceeded
from clarion.services.limited import answer


class InThread:
    """Does every task, in a thread of this process; tasks that hold one of `deadly` are ended."""

    def __init__(self, *deadly: bytes) -> None:
        self.deadly = deadly
        self.tasks: list[bytes] = []

    async def run(self, tasks: Sequence[bytes]) -> Sequence[bytes | Exceeded]:
        return [await self._one(task) for task in tasks]

    async def _one(self, task: bytes) -> bytes | Exceeded:
        self.tasks.append(task)
        if any(word in task for word in self.deadly):
            return Exceeded("it takes more than 256 MB of memory")
        return await asyncio.to_thread(answer, task)

    async def close(self) -> None:
        """Nothing runs on."""
