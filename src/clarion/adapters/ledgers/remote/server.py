"""Puts a store behind a Unix socket, for other processes of this machine and this user."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import structlog

from clarion.adapters.ledgers.remote.wire import (
    METHODS,
    VERSION,
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
from clarion.ports import terms
from clarion.ports.ledger import Store

log = structlog.get_logger(__name__)

AT_ONCE = 2_000
"""Calls of one process that may be under way; further ones wait in the socket."""

_call = msgspec.msgpack.Decoder(Call).decode
_NOTHING = msgspec.Raw(encode(None))

Do = Callable[..., Coroutine[Any, Any, Any]]


@contextlib.asynccontextmanager
async def serve(store: Store, path: Path) -> AsyncIterator[None]:
    """Answer at `path` until left. Who holds the store is the only one who may listen there."""
    methods = [(method, _method_of(store, method)) for method in METHODS]
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
        self.under_way: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._connections.add(self)
        self._transport.write(VERSION.encode())

    def connection_lost(self, error: Exception | None) -> None:
        # What is under way is done all the same, as if whoever asked had been cancelled.
        self._transport = None
        if not self.under_way:
            self._connections.discard(self)

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
        if self._transport is None and not self.under_way:
            self._connections.discard(self)
        elif self._transport is not None and len(self.under_way) == AT_ONCE // 2:
            self._transport.resume_reading()

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

    def _send(self, answer: bytes) -> None:
        if not self._answers:
            asyncio.get_running_loop().call_soon(self._flush)
        self._answers.append(answer)

    def _flush(self) -> None:
        answers, self._answers = self._answers, []
        if self._transport is not None:
            self._transport.write(b"".join(answers))
