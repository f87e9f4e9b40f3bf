"""Puts a store behind a Unix socket, for other processes of this machine and this user."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec
import structlog

from clarion.adapters.ledgers.remote.wire import (
    METHODS,
    VERSION,
    WRITTEN,
    Call,
    Method,
    TermsKept,
    WireAnswer,
    WireFrames,
    encode,
    fault_of,
    framed,
)
from clarion.errors import ClarionError
from clarion.model.ids import UserNo
from clarion.ports import terms
from clarion.ports.ledger import Store

log = structlog.get_logger(__name__)

AT_ONCE = 2_000
"""Calls of one process that may be under way; further ones wait in the socket."""

_call = msgspec.msgpack.Decoder(Call).decode
_NOTHING = msgspec.Raw(encode(None))

Do = Callable[..., Coroutine[Any, Any, Any]]


@runtime_checkable
class TellsUsers(Protocol):
    """A store that says whenever a user is not as they were, on the event loop and before whoever did it has an answer."""

    def on_user_written(self, written: Callable[[UserNo], None]) -> None:
        """From now on."""


@contextlib.asynccontextmanager
async def serve(store: Store, path: Path) -> AsyncIterator[None]:
    """Answer at `path` until left. Who holds the store is the only one who may listen there."""
    methods = _methods_of(store)
    connections: set[_Connection] = set()
    path.unlink(missing_ok=True)  # noqa: ASYNC240 - as short as opening the socket
    before = os.umask(0o177)  # nobody else may speak to it, not even for a moment
    try:
        server = await asyncio.get_running_loop().create_unix_server(
            lambda: _Connection(methods, connections), str(path)
        )
    finally:
        os.umask(before)
    try:
        yield
    finally:
        server.close()
        for connection in list(connections):
            connection.end()
        await asyncio.gather(*(task for one in connections for task in one.under_way), return_exceptions=True)
        path.unlink(missing_ok=True)  # noqa: ASYNC240


async def answer(store: Store, connected: socket.socket) -> None:
    """Answer whoever is on the other side, until they hang up and what they asked is done.

    They are the only ones who use the store, so they may keep users they have read: they are told who is written.
    """
    methods, connections = _methods_of(store), set[_Connection]()
    _, one = await asyncio.get_running_loop().connect_accepted_socket(
        lambda: _Connection(methods, connections), connected
    )
    if isinstance(store, TellsUsers):
        one.tell_users()
        store.on_user_written(one.user_written)
    await one.over.wait()


def _methods_of(store: Store) -> list[tuple[Method, Do]]:
    return [(method, _method_of(store, method)) for method in METHODS]


def _method_of(store: Any, method: Method) -> Do:
    for name in method.path:
        store = getattr(store, name)
    do: Do = store
    return do


class _Connection(asyncio.Protocol):
    """One process that uses the store."""

    def __init__(self, methods: list[tuple[Method, Do]], connections: set[_Connection]) -> None:
        self._methods = methods
        self._connections = connections
        self._frames = WireFrames()
        self._transport: Any = None
        self._greeted = False
        self._answers: list[bytes] = []
        self._written: list[UserNo] = []
        self.under_way: set[asyncio.Task[None]] = set()
        self.over = asyncio.Event()
        """They have hung up, and nothing is under way."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._connections.add(self)
        self._transport.write(VERSION.encode())

    def connection_lost(self, error: Exception | None) -> None:
        # What is under way is done all the same, as if whoever asked had been cancelled.
        self._transport = None
        self._forget()

    def end(self) -> None:
        """Say nothing more."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._frames.feed(data):
                task = asyncio.get_running_loop().create_task(self._answer(_call(frame)))
                self.under_way.add(task)
                task.add_done_callback(self._done)
        except (ValueError, msgspec.DecodeError):
            log.error("store_call_not_understood")
            self.end()
        if len(self.under_way) >= AT_ONCE and self._transport is not None:
            self._transport.pause_reading()

    def _done(self, task: asyncio.Task[None]) -> None:
        self.under_way.discard(task)
        self._forget()
        if self._transport is not None and len(self.under_way) == AT_ONCE // 2:
            self._transport.resume_reading()

    def _forget(self) -> None:
        if self._transport is None and not self.under_way:
            self._connections.discard(self)
            self.over.set()

    async def _answer(self, call: Call) -> None:
        method, do = self._methods[call.method]
        asked = None
        if call.terms is not None:
            asked = call.terms.entered()
            terms.enter(asked)
        result, fault = _NOTHING, None
        try:
            arguments = msgspec.structs.astuple(method.arguments.decode(call.arguments))
            places = len(arguments) - method.named
            names = method.call.__struct_fields__[places:]
            found = await do(*arguments[:places], **dict(zip(names, arguments[places:], strict=True)))
            result = msgspec.Raw(encode(found))
        except ClarionError as error:
            fault = fault_of(error)
        except Exception as error:
            log.exception("store_call_failed", method=".".join(method.path))
            fault = fault_of(error)
        kept = None if asked is None else TermsKept(asked.wrote, asked.tag)
        self._send(framed(WireAnswer(call.number, result, fault, kept)))

    def user_written(self, no: UserNo) -> None:
        """Told before the next answer."""
        self._soon()
        self._written.append(no)

    def tell_users(self) -> None:
        """Say who was written, also if nobody was."""
        self._soon()
        told, self._written = self._written, []
        self._answers.append(framed(WireAnswer(WRITTEN, msgspec.Raw(encode(told)))))

    def _send(self, answer: bytes) -> None:
        self._soon()
        if self._written:
            self.tell_users()
        self._answers.append(answer)

    def _soon(self) -> None:
        if not (self._answers or self._written):
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        if self._written:
            self.tell_users()
        answers, self._answers = self._answers, []
        if self._transport is not None:
            self._transport.write(b"".join(answers))
