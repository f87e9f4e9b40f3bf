"""Two real processes share a real topic or queue: killed in turn while it is written to, they lose and double nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from bench.wire import Api
from clarion.testing.source_contract import Publication
from tests.acceptance.setup_data import USERS
from tests.acceptance.topology import STORE, Topology
from tests.needs import DEEP
from tests.servers.kafka_topic import new_topic, produce

LEASE_S = 2.0
SETTINGS = f"lease_s = {LEASE_S}\n[outbound]\nallowed_networks = ['127.0.0.0/8']\n"
KILLS = 12 if DEEP else 2
AT_ONCE = 100
SOURCE = {
    "format": "json",
    "map": {"workflow": "'acc-order'", "recipients": "data.user", "data": "{'n': data.n}"},
    "start_at": "earliest",
    "paused": False,
}


class Shop(NamedTuple):
    """Where the orders go."""

    source: dict[str, Any]
    publish: Callable[[Sequence[Publication]], Awaitable[None]]


@contextlib.asynccontextmanager
async def in_kafka(request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    """A topic of four partitions."""
    servers = request.getfixturevalue("kafka").servers
    topic = new_topic(servers, 4)

    async def publish(orders: Sequence[Publication]) -> None:
        await asyncio.to_thread(produce, servers, topic, orders)

    yield Shop({"kind": "kafka", "connection": {"servers": servers, "topic": topic}}, publish)


@contextlib.asynccontextmanager
async def in_rabbitmq(request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    """A quorum queue whose messages have ids."""
    import aiormq
    from aiormq import spec

    server, queue = request.getfixturevalue("rabbitmq"), f"orders-{uuid4().hex[:12]}"
    connection = await aiormq.connect(server.url)
    channel = await connection.channel()
    await channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})

    async def publish(orders: Sequence[Publication]) -> None:
        for one in orders:
            properties = spec.Basic.Properties(message_id=uuid4().hex, delivery_mode=2)
            await channel.basic_publish(one.value, routing_key=queue, properties=properties)

    place = {"servers": f"127.0.0.1:{server.port}", "queue": queue}
    yield Shop({"kind": "rabbitmq", "connection": place}, publish)
    await connection.close()


def orders(since: int, count: int) -> list[Publication]:
    """Records with a number each, of several customers."""
    return [
        Publication(json.dumps({"n": n, "user": USERS[n % len(USERS)]}).encode(), f"customer-{n % 13}")
        for n in range(since, since + count)
    ]


async def both_read(api: Api) -> None:
    """Wait until the records are shared out."""
    status: Any = None
    for _ in range(600):
        status = (await api.call("GET", "/v1/sources/orders/status", within=60)).json()
        if status.get("readers") == 2:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"one process reads alone: {status}")


async def made(api: Api, events: int) -> Counter[str]:
    """How many messages of the inbox each event made, once there are so many events."""
    found: Counter[str] = Counter()
    for _ in range(600):
        found.clear()
        cursor = ""
        while cursor is not None:
            page = f"/v1/messages?workflow=acc-order&channel=in_app&limit=200{cursor}"
            some = (await api.call("GET", page, within=60)).json()
            found.update(message["event_id"] for message in some["items"])
            cursor = some["next_cursor"] and f"&cursor={some['next_cursor']}"
        if len(found) >= events:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"{len(found)} of {events} orders came")


@pytest.mark.parametrize("shop", [in_kafka, in_rabbitmq])
async def test_processes_that_share_a_source_are_killed_and_nothing_is_lost_or_doubled(
    shop, request, tmp_path: Path
):
    """Every record makes one event, whoever had it in hand; whoever comes back reads its share again."""
    async with shop(request) as place, Topology(tmp_path, STORE, SETTINGS) as installation:
        both = [await installation.start(name) for name in ("first", "second")]
        await both[0].api.put("/v1/sources/orders", SOURCE | place.source)
        sent = 0
        for kill in range(KILLS):
            dying, staying = both[kill % 2], both[(kill + 1) % 2]
            await both_read(staying.api)
            await place.publish(orders(sent, AT_ONCE // 2))
            dying.kill()
            await place.publish(orders(sent + AT_ONCE // 2, AT_ONCE // 2))
            sent += AT_ONCE
            await dying.start(within=60)
        await both_read(both[0].api)
        assert Counter((await made(both[0].api, sent)).values()) == {1: sent}
        dead = (await both[0].api.call("GET", "/v1/dead-letters/records")).json()
        assert dead["items"] == []
