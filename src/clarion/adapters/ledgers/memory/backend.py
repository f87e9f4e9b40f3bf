"""Opens `memory:`: a new, empty ledger that is lost when the process ends."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import structlog

from clarion.adapters.ledgers.memory.ledger import MemoryLedger
from clarion.ports.backend import BackendTools
from clarion.ports.ledger import Store

log = structlog.get_logger(__name__)


@contextlib.asynccontextmanager
async def opened(url: str, tools: BackendTools) -> AsyncIterator[Store]:
    """The ledger of this process. See `ports.backend.OpenStore`."""
    log.warning("not_durable", database=url)
    ledger = MemoryLedger(vault=tools.vault, clock=tools.clock, random=tools.random)
    try:
        yield ledger
    finally:
        await ledger.close()
