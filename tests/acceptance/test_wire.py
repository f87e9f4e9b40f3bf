"""The cheap clients read what a server sends, however the network cuts it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bench.wire import Answer, connect, open_socket, request

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
BODIES = [b"", b"x", b'{"event_id": 1}', b"y" * 70_000]


async def listening(peer: Peer) -> tuple[asyncio.Server, int]:
    """A server that treats every connection with `peer`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await peer(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


async def dribble(writer: asyncio.StreamWriter, data: bytes, size: int) -> None:
    """Write in pieces that arrive one by one."""
    for at in range(0, len(data), size):
        writer.write(data[at : at + size])
        await writer.drain()
        await asyncio.sleep(0)


@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_pipelined_answers_come_back_in_order(size):
    """Whatever the pieces, each request gets its own answer."""
    bodies = BODIES[:3] if size == 1 else BODIES

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"last")
        answers = [
            b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\nx: y\r\n\r\n%s" % (len(b), b) for b in bodies
        ]
        await dribble(writer, b"".join(answers), size)

    server, port = await listening(peer)
    async with server:
        connection = await connect(port)
        got: list[Answer | None] = []
        for i in range(len(bodies)):
            last = b"last" if i == len(bodies) - 1 else b""
            connection.send(request("POST", "/", last), got.append)
        connection.send(request("GET", "/never"), got.append)
        async with asyncio.timeout(60):
            while len(got) <= len(bodies):  # noqa: ASYNC110 - callbacks, nothing to wait for
                await asyncio.sleep(0.01)
    assert [answer.body for answer in got[:-1] if answer] == bodies
    assert got[0] is not None
    assert got[0].status == 202
    assert got[0].header("X") == "y"
    assert got[-1] is None, "a request without an answer must not look answered"


@pytest.mark.parametrize("size", [1, 5, 100_000])
async def test_frames_of_every_length_are_read_and_pings_answered(size):
    """Small, medium and large text frames, a ping between them, and the close code."""
    texts = [b"", b"a" * 125, b"b" * 126, b"c" * 300] + ([] if size == 1 else [b"d" * 70_000])
    ponged = asyncio.Event()

    def frame(opcode: int, payload: bytes) -> bytes:
        n = len(payload)
        if n < 126:
            length = bytes((n,))
        elif n < 65536:
            length = b"\x7e" + n.to_bytes(2, "big")
        else:
            length = b"\x7f" + n.to_bytes(8, "big")
        return bytes((0x80 | opcode,)) + length + payload

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        data = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n"
        data += b"".join(frame(1, text) for text in texts) + frame(9, b"hi")
        await dribble(writer, data, size)
        if await reader.readexactly(8) == b"\x8a\x82\0\0\0\0hi":
            ponged.set()
        await dribble(writer, frame(8, (4001).to_bytes(2, "big")), size)

    server, port = await listening(peer)
    async with server:
        got: list[bytes] = []
        socket = await open_socket(port, "/", got.append)
        async with asyncio.timeout(60):
            assert await socket.closed == 4001
            await ponged.wait()
    assert got == texts


async def test_a_refused_handshake_is_an_error():
    """An HTTP answer is no WebSocket."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()

    server, port = await listening(peer)
    async with server:
        with pytest.raises(ConnectionError, match="401"):
            await open_socket(port, "/", lambda _: None)
