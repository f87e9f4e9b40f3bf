"""Schedules, when whoever fires them is killed at any moment."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.acceptance.reader import pages
from tests.acceptance.setup_data import USERS, create_setup
from tests.needs import DEEP

SCHEDULES = 60 if DEEP else 8
ROUNDS = 20 if DEEP else 3
TELL = {"key": "tell", "template": "acc", "to": {"mode": "all", "channels": ["in_app"]}}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("backend", ["sqlite", "postgresql"], indirect=True)
async def test_each_occurrence_is_one_event_however_often_the_server_is_killed(server, backend):
    """What was due while it was down is caught up, and nobody gets anything twice."""
    dice = random.Random(seed := random.randrange(1 << 30))
    print(f"seed {seed}")
    await server.start()
    await create_setup(server.api)
    await server.api.put("/v1/workflows/told", {"category": "acc-normal", "steps": [TELL]})
    first = datetime.now(UTC) + timedelta(seconds=3)
    for number in range(SCHEDULES):
        at = first + timedelta(seconds=dice.uniform(0, ROUNDS))
        asked = {
            "workflow": "told",
            "recipients": [USERS[0]],
            "data": {"n": number},
            "starts_at": at.isoformat(),
        }
        await server.api.put(f"/v1/schedules/s{number}", asked)
    for _ in range(ROUNDS):
        await asyncio.sleep(dice.uniform(0.2, 1.2))
        server.kill()
        await server.start()
    until = time.perf_counter() + 200
    messages: list[dict[str, Any]] = []
    shown: list[list[dict[str, Any]]] = []
    while time.perf_counter() < until:
        messages = [one async for one in pages(server.api, "/v1/messages", workflow="told")]
        shown = [(await server.api.get(f"/v1/schedules/s{n}/occurrences"))["items"] for n in range(SCHEDULES)]
        if len(messages) == SCHEDULES and all(one[0]["outcome"] == "fired" for one in shown):
            break
        await asyncio.sleep(0.3)
    assert Counter(one["event_id"] for one in messages) == {one[0]["event_id"]: 1 for one in shown}
    assert {len(one) for one in shown} == {1}
    assert await server.stop() == 0
