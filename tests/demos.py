"""Installations with demo data: prepared and seeded once per process, copied for every test."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from clarion.adapters.ledgers.sqlite.ledger import SqliteLedger
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.app.process import App
from clarion.cli import demo
from clarion.cli.migrate import prepare
from clarion.config import Settings
from clarion.flow.ledger import Ledger

_seeded: dict[str, bytes] = {}
"""What a seeded data directory holds, by file name."""


def dev_settings(data: Path) -> Settings:
    """Those of `clarion dev`; nothing is under way for long when a test ends."""
    return Settings.load(mode="dev", data_dir=data, drain_s=0.5)


async def new_demo(data: Path) -> Settings:
    """A data directory with the demo in it."""
    if not _seeded:
        with tempfile.TemporaryDirectory() as directory:
            await _seed(Path(directory))
            _seeded.update(_files(Path(directory)))
    _copy(data)
    return dev_settings(data)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[App]:
    """The whole application in this process; whoever is still connected is let go at the end."""
    async with App.open(settings) as app:
        yield app
        await app.gateway.close(0.5)


async def _seed(data: Path) -> None:
    settings, clock, random = dev_settings(data), SystemClock(), SystemRandom()
    prepare(settings)
    vault = LocalVault.from_file(settings.key_path, random)
    ledger = Ledger(SqliteLedger.open(settings.database_path, vault=vault, clock=clock, random=random))
    await demo.seed(ledger, demo.load())
    await ledger.close()


def _files(data: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in data.iterdir()}


def _copy(data: Path) -> None:
    data.mkdir(parents=True, exist_ok=True)
    for name, content in _seeded.items():
        (data / name).touch(mode=0o600)
        (data / name).write_bytes(content)
