"""A webhook receiver on loopback that answers as told, and remembers what came."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

HANG = b"hang"
"""An answer that never comes."""


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """The bytes of a response."""
    lines = [f"HTTP/1.1 {status} So", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class Receiver:
    """Where it is, what came, and what it says."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    respond: Callable[[Received], bytes] = lambda request: answer(200)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.split("\r\n")[:-2]
                headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                request = Received(first.split()[1], headers, body)
                self.received.append(request)
                said = self.respond(request)
                if said is HANG:
                    await asyncio.get_running_loop().create_future()
                writer.write(said)
                await writer.drain()


@contextlib.asynccontextmanager
async def receiver(respond: Callable[[Received], bytes] | None = None) -> AsyncIterator[Receiver]:
    """A receiver that is closed at the end."""
    one = Receiver()
    if respond is not None:
        one.respond = respond
    running: set[asyncio.Task] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await one.serve(reader, writer)
        except asyncio.CancelledError:
            pass  # at the end of the test
        finally:
            running.discard(task)
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=2**20)
    one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield one
    finally:
        server.close()
        ending = list(running)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
