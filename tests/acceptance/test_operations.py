"""Work on many messages, from the command line and through the death of the process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from bench.server import Server
from tests.acceptance.forks import Done
from tests.acceptance.test_cli import clarion

MANY = 1_000
KILLS = 3


async def waiting(server: Server, count: int) -> int:
    """Messages that wait for tomorrow: how many."""
    body = {"recipients": ["ada"], "data": {"plan": "Reader", "voucher": "HELLO"}, "delay_s": 86_400}
    event = {"workflow": "welcome", **body}
    for _ in range(0, count, 500):
        answer = await server.api.call("POST", "/v1/events", [event] * 500)
        assert answer.status == 202, answer.body
    return await enough(server, "status=deferred&channel=email", count)


async def enough(server: Server, query: str, count: int) -> int:
    """How many messages match, once there are so many."""
    async with asyncio.timeout(60):
        while True:
            found = await counted(server, query)
            if found >= count:
                return found
            await asyncio.sleep(0.05)


async def counted(server: Server, query: str) -> int:
    """How many messages match."""
    answer = await server.api.call("GET", f"/v1/messages?{query}&limit=1&total=true")
    return int(answer.json()["total"]["value"])


async def test_an_operation_survives_the_death_of_the_process(server: Server):
    """Killed whenever it may be, it goes on where it was: everything is done, and once."""
    await server.start()
    total = await waiting(server, MANY)
    answer = await server.api.call("POST", "/v1/messages/cancel", {"filter": {"channel": "email"}})
    assert answer.status == 202, answer.body
    place = answer.header("location")
    for _ in range(KILLS):
        server.kill()
        await server.start()
    shown: dict[str, Any] = {"status": "queued"}
    async with asyncio.timeout(60):
        while shown["status"] in {"queued", "running"}:
            shown = (await server.api.call("GET", f"{place}?wait_s=5")).json()
    assert (shown["status"], shown["progress"]) == (
        "succeeded",
        {"done": total, "failed": 0, "total": total},
    )
    assert await counted(server, "status=canceled&channel=email") == total
    assert await counted(server, "status=deferred&channel=email") == 0
    (one, *_) = (await server.api.call("GET", "/v1/messages?status=canceled&channel=email")).json()["items"]
    timeline = (await server.api.call("GET", f"/v1/messages/{one['id']}")).json()["timeline"]
    assert [change["status"] for change in timeline] == ["deferred", "canceled"]


async def test_many_messages_are_canceled_and_retried_from_the_command_line(server: Server, tmp_path: Path):
    """With a wait or without; named ones are answered for one by one."""
    await server.start()

    async def run(*words: str) -> Done:
        return await clarion(*words, "--data-dir", server.data, cwd=tmp_path)

    async def event() -> str:
        body = {"recipients": ["ada"], "data": {"plan": "Reader", "voucher": "HELLO"}, "delay_s": 86_400}
        made = str((await server.api.call("POST", "/v1/workflows/welcome/trigger", body)).json()["event_id"])
        await enough(server, f"status=deferred&event_id={made}", 2)
        return made

    first, second = await event(), await event()
    listed = (await run("messages", "list", "--event-id", first, "--status", "deferred", "--json")).json
    ids = [one["id"] for one in listed][:2]
    done = await run("messages", "cancel", *ids)
    assert (done.code, done.out) == (0, "2 of 2 done.\n")
    refused = await run("messages", "retry", *ids)
    assert (refused.code, refused.out) == (1, "0 of 2 done.\n")
    assert "canceled" in refused.err
    canceled = await run("messages", "cancel", "--all", "--event-id", second)
    assert canceled.code == 0, canceled.err
    assert canceled.out.startswith("messages.cancel succeeded: ")
    retried = await run("dead-letters", "retry", "--all", "--channel", "chat")
    assert (retried.code, retried.out) == (0, "messages.retry succeeded: Nothing matched.\n")
    name = (await run("messages", "cancel", "--all", "--workflow", "welcome", "--no-wait")).out.strip()
    watched = await run("operations", "watch", name, "--json")
    assert (watched.code, watched.json["status"]) == (0, "succeeded")
    shown = (await run("operations", "list", "--json")).json
    assert (len(shown), shown[0]["id"]) == (3, name)
    assert (await run("operations", "show", name)).code == 0
    assert (await run("operations", "cancel", name)).code == 6
    assert (await run("operations", "retry-failed", name)).code == 6
    assert (await run("messages", "cancel")).code == 2
    assert (await run("messages", "cancel", *ids, "--channel", "sms")).code == 2
