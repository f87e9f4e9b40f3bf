"""A campaign: from its start until its last member is planned, while those before are sent already, and the memory that takes."""

from __future__ import annotations

import asyncio
import time

from bench.costs import Costs
from bench.progress import progress
from bench.report import Figure
from bench.rig import Rig
from bench.server import Server
from bench.tenant import BULK_EMAIL, user_id

MEMBERS = 1_000_000
GOAL_S, GOAL_MIB = 60.0, 300.0
"""For a million."""
TOPIC = "bench-readers"
AT_ONCE = 1_000


async def campaigns(rig: Rig) -> list[Figure]:
    """All users are members of a topic; each gets an email, which is captured."""
    members = rig.much(MEMBERS, 2_000)
    async with rig.server(members, preferences=False) as server:
        await server.api.put(f"/v1/topics/{TOPIC}", {})
        for start in range(0, members, AT_ONCE):
            some = [user_id(number) for number in range(start, min(start + AT_ONCE, members))]
            await server.api.post(f"/v1/topics/{TOPIC}/subscriptions", {"user_ids": some})
        asked = {"workflow": BULK_EMAIL, "audience": {"topic": TOPIC}, "data": {"n": 1, "place": "Oslo"}}
        campaign = await server.api.post("/v1/campaigns", asked)
        before, costs, began = (
            server.memory_kib()["Rss"],
            Costs(server.uses, server.cpu_s),
            time.perf_counter(),
        )
        with costs.counted():
            await server.api.post(f"/v1/campaigns/{campaign['id']}/start", {})
            most = await _until_planned(server, campaign["id"], members)
        took = time.perf_counter() - began
    return [
        Figure(
            name="campaign: members planned",
            value=members / took,
            unit="members/s",
            target=MEMBERS / GOAL_S,
            note=f"{members:,} members, start to the last one planned; the first are sent meanwhile",
        ),
        Figure(
            name="campaign: memory",
            value=(most - before) / 1024,
            unit="MiB",
            target=GOAL_MIB,
            at_most=True,
            note="growth of RSS while members are planned",
        ),
        *costs.figures("campaign", members, took),
    ]


async def _until_planned(server: Server, campaign: str, members: int) -> int:
    """The most memory that was used until then."""
    most = 0
    while (planned := (await server.api.get(f"/v1/campaigns/{campaign}"))["members_planned"]) < members:
        most = max(most, server.memory_kib()["Rss"])
        progress.tell(f"{members - planned:,} members left")
        await asyncio.sleep(0.2)
    return max(most, server.memory_kib()["Rss"])
