"""The inbox over real sockets, a real server and a real ledger: whatever happens to a device, it misses nothing."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from clarion.adapters.system import SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.gateway import SSE_PATH, WS_PATH, GatewayLimits, Rules
from clarion.model.user import User
from clarion.testing.ports import ManualClock
from tests.acceptance.backends import open_ledger
from tests.gateway import InboxClient, screen_of
from tests.gateway_on_ledger import LedgerGateway

CUTS = 100
LIMITS = GatewayLimits(session=Rules(snapshot=100_000, pending_frames=20, pending_bytes=64 * 1024))


class Server:
    """The gateway behind uvicorn, as `clarion serve` runs it."""

    def __init__(self, post: LedgerGateway) -> None:
        self.post = post
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        config = uvicorn.Config(
            post.gateway,
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            http="httptools",
            lifespan="off",
            log_config=None,
        )
        self.uvicorn = uvicorn.Server(config)

    def url(self, path: str, user: User, inbox_client: InboxClient | None = None, scheme: str = "ws") -> str:
        token = self.post.tokens.mint(user)
        resume = (
            f"&epoch={inbox_client.epoch}&offset={inbox_client.offset}"
            if inbox_client and inbox_client.epoch
            else ""
        )
        return f"{scheme}://127.0.0.1:{self.port}{path}?token={token}{resume}"


@pytest.fixture
async def server(request: Any, backend: str, tmp_path: Path) -> AsyncIterator[Server]:
    """A running one, with two people."""
    random, clock = SystemRandom(), ManualClock()
    vault = LocalVault(b"k" * 32, random)
    ledger = await open_ledger(request, backend, tmp_path, vault=vault, clock=clock, random=random)
    post = await LedgerGateway(ledger, vault, clock, LIMITS).start()
    server = Server(post)
    serving = asyncio.create_task(server.uvicorn.serve(sockets=[server.listener]))
    await until(lambda: server.uvicorn.started)
    yield server
    await post.stop()
    server.uvicorn.should_exit = True
    await serving


async def until(it_is_so: Callable[[], bool]) -> None:
    """Wait for something that has no event; at most a minute."""
    async with asyncio.timeout(60):
        while not it_is_so():  # noqa: ASYNC110 - the point of this function
            await asyncio.sleep(0.02)


class Wire:
    """Feeds a phone frame by frame."""

    def __init__(self) -> None:
        self.inbox_client = InboxClient()
        self.connections = 0
        self.ready = asyncio.Event()

    def take(self, text: str | bytes) -> None:
        frame = json.loads(text)
        if frame["type"] == "connected":
            self.connections += 1
            self.ready.set()
        self.inbox_client.apply(frame)


class WebSocketClient(Wire):
    """Follows an inbox with the `websockets` library; comes back whenever it is cut."""

    socket: ClientConnection | None = None

    async def run(self, server: Server, user: User) -> None:
        while True:
            try:
                async with connect(
                    server.url(WS_PATH, user, self.inbox_client), max_size=None
                ) as self.socket:
                    await self.read(self.socket)
            except (ConnectionClosed, OSError):
                continue

    async def read(self, socket: ClientConnection) -> None:
        """To its end."""
        async for text in socket:
            self.take(text)

    def cut(self) -> None:
        """Without a goodbye."""
        self.ready.clear()
        if self.socket is not None:
            self.socket.transport.abort()

    async def mark(self, **command: Any) -> None:
        """If there is a line."""
        try:
            if self.socket is not None:
                await self.socket.send(json.dumps({"type": "mark", **command}))
        except ConnectionClosed:
            pass


class StreamClient(Wire):
    """Follows an inbox as a browser's EventSource does: the same URL every time, and `Last-Event-ID`."""

    writer: asyncio.StreamWriter | None = None
    last_id = ""

    async def run(self, server: Server, user: User) -> None:
        path = server.url(SSE_PATH, user, scheme="http").split(str(server.port))[1]
        while True:
            try:
                reader, self.writer = await asyncio.open_connection("127.0.0.1", server.port)
                last = f"Last-Event-ID: {self.last_id}\r\n" if self.last_id else ""
                self.writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n{last}\r\n".encode())
                await self._follow(reader)
            except OSError:
                pass
            finally:
                if self.writer is not None:
                    self.writer.transport.abort()

    async def _follow(self, reader: asyncio.StreamReader) -> None:
        position = ""
        while line := await reader.readline():
            if line.startswith(b"id: "):
                position = line[4:].decode().strip()
            elif line.startswith(b"data: ") and line.endswith(b"\n"):
                self.take(line[6:])
                self.last_id = position

    def cut(self) -> None:
        """Without a goodbye."""
        self.ready.clear()
        if self.writer is not None:
            self.writer.transport.abort()


@pytest.mark.parametrize("kind", [WebSocketClient, StreamClient])
async def test_a_device_cut_a_hundred_times_misses_nothing(server: Server, kind: type[Any]):
    """While items keep coming and another device keeps marking them; it is never sent more than it missed."""
    dice, post = random.Random(7), server.post
    ada, bob = post.subject.ada, post.subject.bob
    tried, steady = kind(), WebSocketClient()

    async def deliver() -> None:
        for n in range(1_000_000):
            await post.deliver(ada, *(f"{n}.{i}" for i in range(dice.randint(1, 4))))
            await post.deliver(bob, "not for ada")
            await asyncio.sleep(dice.choice([0, 0, 0.005, 0.02]))

    async def mark() -> None:
        while True:
            await asyncio.sleep(0.03)
            known = list(steady.inbox_client.items)
            if known:
                action = dice.choice(["seen", "read", "unread", "archived", "unarchived"])
                await steady.mark(action=action, ids=dice.sample(known, min(5, len(known))))

    following = [asyncio.create_task(inbox_client.run(server, ada)) for inbox_client in (tried, steady)]
    load = [asyncio.create_task(deliver()), asyncio.create_task(mark())]
    await tried.ready.wait()
    cuts = 0
    while cuts < CUTS or tried.connections <= CUTS / 4:
        await asyncio.sleep(dice.uniform(0, 0.06))
        tried.cut()
        cuts += 1
    for task in load:
        task.cancel()
    await asyncio.gather(*load, return_exceptions=True)
    # What was committed but cancelled before it was published is made up for by the next publication.
    await post.deliver(ada, "the last")
    offset, head = await post.ledger.inboxes.head(ada.no)
    await until(lambda: {tried.inbox_client.offset, steady.inbox_client.offset} == {offset})
    assert screen_of(tried.inbox_client) == screen_of(steady.inbox_client) == await post.truth(ada)
    counts = msgspec.structs.asdict(head)
    assert tried.inbox_client.counts == steady.inbox_client.counts == counts
    assert tried.inbox_client.recovered == [False] + [True] * (tried.connections - 1)
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)


async def test_a_device_that_does_not_read_is_sent_away_and_made_whole(server: Server):
    """A real, full TCP buffer: 4002, and everything it did not read is in its replay."""
    post, ada = server.post, server.post.subject.ada
    inbox_client = WebSocketClient()
    async with connect(server.url(WS_PATH, ada), max_queue=1, ping_interval=None, max_size=None) as slow:
        inbox_client.take(await slow.recv())
        for n in range(300):
            await post.deliver(ada, f"{n}" + "x" * 20_000)
        with pytest.raises(ConnectionClosed) as closed:
            await inbox_client.read(slow)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4002
    assert inbox_client.inbox_client.offset != 300
    following = asyncio.create_task(inbox_client.run(server, ada))
    await until(lambda: inbox_client.inbox_client.offset == 300)
    assert screen_of(inbox_client.inbox_client) == await post.truth(ada)
    assert inbox_client.inbox_client.recovered == [False, True]
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_a_shutdown_reaches_every_device_with_a_code(server: Server):
    """When to come back, and then 4001, arrive before the socket closes."""
    ada, bob = server.post.subject.ada, server.post.subject.bob
    sockets = [await connect(server.url(WS_PATH, user)) for user in (ada, bob) for _ in range(5)]
    for one in sockets:
        await one.recv()
    await server.post.gateway.close(2.0)
    codes = set()
    for one in sockets:
        assert json.loads(await one.recv())["after_ms"] > 0
        with pytest.raises(ConnectionClosed) as closed:
            await one.recv()
        assert closed.value.rcvd is not None
        codes.add(closed.value.rcvd.code)
    assert codes == {4001}
    with pytest.raises(InvalidStatus) as refused:
        await connect(server.url(WS_PATH, ada))
    assert refused.value.response.status_code == 503


async def test_a_token_never_reaches_the_log(server: Server, caplog, monkeypatch):
    """The server logs the path of what it accepts; the token is not in it."""
    for name in ("uvicorn.error", "uvicorn.access"):
        caplog.set_level(logging.INFO, name)
        monkeypatch.setattr(logging.getLogger(name), "disabled", False)  # other tests configure logging
    ada = server.post.subject.ada
    async with connect(url := server.url(WS_PATH, ada)) as one:
        await one.recv()
    said = [record.getMessage() for record in caplog.records if record.name.startswith("uvicorn")]
    assert any("[accepted]" in line for line in said)
    assert [line for line in said if url.partition("token=")[2] in line] == []
