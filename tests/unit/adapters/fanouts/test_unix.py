"""The fan-out between processes: what is lost on the way is announced, and nobody waits for a process that is stuck."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from clarion.adapters.fanouts import unix
from clarion.adapters.fanouts.unix import UnixFanout, opened, relay, relay_path
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError
from clarion.model.inbox import InboxChange
from clarion.ports.backend import BackendTools
from clarion.ports.fanout import Fanout
from clarion.testing.fanout_contract import Receiver, change
from clarion.testing.ports import ManualClock, SeededRandom

CLOCK = ManualClock()


def tools(directory: Path) -> BackendTools:
    random = SeededRandom()
    return BackendTools(data_dir=directory, clock=CLOCK, random=random, vault=LocalVault(b"k" * 32, random))


@asynccontextmanager
async def joined(directory: Path, count: int) -> AsyncIterator[list[Fanout]]:
    """So many processes, which know of one another."""
    async with AsyncExitStack() as ends:
        yield [await ends.enter_async_context(opened("unix:s", tools(directory))) for _ in range(count)]


async def until(true: Callable[[], bool]) -> None:
    """Wait for it, while time passes."""
    async with asyncio.timeout(30):
        while not true():
            CLOCK.advance(unix.RETRY_S)
            await asyncio.sleep(0.001)


async def test_whoever_may_have_missed_something_is_told(tmp_path):
    """When the relay was away, and when somebody joins, who may have published while it was not there."""
    missed: list[str] = []
    async with AsyncExitStack() as ends:
        async with relay(relay_path(tmp_path / "s")):
            first, second = await ends.enter_async_context(joined(tmp_path, 2))
            first.subscribe(lambda changes: None, lambda: missed.append("first"))
            second.subscribe(lambda changes: None, lambda: missed.append("second"))
            async with joined(tmp_path, 1):
                await until(lambda: {*missed} == {"first", "second"})
        missed.clear()
        first.publish([change(1)])
        async with relay(relay_path(tmp_path / "s")):
            await until(lambda: {*missed} == {"first", "second"})
            receiver = Receiver(second)
            first.publish([change(2)])
            assert (await receiver.heard(1))[-1] == 2


async def test_content_in_the_clear_stays_in_its_process(tmp_path):
    """The others get it as it is stored, sealed."""
    async with relay(relay_path(tmp_path / "s")), joined(tmp_path, 2) as (first, second):
        here, there = Receiver(first), Receiver(second)
        known = replace(change(1), content=(b"{}",))
        first.publish([known])
        assert await here.got(1) == [known]
        assert await there.got(1) == [change(1)]


async def test_a_process_that_does_not_read_is_sent_away(tmp_path, monkeypatch):
    """It holds up nobody; when it reads again, it is told that it missed something."""
    monkeypatch.setattr(unix, "BEHIND", 50_000)
    path = relay_path(tmp_path / "s")
    async with relay(path), joined(tmp_path, 2) as (first, second):
        stuck, connection = await asyncio.open_unix_connection(str(path), limit=1)
        receiver = Receiver(second)
        for offset in range(1, 3_001):
            first.publish([change(offset)])
            await asyncio.sleep(0)
        assert (await receiver.heard(3_000))[-1] == 3_000
        async with asyncio.timeout(30):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await stuck.readexactly(10_000_000)
        connection.close()
        await connection.wait_closed()


async def test_what_is_not_a_publication_is_not_taken_for_one(tmp_path):
    """Who sends such is another version, or broken; all go on."""
    path = relay_path(tmp_path / "s")
    async with relay(path), joined(tmp_path, 1) as (first,):
        receiver = Receiver(first)
        _, connection = await asyncio.open_unix_connection(str(path))
        connection.write((unix.LONGEST + 1).to_bytes(unix.LENGTH))
        await connection.drain()
        connection.close()
        await connection.wait_closed()
        _, connection = await asyncio.open_unix_connection(str(path))
        connection.write((3).to_bytes(unix.LENGTH) + b"???")
        assert isinstance(first, UnixFanout)
        await until(lambda: first._relay is None)
        await until(lambda: first._relay is not None)
        first.publish([change(1)])
        assert await receiver.heard(1) == [1]
        connection.close()
        await connection.wait_closed()


async def test_without_the_store_process_it_is_not_opened(tmp_path):
    """It says what to do."""
    with pytest.raises(ConfigError, match="start the store process"):
        async with joined(tmp_path, 1):
            raise AssertionError("it must not open")


def test_a_publication_is_what_the_port_says():
    """The types agree with what the gateways get."""
    encoded = unix._encode([change(1)])
    assert unix._decode(encoded) == [change(1)]
    assert isinstance(unix._decode(encoded)[0], InboxChange)
