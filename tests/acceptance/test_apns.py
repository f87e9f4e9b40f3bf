"""Our client of APNs against servers that others wrote: pushy's mock, and nghttpd."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest

from clarion.adapters.providers.apns import apns_id, plugin
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.model.channel import Channel
from clarion.model.content import DeviceOptions, PushContent
from clarion.model.outcome import Accepted, Gone, Misconfigured, Rejected, Retry
from clarion.model.outgoing import Outgoing
from clarion.model.setup import Integration
from clarion.ports.provider import Provider
from clarion.testing.ports import provider_tools
from tests import outgoing as made
from tests.apns_server import (
    GONE_SINCE,
    GONE_TOKEN,
    KEY_ID,
    TEAM_ID,
    TOKEN,
    TOPIC,
    ApnsServer,
    apns_server,
)
from tests.needs import require

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def server() -> Iterator[ApnsServer]:
    with apns_server() as running:
        yield running


@pytest.fixture(autouse=True)
def trusted(server, monkeypatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(server.folder / "ca.pem"))


def push(number: int = 1, token: str = TOKEN, **content: Any) -> Outgoing:
    shown = PushContent(**{"title": "Hello", "body": "Wörld", **content})
    return made.outgoing(shown, number, channel=Channel.PUSH, address=f"apns:{token}", collapse_key=b"")


@contextlib.asynccontextmanager
async def opened(url: str, key: str, **settings: Any) -> AsyncIterator[Provider]:
    random = SystemRandom()
    tools = provider_tools(SystemClock(), random, LocalVault(bytes(32), random))
    tools = msgspec.structs.replace(tools, allowed_networks=("127.0.0.0/8", "::1/128"))
    config = {
        "topic": TOPIC,
        "key_id": KEY_ID,
        "team_id": TEAM_ID,
        "private_key": key,
        "url": url,
        **settings,
    }
    integration = Integration(key="phones", channel=Channel.PUSH, provider="apns", config=config)
    provider = plugin.open(integration, msgspec.convert(config, plugin.config), tools)
    try:
        yield provider
    finally:
        await provider.close()


async def test_apns_takes_what_we_send(server):
    """Hundreds at once over one connection that takes 20 at a time, each once, with its own id and payload."""
    batch = [push(number, data={"number": number}) for number in range(1, 301)]
    async with opened(server.url, server.private_key) as provider:
        outcomes = await provider.send(batch)
        assert all(isinstance(outcome, Accepted) for outcome in outcomes), set(map(repr, outcomes))
        await provider.ping()
    took = {one: json.loads(payload) for _, one, payload in server.accepted()}
    for number, sent in enumerate(batch, 1):
        assert took[apns_id(sent)]["number"] == number


async def test_its_refusals_are_understood(server):
    """Each means the outcome that the table of the provider says."""
    async with opened(server.url, server.private_key) as provider:
        unknown, gone, taken, background, lost = await asyncio.gather(
            *(
                provider.send([one])
                for one in (
                    push(1, "ef" * 32),
                    push(2, GONE_TOKEN),
                    push(3),
                    push(4, device=DeviceOptions(background=True)),
                    push(5, f"com.example.other/{TOKEN}"),
                )
            )
        )
    assert isinstance(unknown[0], Rejected | Gone)
    assert isinstance(gone[0], Gone)
    assert gone[0].since == GONE_SINCE
    assert isinstance(taken[0], Accepted)
    assert isinstance(background[0], Accepted)
    assert isinstance(lost[0], Rejected)


async def test_a_key_that_apns_does_not_know_opens_the_circuit(server):
    """Nobody can be reached with it. (Of a check the mock looks at the device first, other than APNs.)"""
    stranger = plugin.example["private_key"]
    async with opened(server.url, stranger) as provider:
        (outcome,) = await provider.send([push()])
        assert isinstance(outcome, Misconfigured)


async def test_another_client_is_served_by_the_same_server(server, monkeypatch):
    """So the mock is not shaped after ours."""
    import aioapns
    from aioapns import connection

    for protocol in (connection.APNsTLSClientProtocol, connection.APNsProductionClientProtocol):
        monkeypatch.setattr(protocol, "APNS_SERVER", "localhost")
        monkeypatch.setattr(protocol, "APNS_PORT", server.port)
    client = aioapns.APNs(
        key=server.private_key,
        key_id=KEY_ID,
        team_id=TEAM_ID,
        topic=TOPIC,
        ssl_context=ssl.create_default_context(cafile=str(server.folder / "ca.pem")),
    )
    request = aioapns.NotificationRequest(device_token=TOKEN, message={"aps": {"alert": "Hello"}})
    async with asyncio.timeout(60):
        response = await client.send_notification(request)
    assert response.is_successful
    for one in client.pool.connections:
        assert one.transport is not None
        one.transport.abort()
    client.pool.close()
    await asyncio.sleep(0)  # Where the transports end.


async def test_http2_is_negotiated_and_a_connection_that_ends_is_opened_again(server):
    """nghttpd takes nothing but `h2`. While it is away messages wait; when it is back they go."""
    program = require("nghttpd", "HTTP/2 is checked against it")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (server.folder / "3" / "device").mkdir(parents=True, exist_ok=True)
    (server.folder / "3" / "device" / TOKEN).write_bytes(b"")
    command = [
        *(program, "--max-concurrent-streams=5", "-a", "127.0.0.1", "-d", str(server.folder), str(port)),
        *(str(server.folder / "key.pem"), str(server.folder / "chain.pem")),
    ]
    async with opened(f"https://localhost:{port}", server.private_key) as provider:
        for _ in range(2):
            with subprocess.Popen(command) as process:  # noqa: ASYNC220 - starts at once
                await _listening(port)
                outcomes = await provider.send([push(number) for number in range(1, 101)])
                process.terminate()
                process.wait(10)
            assert all(isinstance(outcome, Accepted) for outcome in outcomes), set(map(repr, outcomes))
            (away,) = await provider.send([push()])
            assert isinstance(away, Retry), away


async def _listening(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.02)
