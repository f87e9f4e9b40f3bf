"""Thousands of open inboxes, and when each numbered message arrived in them."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlencode

from bench.load import Pool
from bench.server import Server
from bench.tenant import MARK, user_id
from bench.wire import Answer, Socket, open_socket, request

NUMBERS = re.compile(rb"%s(\d+)%s" % (MARK.encode(), MARK.encode()))
PER_ADDRESS = 4_000
"""Sockets per loopback address, far below the ports one address has."""
AT_ONCE = 64


class Arrivals:
    """The moment each number was first read from a socket."""

    def __init__(self) -> None:
        self.at: dict[int, float] = {}
        self.repeated = 0

    def received(self, frame: bytes) -> None:
        """One text frame."""
        if b'"items"' not in frame:
            return
        now = time.perf_counter()
        for found in NUMBERS.findall(frame):
            n = int(found)
            if n in self.at:
                self.repeated += 1
            else:
                self.at[n] = now

    def since(self, due: dict[int, float]) -> list[float]:
        """Seconds from due to arrival of every number that arrived."""
        return [self.at[n] - t for n, t in due.items() if n in self.at]


async def tokens(server: Server, users: Sequence[int]) -> list[str]:
    """An inbox token for each user."""
    pool = await Pool.to(server.port, 8)
    found: dict[int, str] = {}

    def keep(i: int) -> Callable[[Answer | None], None]:
        def answered(answer: Answer | None) -> None:
            if answer is None or answer.status >= 300:
                raise RuntimeError(f"no token: {answer}")
            found[i] = json.loads(answer.body)["token"]

        return answered

    for start in range(0, len(users), 200):
        for i in users[start : start + 200]:
            path = f"/v1/users/{user_id(i)}/tokens"
            pool.send(request("POST", path, b"{}", key=server.api.key), keep(i))
        await pool.idle()
    pool.close()
    return [found[i] for i in users]


async def open_inboxes(
    server: Server, users: Sequence[int], received: Callable[[bytes], None], *, gateway: Server | None = None
) -> list[Socket]:
    """One live socket per user, from several loopback addresses. `gateway`: where they are, if not at the server itself."""
    port = (gateway or server).port
    paths = ["/v1/inbox/ws?" + urlencode({"token": token}) for token in await tokens(server, users)]
    room = asyncio.Semaphore(AT_ONCE)

    async def one(i: int, path: str) -> Socket:
        async with room:
            source = f"127.0.0.{2 + i // PER_ADDRESS}"
            return await open_socket(port, path, received, source=source)

    return await asyncio.gather(*(one(i, path) for i, path in enumerate(paths)))


def close_inboxes(sockets: Sequence[Socket]) -> None:
    """Cut them all."""
    for socket in sockets:
        socket.abort()
