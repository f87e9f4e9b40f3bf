"""A browser's side of web push, by libraries that are not ours: npm's web-push-testing, and PyPI's http-ece."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import http_ece  # type: ignore[import-untyped]
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from clarion.adapters.http import HttpClient, HttpReply, HttpRequest
from clarion.adapters.system import SystemClock
from clarion.ports.provider import ProviderTools
from tests.needs import require_npm

SCRIPT = Path(__file__).parent / "npm" / "push-service.js"


class Browser:
    """Subscribed somewhere: has the address to send to, and reads what comes."""

    def __init__(self, endpoint: str = "https://push.example/abc") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.secret = b"sixteen bytes :)"
        self.endpoint = endpoint

    @property
    def subscription(self) -> dict[str, object]:
        """As `JSON.stringify` writes it."""
        point = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return {
            "endpoint": self.endpoint,
            "expirationTime": None,
            "keys": {"p256dh": _text(point), "auth": _text(self.secret)},
        }

    @property
    def address(self) -> str:
        """The address of its contact."""
        return json.dumps(self.subscription)

    def read(self, body: bytes) -> bytes:
        """What a message says."""
        return bytes(
            http_ece.decrypt(body, private_key=self._key, auth_secret=self.secret, version="aes128gcm")
        )


def _text(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


class PushService:
    """web-push-testing: checks VAPID and TTL, decrypts, and tells what it got."""

    def __init__(self, url: str, caller: HttpClient, clock: SystemClock) -> None:
        self.url = url
        self._caller = caller
        self._clock = clock

    async def subscribe(self, public_key: str) -> dict[str, object]:
        """A new subscription made with this VAPID key; its `clientHash` names it."""
        reply = await self._post(
            "/subscribe", {"userVisibleOnly": "true", "applicationServerKey": public_key}
        )
        found: dict[str, object] = msgspec.json.decode(reply.body)["data"]
        return found

    async def messages(self, subscription: dict[str, object]) -> list[dict[str, Any]]:
        """Everything it was sent, decrypted."""
        reply = await self._post("/get-notifications", {"clientHash": subscription["clientHash"]})
        return [msgspec.json.decode(said) for said in msgspec.json.decode(reply.body)["data"]["messages"]]

    async def expire(self, subscription: dict[str, object]) -> None:
        """The browser unsubscribes."""
        await self._post(f"/expire-subscription/{subscription['clientHash']}", {})

    async def _post(self, path: str, body: object) -> HttpReply:
        call = HttpRequest(
            url=self.url + path,
            headers={"content-type": "application/json"},
            body=msgspec.json.encode(body),
        )
        reply = await self._caller.call(call, until_s=self._clock.monotonic() + 10, limit=1 << 20)
        assert isinstance(reply, HttpReply), reply
        assert reply.status == 200, reply
        return reply


@contextlib.asynccontextmanager
async def push_service(tools: ProviderTools) -> AsyncIterator[PushService]:
    """The service, in a process of its own on a free port."""
    package = require_npm("web-push-testing", "a push service that is not ours")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        "node", str(SCRIPT), str(package.parent), str(port), stdout=asyncio.subprocess.PIPE
    )
    caller = HttpClient(tools, timeout_s=10)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            assert b"running" in await process.stdout.readline()
        yield PushService(f"http://127.0.0.1:{port}", caller, SystemClock())
    finally:
        await caller.close()
        process.terminate()
        await process.wait()
