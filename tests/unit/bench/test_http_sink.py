"""The HTTP service that takes everything."""

import asyncio

import pytest

from bench.http_sink import answer_of, size_of
from bench.sink import http_sink
from clarion.adapters.http import Fetch, HttpReply
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.testing.ports import provider_tools

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"


@pytest.mark.parametrize(
    ("buffer", "size"),
    [
        (b"", 0),
        (HEAD[:-1], 0),
        (HEAD, len(HEAD) + 5),
        (b"GET / HTTP/1.1\r\n\r\n", 18),
        (HEAD + b"12345GET", len(HEAD) + 5),
    ],
)
def test_the_end_of_a_request_is_found(buffer, size):
    """By its head and the length that it names; a head that is not there yet has none."""
    assert size_of(buffer) == size


async def test_every_request_is_answered_also_when_they_come_in_pieces():
    """Two at once, the second one in two parts; and a client that is not ours understands the answer."""
    answer = answer_of(201, b'{"sid":"SM1"}')
    async with http_sink(201, '{"sid":"SM1"}') as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(HEAD + b"12345" + HEAD)
        assert await reader.readexactly(len(answer)) == answer
        writer.write(b"12345")
        assert await reader.readexactly(len(answer)) == answer
        writer.close()
        random = SystemRandom()
        tools = provider_tools(SystemClock(), random, LocalVault(random.bytes(32), random))
        fetch = Fetch(tools)
        reply = await fetch.get(url)
        await fetch.close()
    assert isinstance(reply, HttpReply)
    assert (reply.status, reply.body) == (201, b'{"sid":"SM1"}')


async def test_an_answer_may_take_its_time():
    """As a service far away would; the time is that of the loop."""
    async with http_sink(200, "{}", delay_s=0.2) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        began = asyncio.get_running_loop().time()
        writer.write(HEAD + b"12345")
        assert await reader.readexactly(len(answer_of(200, b"{}"))) == answer_of(200, b"{}")
        assert asyncio.get_running_loop().time() - began >= 0.2
        writer.close()
