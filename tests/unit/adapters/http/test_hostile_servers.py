"""Servers that want to fill our memory, take our time or lead us elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import msgspec
import pytest

from clarion.adapters.http import HttpClient, HttpFailure, HttpReply, HttpRequest
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.testing.ports import provider_tools
from clarion.testing.scripted_server import Answer, scripted_server

LIMIT = 64 * 1024
ENOUGH_MB = 64
"""Far below what the servers here would send, far above the noise of a test run."""
PACKED = gzip.compress(bytes(20_000_000))
Write = Callable[[bytes], Awaitable[None]]


async def endless_head(write: Write) -> None:
    await write(b"HTTP/1.1 200 OK\r\n")
    while True:
        await write(b"x-%d: " % time.monotonic_ns() + b"a" * 60_000 + b"\r\n")


async def endless_headers(write: Write) -> None:
    await write(b"HTTP/1.1 200 OK\r\n")
    while True:
        await write(b"x: y\r\n" * 1_000)


async def one_huge_header(write: Write) -> None:
    await write(b"HTTP/1.1 200 OK\r\nretry-after: ")
    while True:
        await write(b"1" * 60_000)


async def dripping_head(write: Write) -> None:
    for byte in b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 10_000:
        await write(bytes((byte,)))
        await asyncio.sleep(0.02)


async def endless_continue(write: Write) -> None:
    while True:
        await write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
        await asyncio.sleep(0)


async def dripping_chunks(write: Write) -> None:
    await write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        await write(b"1\r\na\r\n")
        await asyncio.sleep(0.02)


async def endless_chunk_extensions(write: Write) -> None:
    await write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        await write(b"1;" + b"e" * 60_000 + b"\r\na\r\n")


async def endless_trailers(write: Write) -> None:
    await write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n")
    while True:
        await write(b"t: " + b"e" * 60_000 + b"\r\n")


async def bomb(write: Write) -> None:
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(PACKED)}\r\n\r\n"
    await write(head.encode() + PACKED)


async def wrong_length(write: Write) -> None:
    await write(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n")


async def two_lengths(write: Write) -> None:
    await write(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 3\r\n\r\nabc")


HOSTILE = (
    endless_head,
    endless_headers,
    one_huge_header,
    dripping_head,
    endless_continue,
    dripping_chunks,
    endless_chunk_extensions,
    endless_trailers,
    bomb,
    wrong_length,
    two_lengths,
)


@contextlib.asynccontextmanager
async def served(manner: Callable[[Write], Awaitable[None]]) -> AsyncIterator[str]:
    """The URL of a server that answers like this."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def write(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            await manner(write)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


def caller(resolve: Callable[[str], Awaitable[Sequence[str]]] | None = None) -> HttpClient:
    random = SystemRandom()
    tools = provider_tools(SystemClock(), random, LocalVault(bytes(32), random))
    lent = msgspec.structs.replace(tools, allowed_networks=("127.0.0.0/8",))
    return HttpClient(lent, timeout_s=1.0, resolve=resolve)


@pytest.mark.parametrize("manner", HOSTILE, ids=lambda manner: manner.__name__)
async def test_an_answer_takes_neither_our_memory_nor_our_time(manner):
    """Each ends within the time that was given, with a bounded answer or none, and never as an exception."""
    async with served(manner) as url:
        calls = caller()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.monotonic()
        answer = await calls.call(HttpRequest(url=url), until_s=SystemClock().monotonic() + 1.0, limit=LIMIT)
        assert time.monotonic() - began < 1.5
        await calls.close()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < ENOUGH_MB * 1024
    if isinstance(answer, HttpFailure):
        assert answer.kind == "unanswered"
    else:
        assert len(answer.body) <= LIMIT
        assert sum(map(len, answer.headers.values())) < 1024 * 1024


async def test_what_is_packed_stays_packed():
    """Nobody asked for gzip: a body that would unpack to a thousand times its size is only bytes."""
    async with served(bomb) as url:
        calls = caller()
        answer = await calls.call(HttpRequest(url=url), until_s=SystemClock().monotonic() + 1.0, limit=LIMIT)
        await calls.close()
    assert isinstance(answer, HttpReply)
    assert answer.body.startswith(b"\x1f\x8b")


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"])
async def test_a_proxy_of_the_environment_is_not_used(monkeypatch, name):
    """It would resolve the name again, past the guard, and hear what is said."""
    async with scripted_server() as proxy, scripted_server(otherwise=Answer(status=201)) as site:
        for spelling in (name, name.lower()):
            monkeypatch.setenv(spelling, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)

        async def here(host: str) -> Sequence[str]:
            return ("127.0.0.1",)

        random = SystemRandom()
        tools = provider_tools(SystemClock(), random, LocalVault(bytes(32), random))
        lent = msgspec.structs.replace(tools, allowed_networks=("127.0.0.0/8",))
        calls = HttpClient(lent, timeout_s=3.0, resolve=here)
        until_s = SystemClock().monotonic() + 3.0
        answer = await calls.call(HttpRequest(url=site.url), until_s=until_s, limit=LIMIT)
        assert isinstance(answer, HttpReply)
        assert answer.status == 201
        named = site.url.replace("127.0.0.1", "site.example")
        assert isinstance(await calls.call(HttpRequest(url=named), until_s=until_s, limit=LIMIT), HttpReply)
        secure = await calls.call(
            HttpRequest(url=named.replace("http:", "https:")), until_s=until_s, limit=LIMIT
        )
        assert isinstance(secure, HttpFailure)
        await calls.close()
        assert proxy.accepted == 0


@pytest.mark.parametrize("found", ["nonsense", "2606:4700:4700::1111%eth0", "fe80::1%1", ""])
async def test_whatever_a_resolver_says_is_no_surprise(found):
    """An address that cannot be read or connected to ends that call, and nothing else."""

    async def odd(host: str) -> Sequence[str]:
        return (found,)

    calls = caller(odd)
    answer = await calls.call(
        HttpRequest(url="https://odd.example/"), until_s=SystemClock().monotonic() + 1.0, limit=LIMIT
    )
    await calls.close()
    assert isinstance(answer, HttpFailure)
    assert answer.kind in ("refused", "unsent")
