"""The store process: opens the database alone, and serves it to the other processes of this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from clarion.adapters.fanouts.unix import relay, relay_path
from clarion.adapters.ledgers.remote import serve
from clarion.app.backends import store_of
from clarion.app.data_directory import only_process, tools_in
from clarion.app.event_loop import on_a_fast_loop, stop_signal
from clarion.config import Settings
from clarion.errors import ConfigError

OnReady = Callable[[Path], Awaitable[None]]


def run_store(settings: Settings, socket: str, *, on_ready: OnReady | None = None) -> int:
    """Serve at the socket, relative to the data directory, until SIGINT or SIGTERM; the exit code."""
    work = _run(settings, socket, on_ready)
    return on_a_fast_loop(work, log_level=settings.log.level, log_format=settings.log.format)


async def _run(settings: Settings, socket: str, on_ready: OnReady | None) -> int:
    if settings.database.startswith("unix:"):
        raise ConfigError(
            "database: a store process has the database itself: name its file, as in `sqlite:clarion.db`"
        )
    stop, path = stop_signal(), settings.data_dir / socket
    async with contextlib.AsyncExitStack() as ends:
        ends.enter_context(only_process(settings.data_dir))
        store = await ends.enter_async_context(
            store_of(settings.database, tools_in(settings.data_dir, settings.key_path))
        )
        await ends.enter_async_context(serve(store, path))
        await ends.enter_async_context(relay(relay_path(path)))
        if on_ready is not None:
            await on_ready(path)
        await stop.wait()
    return 0
