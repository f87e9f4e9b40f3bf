"""The load generator keeps sending when a server closes idle connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from bench.load import Pool, accepted
from bench.wire import request

BODY = b"{}"
RAW = request("POST", "/v1/events", BODY)


class Side(asyncio.Protocol):
    """The server's side of a connection: gives the next answer to each request; None closes it without one."""

    def __init__(
        self, left: list[int | None], given: list[int | None], open_: set[asyncio.Transport]
    ) -> None:
        self._left, self._given, self._open = left, given, open_

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.Transport, transport)
        self._open.add(self._transport)

    def data_received(self, data: bytes) -> None:
        """Requests, which are small enough to come whole."""
        for _ in range(data.count(BODY)):
            answer = self._left.pop(0)
            self._given.append(answer)
            if answer is None:
                self._transport.abort()
            else:
                self._transport.write(f"HTTP/1.1 {answer} OK\r\ncontent-length: 0\r\n\r\n".encode())


@asynccontextmanager
async def server(*answers: int | None) -> AsyncIterator[tuple[int, list[int | None]]]:
    """A server that gives these answers in turn, over all connections: its port, and what it has given."""
    left, given, open_ = list(answers), list[int | None](), set[asyncio.Transport]()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Side(left, given, open_), "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1], given
    finally:
        listening.close()
        for transport in open_:
            transport.abort()
        await asyncio.sleep(0)  # lets the loop close the sockets


async def test_what_is_refused_for_now_is_sent_again():
    """429 and 503 ask for patience."""
    async with server(429, 503, 202) as (port, given):
        pool = await Pool.to(port, 1)
        await accepted(pool, RAW)
        pool.close()
    assert given == [429, 503, 202]


async def test_a_connection_that_the_server_closes_is_replaced():
    """The events have ids: sending them again starts nothing twice."""
    async with server(None, 202) as (port, given):
        pool = await Pool.to(port, 1)
        await accepted(pool, RAW)
        pool.close()
    assert given == [None, 202]


async def test_a_server_that_breaks_every_connection_is_a_failure():
    """The generator does not try for ever."""
    async with server(None, None, None, None, None, None) as (port, given):
        pool = await Pool.to(port, 1)
        with pytest.raises(RuntimeError, match="not accepted: None"):
            await accepted(pool, RAW)
        pool.close()
    assert len(given) == 4


async def test_a_refusal_for_good_is_a_failure():
    """Bad requests are not repeated."""
    async with server(400, 202) as (port, given):
        pool = await Pool.to(port, 1)
        with pytest.raises(RuntimeError, match="400"):
            await accepted(pool, RAW)
        pool.close()
    assert given == [400]


async def test_a_closed_connection_is_not_used_while_others_are_open():
    """The load goes on over those that are left."""
    async with server(202, 202) as (port, given):
        pool = await Pool.to(port, 2)
        pool.connections[0].close()
        statuses: list[int] = []
        for _ in range(2):
            pool.send(RAW, lambda answer: statuses.append(answer.status if answer else 0))
        await pool.idle()
        pool.close()
    assert given == statuses == [202, 202]


async def test_without_an_open_connection_nothing_is_sent():
    """The figure fails and says why."""
    async with server() as (port, _):
        pool = await Pool.to(port, 2)
        pool.close()
        with pytest.raises(ConnectionError, match="closed all connections"):
            pool.send(RAW, lambda answer: None)
