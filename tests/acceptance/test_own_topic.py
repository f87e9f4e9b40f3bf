"""A real process reads a real topic and tells another one: followed as the pages say, killed in between, nothing lost or doubled."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from bench.server import Server
from clarion.testing.source_contract import Publication
from tests.acceptance.test_how_tos import commands, typed
from tests.architecture.source_tree import ROOT
from tests.servers.kafka import Kafka
from tests.servers.kafka_topic import consume, new_topic, produce

PAGES = ("docs/how-to/use-your-own-topic.md", "docs/how-to/events-out.md")
SHOWN = re.compile(r"clarion (sources|sinks) ")
MANY = 300


def block(page: str, kind: str) -> dict[str, Any]:
    """The first document of a page that has this kind."""
    found = re.findall(r"```json\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    return next(one for one in map(json.loads, found) if one.get("kind") == kind)


def order(number: int) -> Publication:
    """As the page says that the shop writes it."""
    record = {"id": f"A-{number}", "status": "paid", "customer": {"id": "ada"}, "total": 24.9}
    return Publication(json.dumps(record).encode(), f"customer-{number % 7}")


async def test_records_become_messages_and_messages_events(server: Server, kafka: Kafka, tmp_path: Path):
    """By the commands of both pages; every order once, whenever the process is killed, and all of it is told."""
    await server.start()
    orders, told = new_topic(kafka.servers), new_topic(kafka.servers)
    files = {"orders.json": (PAGES[0], orders), "warehouse.json": (PAGES[1], told)}
    for name, (page, topic) in files.items():
        document = block(page, "kafka")
        document["connection"] = {"servers": kafka.servers, "topic": topic}
        more: dict[str, Any] = {"start_at": "earliest"}
        document |= {"types": [], "where": None} if name == "warehouse.json" else more
        (tmp_path / name).write_text(json.dumps(document), encoding="utf-8")
    produce(kafka.servers, orders, [order(0)])
    where = {
        "CLARION_URL": server.dev["url"],
        "CLARION_API_KEY": server.dev["api_key"],
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    said = [
        await typed(command, tmp_path, where)
        for page in reversed(PAGES)
        for command in commands(page)
        if SHOWN.match(command)
    ]
    assert any("order-paid" in one and "in_app" in one for one in said), said

    produce(kafka.servers, orders, map(order, range(1, MANY)))
    for _ in range(3):
        await asyncio.sleep(0.3)
        server.kill()
        await server.start()
    await until_all(server)
    await until_told(kafka, told, MANY)
    assert Counter((await until_all(server)).values()) == {1: MANY}


async def until_all(server: Server) -> Counter[str]:
    """How many messages each event made, once all orders have one."""
    events: Counter[str] = Counter()
    for _ in range(600):
        events = Counter()
        cursor = ""
        while True:
            path = f"/v1/messages?workflow=order-paid&channel=in_app&limit=200{cursor}"
            page = (await server.api.call("GET", path, within=60)).json()
            for message in page["items"]:
                events[message["event_id"]] += 1
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        if len(events) >= MANY:
            return events
        await asyncio.sleep(0.1)
    raise AssertionError(f"{len(events)} of {MANY} orders came")


async def until_told(kafka: Kafka, topic: str, messages: int) -> None:
    """Until every message of the inbox was told to be delivered."""
    done: set[str] = set()
    for _ in range(300):
        found = [json.loads(value) for _, value, _ in await asyncio.to_thread(consume, kafka.servers, topic)]
        inbox = [one for one in found if one["data"]["channel"] == "in_app"]
        done = {one["subject"] for one in inbox if one["data"]["status"] == "delivered"}
        if len(done) >= messages:
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"{len(done)} of {messages} messages were told")
