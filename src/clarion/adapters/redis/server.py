"""A server as several parts of a process use it: when it is away they go on without it, and it is asked again soon."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import TypeVar

import structlog

from clarion.adapters.redis.client import FAULTS, Client, RedisUrl, client_of, close, parse, trouble_of
from clarion.ports.backend import BackendTools
from clarion.ports.clock import Clock

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")

PAUSE_S = 0.5
"""How long nobody asks a server that did not answer: else every batch would wait for its time-out."""


class Server:
    """Answers to the questions of this process, and whether it does."""

    def __init__(self, client: Client, url: RedisUrl, clock: Clock, trouble: str = "") -> None:
        self.client = client
        self.prefix = url.prefix
        self._where = url.shown
        self._clock = clock
        self.trouble = trouble
        """Why it cannot be used; empty: it can."""
        self._again_s = float("-inf")
        self._counted = Counter(asked=0, failed=0)

    @property
    def away(self) -> bool:
        """Whether it is not worth asking now."""
        return self._clock.monotonic() < self._again_s

    async def answer(self, asked: Awaitable[Answer]) -> Answer | None:
        """What it says; None when it is away."""
        self._counted["asked"] += 1
        try:
            said = await asked
        except FAULTS as fault:
            self._counted["failed"] += 1
            self._again_s = self._clock.monotonic() + PAUSE_S
            if not self.trouble:
                log.warning("redis_away", server=self._where, error=str(fault))
            self.trouble = f"{self._where} does not answer ({fault})"
            return None
        if self.trouble:
            log.info("redis_back", server=self._where)
            self.trouble = ""
        return said

    def stats(self) -> Mapping[str, float]:
        """Questions so far, and how many got no answer."""
        return self._counted


@contextlib.asynccontextmanager
async def opened(url: str, tools: BackendTools) -> AsyncIterator[Server]:
    """The server that the setting `redis` names. One that is away at the start is used as soon as it is there; raises
    ConfigError when it refuses us."""
    where = parse(url, "redis")
    client = client_of(where)
    try:
        yield Server(client, where, tools.clock, await trouble_of(client, where, "redis"))
    finally:
        await close(client)
