"""Two servers on one database that share limits and inbox changes through Redis, which is killed while they are busy."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from datetime import datetime
from typing import Any

from bench.server import free_port
from bench.wire import Api
from tests.acceptance.device import Device, user_token
from tests.acceptance.setup_data import USERS, event_type
from tests.acceptance.topology import Serving, Topology, on
from tests.needs import DEEP
from tests.servers.redis import FORGETFUL, Process, serve

RATE = 80
"""Emails a second that their provider takes; twice as many are asked for."""
EVENTS = 480
BATCH = 40
EVERY_S = 0.25
NOTED_S = 0.1 if DEEP else 1.0
"""Until an attempt is noted, after its token was taken: a batch's rendering, on a machine that may have much else to do."""
ALARM_WITHIN_S = 10.0
"""Of a critical message, on a machine that has much else to do; at the limit alone it would wait for minutes."""


SIREN = {
    "category": "acc-critical",
    "lane": "critical",
    "steps": [{"key": "send", "template": "acc", "to": {"mode": "all", "channels": ["email"]}}],
}
LIMITED = {"channel": "email", "provider": "capture", "limits": {"per_second": RATE}}


async def order(servers: list[Serving]) -> None:
    """Events for everybody, through both servers in turn, faster than the limit of emails."""
    for start in range(0, EVENTS, BATCH):
        lines = "\n".join(
            json.dumps(
                {
                    "specversion": "1.0",
                    "id": f"order-{number}",
                    "source": "/redis",
                    "type": event_type("acc-order"),
                    "subject": USERS[number % len(USERS)],
                    "data": {"n": number},
                }
            )
            for number in range(start, start + BATCH)
        )
        api = servers[start // BATCH % 2].api
        await api.post("/v1/events", lines.encode(), headers={"content-type": "application/x-ndjson"})
        await asyncio.sleep(EVERY_S)


async def alarms(api: Api, over: asyncio.Event) -> list[float]:
    """Seconds until each of several critical emails was out, one after another, until it is over."""
    took: list[float] = []
    while not over.is_set():
        began = time.perf_counter()
        asked = {"recipients": [USERS[1]], "data": {"n": len(took)}}
        answer = await api.post("/v1/workflows/acc-siren/trigger", asked)
        async with asyncio.timeout(120):
            while True:
                page = await api.get(f"/v1/messages?event_id={answer['event_id']}")
                if [message["status"] for message in page["items"]] == ["sent"]:
                    break
                await asyncio.sleep(0.02)
        took.append(time.perf_counter() - began)
        await asyncio.sleep(0.1)
    return took


async def all_out(api: Api) -> None:
    """Wait until no email of an order is left to send."""
    async with asyncio.timeout(180):
        while True:
            left = "/v1/messages?workflow=acc-order&status=queued,deferred,sending&channel=email&limit=1"
            if not (await api.get(left))["items"]:
                return
            await asyncio.sleep(0.2)


async def captured(api: Api) -> list[dict[str, Any]]:
    """All emails."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = await api.get(f"/v1/captures?channel=email&limit=200{cursor}")
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


async def metric(server: Serving, name: str) -> float:
    """A number without labels of the metrics page."""
    page = (await server.api.call("GET", "/metrics")).body.decode()
    return float(next(line.split()[1] for line in page.splitlines() if line.startswith(f"{name} ")))


async def warnings(server: Serving, wanted: set[str]) -> None:
    """Wait until these parts of the server need attention, and no other; it is ready all the time."""
    async with asyncio.timeout(60):
        while True:
            answer = await server.api.call("GET", "/readyz")
            assert answer.status == 200
            if wanted == answer.json()["warnings"].keys() & {"redis", "fanout"}:
                return
            await asyncio.sleep(0.05)


@on("postgresql")
async def test_redis_that_is_killed_under_load_costs_nothing_but_speed(database, tmp_path):
    """Nothing is lost or repeated, no stretch of time sees more than the limit, critical messages keep flowing, devices on
    both servers show everything, and all is as before once it is back."""
    home, port = tmp_path / "redis", free_port()
    home.mkdir()
    redis = Process(serve(home, port, FORGETFUL), home, port, FORGETFUL)
    try:
        settings = f'redis = "redis://127.0.0.1:{port}?timeout_s=0.5"\n'
        async with Topology(tmp_path, database, settings) as topology:
            serving = [await topology.start(name) for name in ("first", "second")]
            api = serving[0].api
            await api.put("/v1/workflows/acc-siren", SIREN)
            await api.put("/v1/integrations/capture-email", LIMITED)
            token = await user_token(api, USERS[0])
            devices = [Device(process.port, USERS[0], token) for process in serving]
            over = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                for device in devices:
                    group.create_task(device.run())
                    await device.has(0)
                alarming = group.create_task(alarms(Api(serving[0].port, topology.key), over))
                ordering = group.create_task(order(serving))
                await asyncio.sleep(4 * EVERY_S)
                redis.kill()
                for process in serving:
                    await warnings(process, {"redis", "fanout"})
                await asyncio.sleep(2 * EVERY_S)
                redis = redis.again()
                for process in serving:
                    await warnings(process, set())
                await ordering
                await all_out(serving[0].api)
                over.set()
                took = await alarming
                emails = await captured(serving[0].api)
                for device in devices:
                    await device.has(EVENTS // len(USERS))
                    device.stop()
            failures = [await metric(process, "clarion_redis_failures_total") for process in serving]
        orders = Counter(one["content"]["subject"] for one in emails if one["user_id"] != USERS[1])
        mine = [one for one in emails if one["user_id"] == USERS[1]]
        assert len({one["message_id"] for one in emails}) == len(emails)
        assert orders == {f"Number {n}": 1 for n in range(EVENTS) if n % len(USERS) != 1}
        assert len(mine) == EVENTS // len(USERS) + len(took)
        assert len(took) >= 5
        assert max(took) < ALARM_WITHIN_S, took
        assert over_the_limit(emails) == []
        assert [device.stream.problems for device in devices] == [[], []]
        assert [len(device.stream.items) for device in devices] == [EVENTS // len(USERS)] * 2
        assert all(failures)
    finally:
        redis.kill()


def over_the_limit(emails: list[dict[str, Any]]) -> list[tuple[float, int]]:
    """Stretches of time with more than the limit and a second's worth."""
    times = sorted(datetime.fromisoformat(one["created_at"]).timestamp() for one in emails)
    return [
        (end - begin, last - first + 1)
        for first, begin in enumerate(times)
        for last, end in enumerate(times[first:], first)
        if last - first + 1 > RATE * (end - begin + NOTED_S) + RATE
    ]
