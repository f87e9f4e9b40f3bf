"""Opens `sqlite:` URLs: a file, relative to the data directory."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import structlog

from clarion.adapters.ledgers.sqlite.ledger import SqliteLedger
from clarion.ports.backend import BackendTools
from clarion.ports.ledger import Store

log = structlog.get_logger(__name__)


@contextlib.asynccontextmanager
async def opened(url: str, tools: BackendTools) -> AsyncIterator[Store]:
    """The ledger in the file. See `ports.backend.OpenStore`."""
    path = tools.data_dir / url.removeprefix("sqlite:")
    ledger = SqliteLedger.open(
        path, vault=tools.vault, clock=tools.clock, random=tools.random, again=tools.again
    )
    try:
        if ledger.erased_on_opening:
            log.warning("erased_on_opening", users=ledger.erased_on_opening)
        yield ledger
    finally:
        await ledger.close()
