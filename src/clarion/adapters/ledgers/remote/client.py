"""The store as a process sees it that is not the store's own: every call goes over the socket.

A call is lost with its connection: whoever made it is told Unavailable and cannot know whether it was carried out, so it
is repeated, which all writes of the engine are made for. The next call connects again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from msgspec.structs import replace

from clarion.adapters.ledgers.remote.users import RemoteUsers
from clarion.adapters.ledgers.remote.wire import (
    METHODS,
    VERSION,
    WRITTEN,
    Call,
    Method,
    TermsAsked,
    WireAnswer,
    WireFrames,
    encode,
    error_of,
    framed,
)
from clarion.errors import Unavailable
from clarion.model.event import Entry, Event, IdempotencyRecord, IdempotencyResult
from clarion.model.ids import UserNo
from clarion.model.plan import PlanCommit, PlanResult
from clarion.ports import terms

HEALTH_S = 2.0
"""How long the store may take to say how it is."""

_answer = msgspec.msgpack.Decoder(WireAnswer).decode
_numbers = msgspec.msgpack.Decoder(list[UserNo]).decode

PATIENCE_S = 5.0
"""How long a call waits for a store that is being started."""

Make = Callable[..., Coroutine[Any, Any, Any]]
Dial = Callable[[Callable[[], asyncio.Protocol]], Awaitable[asyncio.BaseTransport]]
"""Connects a protocol to the store. Raises Unavailable."""


def at(path: Path) -> Dial:
    """The store that is served at this socket."""

    async def dial(protocol: Callable[[], asyncio.Protocol]) -> asyncio.BaseTransport:
        try:
            transport, _ = await asyncio.get_running_loop().create_unix_connection(protocol, str(path))
        except OSError:
            raise Unavailable(f"nothing answers at {path}: start the store process") from None
        return transport

    return dial


class RemoteStore:
    """Implements `ports.ledger.Store`, all methods of which are made here from its annotations."""

    users: Any
    setup: Any
    log: Any
    plans: Any
    health: Make

    def __init__(self, dial: Dial) -> None:
        self._line = line = _Line(dial)
        for method in METHODS:
            part: Any = self
            for name in method.path[:-1]:
                if not hasattr(part, name):
                    setattr(part, name, SimpleNamespace())
                part = getattr(part, name)
            setattr(part, method.path[-1], line.method(method))
        self.setup.on_change = lambda changed: None  # nobody tells
        self.log.on_append = lambda told: None
        self.users = line.users = RemoteUsers(self.users)
        self.log.append = _append(self.log.append)
        self.plans.commit = _commit(self.plans.commit)
        self.plans.preview = _commit(self.plans.preview)
        self.health = _health(self.health)

    async def connect(self) -> None:
        """Find out whether the store can be reached, however long it takes to start. Raises Unavailable."""
        await self._line.connected(patience_s=None)

    async def close(self) -> None:
        """Hang up. The store goes on."""
        await self._line.close()


def _append(append: Make) -> Make:
    async def call(
        entries: Sequence[Entry], claims: Sequence[IdempotencyRecord | None]
    ) -> tuple[Sequence[Entry], Sequence[IdempotencyResult | None]]:
        stored, results = await append(_closed(entries), claims)
        return _opened(stored, entries), results

    return call


def _commit(commit: Make) -> Make:
    async def call(plan: PlanCommit) -> PlanResult:
        closed = replace(plan, bodies=_closed(plan.bodies)) if plan.bodies else plan
        result: PlanResult = await commit(closed)
        return result

    return call


def _closed(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Sealed only: an opened event stays in the process that opened it."""
    return tuple(entry if entry.event is None else replace(entry, event=None) for entry in entries)


def _opened(stored: Sequence[Entry], sent: Sequence[Entry]) -> tuple[Entry, ...]:
    events: Mapping[bytes, Event | None] = {entry.sealed: entry.event for entry in sent}
    return tuple(replace(entry, event=events.get(entry.sealed)) for entry in stored)


def _health(health: Make) -> Make:
    async def call() -> str:
        try:
            async with asyncio.timeout(HEALTH_S):
                said: str = await health()
                return said
        except TimeoutError:
            raise Unavailable("the store process does not answer: look whether it is stopped") from None

    return call


class _Line(asyncio.Protocol):
    """The connection to the store, made when it is needed."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self.users: RemoteUsers | None = None
        self._transport: Any = None
        self._connecting: asyncio.Task[None] | None = None
        self._frames = WireFrames()
        self._greeting: asyncio.Future[str] | None = None
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[WireAnswer]] = {}
        self._calls: list[bytes] = []
        self._free = asyncio.Event()
        self._free.set()
        self._closed = False

    def method(self, method: Method) -> Make:
        """The method, to be called like that of a store."""
        number, call, decode = method.number, method.call, method.result.decode

        async def make(*args: Any, **more: Any) -> Any:
            arguments = msgspec.Raw(encode(call(*args, **more)))
            return decode(await self._ask(number, arguments))

        return make

    async def connected(self, *, patience_s: float | None) -> None:
        """There is a connection when this returns, else it raises Unavailable."""
        if self._transport is not None and not self._closed:
            return
        if self._closed:
            raise Unavailable("the connection to the store is closed: nothing was stored")
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(self._connected)
        done, _ = await asyncio.wait([self._connecting], timeout=patience_s)
        if not done:
            raise Unavailable("the store is still being started: nothing was stored; try again")
        for task in done:
            if task.cancelled():
                raise Unavailable("the connection to the store is closed: nothing was stored")
            task.result()

    async def _connect(self) -> None:
        self._frames, self._greeting = WireFrames(), asyncio.get_running_loop().create_future()
        transport: Any = await self._dial(lambda: self)
        try:
            version = await self._greeting
        except EOFError:
            raise Unavailable("the store went away: nothing was stored") from None
        except BaseException:
            transport.close()
            raise
        if version != VERSION:
            transport.close()
            raise Unavailable("the store process is another version of Clarion: start both with the same one")
        if transport.is_closing():
            raise Unavailable("the store went away: nothing was stored")
        self._transport = transport

    def _connected(self, task: asyncio.Task[None]) -> None:
        self._connecting = None
        if not task.cancelled():
            task.exception()  # those who waited have been told

    async def close(self) -> None:
        """For good."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        if self._transport is not None:
            self._transport.close()

    async def _ask(self, method: int, arguments: msgspec.Raw) -> msgspec.Raw:
        if self._transport is None or self._closed:
            await self.connected(patience_s=PATIENCE_S)
        if not self._free.is_set():
            await self._free.wait()
        asked = terms.current()
        sent = None
        if asked is not None:
            sent = TermsAsked(asked.subject, asked.conditions, asked.creates, asked.dry, asked.wrote)
        number = next(self._numbers)
        waiting: asyncio.Future[WireAnswer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        self._send(framed(Call(number, method, arguments, sent)))
        answer = await waiting
        if asked is not None and answer.terms is not None:
            asked.wrote, asked.tag = answer.terms.wrote, answer.terms.tag
        if answer.fault is not None:
            raise error_of(answer.fault)
        return answer.result

    def _send(self, call: bytes) -> None:
        if not self._calls:
            asyncio.get_running_loop().call_soon(self._flush)
        self._calls.append(call)

    def _flush(self) -> None:
        calls, self._calls = self._calls, []
        if self._transport is not None:
            self._transport.write(b"".join(calls))
        else:
            self._lose()

    # -- what the socket tells --------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._greeting is not None and not self._greeting.done():
            self._greeting.set_result(data[: len(VERSION)].decode(errors="replace"))
            data = data[len(VERSION) :]
        for frame in self._frames.feed(data):
            answer = _answer(frame)
            if answer.number == WRITTEN and self.users is not None:
                self.users.written(_numbers(answer.result))
                continue
            waiting = self._waiting.pop(answer.number, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._free.set()
        if self._greeting is not None and not self._greeting.done():
            self._greeting.set_exception(EOFError())
        self._lose()

    def pause_writing(self) -> None:
        self._free.clear()

    def resume_writing(self) -> None:
        self._free.set()

    def _lose(self) -> None:
        lost, self._waiting = self._waiting, {}
        if self.users is not None:
            self.users.lost()
        for waiting in lost.values():
            if not waiting.done():
                waiting.set_exception(Unavailable("the store went away: what was asked may be done or not"))
