"""The store process: opens the database alone, and serves it to the other processes of this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from clarion.adapters.fanouts.unix import relay, relay_path
from clarion.adapters.ledgers.remote import serve
from clarion.app.backends import store_of
from clarion.app.resources import backend_tools_of, only_process
from clarion.app.server import on_a_fast_loop, stop_signal
from clarion.config import Settings
from clarion.errors import ConfigError

OnReady = Callable[[Path], Awaitable[None]]


def run_store(settings: Settings, socket: str, *, on_ready: OnReady | None = None) -> int:
    """Serve at the socket, relative to the data directory, until SIGINT or SIGTERM; the exit code."""
    return on_a_fast_loop(settings, _run(settings, socket, on_ready))


async def _run(settings: Settings, socket: str, on_ready: OnReady | None) -> int:
    if settings.database.startswith("unix:"):
        raise ConfigError(
            "database: a store process has the database itself: name its file, as in `sqlite:clarion.db`"
        )
    stop, path = stop_signal(), settings.data_dir / socket
    async with contextlib.AsyncExitStack() as ends:
        ends.enter_context(only_process(settings.data_dir))
        store = await ends.enter_async_context(store_of(settings, backend_tools_of(settings)))
        await ends.enter_async_context(serve(store, path))
        await ends.enter_async_context(relay(relay_path(path)))
        if on_ready is not None:
            await on_ready(path)
        await stop.wait()
    return 0
