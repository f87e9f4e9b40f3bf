"""An installation of several processes: `clarion store` and `clarion serve` on one data directory, with roles each."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.server import Server
from bench.wire import Api
from clarion.adapters.fanouts.unix import relay_path
from tests.acceptance.forks import Fork, ForkedServer
from tests.acceptance.setup_data import create_setup

SOCKET = "store.sock"


class Serving(ForkedServer):
    """`clarion serve` on the store of another process."""

    def __init__(self, data: Path, key: str, name: str, roles: str = "", settings: str = "") -> None:
        super().__init__(data)
        self.name, self.roles = name, roles
        self.log = data.with_name(f"{name}.log")
        self._api = Api(self.port, key)
        self._config = data.with_name(f"{name}.toml")
        self._config.write_text(f'database = "unix:{SOCKET}"\n{settings}')

    @property
    def words(self) -> list[str]:
        """What `clarion` is started with."""
        roles = ["--roles", self.roles] if self.roles else []
        place = ["--data-dir", str(self.data), "--config", str(self._config)]
        return ["serve", *place, "--port", str(self.port), *roles]

    async def ready(self, within: float = 60) -> None:
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

    def __init__(self, data: Path, key: str) -> None:
        super().__init__(data, key, "store")
        self._config.write_text("")

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

    def __init__(self, server: Server, settings: str = "") -> None:
        """`server` makes the data directory and the set-up; `settings` are those of every process."""
        self._server = server
        self._settings = settings
        self.key = self.operator_key = ""
        self.store: Storing
        self.processes: list[Serving] = []

    async def __aenter__(self) -> Self:
        await self._server.start()
        await create_setup(self._server.api)
        await self._server.stop()
        self.key = self._server.dev["api_key"]
        self.operator_key = await self._operator_key()
        (self._server.data / "dev.json").unlink()  # from now on it is not `clarion dev`'s
        self.store = Storing(self._server.data, self.key)
        await self.store.start(within=60)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in (*self.processes, self.store):
            await process.discard()
            print(process.tail())

    async def start(self, name: str, roles: str = "") -> Serving:
        """Another process."""
        one = Serving(self._server.data, self.key, name, roles, self._settings)
        self.processes.append(one)
        await one.start(within=60)
        return one

    async def _operator_key(self) -> str:
        words = ["keys", "create", "--name", "operator", "--operator", "--json"]
        log = self._server.data.with_name("key.json")
        made = Fork([*words, "--data-dir", str(self._server.data)], log, self._server.environment)
        await asyncio.to_thread(made.wait)
        key: str = json.loads(log.read_text())["key"]
        return key

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
