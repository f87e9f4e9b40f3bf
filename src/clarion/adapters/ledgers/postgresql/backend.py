"""Opens `postgresql:` URLs: a database that many processes share."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from clarion.errors import ConfigError
from clarion.ports.backend import BackendTools
from clarion.ports.ledger import Store


@contextlib.asynccontextmanager
async def opened(url: str, tools: BackendTools) -> AsyncIterator[Store]:
    """The ledger in that database. See `ports.backend.OpenStore`."""
    try:
        from clarion.adapters.ledgers.postgresql.ledger import PostgresLedger
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"database: `postgresql:` needs a package that is not installed ({error.name}): pip install 'clarion[postgresql]'"
        ) from None
    ledger = await PostgresLedger.open(url, vault=tools.vault, clock=tools.clock, random=tools.random)
    try:
        yield ledger
    finally:
        await ledger.close()
