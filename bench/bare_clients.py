"""Clients of brokers as their manuals show them, with the settings that lose nothing: a call returns when all of it is acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from typing import Any

Send = Callable[[Sequence[tuple[bytes, bytes]]], Awaitable[None]]
"""Of keys and values."""
NAME = "bare"
TOPIC = "bench.normal"
"""Clarion's own, so that both have as many partitions."""
SQS_CALL = 10
"""Messages that SQS takes at once."""
SQS_CALLS = 32
"""Calls under way: as many as Clarion has."""


@contextlib.asynccontextmanager
async def kafka(place: str) -> AsyncIterator[Send]:
    """confluent-kafka."""
    from confluent_kafka import Producer

    producer = Producer(
        {"bootstrap.servers": place, "enable.idempotence": True, "acks": "all", "linger.ms": 1}
    )
    stopped = threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            producer.poll(0.1)

    thread = threading.Thread(target=serve)
    thread.start()

    async def send(messages: Sequence[tuple[bytes, bytes]]) -> None:
        loop, left = asyncio.get_running_loop(), itertools.count(len(messages) - 1, -1)
        done: asyncio.Future[None] = loop.create_future()

        def delivered(error: Any, _: Any) -> None:
            assert error is None, error
            if not next(left):
                loop.call_soon_threadsafe(done.set_result, None)

        for key, value in messages:
            producer.produce(TOPIC, value, key, on_delivery=delivered)
        await done

    try:
        yield send
    finally:
        stopped.set()
        thread.join()


@contextlib.asynccontextmanager
async def rabbitmq(place: str) -> AsyncIterator[Send]:
    """aiormq, to a quorum queue."""
    import aiormq

    connection = await aiormq.connect(f"amqp://guest:guest@{place}/")
    channel = await connection.channel(publisher_confirms=True)
    await channel.queue_declare(NAME, durable=True, arguments={"x-queue-type": "quorum"})
    properties = aiormq.spec.Basic.Properties(delivery_mode=2)

    async def send(messages: Sequence[tuple[bytes, bytes]]) -> None:
        sent = (channel.basic_publish(v, routing_key=NAME, properties=properties) for _, v in messages)
        await asyncio.gather(*sent)

    yield send
    await connection.close()


@contextlib.asynccontextmanager
async def sqs(place: str) -> AsyncIterator[Send]:
    """boto3, in threads."""
    import boto3

    where = {"region_name": "us-east-1", "endpoint_url": f"http://{place}"}
    client = boto3.client("sqs", aws_access_key_id="key", aws_secret_access_key="secret", **where)
    url = client.create_queue(QueueName=NAME)["QueueUrl"]
    calls = ThreadPoolExecutor(SQS_CALLS)

    def call(values: Sequence[bytes]) -> None:
        entries = [{"Id": str(n), "MessageBody": b64encode(value).decode()} for n, value in enumerate(values)]
        assert not client.send_message_batch(QueueUrl=url, Entries=entries).get("Failed")

    async def send(messages: Sequence[tuple[bytes, bytes]]) -> None:
        values, loop = [value for _, value in messages], asyncio.get_running_loop()
        parts = [values[at : at + SQS_CALL] for at in range(0, len(values), SQS_CALL)]
        await asyncio.gather(*(loop.run_in_executor(calls, call, part) for part in parts))

    yield send
    calls.shutdown()


@contextlib.asynccontextmanager
async def nats(place: str) -> AsyncIterator[Send]:
    """nats-py, to a stream."""
    import nats as client

    connection = await client.connect(f"nats://{place}")
    jetstream = connection.jetstream(publish_async_max_pending=100_000)
    await jetstream.add_stream(name=NAME, subjects=[NAME])

    async def send(messages: Sequence[tuple[bytes, bytes]]) -> None:
        await asyncio.gather(*[await jetstream.publish_async(NAME, value) for _, value in messages])

    yield send
    await connection.close()


@contextlib.asynccontextmanager
async def redis(place: str) -> AsyncIterator[Send]:
    """redis-py, to a stream."""
    from redis.asyncio import Redis

    client = Redis.from_url(f"redis://{place}")

    async def send(messages: Sequence[tuple[bytes, bytes]]) -> None:
        pipeline = client.pipeline(transaction=False)
        for _, value in messages:
            pipeline.xadd(NAME, {"value": value})  # type: ignore[unused-awaitable]
        await pipeline.execute()

    yield send
    await client.aclose()


BARE_CLIENTS: Mapping[str, Callable[[str], AbstractAsyncContextManager[Send]]] = {
    "kafka": kafka,
    "rabbitmq": rabbitmq,
    "sqs": sqs,
    "nats": nats,
    "redis": redis,
}
"""By broker; each is given host and port."""
