"""A gateway over inboxes in memory, and both ends of a connection to it: the ASGI server's and the client's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from clarion.adapters.fanouts.memory import MemoryFanout
from clarion.adapters.vaults.local import LocalVault
from clarion.gateway import WS_PATH, Gateway, GatewayLimits, GatewayParts, create
from clarion.gateway.asgi import Event
from clarion.model.ids import id_text
from clarion.model.inbox import InboxChange, InboxItem
from clarion.model.user import User
from clarion.ports.clock import Random
from clarion.ports.fanout import Fanout
from clarion.ports.ledger import Inboxes, Users
from clarion.rules.origins import Origins
from clarion.services.inbox_actions import InboxActions
from clarion.services.user_tokens import UserTokens
from clarion.testing.ports import ManualClock, SeededRandom
from tests.inboxes import MemoryInboxes, MemoryUsers

HOST = "clarion.example"


class GatewayServer:
    """A gateway with users and inboxes, ready for devices to connect."""

    def __init__(
        self,
        limits: GatewayLimits | None = None,
        origins: tuple[str, ...] = (),
        inboxes: MemoryInboxes | None = None,
        fanout: Fanout | None = None,
        beside: GatewayServer | None = None,
    ) -> None:
        """`fanout`: instead of one in memory. `beside`: another gateway, whose users and inboxes it serves too."""
        self.clock = ManualClock()
        random = SeededRandom(1)
        self.vault = LocalVault(b"k" * 32, random)
        self.users: MemoryUsers = beside.users if beside else MemoryUsers(self.vault)
        self.memory_fanout = MemoryFanout()
        self.fanout = fanout or self.memory_fanout
        self.inboxes: MemoryInboxes = beside.inboxes if beside else inboxes or MemoryInboxes()
        self.gateway = self.build(self.users, self.inboxes, random, limits, origins)
        self.connections: list[Connection] = []

    def build(
        self,
        users: Users,
        inboxes: Inboxes,
        random: Random,
        limits: GatewayLimits | None,
        origins: tuple[str, ...],
    ) -> Gateway:
        """Build the gateway without starting it."""
        self.tokens = UserTokens(self.vault, self.clock)
        self.inbox_actions = InboxActions(inboxes, self.fanout, self.clock, lambda tenant, action: False)
        return create(
            GatewayParts(
                users=users,
                inboxes=inboxes,
                vault=self.vault,
                clock=self.clock,
                random=random,
                fanout=self.fanout,
                tokens=self.tokens,
                inbox_actions=self.inbox_actions,
                limits=limits or GatewayLimits(),
                origins=Origins(origins),
            )
        )

    def store(self, user: User, *titles: str) -> InboxChange:
        """Commit new items without telling the gateway yet."""
        sealed = [
            self.vault.seal(user.key, json.dumps({"channel": "in_app", "title": t}).encode()) for t in titles
        ]
        return self.inboxes.deliver(user, sealed, self.clock.now())

    def deliver(self, user: User, *titles: str) -> InboxChange:
        """Commit new items and publish them."""
        change = self.store(user, *titles)
        self.fanout.publish((change,))
        return change

    async def connect(self, user: User, path: str = WS_PATH, **asked: object) -> Connection:
        """A device of `user`, connected and past its first frame (or refused)."""
        token = asked.pop("token", None) or self.tokens.mint(user)
        headers = asked.pop("headers", {})
        assert isinstance(headers, dict)
        query = "&".join(f"{name}={quote(str(value))}" for name, value in {"token": token, **asked}.items())
        connection = Connection(path, query, headers)
        self.connections.append(connection)
        connection.task = asyncio.get_running_loop().create_task(self._serve(connection))
        await settled()
        return connection

    async def _serve(self, connection: Connection) -> None:
        await self.gateway(connection.scope, connection.receive, connection.send)

    async def pass_time(self, seconds: int) -> None:
        """Second by second, so that nothing is skipped."""
        for _ in range(seconds):
            self.clock.advance(1)
            await settled()

    async def close(self) -> None:
        """Stop the gateway and everything connected to it."""
        for connection in self.connections:
            connection.hang_up()
        await settled()
        closing = asyncio.get_running_loop().create_task(self.gateway.close(0))
        await settled()
        await closing


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


class Connection:
    """The server's side of one connection: what uvicorn does, without the network."""

    def __init__(self, path: str, query: str, headers: Mapping[str, str]) -> None:
        self.is_ws = path == WS_PATH
        self.scope: dict[str, Any] = {
            "type": "websocket" if self.is_ws else "http",
            "method": "GET",
            "path": path,
            "query_string": query.encode(),
            "headers": [(k.encode(), v.encode()) for k, v in {"host": HOST, **headers}.items()],
            "extensions": {"websocket.http.response": {}},
        }
        self._incoming: asyncio.Queue[Event] = asyncio.Queue()
        self._incoming.put_nowait({"type": "websocket.connect" if self.is_ws else "http.request"})
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost = False
        self.aborted = False
        self.events: list[Event] = []
        self.transport = self
        self.task: asyncio.Task[None] | None = None

    # what the gateway sees

    async def receive(self) -> Event:
        return await self._incoming.get()

    async def send(self, event: Event) -> None:
        await self._writable.wait()
        if self._lost:
            raise OSError
        self.events.append(event)
        if event["type"] == "websocket.close" or event.get("more_body") is False:
            self._incoming.put_nowait({"type": "websocket.disconnect" if self.is_ws else "http.disconnect"})

    def abort(self) -> None:
        self.aborted = True
        self.hang_up()

    # what a test does

    def say(self, **command: object) -> None:
        """The client sends a command."""
        self.say_raw(json.dumps(command))

    def say_raw(self, text: str) -> None:
        """The client sends a frame."""
        self._incoming.put_nowait({"type": "websocket.receive", "text": text})

    def hang_up(self) -> None:
        """Cut the connection: nothing more is sent or received."""
        self._lost = True
        self._writable.set()
        self._incoming.put_nowait({"type": "websocket.disconnect" if self.is_ws else "http.disconnect"})

    def vanish(self) -> None:
        """The connection ends while a write still waits, and the server never answers that write."""
        self._incoming.put_nowait({"type": "websocket.disconnect"})

    def stop_reading(self) -> None:
        """The write buffer is full."""
        self._writable.clear()

    def read_on(self) -> None:
        """The write buffer is free again."""
        self._writable.set()

    @property
    def frames(self) -> list[dict[str, Any]]:
        """All frames sent so far."""
        if self.is_ws:
            return [json.loads(e["text"]) for e in self.events if e["type"] == "websocket.send"]
        return [json.loads(fields["data"]) for fields in self.stream if "data" in fields]

    @property
    def stream(self) -> list[dict[str, str]]:
        """The blocks of an event stream, by field; a comment is the field ''."""
        body = b"".join(e.get("body", b"") for e in self.events if e["type"] == "http.response.body").decode()
        return [dict(map(_field, block.split("\n"))) for block in body.split("\n\n") if block]

    @property
    def close_code(self) -> int | None:
        """The code of the close frame, None while open."""
        return next((e["code"] for e in self.events if e["type"] == "websocket.close"), None)

    @property
    def headers(self) -> dict[str, str]:
        """Those of the answer."""
        return {name.decode(): value.decode() for name, value in self.events[0]["headers"]}

    @property
    def status(self) -> int | None:
        """The HTTP status of the answer."""
        return next((e["status"] for e in self.events if "status" in e), None)

    @property
    def over(self) -> bool:
        """Whether the gateway is done with it."""
        return self.task is not None and self.task.done()


def _field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(": ")
    return (name, value) if colon else ("", line)


class InboxClient:
    """A client that follows the protocol, applies every frame, and checks that frames are consistent."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.epoch: str | None = None
        self.offset: int | None = None
        self.counts: dict[str, int] = {}
        self.recovered: list[bool] = []
        self._applied = 0
        self.connection: Connection | None = None

    def attach(self, connection: Connection) -> None:
        """Use this connection from now on."""
        self.connection, self._applied = connection, 0

    def listen(self) -> None:
        """Apply the frames received since the last call."""
        assert self.connection is not None
        frames = self.connection.frames
        for frame in frames[self._applied :]:
            self.apply(frame)
        self._applied = len(frames)

    def apply(self, frame: dict[str, Any]) -> None:
        """Apply one frame."""
        if frame["type"] == "connected":
            self.recovered.append(frame["recovered"])
            if frame["recovered"]:
                assert frame["epoch"] == self.epoch
                assert frame["offset"] >= (self.offset or 0), "an offset went back"
                self._behind(self.offset or 0, frame)
            else:
                self.items = {}
            self.epoch = frame["epoch"]
        elif frame["type"] == "items":
            assert frame["from"] == self.offset, "a gap the client can see"
            self._behind(frame["from"], frame)
        else:
            return
        self.items.update((item["id"], item) for item in frame["items"])
        self.offset, self.counts = frame["offset"], frame["counts"]

    def _behind(self, offset: int, frame: dict[str, Any]) -> None:
        offsets = [item["offset"] for item in frame["items"]]
        assert offsets == sorted(set(offsets)), "offsets do not ascend"
        assert all(offset < o <= frame["offset"] for o in offsets), "an item from outside the frame's range"

    def shown(self) -> dict[str, dict[str, Any]]:
        """The items that are not archived."""
        return {key: item for key, item in self.items.items() if item["archived_at"] is None}


Screen = dict[str, tuple[int, bool, bool]]
"""Id to (offset, seen, read) of the unarchived items."""


def truth(inboxes: MemoryInboxes, user: User) -> Screen:
    """What a complete client shows."""
    return screen(inboxes.everything(user.no).values())


def screen(items: Iterable[InboxItem]) -> Screen:
    """What these items look like."""
    return {
        id_text(item.message_id): (item.offset, item.seen_at is not None, item.read_at is not None)
        for item in items
        if item.archived_at is None
    }


def screen_of(inbox_client: InboxClient) -> Screen:
    """What this client shows."""
    return {
        key: (item["offset"], item["seen_at"] is not None, item["read_at"] is not None)
        for key, item in inbox_client.shown().items()
    }
