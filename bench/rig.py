"""The rig: a fresh furnished server on its core, the generator on the other, and how much is measured."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.backends import EMBEDDED, serving
from bench.brokers import BROKERS
from bench.progress import progress
from bench.server import Server
from bench.tenant import create_setup
from bench.topology import STORE, Topology
from bench.wire import Api

SERVER_CORE, GENERATOR_CORE = 0, 1
BILLION_A_DAY = 11_574
"""Messages a second."""
GOAL = 15_000
"""Messages a second of a server that has both cores: a billion a day with a third to spare."""
SERVERS_GOAL = 6_000
"""The same with a database server or a broker on them too."""
ENDED = {
    "sent", "delivered", "bounced", "rejected", "undelivered", "failed", "dead_lettered",
    "suppressed", "throttled", "merged", "canceled", "expired",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Rig:
    """How to run the figures."""

    quick: bool = False
    """A smoke run: the same way, a fraction of the load; its numbers mean nothing."""
    pinned: bool = True
    python: str = sys.executable
    """The interpreter whose Clarion is measured."""
    backend: str = EMBEDDED
    """The servers that it uses."""

    def much(self, full: int, smoke: int) -> int:
        """How much of something to use."""
        return smoke if self.quick else full

    def long(self, full_s: float) -> float:
        """How long to go on with something."""
        return min(full_s, 2.0) if self.quick else full_s

    def pin(self) -> None:
        """Take the generator's core (or all of them)."""
        cores = (
            {GENERATOR_CORE} if self.pinned and (os.cpu_count() or 1) > 1 else set(range(os.cpu_count() or 1))
        )
        os.sched_setaffinity(0, cores)

    @property
    def broker(self) -> str:
        """The broker among the servers; empty when there is none."""
        return next((name for name in self.backend.split("+") if name in BROKERS), "")

    @property
    def rate(self) -> int:
        """Messages a second that are the target on the cores that the server has."""
        if self.backend != EMBEDDED:
            return SERVERS_GOAL
        return BILLION_A_DAY if self.pinned else GOAL

    @asynccontextmanager
    async def server(
        self,
        users: int = 0,
        *,
        preferences: bool = True,
        module: str = "clarion",
        env: dict[str, str] | None = None,
    ) -> AsyncIterator[Server]:
        """A fresh server with the tenant of `bench/tenant.py`; gone, with its data, afterwards. `env`: its variables."""
        core = SERVER_CORE if self.pinned else None
        async with contextlib.AsyncExitStack() as ends:
            folder = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="clarion-bench-")))
            server = Server(folder / "data", core=core, env=env)
            server.python, server.module = self.python, module
            server.uses = await ends.enter_async_context(serving(self.backend, folder, core))
            server.env |= {f"CLARION_{one.setting.upper()}": one.url for one in server.uses}
            try:
                await server.start()
                if users:
                    await create_setup(server.api, users, preferences=preferences)
                yield server
            finally:
                await server.discard()

    @asynccontextmanager
    async def installation(self, settings: str = "") -> AsyncIterator[Topology]:
        """One of several processes, none of which is started yet but the store. `settings`: of each."""
        with tempfile.TemporaryDirectory(prefix="clarion-bench-") as folder:
            async with serving(self.backend, Path(folder)) as servers:
                said = "".join(
                    f'{one.setting} = "{one.url}"\n' for one in servers if one.setting != "database"
                )
                database = next((one.url for one in servers if one.setting == "database"), STORE)
                async with Topology(Path(folder), database, said + settings) as topology:
                    topology.uses = servers
                    yield topology


LABELS = re.compile(r'(\w+)="(\w*)"')


async def ended(server: Server, channel: str | None = None) -> int:
    """Messages that have reached their last status since the server started."""
    total = 0.0
    for name, value in (await server.metrics()).items():
        if name.startswith("clarion_message_status_changes_total{"):
            labels = dict(LABELS.findall(name))
            if labels["status"] in ENDED and channel in {None, labels["channel"]}:
                total += value
    return int(total)


async def until_ended(
    server: Server, wanted: int, *, channel: str | None = None, within: float = 60
) -> float:
    """Wait until `wanted` messages have ended; the moment it was seen. TimeoutError when for `within` s none ends."""
    seen, moved = 0, time.perf_counter()
    while (done := await ended(server, channel)) < wanted:
        now = time.perf_counter()
        if done > seen:
            seen, moved = done, now
        if now > moved + within:
            raise TimeoutError(
                f"{done:,} of {wanted:,} messages ended, none for {within} s:\n{server.tail(5)}"
            )
        progress.tell(f"{wanted - done:,} messages under way")
        await asyncio.sleep(0.1)
    return time.perf_counter()


async def set_outcome(api: Api, channel: str, outcome: str, *, timeout_s: float = 30) -> None:
    """Let the capture integration of `channel` answer `outcome` from now on; a call may take `timeout_s`."""
    whole = {
        "channel": channel,
        "provider": "capture",
        "config": {"outcome": outcome},
        "limits": {"timeout_s": timeout_s},
    }
    await api.put(f"/v1/integrations/capture-{channel}", whole)
