"""A rehearsal: one of two gateways fails in every way it can, and nobody notices."""

from __future__ import annotations

import asyncio
import hmac
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
import pytest

from clarion.adapters.system import SystemClock
from clarion.flow.dispatch.integrations import IntegrationHealth
from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.setup import Category, Integration, IntegrationLimits, UnknownPolicy
from clarion.model.status import Status
from clarion.testing.providers import RecordingProvider
from clarion.testing.scripted_server import Answer, Received, scripted_server
from tests.acceptance.backends import CHOSEN, broker_of, open_ledger
from tests.acceptance.shared_store import broker_at
from tests.engine import Engine, workflow
from tests.needs import DEEP
from tests.vendors.sms_http import PROVEN, json_gateway

Mode = Literal["works", "errors", "hangs", "silent"]

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]

SPEED = 1.0 if DEEP else 4.0 if CHOSEN else 20.0
"""Seconds of the engine in a real one."""
PHASES: tuple[tuple[str, Mode, float], ...] = (
    ("before", "works", 40),
    ("errors", "errors", 30),
    ("hangs", "hangs", 40),
    ("silent", "silent", 120),
    ("after", "works", 70),
)
"""Five minutes, in the engine's seconds: what the first gateway does, and for how long."""
EVENTS_A_SECOND = 40 if DEEP else 8
"""In the engine's seconds."""
TTL_S = 300
WITHIN_S = 40
TIMEOUT_S = 40.0
PEOPLE = 100


class FastClock(SystemClock):
    """Time passes faster than it does."""

    def __init__(self) -> None:
        self._began_ms, self._began_s = super().now(), super().monotonic()

    def now(self) -> Instant:
        return Instant(self._began_ms + round((super().monotonic() - self._began_s) * 1_000 * SPEED))

    def monotonic(self) -> float:
        return super().monotonic() * SPEED

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / SPEED)

    def timeout(self, seconds: float) -> asyncio.Timeout:
        return super().timeout(seconds / SPEED)

    def advance(self, seconds: float) -> None:
        """It needs no help."""


class Gateway:
    """A vendor behind a real socket: takes messages, delivers them, and reports it to the callback URL."""

    def __init__(self) -> None:
        self.mode: Mode = "works"
        self.clarion: Engine | None = None
        self.delivered: Counter[str] = Counter()
        """How often each message reached its person, by reference."""
        self.asked: Counter[Mode] = Counter()
        """Messages that came in, by what became of them."""
        self._reports: set[asyncio.Task[None]] = set()

    def answer(self, request: Received) -> Answer:
        """As it is able to at the moment."""
        (message,) = request.json["messages"]
        self.asked[self.mode] += 1
        if self.mode == "errors":
            return Answer.json(503, {"error": "out of order"})
        if self.mode == "hangs":
            return Answer(manner="hang")
        if self.mode == "works":
            self.delivered[message["custom"]] += 1
            task = asyncio.ensure_future(self._report(message))
            self._reports.add(task)
            task.add_done_callback(self._reports.discard)
        return Answer.json(200, {"messages": [{"status": "QUEUED", "id": message["custom"][-12:]}]})

    async def _report(self, message: dict[str, str]) -> None:
        assert self.clarion is not None
        callbacks = self.clarion.services.callbacks
        *_, key, token = urlsplit(message["report"]).path.split("/")
        body = msgspec.json.encode({"results": [{"custom": message["custom"], "status": "DELIVRD"}]})
        signature = hmac.new(PROVEN.encode(), body, "sha256").hexdigest()
        headers = {"content-type": "application/json", "x-signature": f"sha256={signature}"}
        await callbacks.take(callbacks.target(key, token), "POST", "", headers, body)


class Rehearsal:
    """An engine with two integrations, and events that keep coming."""

    def __init__(self, clarion: Engine, a: Gateway, b: Gateway) -> None:
        self.clarion = clarion
        self.a = a
        self.b = b
        self.sent = 0
        self.seen: dict[str, list[IntegrationHealth]] = {}

    async def phase(self, name: str, mode: Mode, seconds: float) -> None:
        """The first gateway behaves like this for a while."""
        self.a.mode = mode
        until_s = self.clarion.clock.monotonic() + seconds
        began_s, first = self.clarion.clock.monotonic(), self.sent
        while (now_s := self.clarion.clock.monotonic()) < until_s:
            wanted = first + round((now_s - began_s) * EVENTS_A_SECOND)
            while self.sent < wanted:
                await self.clarion.trigger("hello", f"user{self.sent % PEOPLE}")
                self.sent += 1
            self.seen.setdefault(name, []).append(self.health("a"))
            await asyncio.sleep(0.05)

    def health(self, key: str) -> IntegrationHealth:
        found = self.clarion.pipeline.integrations.health(self.clarion.tenant)
        return next(one for one in found if one.integration.key == key)

    async def over(self) -> None:
        """Wait until every message is delivered, or could not be in its time."""
        for _ in range(round(TTL_S / SPEED / 0.25) + 40):
            left = [m for m in (await self.clarion.messages()).values() if m.status is not Status.DELIVERED]
            if not left:
                return
            await asyncio.sleep(0.25)


async def prepare(clarion: Engine, urls: dict[str, str]) -> None:
    again = Category(key="news", on_unknown=UnknownPolicy.SEND_AGAIN)
    await clarion.create_setup(workflow("hello", expires_after_s=TTL_S), categories=(again,))
    shelf = clarion.ledger.setup.integrations
    await shelf.delete(clarion.tenant, "main-sms")
    for key, url in urls.items():
        await shelf.put(
            clarion.tenant,
            Integration(
                key=key,
                channel=Channel.SMS,
                provider="sms_http",
                config=json_gateway(url),
                receipt_within_s=WITHIN_S,
                limits=IntegrationLimits(timeout_s=TIMEOUT_S),
            ),
        )
    for n in range(PEOPLE):
        await clarion.put_user(f"user{n}")


async def test_an_outage_of_one_provider_is_survived_by_the_other(
    request: pytest.FixtureRequest, backend: str, tmp_path: Path
):
    """Errors, silence on the line, and a provider that accepts and never delivers: every message arrives in its time,
    and none of them twice. The scores tell what happens, and the provider is used again when it works."""
    a, b = Gateway(), Gateway()
    clock: Any = FastClock()
    clarion = Engine(tmp_path, clock, RecordingProvider(batch=50), 1)
    tools = {"vault": clarion.vault, "clock": clock, "random": clarion.random}
    ledger = await open_ledger(request, backend, tmp_path, **tools)
    async with (
        scripted_server(otherwise=a.answer) as first,
        scripted_server(otherwise=b.answer) as second,
        broker_at(broker_of(request, backend), clarion, ledger) as broker,
    ):
        a.clarion = b.clarion = await clarion.work_on(ledger, broker)
        try:
            await prepare(clarion, {"a": first.url, "b": second.url})
            show = Rehearsal(clarion, a, b)
            for phase in PHASES:
                await show.phase(*phase)
            await show.over()
            messages = await clarion.messages()
            stats = await clarion.pipeline.stats()
        finally:
            await clarion.stop()
    in_time = [
        m
        for m in messages.values()
        if m.delivered_at is not None and m.expires_at is not None and m.delivered_at <= m.expires_at
    ]
    assert len(messages) == show.sent
    assert len(in_time) >= 0.9999 * show.sent, Counter((m.status, m.reason) for m in messages.values())
    arrived = a.delivered + b.delivered
    assert max(arrived.values()) == 1, [n for n in arrived.values() if n > 1]
    assert len(arrived) == len(in_time)
    assert min(a.asked[mode] for mode in ("works", "errors", "hangs", "silent")) > 0
    shares = {name: [one.share for one in seen] for name, seen in show.seen.items()}
    assert median(shares["before"]) > 0.4
    assert min(shares["errors"]) == 0, "its circuit was open"
    assert min(one.standing.receipts for name in ("silent", "after") for one in show.seen[name]) < 1
    assert shares["after"][-1] > 0
    assert stats["integration_share.1/b"] > 0.4, "it has always worked"
    assert stats["integration_share.1/a"] > 0
    assert stats["integration_receipts.1/b"] == 1
