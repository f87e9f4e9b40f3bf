"""How long one message takes from step to step while nothing else goes on: accepted; planned, claimed and sent; settled."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Sequence

from bench.http_sink import Sink, answer_of
from bench.load import percentile
from bench.outlets import REACHED, TWILIO_ANSWER, send_through
from bench.progress import progress
from bench.report import Figure
from bench.rig import Rig
from bench.server import Server, free_port
from bench.tenant import SMS, user_id

USERS, WARM, MESSAGES = 500, 50, 400
PAUSE_S = 0.02
"""Between two messages, and a bit more or less, so that no timer keeps step with them."""
WITHIN_S = 60.0
MOST_MS = 10
"""From accepted to sent."""
NUMBER = re.compile(rb"Body=[^0-9&]*(\d+)")
"""Of the event, in what Twilio is asked."""


class Service(Sink):
    """Twilio; it notes when each numbered message came there."""

    def __init__(self, called: dict[int, asyncio.Future[float]]) -> None:
        super().__init__(answer_of(201, TWILIO_ANSWER.encode()))
        self._called = called

    def data_received(self, data: bytes) -> None:
        """A whole request, as small as these are."""
        now = time.perf_counter()
        for number in NUMBER.findall(data):
            called = self._called[int(number)]
            if not called.done():
                called.set_result(now)
        super().data_received(data)


async def hop(rig: Rig) -> list[Figure]:
    """Text messages one after another, each followed from outside until it is settled."""
    users, count = rig.much(USERS, 50), rig.much(MESSAGES, 20)
    async with _service() as (url, called), rig.server(users, env=REACHED) as server:
        await send_through(server.api, "sms", "twilio", {"api_url": url})
        warm = rig.much(WARM, 5)
        await _followed(server, users, called, range(warm))
        steps = await _followed(server, users, called, range(warm, warm + count))
    accepted, sent, settled = zip(*steps, strict=True)
    return [
        _figure("hop: until accepted", accepted, "one message at a time: the answer 202"),
        _figure("hop: then until sent", sent, "planned, claimed, at the provider", MOST_MS),
        _figure("hop: then until settled", settled, "the API says so"),
        _figure("hop: all of it", [sum(one) for one in steps], f"{count} messages"),
    ]


async def _followed(
    server: Server, users: int, called: dict[int, asyncio.Future[float]], numbers: range
) -> list[tuple[float, float, float]]:
    """Seconds of each step of each message."""
    found = []
    for number in numbers:
        progress.tell(f"message {number} of {numbers.stop}")
        called[number] = asyncio.get_running_loop().create_future()
        body = {"recipients": [user_id(number % users)], "data": {"n": number, "place": "Lisbon"}}
        began = time.perf_counter()
        accepted = await server.api.post(f"/v1/workflows/{SMS}/trigger", body)
        accepted_at = time.perf_counter()
        sent_at = await asyncio.wait_for(called[number], WITHIN_S)
        settled_at = await _settled_at(server, accepted["event_id"])
        found.append((accepted_at - began, sent_at - accepted_at, settled_at - sent_at))
        await asyncio.sleep(PAUSE_S * (0.5 + number * 0.618 % 1))
    return found


async def _settled_at(server: Server, event_id: str) -> float:
    """The moment at which the only message of the event is seen to be sent."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            page = await server.api.get(f"/v1/messages?event_id={event_id}")
            if [one["status"] for one in page["items"]] == ["sent"]:
                return time.perf_counter()


@contextlib.asynccontextmanager
async def _service() -> AsyncIterator[tuple[str, dict[int, asyncio.Future[float]]]]:
    """Its URL, and the moments by number."""
    called: dict[int, asyncio.Future[float]] = {}
    port = free_port()
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: Service(called), "127.0.0.1", port):
        yield f"http://127.0.0.1:{port}", called


def _figure(name: str, took_s: Sequence[float], note: str, target: float | None = None) -> Figure:
    return Figure(
        name=f"{name}: p50",
        value=percentile(took_s, 0.5) * 1e3,
        unit="ms",
        target=target,
        at_most=True,
        note=f"p99 {percentile(took_s, 0.99) * 1e3:.1f} ms; {note}",
    )
