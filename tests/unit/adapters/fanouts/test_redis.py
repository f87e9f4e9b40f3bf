"""The fan-out through Redis: who hears what, and what happens when it cannot be reached."""

import asyncio
from collections.abc import Callable

import pytest

from clarion.adapters.fanouts import outbox
from clarion.adapters.fanouts.redis import SLOTS, opened
from clarion.adapters.system import SystemClock
from clarion.errors import ConfigError
from clarion.model.ids import UserNo
from clarion.testing.fanout_contract import Receiver, change
from tests.contract.test_fanout import backend_tools, joined
from tests.servers.process import free_port
from tests.servers.redis import beside, start_one


async def until(true: Callable[[], bool]) -> None:
    """Wait for it."""
    async with asyncio.timeout(60):
        while True:
            if true():
                return
            await asyncio.sleep(0.002)


async def test_a_process_hears_of_the_slots_of_its_users_only(redis, tmp_path):
    """Also of strangers in the same slot, of nobody once the last one there has left, and again when one comes back."""
    url = f"{redis.url}?prefix={tmp_path.name}"
    async with joined(url, tmp_path) as publisher, joined(url, tmp_path) as gateway:
        receiver = Receiver(gateway)

        async def publish(*users: int) -> list[int]:
            before = len(receiver.changes)
            publisher.publish([change(1, user=user) for user in users])
            last = publisher.state().counted["published"] + len(users)
            await until(lambda: publisher.state().counted["published"] == last)
            await follow(9)  # its confirmation comes behind what was published before
            gateway.unfollow(UserNo(9))
            return sorted(one.user for one in receiver.changes[before:])

        async def follow(user: int) -> None:
            if (followed := gateway.follow(UserNo(user))) is not None:
                await followed

        assert await publish(1, 2, 1 + SLOTS) == []
        await follow(1)
        assert await publish(1, 2, 1 + SLOTS) == [1, 1 + SLOTS]
        await follow(1 + SLOTS)
        gateway.unfollow(UserNo(1))
        assert await publish(1, 1 + SLOTS) == [1, 1 + SLOTS]
        gateway.unfollow(UserNo(1 + SLOTS))
        assert await publish(1, 1 + SLOTS) == []
        await follow(1)
        assert await publish(1) == [1]


async def test_a_quick_farewell_and_return_loses_nothing(redis, tmp_path):
    """A subscription that is ended and begun again before the server has confirmed it counts from its last confirmation."""
    url = f"{redis.url}?prefix={tmp_path.name}"
    async with joined(url, tmp_path) as publisher, joined(url, tmp_path) as gateway:
        receiver = Receiver(gateway)
        for offset in range(1, 101):
            for _ in range(offset % 4):
                gateway.follow(UserNo(1))
                if offset % 3 == 0:
                    await asyncio.sleep(0)
                gateway.unfollow(UserNo(1))
            if (followed := gateway.follow(UserNo(1))) is not None:
                await followed
            publisher.publish([change(offset)])
            assert (await receiver.heard_upto(offset))[-1] == offset


async def test_without_a_server_everything_works_but_the_way_to_others(tmp_path):
    """The process starts and says what is wrong, receivers of its own get everything, and following keeps nobody waiting."""
    port = free_port()
    async with opened(f"redis://127.0.0.1:{port}", backend_tools(tmp_path, SystemClock())) as fanout:
        assert f"127.0.0.1:{port} does not answer" in fanout.state().trouble
        receiver = Receiver(fanout)
        assert fanout.follow(UserNo(1)) is None
        fanout.publish([change(1)])
        assert await receiver.heard(1) == [1]
        fanout.unfollow(UserNo(1))


async def test_a_refused_login_stops_the_start(redis_with_tls, tmp_path):
    """It says which setting is wrong."""
    wrong = beside(redis_with_tls).replace("s3cret", "wrong")
    with pytest.raises(ConfigError, match=r"fanout: .* refuses us"):
        async with opened(wrong, backend_tools(tmp_path, SystemClock())):
            raise AssertionError("it must not start")


async def test_what_could_not_be_published_is_announced_to_everybody(redis, tmp_path, monkeypatch):
    """More than may wait is dropped; every gateway looks into the ledger then."""
    monkeypatch.setattr(outbox, "WAITING", 10)
    url = f"{redis.url}?prefix={tmp_path.name}"
    async with joined(url, tmp_path) as publisher, joined(url, tmp_path) as gateway:
        missed: list[str] = []
        await until(lambda: publisher.state().trouble == "")
        gateway.subscribe(lambda changes: None, lambda: missed.append("missed"))
        publisher.publish([change(offset) for offset in range(1, 12)])
        await until(lambda: bool(missed))
        assert publisher.state().counted["dropped"] == 11


async def test_a_server_that_says_nothing_counts_as_away(tmp_path):
    """It holds the connections and answers none: health tells so, and all is well when it goes on."""
    server = start_one(tmp_path / "server")
    try:
        async with joined(f"redis://127.0.0.1:{server.port}?timeout_s=0.3", tmp_path) as fanout:
            missed: list[str] = []
            fanout.subscribe(lambda changes: None, lambda: missed.append("missed"))
            server.process.send_signal(19)
            await until(lambda: "does not answer" in fanout.state().trouble)
            server.process.send_signal(18)
            await until(lambda: bool(missed) and fanout.state().trouble == "")
    finally:
        server.kill()
