"""A fake Twilio on a real socket, shaped by Twilio's own description: takes messages, and reports what became of them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

from clarion.ports.callback import CallbackRequest
from clarion.testing.scripted_server import Answer, Received, ScriptedServer, scripted_server
from tests.needs import require, require_npm
from tests.vendors.twilio import ACCOUNT, FORM, SID, error, message, signed

DESCRIPTION = Path(__file__).parent / "vendors" / "twilio-messages.openapi.json"
STARTS_S = 60


class Twilio:
    """Answers as the API does, and remembers."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.refuses: dict[str, int] = {}
        """Error codes by number."""

    @property
    def messages(self) -> list[dict[str, str]]:
        """The fields of every message that was sent."""
        return [_fields(request) for request in self.server.requests if request.method == "POST"]

    def answer(self, request: Received) -> Answer:
        """Take a message, or refuse it."""
        if not request.headers.get("authorization", "").startswith("Basic "):
            return error(401, 20003, "Authenticate")
        if not request.path.endswith(f"/Accounts/{ACCOUNT}/Messages.json"):
            return error(404, 20404, "The requested resource was not found")
        fields = _fields(request)
        if code := self.refuses.get(fields["To"]):
            return error(400, code, "refused")
        return Answer.json(
            201, message(sid=_sid(len(self.messages)), to=fields["To"], body=fields.get("Body", ""))
        )

    def report(self, number: int, token: str, state: str, **more: str) -> CallbackRequest:
        """What Twilio sends about the message of this place, signed by its SDK."""
        sent = self.messages[number]
        fields = {
            "MessageSid": _sid(number + 1),
            "MessageStatus": state,
            "To": sent["To"],
            "From": sent.get("From", ""),
            "AccountSid": ACCOUNT,
            **more,
        }
        plain = CallbackRequest(
            url=sent["StatusCallback"], headers={"content-type": FORM}, body=urlencode(fields).encode()
        )
        return signed(token, plain)


def _fields(request: Received) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}


def _sid(number: int) -> str:
    return f"SM{number:032x}" if number else SID


@contextlib.asynccontextmanager
async def twilio() -> AsyncIterator[Twilio]:
    """A fake that nobody else uses."""
    async with scripted_server() as server:
        fake = Twilio(server)
        server.otherwise = fake.answer
        yield fake


@contextlib.asynccontextmanager
async def checked(url: str = "") -> AsyncIterator[str]:
    """The URL of Prism, which checks requests and answers against Twilio's description: in front of the server at
    `url`, or answering itself."""
    package = require_npm("@stoplight/prism-cli", "a judge of requests to Twilio that is not ours")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    how: tuple[Any, ...] = ("proxy", DESCRIPTION, url) if url else ("mock", DESCRIPTION)
    process = await asyncio.create_subprocess_exec(
        require("node", "npm packages"),
        str(package / "dist" / "index.js"),
        *map(str, how),
        *("--errors", "--host", "127.0.0.1", "--port", str(port)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    reading = asyncio.ensure_future(_until_listening(process.stdout))
    try:
        async with asyncio.timeout(STARTS_S):
            await asyncio.shield(reading)
        draining = asyncio.ensure_future(process.stdout.read())  # else it would wait with a full pipe
        yield f"http://127.0.0.1:{port}"
        draining.cancel()
    finally:
        reading.cancel()
        process.terminate()
        await process.wait()


async def _until_listening(output: asyncio.StreamReader) -> None:
    said = b""
    while line := await output.readline():
        if b"listening" in line:
            return
        said += line
    raise AssertionError(f"Prism did not start: {said[-500:]!r}")
