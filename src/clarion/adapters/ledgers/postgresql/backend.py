"""Opens `postgresql:` URLs: a database that many processes share."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from clarion.adapters.ledgers.postgresql.address import read_address
from clarion.ports.backend import BackendTools
from clarion.ports.ledger import Store


@contextlib.asynccontextmanager
async def opened(url: str, tools: BackendTools) -> AsyncIterator[Store]:
    """The ledger in that database. See `ports.backend.OpenStore`."""
    read_address(url)  # which says so when its client is not installed
    from clarion.adapters.ledgers.postgresql.ledger import PostgresLedger

    ledger = await PostgresLedger.open(url, vault=tools.vault, clock=tools.clock, random=tools.random)
    try:
        yield ledger
    finally:
        await ledger.close()
