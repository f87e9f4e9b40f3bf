"""A small HTTP/1.1 server on loopback that answers as a test says, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Asked], bytes | Awaitable[bytes]]


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """A whole answer; header names are written with `_`."""
    lines = [f"HTTP/1.1 {status} x", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Web:
    """`port`, everything that was `asked`, and how many requests are `open` at most."""

    def __init__(self, respond: Answer) -> None:
        self.respond = respond
        self.asked: list[Asked] = []
        self.connections = 0
        self.port = 0
        self.open = 0
        self.most_open = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                asked = await _read(reader)
                self.asked.append(asked)
                self.open += 1
                self.most_open = max(self.most_open, self.open)
                try:
                    said = self.respond(asked)
                    whole = said if isinstance(said, bytes) else await said
                finally:
                    self.open -= 1
                writer.write(whole)
                await writer.drain()
                if not whole:
                    break
        writer.close()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    method, path, _ = first.split(" ")
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method=method, path=path, headers=headers, body=body)


@contextlib.asynccontextmanager
async def web(respond: Answer, context: ssl.SSLContext | None = None) -> AsyncIterator[Web]:
    """The server, on a free port. An empty answer closes the connection without one."""
    site = Web(respond)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(site.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
