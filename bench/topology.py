"""An installation of several processes on one database: `clarion serve` with roles each, and `clarion store` where the database is SQLite."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from bench.backend_server import BackendServer
from bench.server import START_S, Server
from bench.wire import Api
from clarion.adapters.fanouts.unix import relay_path

SOCKET = "store.sock"
STORE = f"unix:{SOCKET}"
CAPTURED = ("email", "sms", "push")


class Serving(Server):
    """`clarion serve` on a database that it shares."""

    def __init__(self, data: Path, key: str, name: str, roles: str = "", settings: str = "") -> None:
        super().__init__(data)
        self.name, self.roles = name, roles
        self.log = data.with_name(f"{name}.log")
        self._api = Api(self.port, key)
        self._config = data.with_name(f"{name}.toml")
        self._config.write_text(settings)

    @property
    def words(self) -> list[str]:
        """What `clarion` is started with."""
        roles = ["--roles", self.roles] if self.roles else []
        place = ["--data-dir", str(self.data), "--config", str(self._config)]
        return ["serve", *place, "--port", str(self.port), *roles]

    async def ready(self, within: float = START_S) -> None:
        """Wait until it says so."""
        async with asyncio.timeout(within):
            while not await self.works():
                assert self.running, self.tail()
                await asyncio.sleep(0.05)

    async def works(self) -> bool:
        """Whether it is ready."""
        with contextlib.suppress(OSError):
            return (await self.api.call("GET", "/readyz")).status == 200
        return False


class Storing(Serving):
    """`clarion store`, which has the database itself."""

    @property
    def words(self) -> list[str]:
        """What `clarion` is started with."""
        return ["store", "--socket", SOCKET, "--data-dir", str(self.data), "--config", str(self._config)]

    async def works(self) -> bool:
        """Whether both of its sockets answer."""
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_unix_connection(relay_path(self.data / SOCKET))
            writer.close()
            await writer.wait_closed()
            return True
        return False


class Topology:
    """All processes of one installation. Leaving it ends them."""

    serving: type[Serving] = Serving
    storing: type[Storing] = Storing

    def __init__(self, folder: Path, database: str = STORE, settings: str = "") -> None:
        """`database` is where they meet, and `settings` are those of each."""
        self._data = folder / "data"
        self._database = database
        self._settings = settings
        self.key = self.operator_key = ""
        self.store: Storing | None = None
        self.processes: list[Serving] = []
        self.uses: Sequence[BackendServer] = ()
        """Servers that have what it does not keep itself."""

    async def __aenter__(self) -> Self:
        self._data.mkdir(mode=0o700)
        self._database_file.write_text("" if self._database == STORE else f'database = "{self._database}"\n')
        await self._run("migrate")
        self.key = await self._new_key("--scope", "admin")
        self.operator_key = await self._new_key("--operator")
        if self._database == STORE:
            self.store = self.storing(self._data, self.key, "store")
            await self.store.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self.everything:
            await process.discard()

    @property
    def everything(self) -> list[Serving]:
        """Every process, the store last."""
        return [*self.processes, *([] if self.store is None else [self.store])]

    async def start(self, name: str, roles: str = "", *, database: str = "", settings: str = "") -> Serving:
        """Another process; the first has to answer requests, and captures what is sent. `database`: another way to the same one;
        `settings`: more of them."""
        one = self.prepare(name, roles, database=database, settings=settings)
        await one.start()
        if len(self.processes) == 1:
            for channel in CAPTURED:
                document = {"channel": channel, "provider": "capture"}
                await one.api.put(f"/v1/integrations/capture-{channel}", document)
        return one

    def cpu_s(self) -> float:
        """CPU seconds of all of them so far."""
        return sum(one.cpu_s() for one in self.everything)

    def prepare(self, name: str, roles: str = "", *, database: str = "", settings: str = "") -> Serving:
        """The same, not started."""
        said = f'database = "{database or self._database}"\n{self._settings}{settings}'
        one = self.serving(self._data, self.key, name, roles, said)
        self.processes.append(one)
        return one

    def having(self, role: str) -> list[Serving]:
        """Those with the role."""
        return [one for one in self.processes if not one.roles or role in one.roles]

    def ports(self, role: str) -> list[int]:
        """Where those with the role listen."""
        return [one.port for one in self.having(role)]

    @property
    def api(self) -> Api:
        """One that answers requests."""
        return self.having("api")[0].api

    @property
    def _database_file(self) -> Path:
        return self._data.with_name("database.toml")

    async def _run(self, *words: str) -> str:
        place = ["--data-dir", str(self._data), "--config", str(self._database_file)]
        return await asyncio.to_thread(self.command, [*words, *place], Server(self._data).environment)

    def command(self, words: list[str], environment: dict[str, str]) -> str:
        """What a command prints that works on the database itself."""
        command = [sys.executable, "-m", "clarion", *words]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    async def _new_key(self, *words: str) -> str:
        said = await self._run("keys", "create", "--name", "tests", "--json", *words)
        key: str = json.loads(said[said.index("{\n") :])["key"]  # the log may come before it
        return key
