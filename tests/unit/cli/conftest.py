"""The whole API behind commands, in this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer import testing
from typer.main import get_command
from typer.testing import CliRunner

from clarion.cli import client as cli_client
from clarion.cli.client import Answered
from clarion.cli.exit_codes import Exit
from clarion.cli.main import program
from clarion.model.setup import Scope
from tests.unit.api.conftest import ACME, OTHER, Installation

COMMAND = get_command(program)
"""Made once: it takes longer than most commands."""


class Server:
    """An installation on a loop of its own, which commands call as they call any server."""

    def __init__(self, directory: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._apis: dict[str, Any] = {}
        self.clarion = self._on_loop(self._started(directory))

    async def _started(self, directory: Path) -> Installation:
        clarion = Installation(directory)
        await clarion.create_setup()
        for name, tenant in (("acme", ACME), ("other", OTHER)):
            self._apis[name] = await clarion.client(Scope.ADMIN, tenant)
        return clarion

    def _on_loop(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def client(self, key: str) -> Any:
        """What `clarion.cli.client.Client` would be, for one tenant."""
        return _Client(lambda *call, **more: self._on_loop(self._apis[key](*call, **more)))

    def close(self) -> None:
        """End the loop, and everything on it."""
        self._on_loop(self.clarion.caller.close())
        self._on_loop(self.clarion.ledger.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Client:
    url = "http://clarion.test"

    def __init__(self, send: Any) -> None:
        self._send = send

    def call(self, method: str, path: str, body: Any = None, headers: Any = None) -> Any:
        if isinstance(body, bytes):
            answer = self._send(method, path, content=body, headers=headers)
        else:
            answer = self._send(method, path, body)
        if answer.is_success:
            return answer.json() if answer.content else None
        problem = answer.json()
        raise Answered(answer.status_code, problem["code"], problem["detail"], None, problem)

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def pages(self, path: str, limit: int) -> Any:
        return self.get(f"{path}?limit={limit}")["items"]


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    """One for the file: each test puts back what it changes, or changes what no other looks at."""
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.fixture
def run(server, monkeypatch):
    """Runs a command against the tenant `acme`, and wants its exit code."""
    monkeypatch.setattr(testing, "_get_command", lambda app: COMMAND)
    monkeypatch.setattr(cli_client, "connect", lambda url, key, data: server.client(key or "acme"))
    monkeypatch.setattr(cli_client, "Client", lambda url, key: server.client(key))

    def run(*words: object, code: int = Exit.OK, typed: str | None = None) -> str:
        done = CliRunner().invoke(program, [str(word) for word in words], input=typed)
        assert done.exit_code == code, done.output
        return done.output

    return run
