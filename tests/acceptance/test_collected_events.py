"""Digests, when clients send at the same time and whoever plans is killed at any moment."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from typing import Any

import pytest

from bench.server import Server
from bench.wire import Api
from tests.acceptance.reader import pages
from tests.acceptance.setup_data import create_setup
from tests.needs import DEEP

CLIENTS = 4
USERS = 1_000 if DEEP else 6
ORDERS = 5 if DEEP else 2
EACH = 20 if DEEP else 10
"""Events of one user and order: so many fill a digest."""
BATCH = 200 if DEEP else 8
KILLS = 12 if DEEP else 1
STEPS = [
    {"key": "collect", "type": "digest", "by": "/order", "window_s": 3_600, "max_items": EACH},
    {"key": "tell", "template": "collected", "to": {"mode": "all", "channels": ["in_app"]}},
]


def events() -> list[str]:
    """All of them, as CloudEvents, in any order."""
    found = [
        json.dumps(
            {
                "specversion": "1.0",
                "id": f"{user}-{order}-{number}",
                "source": "/collected",
                "type": "acc.collected",
                "subject": f"user-{user}",
                "data": {"order": order, "n": number},
            }
        )
        for user in range(USERS)
        for order in range(ORDERS)
        for number in range(EACH)
    ]
    random.shuffle(found)
    return found


async def send(server: Server, lines: list[str]) -> None:
    """One client: each batch until it is accepted; what was accepted before is told apart by its id."""
    api = Api(server.port, server.dev["api_key"])
    for begin in range(0, len(lines), BATCH):
        body = "\n".join(lines[begin : begin + BATCH]).encode()
        while True:
            try:
                await api.post("/v1/events", body, headers={"content-type": "application/x-ndjson"})
                break
            except (OSError, RuntimeError, TimeoutError):
                api.close()
                await asyncio.sleep(0.05)
    api.close()


async def kill(server: Server, sending: asyncio.Future[Any]) -> None:
    """Again and again, while clients send and afterwards."""
    dice = random.Random()
    for number in range(KILLS):
        if number < KILLS // 2 + 1:
            await asyncio.wait([sending], timeout=dice.uniform(0.1, 1.5))
        else:
            await asyncio.sleep(dice.uniform(0.1, 1.0))
        server.kill()
        await server.start()


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("backend", ["sqlite", "postgresql"] if DEEP else ["sqlite"], indirect=True)
async def test_exactly_the_expected_digests_however_often_the_server_is_killed(server, backend):
    """Every event of a user and an order is told, once, by the one digest that it filled with the others."""
    await server.start()
    await create_setup(server.api)
    shown = {"title": "{{ total }}", "body": "{% for one in items %}{{ one.data.n }} {% endfor %}"}
    await server.api.put("/v1/templates/collected", {"channels": {"in_app": {"en": shown}}})
    document = {"category": "acc-normal", "on": {"type": "acc.collected", "create": True}, "steps": STEPS}
    await server.api.put("/v1/workflows/collected", document)
    lines = events()
    began = time.perf_counter()
    sending = asyncio.gather(*(send(server, lines[client::CLIENTS]) for client in range(CLIENTS)))
    await kill(server, sending)
    await sending
    print(f"{len(lines)} events in {time.perf_counter() - began:.1f} s, {KILLS} kills")
    until = time.perf_counter() + 600
    runs: list[dict[str, Any]] = []
    wanted = USERS * ORDERS
    while time.perf_counter() < until:
        runs = [one async for one in pages(server.api, "/v1/runs", workflow="collected")]
        if Counter(one["status"] for one in runs) == {"finished": wanted}:
            break
        await asyncio.sleep(0.3)
    assert Counter(one["status"] for one in runs) == {"finished": wanted}
    digests = Counter((one["digest"]["total"], one["digest"]["closed_by"]) for one in runs)
    assert digests == {(EACH, "max_items"): wanted}
    told = Counter[str]()
    for run in runs if not DEEP else random.sample(runs, 500):
        detail = await server.api.get(f"/v1/runs/{run['id']}")
        told.update(one["event_id"] for one in detail["items"])
    assert set(told.values()) == {1}
    messages = Counter(
        [one["status"] async for one in pages(server.api, "/v1/messages", workflow="collected")]
    )
    assert messages == {"delivered": wanted}
    assert await server.stop() == 0
