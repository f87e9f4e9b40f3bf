"""A user's device: connects to the inbox, and after every cut connects again from where it stopped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from itertools import cycle
from typing import Any
from urllib.parse import urlencode

from bench.wire import Api, Socket, open_socket
from tests.acceptance.history import Stream


class Device:
    """Follows the inbox of `user` until `stopping`, whatever happens to the server."""

    def __init__(self, port: int | Sequence[int], user: str, token: str) -> None:
        """Of several ports it takes the next after each cut."""
        self.user = user
        self.stream = Stream()
        self.stopping = False
        self.socket: Socket | None = None
        self._ports, self._token = cycle([port] if isinstance(port, int) else port), token
        self._after_s = 0.0

    async def run(self) -> None:
        """Connect, read until the line is cut, repeat."""
        while not self.stopping:
            resume = {"epoch": self.stream.epoch, "offset": self.stream.offset} if self.stream.epoch else {}
            path = "/v1/inbox/ws?" + urlencode({"token": self._token, **resume})
            try:
                self.socket = await open_socket(next(self._ports), path, self._frame)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            await self.socket.closed
            await asyncio.sleep(self._after_s)
            self._after_s = 0.0

    async def has(self, number: int) -> None:
        """Wait until it is connected and shows so many items. Begin with none: the first state holds the newest ones only."""
        async with asyncio.timeout(60):
            while not self.stream.connections or self.stream.offset < number:  # noqa: ASYNC110 - nothing tells of either
                await asyncio.sleep(0.02)

    def cut(self) -> None:
        """Lose the line, as in a tunnel."""
        if self.socket is not None:
            self.socket.abort()

    def stop(self) -> None:
        """Go away for good."""
        self.stopping = True
        self.cut()

    def _frame(self, payload: bytes) -> None:
        frame: dict[str, Any] = json.loads(payload)
        items = [(item["offset"], item["id"]) for item in frame.get("items", ())]
        match frame["type"]:
            case "connected":
                self.stream.connected(frame["epoch"], frame["offset"], frame["recovered"], sorted(items))
            case "items":
                self.stream.receive(frame["offset"], items)
            case "close":
                self._after_s = frame.get("after_ms", 0) / 1_000
            case "ping" if self.socket is not None:
                self.socket.send(b'{"type":"pong"}')


async def user_token(api: Api, user: str) -> str:
    """A token that opens the user's inbox."""
    token: str = (await api.post(f"/v1/users/{user}/tokens", {"ttl_s": 7_200}))["token"]
    return token
