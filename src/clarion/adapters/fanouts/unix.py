"""Fan-out between the processes of one machine: each sends what it publishes to the process that has the store, which
passes it on to the others.

Whoever joins is announced to all, because something may have been published while it was not there: all look into the
ledger then. So nothing has to be kept for a process that is away, and one that does not keep up is just sent away.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import structlog

from clarion.adapters.fanouts.memory import MemoryFanout
from clarion.errors import ConfigError
from clarion.model.ids import UserNo
from clarion.model.inbox import InboxChange
from clarion.ports.backend import BackendTools
from clarion.ports.clock import Clock
from clarion.ports.fanout import Fanout, FanoutState

log = structlog.get_logger(__name__)

LENGTH = 4
LONGEST = 64 * 1024 * 1024
"""Bytes of one publication."""
BEHIND = 16 * 1024 * 1024
"""Bytes that may wait for a process that does not read; then it is sent away, and catches up when it is back."""
RETRY_S = 0.2
"""Between two tries to join."""
JOINED = (0).to_bytes(LENGTH)
"""Somebody has joined, or something may never have been published."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[InboxChange]).decode


def relay_path(store: Path) -> Path:
    """Where changes are passed on, beside the socket of the store."""
    return store.with_name(f"{store.name}.fanout")


# -- the process that passes on ----------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def relay(path: Path) -> AsyncIterator[None]:
    """Pass on what each process sends to all others, until left."""
    members: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    def pass_on(frame: bytes, but: asyncio.StreamWriter | None = None) -> None:
        for member in [one for one in members if one is not but]:
            _send(member, frame)

    async def member(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        members[writer] = asyncio.current_task()
        pass_on(JOINED)
        try:
            while frame := await _frame(reader):
                pass_on(frame, but=writer)
        finally:
            await _hang_up(writer)
            del members[writer]

    path.unlink(missing_ok=True)  # noqa: ASYNC240 - as short as opening the socket
    before = os.umask(0o177)  # nobody else may listen, not even for a moment
    try:
        server = await asyncio.start_unix_server(member, str(path))
    finally:
        os.umask(before)
    try:
        yield
    finally:
        server.close()
        for one in members:
            one.transport.abort()
        await asyncio.gather(*(task for task in members.values() if task), return_exceptions=True)
        path.unlink(missing_ok=True)  # noqa: ASYNC240


# -- the others --------------------------------------------------------------------------------------------------------


class UnixFanout:
    """Implements `ports.fanout.Fanout` for publishers and gateways of several processes."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._here = MemoryFanout()
        self._relay: asyncio.StreamWriter | None = None
        self._counted = Counter(published=0, received=0, missed=0)
        self.subscribe = self._here.subscribe

    def publish(self, changes: Sequence[InboxChange]) -> None:
        """To this process at once, to the others by the relay: sealed only, as they are stored."""
        self._here.publish(changes)
        if changes and self._relay is not None:
            self._counted["published"] += len(changes)
            body = _encode(
                [msgspec.structs.replace(one, content=()) if one.content else one for one in changes]
            )
            _send(self._relay, len(body).to_bytes(LENGTH) + body)

    def follow(self, user: UserNo) -> asyncio.Future[None] | None:
        """Everything comes here anyway."""
        return None

    def unfollow(self, user: UserNo) -> None:
        """Everything comes here anyway."""

    def missed(self) -> None:
        """As if somebody had joined."""
        self._missed()
        if self._relay is not None:
            _send(self._relay, JOINED)

    def state(self) -> FanoutState:
        """Whether the relay can be reached."""
        return FanoutState(
            "" if self._relay is not None else f"nothing answers at {self._path}", self._counted
        )

    async def join(self) -> asyncio.StreamReader:
        """Everything that is published from now on comes from here. Raises OSError or EOFError."""
        reader, writer = await asyncio.open_unix_connection(str(self._path))
        try:
            if await _frame(reader) != JOINED:
                raise EOFError
        except BaseException:
            await _hang_up(writer)
            raise
        self._relay = writer
        return reader

    async def listen(self, reader: asyncio.StreamReader) -> None:
        """Hear the others, joining again whenever the relay was away, until cancelled."""
        while True:
            await self._hear(reader)
            reader = await self._joined_again()
            self._missed()

    def _missed(self) -> None:
        self._counted["missed"] += 1
        self._here.missed()

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        """Until the relay goes away."""
        try:
            while frame := await _frame(reader):
                if frame == JOINED:
                    self._missed()
                else:
                    changes = _decode(memoryview(frame)[LENGTH:])
                    self._counted["received"] += len(changes)
                    self._here.publish(changes)
        except msgspec.DecodeError:
            log.exception("fanout_not_understood")
        await self.leave()

    async def leave(self) -> None:
        """Nothing comes from the others any more."""
        relay, self._relay = self._relay, None
        if relay is not None:
            await _hang_up(relay)

    async def _joined_again(self) -> asyncio.StreamReader:
        log.warning("fanout_away", path=str(self._path))
        while True:
            await self._clock.sleep(RETRY_S)
            with contextlib.suppress(OSError, EOFError):
                return await self.join()


@contextlib.asynccontextmanager
async def opened(url: str, tools: BackendTools) -> AsyncIterator[Fanout]:
    """The fan-out of all processes on the store at this socket, relative to the data directory. See `ports.backend.OpenFanout`."""
    path = relay_path(tools.data_dir / url.removeprefix("unix:"))
    fanout = UnixFanout(path, tools.clock)
    try:
        reader = await fanout.join()
    except (OSError, EOFError):
        raise ConfigError(
            f"fanout: nothing answers at {path}: start the store process (`clarion store`)"
        ) from None
    listening = asyncio.ensure_future(fanout.listen(reader))
    try:
        yield fanout
    finally:
        listening.cancel()
        await asyncio.wait([listening])
        await fanout.leave()


def _send(to: asyncio.StreamWriter, frame: bytes) -> None:
    if to.transport.get_write_buffer_size() > BEHIND:
        to.transport.abort()
    elif not to.transport.is_closing():
        to.write(frame)


async def _hang_up(on: asyncio.StreamWriter) -> None:
    """Gone when this returns."""
    on.transport.abort()
    with contextlib.suppress(OSError):
        await on.wait_closed()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    """The next one with its length before it; empty at the end."""
    try:
        head = await reader.readexactly(LENGTH)
        size = int.from_bytes(head)
        return head + await reader.readexactly(size) if size <= LONGEST else b""
    except (asyncio.IncompleteReadError, OSError):
        return b""
