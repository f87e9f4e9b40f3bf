"""An HTTP server on real sockets that answers as a test says, and fails in every way a server can."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, Literal

import httptools
import msgspec

DRIP_S: Final = 0.05
"""Time between two bytes of an answer that drips."""
FLOOD: Final = b"x" * 65_536
FLOODED_BYTES: Final = 256 * 1024 * 1024
"""Where a flood ends if nobody closes the door."""
GARBAGE: Final = b"gibberish\r\n\r\n"

Manner = Literal["whole", "hang", "drop", "cut", "drip", "flood", "garbage"]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the server answers to one request."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""
    manner: Manner = "whole"
    """`hang`: nothing, ever. `drop`: the connection ends without a word. `cut`: it ends within the body. `drip`: the
    body comes byte by byte. `flood`: the body never ends. `garbage`: what comes is no HTTP."""
    after_s: float = 0
    """How long the server thinks about it."""

    @classmethod
    def json(cls, status: int, value: Any, **headers: str) -> Answer:
        """A JSON body; `retry_after="3"` becomes the header `retry-after`."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return cls(
            status=status,
            headers={"content-type": "application/json", **named},
            body=msgspec.json.encode(value),
        )

    @classmethod
    def text(cls, status: int, body: str, **headers: str) -> Answer:
        """A plain-text body."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return cls(status=status, headers={"content-type": "text/plain", **named}, body=body.encode())


class Received(msgspec.Struct, kw_only=True):
    """A request that arrived whole."""

    method: str = ""
    path: str = ""
    """With the query."""
    headers: dict[str, str] = {}
    """Names in lower case."""
    body: bytes = b""

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)


Otherwise = Answer | Callable[[Received], Answer]
"""One answer for all requests, or one that depends on the request."""


class ScriptedServer:
    """Answers the requests in the order they come: first what `script` holds, then `otherwise`."""

    def __init__(self, *script: Answer, otherwise: Otherwise | None = None) -> None:
        self.script = deque(script)
        self.otherwise: Otherwise = otherwise or Answer()
        self.requests: list[Received] = []
        self.url = ""
        """Without a slash at the end."""
        self.accepted = 0
        """Connections there ever were."""
        self.busiest = 0
        """Most requests that were waiting for their answers at one time."""
        self._waiting = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._changed = asyncio.Event()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return len(self._open)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        self._open.add(writer)
        self.accepted += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.CancelledError, httptools.HttpParserError):
                await self._converse(reader, writer)
        finally:
            self._open.discard(writer)
            writer.close()
            self._changed.set()

    async def until(self, holds: Callable[[], bool], within_s: float) -> None:
        """Wait for something about requests or connections; AssertionError when it does not come true in time."""
        try:
            async with asyncio.timeout(within_s):  # noqa: TID251 - real servers
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(
                f"after {within_s} s: {len(self.requests)} requests, {self.connections} open connections"
            ) from None

    def drop_all(self) -> None:
        """End every connection."""
        for writer in tuple(self._open):
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming = _Incoming()
        while data := await reader.read(65_536):
            for request in incoming.feed(data):
                self.requests.append(request)
                self._changed.set()
                answer = await self._answer(request)
                if answer.manner == "hang":
                    while await reader.read(65_536):  # Until the client goes away.
                        pass
                    return
                if not await _write(writer, answer):
                    return

    async def _answer(self, request: Received) -> Answer:
        if self.script:
            answer = self.script.popleft()
        else:
            answer = self.otherwise if isinstance(self.otherwise, Answer) else self.otherwise(request)
        self._waiting += 1
        self.busiest = max(self.busiest, self._waiting)
        try:
            if answer.after_s:
                await asyncio.sleep(answer.after_s)  # noqa: TID251 (real time on a real socket)
        finally:
            self._waiting -= 1
        return answer


async def _write(writer: asyncio.StreamWriter, answer: Answer) -> bool:
    """Whether the connection goes on."""
    if answer.manner == "drop":
        return False
    if answer.manner == "garbage":
        writer.write(GARBAGE)
        return True
    flooding = answer.manner == "flood"
    length = FLOODED_BYTES if flooding else len(answer.body) + (100 if answer.manner == "cut" else 0)
    headers = {"content-length": str(length), **answer.headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {answer.status} Scripted\r\n{head}\r\n".encode())
    if flooding:
        for _ in range(FLOODED_BYTES // len(FLOOD)):
            writer.write(FLOOD)
            await writer.drain()
    elif answer.manner == "drip":
        for byte in answer.body:
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(DRIP_S)  # noqa: TID251 (real time on a real socket)
    else:
        writer.write(answer.body)
        await writer.drain()
    return answer.manner != "cut"


class _Incoming:
    """Cuts what arrives on one connection into requests."""

    def __init__(self) -> None:
        self._parser: Any = httptools.HttpRequestParser(self)
        self._now = Received()
        self._whole: list[Received] = []

    def feed(self, data: bytes) -> list[Received]:
        self._parser.feed_data(data)
        whole, self._whole = self._whole, []
        return whole

    def on_message_begin(self) -> None:
        self._now = Received()

    def on_url(self, url: bytes) -> None:
        self._now.path += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._now.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._now.body += body

    def on_message_complete(self) -> None:
        self._now.method = self._parser.get_method().decode()
        self._whole.append(self._now)


@contextlib.asynccontextmanager
async def scripted_server(
    *script: Answer, otherwise: Otherwise | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[ScriptedServer]:
    """A server on a free port of this machine, ended with everything it holds.

    async with scripted_server(Answer(status=503), otherwise=Answer.json(200, {"ok": True})) as server:
        ...
        assert server.requests[0].path == "/messages"
    """
    scripted = ScriptedServer(*script, otherwise=otherwise)
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0, ssl=tls)
    scheme = "https" if tls else "http"
    scripted.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield scripted
    finally:
        server.close()
        for _ in range(3):  # A connection that was only just accepted is known a turn of the loop later.
            scripted.drop_all()
            await asyncio.sleep(0)  # noqa: TID251 - only gives way
