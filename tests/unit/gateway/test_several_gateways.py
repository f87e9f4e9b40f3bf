"""Gateways of several processes on one store: a device sees what any process stored, whatever happens in between."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from clarion.adapters.fanouts.memory import MemoryFanout
from clarion.model.user import User
from clarion.ports.fanout import Fanout
from tests.contract.test_fanout import joined
from tests.gateway import GatewayServer, InboxClient, screen_of, settled, truth
from tests.servers import postgresql
from tests.servers.process import free_port, home_for, stop
from tests.servers.redis import Process, start_one, watched


class Between(NamedTuple):
    """The server between the processes."""

    url: str
    kill: Callable[[], None]
    bring_back: Callable[[], None]


@contextmanager
def redis_alone(folder: Path) -> Iterator[Between]:
    """It comes back empty."""
    running = start_one(folder)
    again: list[Process] = []
    try:
        yield Between(
            f"redis://127.0.0.1:{running.port}", running.kill, lambda: again.append(running.again())
        )
    finally:
        for one in (running, *again):
            one.kill()


@contextmanager
def redis_behind_sentinels(folder: Path) -> Iterator[Between]:
    """Another takes its place."""
    with watched(folder) as servers:
        yield Between(servers.url, servers.master.kill, lambda: None)


@contextmanager
def postgresql_alone(_: Path) -> Iterator[Between]:
    """It is killed with everything it started."""
    home, port = home_for("fanout", postgresql.USER), free_port()
    postgresql.initialised(home)
    running = [postgresql.serve(home, port)]

    def kill() -> None:
        stop(running[-1].pid, 9)
        running[-1].wait()

    try:
        yield Between(
            f"postgresql://app@127.0.0.1:{port}/postgres",
            kill,
            lambda: running.append(postgresql.serve(home, port)),
        )
    finally:
        kill()


@asynccontextmanager
async def a_gateway(fanout: Fanout, beside: GatewayServer | None = None) -> AsyncIterator[GatewayServer]:
    """It runs until left."""
    server = GatewayServer(fanout=fanout, beside=beside)
    server.gateway.start()
    yield server
    await server.close()


async def shows(client: InboxClient, server: GatewayServer, user: User) -> None:
    """Wait until the device shows the inbox as it is; it finds every gap by itself."""
    async with asyncio.timeout(60):
        while client.offset != server.inboxes.now(user.no)[0]:
            client.listen()
            await asyncio.sleep(0.002)
    assert screen_of(client) == truth(server.inboxes, user)


async def connected(server: GatewayServer, user: User) -> InboxClient:
    """A device that has its first frame."""
    client = InboxClient()
    client.attach(await server.connect(user))
    await shows(client, server, user)
    return client


@pytest.mark.parametrize("between", [redis_alone, redis_behind_sentinels, postgresql_alone])
async def test_a_device_sees_what_another_process_stored_also_after_the_server_between_them_was_killed(
    between, tmp_path
):
    """On both gateways, live before and afterwards; what nobody carried meanwhile is read from the ledger."""
    with between(tmp_path) as server:
        async with (
            joined(server.url, tmp_path) as here,
            joined(server.url, tmp_path) as there,
            joined(server.url, tmp_path) as worker,
            a_gateway(here) as first,
            a_gateway(there, beside=first) as second,
        ):
            anna, ben = first.users.add("anna"), first.users.add("ben")
            devices = [
                (await connected(gateway, user), user) for gateway in (first, second) for user in (anna, ben)
            ]

            async def stored(*titles: str) -> None:
                for user in (anna, ben):
                    worker.publish([first.store(user, title) for title in titles])
                for device, user in devices:
                    await shows(device, first, user)

            await stored("before", "before too")
            server.kill()
            worker.publish([first.store(anna, "while it is away")])
            late = await connected(second, ben)
            server.bring_back()
            worker.publish([first.store(ben, "as it comes back")])
            devices.append((late, ben))
            for device, user in devices:
                await shows(device, first, user)
            await stored("afterwards")


class Slow(MemoryFanout):
    """Brings what is published about somebody only once it was told to."""

    def __init__(self) -> None:
        super().__init__()
        self.followed: dict[int, asyncio.Future[None]] = {}

    def follow(self, user):
        return self.followed.setdefault(user, asyncio.get_running_loop().create_future())

    def unfollow(self, user):
        del self.followed[user]


async def test_a_device_waits_until_everything_about_its_user_comes_here():
    """What is stored meanwhile is in its first frame, for every device; a user without devices is followed no more."""
    fanout = Slow()
    async with a_gateway(fanout) as server:
        anna = server.users.add("anna")
        connections = [await server.connect(anna), await server.connect(anna)]
        assert [connection.frames for connection in connections] == [[], []]
        server.store(anna, "nobody tells")
        fanout.followed[anna.no].set_result(None)
        await settled()
        assert [[item["title"] for item in one.frames[0]["items"]] for one in connections] == [
            ["nobody tells"]
        ] * 2
        connections[0].hang_up()
        await settled()
        assert anna.no in fanout.followed
        connections[1].hang_up()
        await settled()
        assert fanout.followed == {}


async def test_a_device_that_leaves_before_everything_comes_here_keeps_no_other_waiting():
    """The others get their first frame."""
    fanout = Slow()
    async with a_gateway(fanout) as server:
        anna = server.users.add("anna")
        leaving, staying = await server.connect(anna), await server.connect(anna)
        leaving.hang_up()
        await settled()
        fanout.followed[anna.no].set_result(None)
        await settled()
        assert [frame["type"] for frame in staying.frames] == ["connected"]
