"""Campaigns, when whoever plans them is killed at any moment."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from typing import Any

import pytest

from tests.acceptance.reader import pages
from tests.acceptance.setup_data import create_setup
from tests.needs import DEEP

MEMBERS = 20_000 if DEEP else 1_200
ROUNDS = 12 if DEEP else 3
TELL = {"key": "tell", "template": "acc", "to": {"mode": "all", "channels": ["in_app"]}}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("backend", ["sqlite", "postgresql"], indirect=True)
async def test_each_member_gets_one_message_however_often_the_server_is_killed(server, backend):
    """Through a pause and a resume, too; nothing is planned in the pause."""
    dice = random.Random(seed := random.randrange(1 << 30))
    print(f"seed {seed}")
    await server.start()
    api = server.api
    await create_setup(api)
    await api.put("/v1/workflows/told", {"category": "acc-normal", "steps": [TELL]})
    await api.put("/v1/topics/members", {})
    names = [f"m{n}" for n in range(MEMBERS)]
    for first in range(0, MEMBERS, 400):
        some = names[first : first + 400]
        lines = b"\n".join(b'{"user_id": "%s"}' % name.encode() for name in some)
        await api.post("/v1/users/bulk", lines, headers={"content-type": "application/x-ndjson"})
        await api.post("/v1/topics/members/subscriptions", {"user_ids": some})
    asked = {
        "workflow": "told",
        "audience": {"topic": "members"},
        "rate_per_s": MEMBERS // 4,
        "data": {"n": 1},
    }
    campaign = await api.post("/v1/campaigns", asked)
    path = f"/v1/campaigns/{campaign['id']}"
    await api.post(f"{path}/start", {})
    for number in range(ROUNDS):
        await asyncio.sleep(dice.uniform(0.05, 0.6))
        before = await api.post(f"{path}/pause", {}) if number == 1 else None
        server.kill()
        await server.start()
        if before is not None:
            assert (await api.get(path))["members_planned"] == before["members_planned"]
            await api.post(f"{path}/resume", {})
    until = time.perf_counter() + 400
    shown: dict[str, Any] = {}
    while time.perf_counter() < until and shown.get("members_planned") != MEMBERS:
        await asyncio.sleep(0.3)
        shown = await api.get(path)
    assert shown["members_planned"] == MEMBERS
    messages = [one async for one in pages(api, "/v1/messages", workflow="told")]
    assert Counter(one["user_id"] for one in messages) == dict.fromkeys(names, 1)
    assert await server.stop() == 0
