"""The processes of an installation that share one store: the store itself, and workers. Run as a program by a test."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from clarion.adapters.ledgers.memory import MemoryLedger
from clarion.adapters.ledgers.postgresql.ledger import PostgresLedger
from clarion.adapters.ledgers.remote import RemoteStore, at, serve
from clarion.adapters.ledgers.sqlite import SqliteLedger
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.model.outcome import Accepted, Outcome
from clarion.model.outgoing import Outgoing
from clarion.model.worker import Process
from clarion.plugins import BROKERS, backend
from clarion.ports.backend import BackendTools, OpenBroker
from clarion.ports.broker import Broker
from clarion.ports.ledger import Store
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine
from tests.ledger_files import new_ledger

LEASE_S = 2.4
SOCKET, EFFECTS, CALLED = "store.sock", "effects", "called"
DATABASE = "database"
"""This file has the URL of a server that is the store; without it the store is behind the socket."""


class Noting(RecordingProvider):
    """Sends by writing a line to a file that all workers share: the worker and the message. Another file says when each call
    began."""

    def __init__(self, directory: Path, name: str) -> None:
        super().__init__(batch=10)
        self._name = name
        self._file, self._called = (
            os.open(directory / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT) for name in (EFFECTS, CALLED)
        )

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        lines = [f"{self._name} {outgoing.message.id.hex()}\n" for outgoing in batch]
        began = SystemClock().now()
        os.write(self._called, "".join(f"{line[:-1]} {began}\n" for line in lines).encode())
        await asyncio.sleep(0.01)
        os.write(self._file, "".join(lines).encode())
        await asyncio.sleep(0.01)
        return [Accepted() for _ in batch]


def engine_of(directory: Path, name: str) -> Engine:
    """An engine that is not started, as one process of several."""
    seed = int.from_bytes(os.urandom(6))
    clock: Any = SystemClock()
    return Engine(directory, clock, Noting(directory, name), seed, Process(lease_ms=int(LEASE_S * 1_000)))


async def store(kind: str, directory: Path) -> None:
    """Serve a new and empty one until killed."""
    clock, random = SystemClock(), SystemRandom()
    tools: dict[str, Any] = {"vault": LocalVault(b"k" * 32, random), "clock": clock, "random": random}
    ledger: Any
    if kind == "memory":
        ledger = MemoryLedger(**tools)
    else:
        ledger = SqliteLedger.open(new_ledger(directory / "clarion.db"), **tools)
    async with serve(ledger, directory / SOCKET):
        print("ready", flush=True)
        await asyncio.Event().wait()


async def store_in(directory: Path) -> Any:
    """The store as each of the processes has it."""
    url = directory / DATABASE
    if not url.exists():
        return RemoteStore(at(directory / SOCKET))
    random = SystemRandom()
    vault = LocalVault(b"k" * 32, random)
    return await PostgresLedger.open(url.read_text(), vault=vault, clock=SystemClock(), random=random)


@contextlib.asynccontextmanager
async def broker_at(url: str, engine: Engine, store: Store) -> AsyncIterator[Broker | None]:
    """The broker of an engine at a URL; none: the one in the store."""
    if not url:
        yield None
        return
    tools = BackendTools(data_dir=Path(), clock=engine.clock, random=SystemRandom(), vault=engine.vault)
    opened: OpenBroker = backend(BROKERS, "broker", url)
    async with opened(url, tools, store) as broker:
        yield broker


async def work(name: str, directory: Path, url: str = "") -> None:
    """Plan and send whatever there is, until killed; `url`: of the broker."""
    store = await store_in(directory)
    engine = engine_of(directory, name)
    async with broker_at(url, engine, store) as broker:
        await engine.work_on(store, broker)
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    role, word, place, *more = sys.argv[1:]
    roles: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {"store": store, "work": work}
    asyncio.run(roles[role](word, Path(place), *more))
