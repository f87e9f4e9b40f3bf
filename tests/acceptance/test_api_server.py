"""The API on a real server: what only sockets, restarts and other people's clients can show."""

from __future__ import annotations

import asyncio
import json
import subprocess

import pytest

from bench.server import Server
from tests.needs import require

TRIGGER = "/v1/workflows/welcome/trigger"
BODY = {"recipients": ["ada"], "data": {"plan": "Reader", "voucher": "HELLO-15"}}


async def test_an_idempotency_key_survives_a_crash(server: Server):
    """The process is killed after the answer; the repeat gets that answer, and there is one event."""
    await server.start()
    headers = {"Idempotency-Key": '"crash"'}
    first = await server.api.call("POST", TRIGGER, BODY, headers=headers)
    assert first.status == 202
    server.kill()
    await server.start()
    second = await server.api.call("POST", TRIGGER, BODY, headers=headers)
    assert (second.status, second.body) == (202, first.body)
    assert second.header("idempotency-replayed") == "true"


async def test_an_upload_without_end_is_cut_off(server: Server):
    """A chunked body is refused at the limit, not when it ends; the server goes on serving."""
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = (
        f"POST {TRIGGER} HTTP/1.1\r\nhost: clarion\r\nauthorization: Bearer {server.dev['api_key']}\r\n"
        "content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    writer.write(head.encode())
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"

    async def pour():
        try:
            for _ in range(10_000):
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            pass

    pouring = asyncio.create_task(pour())
    status = await asyncio.wait_for(reader.readline(), 60)
    assert b" 413 " in status
    pouring.cancel()
    writer.transport.abort()
    await asyncio.gather(pouring, return_exceptions=True)
    assert (await server.api.call("GET", "/readyz")).status == 200


async def test_a_refused_request_does_not_disturb_the_next_on_its_connection(server: Server):
    """Errors are answers: the connection stays good, request after request."""
    await server.start()
    for method, path, body, status in (
        ("POST", TRIGGER, {"payload": {}}, 400),
        ("POST", "/v1/workflows/nope/trigger", BODY, 404),
        ("GET", "/v1/messages?statuss=x", None, 400),
        ("PUT", "/v1/events", None, 405),
        ("POST", TRIGGER, BODY, 202),
        ("GET", "/v1/users/ada", None, 200),
    ):
        answer = await server.api.call(method, path, body)
        assert answer.status == status, path
        assert answer.header("x-content-type-options") == "nosniff"


async def test_the_documentation_s_curl_works(server: Server):
    """What the how-to shows can be pasted."""
    curl = require("curl", "the documented commands are curl commands")
    await server.start()
    command = [
        curl, "-s", "-i", f"http://127.0.0.1:{server.port}{TRIGGER}",
        "-H", f"Authorization: Bearer {server.dev['api_key']}",
        "-H", "Content-Type: application/json",
        "-H", 'Idempotency-Key: "order-4711-paid"',
        "-d", json.dumps(BODY),
    ]  # fmt: skip
    first, second = [
        await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, check=True, timeout=60
        )
        for _ in range(2)
    ]
    assert first.stdout.startswith("HTTP/1.1 202 Accepted")
    assert first.stdout.splitlines()[-1] == second.stdout.splitlines()[-1]
    assert "idempotency-replayed: true" in second.stdout


@pytest.mark.parametrize("count", [1_000])
async def test_a_full_batch_is_accepted_in_one_call(server: Server, count: int):
    """1,000 lines, 1,000 event ids, all of them planned."""
    await server.start()
    line = json.dumps({"workflow": "welcome", **BODY}).encode()
    answer = await server.api.call(
        "POST", "/v1/events", b"\n".join([line] * count), headers={"content-type": "application/x-ndjson"}
    )
    shown = answer.json()
    assert (answer.status, shown["accepted"], shown["rejected"]) == (202, count, 0)
    assert len({event["event_id"] for event in shown["items"]}) == count
    async with asyncio.timeout(60):
        while (await server.metrics())["clarion_runs_planned_total"] < count:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
