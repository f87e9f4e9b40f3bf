"""Sockets are bounded, whatever servers and callers do."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence

import msgspec
import pytest

from clarion.adapters.http import HttpClient, HttpFailure, HttpReply, HttpRequest
from clarion.adapters.http.clients import HOSTS
from clarion.adapters.http.connection_limit import ConnectionLimit
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.testing.ports import provider_tools
from clarion.testing.scripted_server import Answer, scripted_server


def caller(timeout_s: float) -> HttpClient:
    random = SystemRandom()
    tools = provider_tools(SystemClock(), random, LocalVault(bytes(32), random))

    async def here(host: str) -> Sequence[str]:
        return ("127.0.0.1",)

    tools = msgspec.structs.replace(tools, allowed_networks=("127.0.0.0/8",))
    return HttpClient(tools, timeout_s=timeout_s, resolve=here)


async def answered(calls: HttpClient, url: str, in_s: float) -> HttpReply | HttpFailure:
    return await calls.call(HttpRequest(url=url), until_s=SystemClock().monotonic() + in_s, limit=1000)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="files of a process are counted on Linux")
@pytest.mark.parametrize(
    ("host", "limit"),
    [
        ("127.0.0.1", "clarion.adapters.http.client.MOST_CALLS"),
        ("127.0.0.1", "clarion.adapters.http.clients.CALLS_OF_HOST"),
        ("receiver.example", "clarion.adapters.http.clients.CALLS_OF_HOST"),
        ("receiver.example", "clarion.adapters.http.client.MOST_CALLS"),
    ],
)
async def test_hundreds_of_calls_that_are_given_up_hold_a_bounded_number_of_sockets(monkeypatch, host, limit):
    """The library goes on with a cancelled call until its time is over; until then it keeps its place."""
    monkeypatch.setattr(limit, 40)
    timeout_s = 2.0
    async with scripted_server(otherwise=Answer(manner="hang")) as hung:
        before = open_files()
        calls = caller(timeout_s)
        url = hung.url.replace("127.0.0.1", host)
        began = time.monotonic()
        for _ in range(4):
            waves = [asyncio.ensure_future(answered(calls, url, timeout_s)) for _ in range(100)]
            await asyncio.sleep(0.2)
            for call in waves:
                call.cancel()
            await asyncio.wait(waves)
            assert hung.connections <= 40
            # Both ends are in this process.
            assert open_files() - before <= 2 * 40 + 20
        refused = await answered(calls, url, 1.0)
        assert isinstance(refused, HttpFailure)
        assert (refused.kind, "too many calls" in refused.detail) == ("unsent", True)
        await hung.until(lambda: hung.connections == 0, timeout_s + 1)
        assert time.monotonic() - began < timeout_s + 1.5
        assert len(hung.requests) == 40, "what was cancelled while it waited went out nevertheless"
        hung.otherwise = Answer()
        assert isinstance(await answered(calls, url, timeout_s), HttpReply)
        await calls.close()


async def test_a_host_that_is_full_holds_up_no_other(monkeypatch):
    """Each has places of its own."""
    monkeypatch.setattr("clarion.adapters.http.clients.CALLS_OF_HOST", 5)
    async with scripted_server(otherwise=Answer(manner="hang")) as hung, scripted_server() as well:
        calls = caller(3.0)
        url = hung.url.replace("127.0.0.1", "hung.example")
        waiting = [asyncio.ensure_future(answered(calls, url, 3.0)) for _ in range(20)]
        await hung.until(lambda: len(hung.requests) == 5, 2)
        found = await answered(calls, well.url.replace("127.0.0.1", "well.example"), 3.0)
        assert isinstance(found, HttpReply)
        for call in waiting:
            call.cancel()
        await asyncio.wait(waiting)
        await calls.close()


async def test_connections_of_hosts_that_are_no_longer_known_are_closed():
    """With many hosts, those that were not used for longest lose theirs."""
    async with scripted_server() as site:
        calls = caller(5.0)
        for number in range(HOSTS + 50):
            url = site.url.replace("127.0.0.1", f"h{number}.example")
            assert isinstance(await answered(calls, url, 5.0), HttpReply)
        await site.until(lambda: site.connections <= HOSTS, 2)
        await calls.close()


async def test_a_place_is_taken_from_the_whole_too():
    """And given back to it, also where only one of the two was to be had."""
    clock = SystemClock()
    whole = ConnectionLimit(clock, 2)
    part, other = ConnectionLimit(clock, 2, whole), ConnectionLimit(clock, 2, whole)
    assert await part.take(0.01)
    assert await other.take(0.01)
    assert not await part.take(0.01)
    other.leave()
    assert await part.take(0.01)
    part.leave(0.05)
    assert not await other.take(0.01)
    assert await other.take(1.0)
