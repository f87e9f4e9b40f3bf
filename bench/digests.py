"""Events that are collected: from the first submit until every digest they filled is in an inbox."""

from __future__ import annotations

import time

from bench.costs import Costs
from bench.events import Events
from bench.load import Pool
from bench.report import Figure
from bench.rig import Rig, ended, until_ended
from bench.tenant import UPDATES, event_type
from bench.through import submit

WORKFLOW = "bench-digest"
ITEMS = 50
"""Of a digest."""
USERS = 1_000
GOAL = 10_000
STEPS = [
    {"key": "collect", "type": "digest", "by": "/place", "window_s": 86_400, "max_items": ITEMS},
    {"key": "tell", "template": WORKFLOW, "to": {"mode": "all", "channels": ["in_app"]}},
]


async def digests(rig: Rig) -> list[Figure]:
    """Each user's events go into one digest after another, which closes when it is full."""
    users = rig.much(USERS, 20)
    async with rig.server(users) as server:
        words = {"title": "{{ total }}", "body": "{% for one in items %}{{ one.data.n }} {% endfor %}"}
        await server.api.put(f"/v1/templates/{WORKFLOW}", {"channels": {"in_app": {"en": words}}})
        on = {"type": event_type(WORKFLOW)}
        await server.api.put(f"/v1/workflows/{WORKFLOW}", {"category": UPDATES, "on": on, "steps": STEPS})
        events = Events(server.dev["api_key"], range(users), "digests")
        pool = await Pool.to(server.port, 4)
        await submit(pool, events, WORKFLOW, users * ITEMS)
        await until_ended(server, users)
        before = await ended(server)
        number = 2 * users * ITEMS
        costs, began = Costs(server.uses, server.cpu_s), time.perf_counter()
        with costs.counted():
            await submit(pool, events, WORKFLOW, number)
            await until_ended(server, before + number // ITEMS)
        took = time.perf_counter() - began
        pool.close()
        return [
            Figure(
                name="digests: events collected and told",
                value=number / took,
                unit="items/s",
                target=GOAL,
                note=f"{number:,} events into {number // ITEMS:,} digests, first submit to last terminal status",
            ),
            *costs.figures("digests", number, took),
        ]
