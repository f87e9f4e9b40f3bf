"""An HTTP/1.1 server that gives every request the same answer: `python -m bench.http_sink PORT STATUS BODY DELAY_S`.

It must cost much less than what it measures: of a request only the end is looked for.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"


class Sink(asyncio.Protocol):
    """One connection; requests may be pipelined. Every answer takes `delay_s`."""

    def __init__(self, answer: bytes, delay_s: float = 0.0) -> None:
        self._answer = answer
        self._delay_s = delay_s
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody calls."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        buffer = self._buffer + data
        complete = 0
        while (size := size_of(buffer)) and len(buffer) >= size:
            buffer = buffer[size:]
            complete += 1
        self._buffer = buffer
        if complete and self._delay_s:
            asyncio.get_running_loop().call_later(self._delay_s, self._reply, complete)
        elif complete:
            self._reply(complete)

    def _reply(self, requests: int) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._answer * requests)


def size_of(buffer: bytes) -> int:
    """Bytes of the request that the buffer begins with; 0: its head is not complete yet."""
    head = buffer.find(HEAD_END)
    if head < 0:
        return 0
    at = buffer[:head].lower().find(LENGTH)
    length = int(buffer[at + len(LENGTH) : head].split(b"\r\n", 1)[0]) if at >= 0 else 0
    return head + len(HEAD_END) + length


def answer_of(status: int, body: bytes) -> bytes:
    """An answer as it goes over the wire."""
    head = f"HTTP/1.1 {status} Taken\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def main() -> None:
    """Serve until it is killed."""
    port, status, body, delay_s = sys.argv[1:]
    answer = answer_of(int(status), body.encode())
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Sink(answer, float(delay_s)), "127.0.0.1", int(port))
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
