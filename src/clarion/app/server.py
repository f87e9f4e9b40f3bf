"""Serves an app: its port, and when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import Awaitable, Callable, Iterator

import uvicorn

from clarion.adapters.system import SystemClock
from clarion.app.connections import Connections, Patience
from clarion.app.event_loop import on_a_fast_loop, stop_signal
from clarion.app.listener import listen
from clarion.app.process import App
from clarion.app.store_process import StoreProcess
from clarion.config import Settings

PING_S = 25.0
"""A peer that is gone without a word is noticed within two of these."""
FRAME_BYTES = 16 * 1024
"""Largest WebSocket message a client may send."""
LAST_ANSWERS_S = 1
"""How long a stop waits for requests that are being answered; what is still running then is cut off."""

OnReady = Callable[[App], Awaitable[None]]


def serve(settings: Settings, *, store: StoreProcess | None = None, on_ready: OnReady | None = None) -> int:
    """`run` on a fast event loop of its own."""
    work = run(settings, store=store, on_ready=on_ready)
    return on_a_fast_loop(work, log_level=settings.log.level, log_format=settings.log.format)


async def run(
    settings: Settings, *, store: StoreProcess | None = None, on_ready: OnReady | None = None
) -> int:
    """Serve until SIGINT or SIGTERM, or until somebody asks for it (`clarion cluster drain`), then drain; the exit code.
    A second signal ends the process at once.

    `store`: the process that has the database; None: this one.
    `on_ready` is called when the engine runs and the port is taken; requests are answered once it has returned.
    """
    stop = stop_signal()
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if settings.region.name and not await _turn(settings, stop):
        return 0
    with contextlib.closing(listen(settings.host, settings.port)) as listener:
        if settings.port == 0:
            settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        async with App.open(settings, store) as app:
            if on_ready is not None:
                await on_ready(app)
            gc.collect()
            gc.freeze()
            await _answer_until(stop, app, listener)
    return 0


async def _turn(settings: Settings, stop: asyncio.Event) -> bool:
    """Wait until this region is to work; False: the process is to stop before that."""
    from clarion.app.regions import RegionServers  # with packages that one region does not need

    async with RegionServers.of(settings, SystemClock()) as regions:
        waiting, stopping = asyncio.ensure_future(regions.turn()), asyncio.ensure_future(stop.wait())
        await asyncio.wait([waiting, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if waiting.done():
            await waiting
            return True
        waiting.cancel()
        return False


async def _answer_until(stop: asyncio.Event, app: App, listener: socket.socket) -> None:
    """Answer requests; at the end tell whoever waits, and let the last answers go out."""
    limits = app.settings.limits
    connections = Connections(
        app.clock,
        Patience(
            waiting=limits.waiting_connections, waiting_per_client=limits.waiting_connections_per_client
        ),
    )
    app.metrics.add("connections", connections.stats)
    server = _Uvicorn(
        uvicorn.Config(
            app.asgi,
            http=connections.connection,  # type: ignore[arg-type]
            ws="websockets-sansio",
            ws_max_size=FRAME_BYTES,
            ws_per_message_deflate=False,
            ws_ping_interval=PING_S,
            ws_ping_timeout=PING_S,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=LAST_ANSWERS_S,
        )
    )
    sweeping = asyncio.create_task(connections.sweep_forever())
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    drain_asked = app.pipeline.lease.drain_asked
    ends = [serving, *(asyncio.ensure_future(event.wait()) for event in (stop, drain_asked))]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    await app.leave()
    await app.dismiss()
    server.should_exit = True
    await serving
    sweeping.cancel()


class _Uvicorn(uvicorn.Server):
    """With its signal handling left to us: it does not know what has to be drained."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
