"""Runs of workflows with steps, when whoever plans them is killed at any moment."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter

import pytest

from tests.acceptance.reader import pages
from tests.acceptance.setup_data import USERS, create_setup
from tests.needs import DEEP

ROUNDS = 30 if DEEP else 3
EVENTS = 2
PEOPLE = USERS if DEEP else USERS[:8]
IN_APP = {"mode": "all", "channels": ["in_app"]}
SERIES = {
    "category": "acc-normal",
    "steps": [
        {"key": "a", "template": "acc", "to": IN_APP},
        {"key": "first", "type": "wait", "for_s": 1},
        {
            "key": "fork",
            "type": "branch",
            "cases": [
                {
                    "when": "steps.a.status == 'delivered'",
                    "steps": [{"key": "b", "template": "acc", "to": IN_APP}],
                },
                {"steps": [{"key": "wrong", "template": "acc", "to": IN_APP}]},
            ],
        },
        {"key": "second", "type": "wait", "for_s": 1},
        {"key": "c", "template": "acc", "to": IN_APP},
    ],
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("backend", ["sqlite", "postgresql"], indirect=True)
async def test_every_step_happens_once_however_often_the_server_is_killed(server, backend):
    """No message is lost, doubled or of the wrong case, and every run comes to its end."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    dice = random.Random(seed)
    await server.start()
    await create_setup(server.api)
    await server.api.put("/v1/workflows/series", SERIES)
    events = 0
    for number in range(ROUNDS):
        for _ in range(EVENTS):
            asked = {"recipients": [*PEOPLE], "data": {"n": number}}
            await server.api.post("/v1/workflows/series/trigger", asked)
            events += 1
        await asyncio.sleep(dice.uniform(0.05, 1.2))
        server.kill()
        await server.start()
    wanted = events * len(PEOPLE)
    until = time.perf_counter() + 200
    statuses: Counter[str] = Counter()
    while statuses != {"finished": wanted} and time.perf_counter() < until:
        await asyncio.sleep(0.3)
        statuses = Counter([one["status"] async for one in pages(server.api, "/v1/runs", workflow="series")])
    assert statuses == {"finished": wanted}
    messages = [one async for one in pages(server.api, "/v1/messages", workflow="series")]
    assert Counter((one["step"], one["status"]) for one in messages) == {
        (step, "delivered"): wanted for step in ("a", "b", "c")
    }
    for user in PEOPLE[:3]:
        held = [one async for one in pages(server.api, "/v1/messages", workflow="series", user_id=user)]
        assert Counter(one["step"] for one in held) == {"a": events, "b": events, "c": events}
    (shown, *_) = [one async for one in pages(server.api, "/v1/runs", workflow="series", user_id=PEOPLE[0])]
    history = (await server.api.get(f"/v1/runs/{shown['id']}"))["history"]
    assert [(one["step"], one["result"]) for one in history] == [
        *(("a", "sent"), ("first", "waits"), ("first", "over"), ("fork", "case"), ("b", "sent")),
        *(("second", "waits"), ("second", "over"), ("c", "sent")),
    ]
    assert await server.stop() == 0
