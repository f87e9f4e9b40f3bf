"""The cheap side of the wire: HTTP/1.1 and WebSocket clients on bare asyncio protocols.

A load generator must cost much less than what it measures. Requests are bytes built beforehand, answers are found
by two searches in the buffer, and of a WebSocket frame only the header is read.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, cast

Sink = Callable[["Answer | None"], None]
"""Receives one answer, or None when the connection broke before it came."""


class Answer(NamedTuple):
    """An HTTP answer as it came."""

    status: int
    head: bytes
    body: bytes

    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body) if self.body else None

    def header(self, name: str) -> str | None:
        """The value of a header, None when it is not there."""
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.strip().lower() == name.lower().encode():
                return value.strip().decode()
        return None


def request(
    method: str, path: str, body: bytes = b"", *, key: str = "", headers: dict[str, str] | None = None
) -> bytes:
    """A complete request, ready to be written as often as wanted."""
    lines = [f"{method} {path} HTTP/1.1", "host: clarion"]
    if key:
        lines.append(f"authorization: Bearer {key}")
    if body or method in {"POST", "PUT", "PATCH"}:
        lines.append(f"content-length: {len(body)}")
    lines += [
        f"{name}: {value}" for name, value in ({"content-type": "application/json"} | (headers or {})).items()
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Connection(asyncio.Protocol):
    """One kept-open HTTP/1.1 connection; requests may be pipelined, answers come in order."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._waiting: deque[Sink] = deque()
        self._buffer = b""

    @property
    def open(self) -> bool:
        """Whether a request can be sent."""
        return self.transport is not None and not self.transport.is_closing()

    @property
    def pending(self) -> int:
        """Requests without an answer."""
        return len(self._waiting)

    def send(self, raw: bytes, sink: Sink) -> None:
        """Write a request; `sink` gets the answer."""
        assert self.transport is not None
        self._waiting.append(sink)
        self.transport.write(raw)

    def close(self) -> None:
        """Hang up."""
        if self.transport is not None:
            self.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Every request still without an answer gets None."""
        self.transport = None
        while self._waiting:
            self._waiting.popleft()(None)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        if self._buffer:
            data = self._buffer + data
        at, size = 0, len(data)
        while at < size:
            end = data.find(b"\r\n\r\n", at)
            if end < 0:
                break
            head = data[at:end]
            start = end + 4
            stop = start + _body_length(head)
            if stop > size:
                break
            self._waiting.popleft()(Answer(int(head[9:12]), head, data[start:stop]))
            at = stop
        self._buffer = data[at:]


def _body_length(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(b"\r\ncontent-length:")
    if at < 0:
        if b"\r\ntransfer-encoding:" in lower:
            raise ValueError(f"the load generator does not read chunked answers: {head!r}")
        return 0
    end = lower.find(b"\r\n", at + 17)
    return int(lower[at + 17 : end if end > 0 else len(lower)])


async def connect(port: int, *, source: str | None = None, host: str = "127.0.0.1") -> Connection:
    """Open one connection, if wanted from another loopback address."""
    loop = asyncio.get_running_loop()
    local = (source, 0) if source else None
    _, connection = await loop.create_connection(Connection, host, port, local_addr=local)
    return connection


class Api:
    """The API as a test or a set-up script uses it: one call at a time, a fresh connection when needed."""

    def __init__(self, port: int, key: str = "") -> None:
        self.port, self.key = port, key
        self._connection: Connection | None = None

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        within: float = 30,
    ) -> Answer:
        """One request and its answer; ConnectionError when the server went away before it answered."""
        if self._connection is None or not self._connection.open:
            self._connection = await connect(self.port)
        payload = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        answered: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._connection.send(
            request(method, path, payload, key=self.key, headers=headers),
            lambda answer: None if answered.done() else answered.set_result(answer),
        )
        try:
            answer = await asyncio.wait_for(answered, within)
        except TimeoutError:
            self.close()
            raise
        if answer is None:
            raise ConnectionError(f"the connection broke before {method} {path} was answered")
        return answer

    async def get(self, path: str) -> Any:
        """The decoded answer; anything but 200 is an error. Asked once more when the server closed the connection meanwhile, as it
        may whenever nothing is under way."""
        try:
            answer = await self.call("GET", path)
        except ConnectionError:
            answer = await self.call("GET", path)
        return self._expect(answer, path)

    async def put(self, path: str, body: Any) -> Any:
        """Create or replace; anything but success is an error."""
        return self._expect(await self.call("PUT", path, body), path)

    async def post(self, path: str, body: Any, *, headers: dict[str, str] | None = None) -> Any:
        """Submit; anything but success is an error."""
        return self._expect(await self.call("POST", path, body, headers=headers), path)

    def _expect(self, answer: Answer, path: str) -> Any:
        if not 200 <= answer.status < 300:
            raise RuntimeError(
                f"{path} answered {answer.status}: {answer.body[:600].decode(errors='replace')}"
            )
        return answer.json()

    def close(self) -> None:
        """Drop the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None


# ── WebSocket ─────────────────────────────────────────────────────────────────────────────────────────────

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA


class Socket(asyncio.Protocol):
    """A WebSocket client that reads frame headers and hands the payload on unread."""

    def __init__(
        self, path: str, received: Callable[[bytes], None], headers: dict[str, str] | None = None
    ) -> None:
        self._path, self._received, self._headers = path, received, headers or {}
        self.transport: asyncio.Transport | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._buffer = b""
        self._code = 1006

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the handshake."""
        self.transport = cast(asyncio.Transport, transport)
        lines = [
            f"GET {self._path} HTTP/1.1",
            "host: clarion",
            "connection: Upgrade",
            "upgrade: websocket",
            "sec-websocket-version: 13",
            f"sec-websocket-key: {base64.b64encode(os.urandom(16)).decode()}",
            *(f"{name}: {value}" for name, value in self._headers.items()),
        ]
        self.transport.write("\r\n".join(lines).encode() + b"\r\n\r\n")

    def send(self, payload: bytes, opcode: int = TEXT) -> None:
        """One masked frame (with the mask 0, which leaves the payload as it is)."""
        assert self.transport is not None
        if len(payload) < 126:
            head = bytes((0x80 | opcode, 0x80 | len(payload)))
        else:
            head = bytes((0x80 | opcode, 0xFE)) + len(payload).to_bytes(2, "big")
        self.transport.write(head + b"\0\0\0\0" + payload)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("closed during the handshake"))
            self.opened.exception()
        if not self.closed.done():
            self.closed.set_result(self._code)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        if self._buffer:
            data = self._buffer + data
        at = 0
        if not self.opened.done():
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = data
                return
            if data[9:12] != b"101":
                self.opened.set_exception(ConnectionError(f"no WebSocket: {data[:400]!r}"))
                self.opened.exception()
                self.abort()
                return
            self.opened.set_result(None)
            at = end + 4
        size = len(data)
        while size - at >= 2:
            length, start = data[at + 1], at + 2
            if length == 126:
                start += 2
                length = int.from_bytes(data[at + 2 : start], "big") if size >= start else size
            elif length == 127:
                start += 8
                length = int.from_bytes(data[at + 2 : start], "big") if size >= start else size
            if start + length > size:
                break
            opcode = data[at] & 0x0F
            at = start + length
            if opcode == TEXT:
                self._received(data[start:at])
            elif opcode == PING:
                self.send(data[start:at], PONG)
            elif opcode == CLOSE:
                self._code = int.from_bytes(data[start : start + 2], "big") or 1005
                self.abort()
        self._buffer = data[at:]

    def abort(self) -> None:
        """Cut the connection without a farewell."""
        if self.transport is not None:
            self.transport.abort()


async def open_socket(
    port: int,
    path: str,
    received: Callable[[bytes], None],
    *,
    headers: dict[str, str] | None = None,
    source: str | None = None,
) -> Socket:
    """Connect and shake hands; ConnectionError when the server refuses."""
    loop = asyncio.get_running_loop()
    local = (source, 0) if source else None
    _, socket = await loop.create_connection(
        lambda: Socket(path, received, headers), "127.0.0.1", port, local_addr=local
    )
    await socket.opened
    return socket
