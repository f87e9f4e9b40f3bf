"""The store in a process of its own, beside the one that serves: started by it, started again when it dies, and ended last.

The two speak over a pair of sockets that nobody else can reach. When it is killed, what was asked is told Unavailable,
as by any store that goes away, and the next call starts it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec
import structlog

from clarion.adapters.ledgers.remote import RemoteStore
from clarion.adapters.ledgers.remote.wire import LENGTH, WireFault, error_of
from clarion.adapters.system import SystemClock
from clarion.app.data_directory import only_process
from clarion.app.store_program import StoreOrder
from clarion.config import Settings
from clarion.errors import ConfigError, Unavailable
from clarion.ports.ledger import Store

log = structlog.get_logger(__name__)

_START = (
    "import sys; sys.path[:] = sys.argv[2:]; sys.modules['rich'] = None; "
    "from clarion.app.store_program import main; sys.exit(main())"
)
"""Without the package that the logger would load for tracebacks in colour: 4 MiB, and a seventh of the time to load."""
STEADY_S = 30.0
"""A store that lived for so long is started again at once."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
"""Before a start behind one that did not last; twice as long each time."""


def is_chosen(settings: Settings) -> bool:
    """Whether the store is to have a process of its own: it pays where there is a core for it."""
    if not settings.database.startswith("sqlite:"):
        return False
    return _cores() > 1 if settings.store_process == "auto" else settings.store_process


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class StoreProcess:
    """The process that has the database, as the one that started it sees it."""

    def __init__(self, settings: Settings, lock: int, *, prepare: bool) -> None:
        self._settings = settings
        self._prepare = prepare
        self._lock = lock
        self._clock = SystemClock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._again = False
        self._began_s = self._pause_s = 0.0

    @classmethod
    @contextlib.contextmanager
    def beside(cls, settings: Settings, *, prepare: bool = False) -> Iterator[StoreProcess | None]:
        """Started, so that it opens the database while the caller goes on; None: the caller has the database itself.

        With `prepare` it makes first what is missing in the data directory (`app.preparation`). Raises ConfigError when the data directory is in use. Whatever happens, the process is gone on leaving.
        """
        if not is_chosen(settings):
            yield None
            return
        with only_process(settings.data_dir) as lock:
            one = cls(settings, lock, prepare=prepare)
            one._start()
            try:
                yield one
            finally:
                one._kill()

    @contextlib.asynccontextmanager
    async def store(self) -> AsyncIterator[Store]:
        """The store in it; on leaving, everything is on disk and the process has ended. Raises ConfigError, as the
        store itself would."""
        remote: Any = RemoteStore(self._dial)
        try:
            await remote.connect()
        except Unavailable as refused:
            raise ConfigError(refused.detail) from None
        try:
            yield remote
        finally:
            await remote.close()
            if self._socket is not None:
                self._socket.close()
            if self._process is not None:
                await asyncio.to_thread(self._process.wait)

    def _start(self) -> None:
        ours, its = socket.socketpair()
        order = StoreOrder(
            parent=os.getpid(),
            socket=its.fileno(),
            lock=self._lock,
            database=self._settings.database,
            data_dir=str(self._settings.data_dir),
            key_path=str(self._settings.key_path),
            prepare=self._prepare and not self._again,
            again=self._again,
            log_level=self._settings.log.level,
            log_format=self._settings.log.format,
        )
        with its:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-c", _START, msgspec.json.encode(order).decode(), *sys.path],
                stdin=subprocess.DEVNULL,
                pass_fds=(its.fileno(), self._lock),
                start_new_session=True,  # Ctrl-C is for its parent
            )
        ours.setblocking(False)
        self._socket, self._began_s = ours, self._clock.monotonic()

    async def _dial(self, protocol: Callable[[], asyncio.Protocol]) -> asyncio.BaseTransport:
        """Connect to the process: to a new one, when the last one has been connected to before."""
        if self._socket is None:
            await self._replace()
        assert self._socket is not None
        connected, self._socket = self._socket, None
        try:
            await self._opened(connected)
        except ConfigError as refused:
            connected.close()
            if self._again:  # those who ask now have nothing to do with it
                raise Unavailable(f"the store process cannot be started again: {refused.detail}") from None
            raise
        except BaseException:
            connected.close()
            raise
        transport, _ = await asyncio.get_running_loop().create_unix_connection(protocol, sock=connected)
        self._again = True
        return transport

    async def _replace(self) -> None:
        """Start it again. Raises Unavailable when it ended too soon the last time."""
        assert self._process is not None
        self._process.kill()
        ended = await asyncio.to_thread(self._process.wait)
        lived_s = self._clock.monotonic() - self._began_s
        if lived_s >= STEADY_S:
            self._pause_s = 0.0
        if lived_s < self._pause_s:
            raise Unavailable(f"the store process ended ({ended}), and is started again in a moment")
        self._pause_s = min(max(2 * self._pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)
        log.error("store_process_ended", exit=ended)
        self._start()

    async def _opened(self, connected: socket.socket) -> None:
        """Wait until the database is open. Raises what the process says."""
        loop = asyncio.get_running_loop()
        assert self._process is not None
        try:
            size = int.from_bytes(await _exactly(loop, connected, LENGTH))
            fault = msgspec.msgpack.decode(await _exactly(loop, connected, size), type=WireFault | None)
        except (EOFError, OSError):
            ended = await asyncio.to_thread(self._process.wait)
            raise Unavailable(
                f"the store process ended ({ended}) before it was ready: see what it logged"
            ) from None
        if fault is not None:
            raise error_of(fault)

    def _kill(self) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()


async def _exactly(loop: asyncio.AbstractEventLoop, connected: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = await loop.sock_recv(connected, size - len(found))
        if not more:
            raise EOFError
        found += more
    return found
