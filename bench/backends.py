"""Database servers that Clarion is measured on, instead of the database it brings: real ones, which wait for the disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from bench import processes
from bench.children import Missing, program, running
from bench.server import free_port

EMBEDDED = "embedded"
"""The database that Clarion brings."""
USER = "clarion"
POOL = {"shared_buffers": "256MB", "max_wal_size": "2GB"}
"""As a server for one application is set up. Nothing is said about safety: every commit is on the disk."""


@dataclass(frozen=True, kw_only=True)
class DatabaseServer:
    """A server that runs."""

    url: str
    """Of an empty database in it, as Clarion takes it."""
    pid: int

    def cpu_s(self) -> float:
        """CPU seconds of all its processes so far."""
        return processes.cpu_s(self.pid)


@contextlib.asynccontextmanager
async def postgresql(home: Path, core: int | None = None) -> AsyncIterator[DatabaseServer]:
    """A fresh PostgreSQL in a new folder, on one core or on those of the bench. Raises Missing."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    initdb = program("initdb", "postgresql", *(str(folder) for folder in reversed(versions)))
    postgres = str(Path(initdb).resolve().with_name("postgres"))
    account = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    home.mkdir()
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
    async with running(command, port=port, user=account, stop=signal.SIGINT):
        ready = [str(Path(postgres).with_name("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(port)]
        while await (await asyncio.create_subprocess_exec(*ready)).wait():  # noqa: ASYNC110 - it listens before it answers
            await asyncio.sleep(0.05)
        pid = int((home / "data" / "postmaster.pid").read_text().split()[0])
        if core is not None:
            for one in processes.family(pid):
                os.sched_setaffinity(one, {core})
        yield DatabaseServer(url=f"postgresql://{USER}@127.0.0.1:{port}/postgres", pid=pid)


BACKENDS: Mapping[str, Callable[[Path, int | None], AbstractAsyncContextManager[DatabaseServer]]] = {
    "postgresql": postgresql
}
