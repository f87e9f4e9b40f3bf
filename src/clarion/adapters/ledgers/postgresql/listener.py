"""Hears what other processes tell through the server, on a connection of its own that is made again when it is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import asyncpg

from clarion.adapters.ledgers.postgresql.address import Address
from clarion.adapters.ledgers.postgresql.faults import refusal
from clarion.ports.clock import Clock, Random

CONNECT_S = 5.0
PAUSE_S = (0.1, 5.0)
"""The first and the longest pause before it connects again."""

Told = Callable[[str], None]
"""Called on the event loop with what was said; with nothing when something may have been missed."""


class Listener:
    """One connection for all channels."""

    def __init__(self, address: Address, clock: Clock, random: Random, channels: Mapping[str, Told]) -> None:
        self._address = address
        self._clock = clock
        self._random = random
        self._channels = channels
        self._task = asyncio.get_running_loop().create_task(self._run(), name="clarion-listener")

    async def close(self) -> None:
        """Nobody is told any more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pause_s, longest_s = PAUSE_S
        while True:
            try:
                async with self._connected() as lost:
                    pause_s = PAUSE_S[0]
                    await lost.wait()
            except Exception as error:
                if refusal(error) is None and not isinstance(error, asyncpg.InterfaceError):
                    raise
            await self._clock.sleep(pause_s * (0.5 + self._random.uniform() / 2))
            pause_s = min(longest_s, pause_s * 2)

    @contextlib.asynccontextmanager
    async def _connected(self) -> Any:
        connection = await asyncpg.connect(
            self._address.dsn,
            timeout=CONNECT_S,
            statement_cache_size=0,
            server_settings={"application_name": "clarion listener"},
        )
        lost = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: lost.set())
            for channel, told in self._channels.items():
                await connection.add_listener(channel, lambda *said, told=told: told(said[-1]))
            for told in self._channels.values():
                told("")
            yield lost
        finally:
            connection.terminate()
