"""A new ledger in the process of the bench."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.backend_server import BackendServer
from bench.backends import serving
from bench.rig import Rig
from clarion.adapters.ledgers.migrate import migrate
from clarion.adapters.ledgers.postgresql import revision
from clarion.adapters.ledgers.postgresql.address import read_address
from clarion.adapters.ledgers.postgresql.ledger import PostgresLedger
from clarion.adapters.ledgers.sqlite import SqliteLedger
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault


@asynccontextmanager
async def opened(rig: Rig) -> AsyncIterator[tuple[Any, Sequence[BackendServer]]]:
    """On the backend of the rig; and all servers of that, the broker last."""
    clock, random = SystemClock(), SystemRandom()
    tools: dict[str, Any] = {"vault": LocalVault(b"k" * 32, random), "clock": clock, "random": random}
    with TemporaryDirectory(prefix="clarion-bench-") as folder:
        async with serving(rig.backend, Path(folder)) as servers:
            database = next((one.url for one in servers if one.setting == "database"), None)
            ledger: Any
            if database is None:
                path = Path(folder) / "clarion.db"
                migrate(path)
                ledger = SqliteLedger.open(path, **tools)
            else:
                await revision.migrate(read_address(database))
                ledger = await PostgresLedger.open(database, **tools)
            yield ledger, servers
            await ledger.close()
