"""What Clarion is measured on, instead of what it brings: a database server, a broker, or both, real ones that wait for the disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from bench.backend_server import BackendServer, Start
from bench.brokers import BROKERS
from bench.children import Missing, program, running
from bench.index import on_core
from bench.server import free_port

EMBEDDED = "embedded"
"""The database that Clarion brings, with the log of events in it."""
USER = "clarion"
POOL = {"shared_buffers": "256MB", "max_wal_size": "2GB"}
"""As a server for one application is set up. Nothing is said about safety: every commit is on the disk."""


@contextlib.asynccontextmanager
async def postgresql(home: Path) -> AsyncIterator[BackendServer]:
    """A fresh PostgreSQL in a new folder. Raises Missing."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    initdb = program("initdb", "postgresql", *(str(folder) for folder in reversed(versions)))
    postgres = str(Path(initdb).resolve().with_name("postgres"))
    account = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    if account:
        shutil.chown(home, account, account)
    cluster = ["-D", f"{home}/data", "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
    made = subprocess.run(
        [initdb, *cluster], capture_output=True, text=True, user=account, group=account, check=False
    )
    if made.returncode:
        raise Missing(f"PostgreSQL cannot be set up: {made.stderr.strip()[-500:]}")
    port = free_port()
    settings = {"listen_addresses": "127.0.0.1", "port": port, **POOL}
    command = [postgres, "-D", f"{home}/data", "-k", str(home)]
    command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    async with running(command, port=port, user=account, stop=signal.SIGINT) as pid:
        ready = [str(Path(postgres).with_name("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(port)]
        while await (await asyncio.create_subprocess_exec(*ready)).wait():  # noqa: ASYNC110 - it listens before it answers
            await asyncio.sleep(0.05)
        yield BackendServer(setting="database", url=f"postgresql://{USER}@127.0.0.1:{port}/postgres", pid=pid)


DATABASES: Mapping[str, Start] = {"postgresql": postgresql}
SERVERS: Mapping[str, Start] = {**DATABASES, **BROKERS}
BACKENDS = [
    *DATABASES,
    *BROKERS,
    *(f"{database}+{broker}" for database in DATABASES for broker in BROKERS),
]
"""What can be asked for."""


@contextlib.asynccontextmanager
async def serving(backend: str, folder: Path, core: int | None = None) -> AsyncIterator[list[BackendServer]]:
    """The servers of a backend, on one core or on those of the bench. Raises Missing."""
    folder.chmod(0o755)  # their accounts have to get there
    async with contextlib.AsyncExitStack() as ends:
        found = []
        with on_core(core):
            for name in backend.split("+") if backend != EMBEDDED else ():
                home = folder / name
                home.mkdir()
                found.append(await ends.enter_async_context(SERVERS[name](home)))
        yield found
