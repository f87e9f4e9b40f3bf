"""Two regions on one machine: a database in each for the users at home there, its standby in the other, and processes in both."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from clarion.rules.regions import home_of
from tests.acceptance.forks import Fork
from tests.acceptance.setup_data import USERS
from tests.acceptance.topology import Serving, Topology
from tests.servers import postgresql
from tests.servers.postgresql import USER, PostgreSql
from tests.servers.process import free_port, home_for
from tests.servers.toxiproxy import Line, line_to

NAMES = ("paris", "oslo")
ALONE_AFTER_S = 2.0
ROLES = ("api,gateway", "worker,timers")
"""Of the processes of a home in a region."""
OPTIONS = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "wal_retrieve_retry_interval=200ms",
           "-c", "max_connections=100", "-c", "wal_keep_size=256MB")  # fmt: skip
"""Of the servers: commits wait for the standby, as `synchronous_standby_names` says, but not for the disk."""

MIRRORED = (
    "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum')"
)


class DatabaseServer:
    """One of the two servers of a database."""

    def __init__(self) -> None:
        self.home = home_for("region-postgresql", USER)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Of the database."""
        return PostgreSql(self.port).url("clarion")

    def begin(self) -> None:
        """Make it, and start it as a primary."""
        postgresql.initialised(self.home)
        self.start()
        PostgreSql(self.port).create("clarion")

    def start(self) -> None:
        """As whatever it was."""
        self._process = postgresql.serve(self.home, self.port, OPTIONS)

    def follow(self, port: int) -> None:
        """Become a standby of the server behind this port; what was here is gone."""
        self.kill()
        shutil.rmtree(self.home / "data", ignore_errors=True)
        self._process = postgresql.replica(self.home, self.port, PostgreSql(port), OPTIONS)

    def kill(self) -> None:
        """As when the machine fails."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    async def ask(self, statement: str) -> Any:
        """The first value that it answers."""
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()


class Cell:
    """The users at home in one region: their database with its standby in the other region, and processes in both."""

    def __init__(
        self, home: str, folder: Path, lines: Mapping[str, Line], brokers: Mapping[str, str], lease_s: float
    ) -> None:
        """`lines`: to the server in each region, as the other one reaches it."""
        self.home, (self.away,) = home, [name for name in NAMES if name != home]
        self.folder = folder
        self.lines = lines
        self.lease_s = lease_s
        self.brokers = brokers
        self.servers: dict[str, DatabaseServer] = {}
        self.processes: dict[str, list[Serving]] = {name: [] for name in NAMES}
        self.topology: Topology
        self.users: tuple[str, ...] = ()
        """Of those of acceptance tests: whose home it is."""

    def settings(self, region: str) -> str:
        """Of the processes of these users in a region, without `database`."""
        other = next(name for name in NAMES if name != region)
        broker = f'broker = "{self.brokers[region]}"\n' if self.brokers else ""
        line = PostgreSql(self.lines[other].port).url("clarion")
        return (
            f'lease_s = {self.lease_s}\n{broker}[outbound]\nallowed_networks = ["127.0.0.0/8"]\n'
            f'[region]\nname = "{region}"\nnames = ["paris", "oslo"]\nhome = "{self.home}"\n'
            f'other_database = "{line}"\nalone_after_s = {ALONE_AFTER_S}\n'
        )

    async def begin(self) -> None:
        """Servers, the processes at home, and those that wait in the other region."""
        at_home, away = self.servers[self.home], self.servers[self.away]
        await asyncio.to_thread(at_home.begin)
        self.topology = await Topology(self.folder, at_home.url).__aenter__()
        await at_home.ask("ALTER SYSTEM SET synchronous_standby_names = '*'")
        await asyncio.to_thread(away.follow, self.lines[self.home].port)
        await at_home.ask("SELECT pg_reload_conf()")
        await self.launch(self.home)
        tenant = (await self.api(self.home).api.get("/v1/tenant"))["key"]
        self.users = tuple(user for user in USERS if home_of(tenant, user, NAMES) == self.home)
        await self.launch(self.away)

    async def launch(self, region: str) -> None:
        """Start what does not run of the processes in a region: they work when the region is to."""
        if not self.processes[region]:
            await self._prepare(region)
        for process in self.processes[region]:
            if not process.running:
                process.launch()

    async def _prepare(self, region: str) -> None:
        """The first of all works at once, and writes the set-up."""
        made = {"database": self.servers[region].url, "settings": self.settings(region)}
        for roles in ROLES:
            name = f"{self.home}-in-{region}-{roles.partition(',')[0]}"
            if self.topology.processes:
                self.processes[region].append(self.topology.prepare(name, roles, **made))
            else:
                self.processes[region].append(await self.topology.start(name, roles, **made))

    @property
    def order(self) -> tuple[str, str]:
        """Where callers try first, and where then."""
        return self.home, self.away

    def api(self, region: str) -> Serving:
        """The process in a region that answers requests, perhaps when its turn has come."""
        return self.processes[region][0]

    async def ready(self, region: str, within: float = 60) -> None:
        """Wait until all processes in a region work."""
        for process in self.processes[region]:
            await process.ready(within)

    def kill(self, region: str) -> None:
        """End the processes in a region at once."""
        for process in self.processes[region]:
            process.kill()

    async def clarion(self, region: str, *words: str) -> str:
        """What `clarion region ...` prints, with the settings of this region."""
        config = self.folder / f"{self.home}-{region}.toml"
        config.write_text(f'database = "{self.servers[region].url}"\n{self.settings(region)}')
        place = ["--config", str(config), "--data-dir", str(self.folder / "data")]
        said = self.folder / f"said-{time.monotonic_ns()}"
        command = Fork(["region", *words, *place], said, dict(os.environ))
        await asyncio.to_thread(command.wait)
        text = said.read_text()
        if command.returncode:
            raise Refused(text)
        return text

    async def status(self, region: str) -> dict[str, Any]:
        """What `clarion region status` says there."""
        said = await self.clarion(region, "status", "--json")
        found: dict[str, Any] = msgspec.json.decode(said[said.index("{\n") :])
        return found

    async def mirrored(self, region: str, within: float = 60) -> None:
        """Wait until every commit in a region waits for the standby, which is there."""
        async with asyncio.timeout(within):
            while not await self.servers[region].ask(MIRRORED):  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.05)


class Refused(Exception):
    """A command was refused, saying why."""


@contextlib.asynccontextmanager
async def cell(
    home: str, folder: Path, *, lease_s: float = 5.0, brokers: Mapping[str, str] | None = None
) -> AsyncIterator[Cell]:
    """The users of one region, with both servers, everything running."""
    folder.mkdir()  # noqa: ASYNC240 - nothing else runs yet
    with contextlib.ExitStack() as ends:
        servers = {name: ends.enter_context(_server()) for name in NAMES}
        lines = {name: ends.enter_context(line_to(server.port)) for name, server in servers.items()}
        one = Cell(home, folder, lines, brokers or {}, lease_s)
        one.servers = servers
        try:
            await one.begin()
            yield one
        finally:
            if hasattr(one, "topology"):
                await one.topology.__aexit__()


@contextlib.contextmanager
def _server() -> Iterator[DatabaseServer]:
    server = DatabaseServer()
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(server.home, ignore_errors=True)
