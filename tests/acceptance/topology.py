"""Installations of several processes for tests: forked, and with the set-up of acceptance tests."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bench import topology
from bench.topology import STORE, Serving, Storing
from tests.acceptance.forks import Fork, ForkedServer
from tests.acceptance.setup_data import create_setup
from tests.needs import DEEP

DATABASES = ("store", "postgresql")

__all__ = ["STORE", "Serving", "Topology", "on"]


class _Serving(ForkedServer, Serving):
    """`clarion serve`, forked."""


class _Storing(ForkedServer, Storing):
    """`clarion store`, forked."""


class Topology(topology.Topology):
    """Its first process gets the set-up."""

    serving = _Serving
    storing = _Storing

    async def start(self, name: str, roles: str = "", *, database: str = "", settings: str = "") -> Serving:
        """See `bench.topology.Topology.start`."""
        one = await super().start(name, roles, database=database, settings=settings)
        if len(self.processes) == 1:
            await create_setup(one.api)
        return one

    async def __aexit__(self, *error: object) -> None:
        await super().__aexit__(*error)
        for process in self.everything:
            print(process.tail())

    def command(self, words: list[str], environment: dict[str, str]) -> str:
        """See `bench.topology.Topology.command`."""
        with TemporaryDirectory() as folder:
            said = Path(folder) / "said"
            command = Fork(words, said, environment)
            command.wait()
            assert command.returncode == 0, said.read_text()
            return said.read_text()


def on(*databases: str) -> pytest.MarkDecorator:
    """The test runs on each of these `database`s; in the deep profile on all."""
    return pytest.mark.parametrize("database", DATABASES if DEEP else databases, indirect=True)
