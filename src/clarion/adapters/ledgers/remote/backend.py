"""Opens `unix:` URLs: the store that another process of this machine serves at a socket, relative to the data directory."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from clarion.adapters.ledgers.remote.client import RemoteStore, at
from clarion.errors import ConfigError, Unavailable
from clarion.ports.backend import BackendTools
from clarion.ports.ledger import Store


@contextlib.asynccontextmanager
async def opened(url: str, tools: BackendTools) -> AsyncIterator[Store]:
    """The store behind the socket. See `ports.backend.OpenStore`."""
    remote: Any = RemoteStore(at(tools.data_dir / url.removeprefix("unix:")))
    try:
        await remote.connect()
    except Unavailable as missing:
        raise ConfigError(f"database: {missing.detail}") from None
    try:
        yield remote
    finally:
        await remote.close()
