"""Lanes and integrations are bulkheads: what is slow or plenty holds back only itself."""

from __future__ import annotations

import asyncio
import json
import time

from bench.rig import set_outcome
from bench.wire import Api
from tests.acceptance.device import Device, user_token
from tests.acceptance.setup_data import USERS, create_setup, event_type

ALARMS = 40
BULK = 4_000
HANGS_S = 30.0


async def alarm(api: Api, device: Device) -> float:
    """Seconds from trigger to arrival of one critical message on the user's device."""
    already = len(device.stream.items)
    began = time.perf_counter()
    await api.post("/v1/workflows/acc-alarm/trigger", {"recipients": [device.user], "data": {"n": already}})
    async with asyncio.timeout(60):
        while len(device.stream.items) == already:  # noqa: ASYNC110 - the stream has no event to wait for
            await asyncio.sleep(0.001)
    return time.perf_counter() - began


async def alarms(api: Api, device: Device) -> list[float]:
    """Several, one after another, fastest first."""
    return sorted([await alarm(api, device) for _ in range(ALARMS)])


async def queue_bulk(api: Api, number: int) -> None:
    """Accepted bulk events; their emails and pushes wait in the queues."""
    for start in range(0, number, 500):
        lines = "\n".join(
            json.dumps(
                {
                    "specversion": "1.0",
                    "id": f"bulk-{i}",
                    "source": "/lanes",
                    "type": event_type("acc-news"),
                    "subject": USERS[i % len(USERS)],
                    "data": {"n": i},
                }
            )
            for i in range(start, min(start + 500, number))
        )
        await api.post("/v1/events", lines.encode(), headers={"content-type": "application/x-ndjson"})


async def test_a_hung_provider_and_a_full_bulk_lane_leave_critical_untouched(server):
    """While bulk email hangs and thousands wait, critical alarms still arrive about as quickly as before."""
    await server.start()
    await create_setup(server.api)
    device = Device(server.port, USERS[0], await user_token(server.api, USERS[0]))
    follow = asyncio.create_task(device.run())
    api = server.api
    calm = await alarms(api, device)
    await set_outcome(api, "email", "hang", timeout_s=HANGS_S)
    bulk = asyncio.create_task(queue_bulk(server.api, BULK))
    crowded = await alarms(api, device)
    await bulk
    crowded = sorted(crowded + await alarms(api, device))
    device.stop()
    await follow
    assert device.stream.problems == []
    assert crowded[len(crowded) // 2] < 0.1 + 5 * calm[len(calm) // 2], (calm, crowded)
    assert crowded[-1] < HANGS_S / 2, crowded
    waiting = await api.get("/v1/messages?channel=email&limit=5")
    assert {message["status"] for message in waiting["items"]} <= {"queued", "deferred", "sending"}


async def test_one_hung_integration_does_not_hold_back_another(server):
    """Same lane, same event: the email hangs, the push is out."""
    await server.start()
    await create_setup(server.api)
    api = server.api
    await set_outcome(api, "email", "hang")
    await queue_bulk(api, 200)
    async with asyncio.timeout(60):
        while True:
            page = await api.get("/v1/messages?channel=push&status=sent&limit=200")
            if len(page["items"]) == 200:
                break
            await asyncio.sleep(0.1)
