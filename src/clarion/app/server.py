"""Serves an app: its event loop, its port, its signals."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator

import uvicorn
import uvloop

from clarion.adapters.telemetry import logs
from clarion.app.connections import Connections, Patience
from clarion.app.process import App
from clarion.config import Settings
from clarion.errors import ConfigError

SWITCH_INTERVAL_S = 0.0002
"""The writer thread must get the interpreter back soon after each file system call."""
GC_THRESHOLD = (50_000, 20, 100)
"""A batch allocates thousands of short-lived values; the default would collect in the middle of every one."""
PING_S = 25.0
"""A peer that is gone without a word is noticed within two of these."""
FRAME_BYTES = 16 * 1024
"""Largest WebSocket message a client may send."""
LAST_ANSWERS_S = 1
"""How long a stop waits for requests that are being answered; what is still running then is cut off."""

OnReady = Callable[[App], Awaitable[None]]


def serve(settings: Settings, *, on_ready: OnReady | None = None) -> int:
    """`run` on a fast event loop of its own."""
    return on_a_fast_loop(settings, run(settings, on_ready=on_ready))


def on_a_fast_loop(settings: Settings, work: Coroutine[None, None, int]) -> int:
    """What `work` returns, in a process that does nothing else."""
    logs.set_up(settings.log.level, settings.log.format)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*GC_THRESHOLD)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def run(settings: Settings, *, on_ready: OnReady | None = None) -> int:
    """Serve until SIGINT or SIGTERM, then drain; the exit code. A second signal ends the process at once.

    `on_ready` is called when the engine runs and the port is taken; requests are answered once it has returned.
    """
    stop = stop_signal()
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.closing(listen(settings.host, settings.port)) as listener:
        if settings.port == 0:
            settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        async with App.open(settings) as app:
            if on_ready is not None:
                await on_ready(app)
            gc.collect()
            gc.freeze()
            await _answer_until(stop, app, listener)
    return 0


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; ConfigError when the port is taken or the address is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as refused:
        listener.close()
        raise ConfigError(
            f"Cannot listen on {host} port {port}: {os.strerror(refused.errno or 0).lower()}. "
            f"Stop what uses it, or choose another port, e.g. --port {port + 1 if 0 < port < 65_535 else 8081}."
        ) from None
    listener.listen(4096)
    listener.setblocking(False)
    return listener


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
    await asyncio.wait({serving, asyncio.ensure_future(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
    await app.dismiss()
    server.should_exit = True
    await serving
    sweeping.cancel()


class _Uvicorn(uvicorn.Server):
    """With its signal handling left to us: it does not know what has to be drained."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def stop_signal() -> asyncio.Event:
    """Set by the first SIGINT or SIGTERM; the second ends the process at once."""
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            # What was accepted is durable, and what is under way is recovered by its lease.
            os._exit(1)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    return stop
