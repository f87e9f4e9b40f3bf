"""Steps that ask a service: once recorded, an answer stays; a service that is slow or away harms nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from clarion.model.connection import Connection, ConnectionLimits, HttpMethod, Secret, SecretName
from clarion.model.ids import EventId, Instant
from clarion.model.run import RunStatus, StepCall
from clarion.model.setup import Category, Step, StepType
from clarion.model.status import Reason
from clarion.ports.http import HttpFailure, HttpReply, HttpRequest
from clarion.rules.explain import explanation
from clarion.testing.ports import ManualClock
from tests.engine import Engine, engine, workflow
from tests.unit.flow.test_runs import rows, send, sent, traces

PRICE = Step(
    key="price",
    type=StepType.FETCH,
    connection="shop",
    path="'/orders/' + data.text",
    select="{'total': body.total}",
)
SHOP = Connection(
    key="shop",
    url="https://shop.example/api/",
    methods=(HttpMethod.GET, HttpMethod.POST),
    headers={"Authorization": SecretName(secret="token"), "X-Client": "clarion"},
)
TOKEN = Secret(key="token", value="Bearer s3cret", updated_at=Instant(0))
AWAY = HttpFailure(kind="unanswered", detail="https://shop.example did not answer in time")


def said(status: int, value: Any = None, **headers: str) -> HttpReply:
    """An answer as JSON."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return HttpReply(status=status, headers=named, body=msgspec.json.encode(value))


class Shop:
    """A service that answers as it is told: the last answer again and again."""

    def __init__(self, *answers: HttpReply | HttpFailure) -> None:
        self.answers = list(answers)
        self.asked: list[HttpRequest] = []
        self.hangs: asyncio.Event | None = None
        self.at_once = self.most_at_once = 0

    async def __call__(self, call: HttpRequest, *, until_s: float, limit: int) -> HttpReply | HttpFailure:
        """Implements `HttpCaller`."""
        self.asked.append(call)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.hangs is not None:
                await self.hangs.wait()
            return self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        finally:
            self.at_once -= 1


async def begin(clarion: Engine, *steps: Step, connection: Connection = SHOP, **more: Any) -> None:
    """A workflow of these steps, a connection with its secret, and a person."""
    await clarion.create_setup(
        workflow("w", steps=steps, **more), categories=(Category(key="alarms", critical=True),)
    )
    await clarion.ledger.setup.secrets.put(clarion.tenant, TOKEN)
    await clarion.ledger.setup.connections.put(clarion.tenant, connection)
    await clarion.put_user("ada")


async def passing(clarion: Engine, seconds: int) -> None:
    """Time goes by second by second."""
    for _ in range(seconds):
        await clarion.pass_time(0.4)


async def told(clarion: Engine, event_id: Any) -> list[str]:
    """What the explanation says of the steps."""
    parts = await clarion.ledger.plans.runs_of(clarion.tenant, event_id, None)
    return [step.text for part in parts for step in explanation(part, "ada").steps]


async def test_steps_behind_it_see_the_answer(store):
    """What was selected; the request has the connection's headers with the secret, and a key that repetitions share."""
    shop = Shop(said(200, {"total": 12, "internal": "x"}))
    async with engine(store, clock=ManualClock(), http=shop) as clarion:
        step = replace(
            PRICE, method=HttpMethod.POST, query={"q": "'a b&c'", "n": "1"}, body="{'text': data.text}"
        )
        when = "steps.price.ok && steps.price.status == 200 && steps.price.body == {'total': 12}"
        await begin(clarion, step, send("hello", when=when))
        accepted = await clarion.trigger("w", "ada")
        await clarion.pass_time(5)
        assert await sent(clarion) == ["hello"]
        (asked,) = shop.asked
        assert (asked.method, asked.url) == ("POST", "https://shop.example/api/orders/hello?q=a%20b%26c&n=1")
        assert asked.body == b'{"text":"hello"}'
        assert asked.headers["authorization"] == "Bearer s3cret"
        assert asked.headers["x-client"] == "clarion"
        assert asked.headers["idempotency-key"].startswith('"')
        assert await traces(clarion, accepted.event_id) == [
            *(("price", "calls"), ("price", "done"), ("hello", "sent")),
        ]
        text = " ".join(await told(clarion, accepted.event_id))
        assert "POST of shop answered 200" in text
        assert "s3cret" not in text
        assert "orders/hello" not in text
        assert [row.status for row in await rows(clarion)] == [RunStatus.FINISHED]


@pytest.mark.parametrize("fallback", [None, {"total": 0}])
async def test_an_answer_that_is_of_no_use_is_final(store, fallback):
    """The fallback stands in for it; without one the step has failed, as `on_error` says. Nobody asks again."""
    shop = Shop(said(200, {"other": 1}))
    async with engine(store, clock=ManualClock(), http=shop) as clarion:
        when = "!steps.price.ok && steps.price.body.total == 0"
        await begin(clarion, replace(PRICE, fallback=fallback), send("hello", when=when))
        accepted = await clarion.trigger("w", "ada")
        await passing(clarion, 4)
        assert "select: " in " ".join(await told(clarion, accepted.event_id))
        (row,) = await rows(clarion)
        if fallback is None:
            assert (row.status, row.reason) == (RunStatus.FAILED, Reason.FETCH_FAILED)
        else:
            assert await sent(clarion) == ["hello"]
        assert len(shop.asked) == 1


@pytest.mark.parametrize("failure", [said(503), AWAY])
async def test_what_cannot_be_answered_now_is_asked_again(store, failure):
    """Under the same key, and each time later; the run waits in the store meanwhile."""
    shop = Shop(failure, failure, said(200, {"total": 12}))
    async with engine(store, clock=ManualClock(), http=shop) as clarion:
        await begin(clarion, PRICE, send("hello", when="steps.price.ok"))
        accepted = await clarion.trigger("w", "ada")
        await clarion.pass_time(0.5)
        assert len(shop.asked) == 1
        await passing(clarion, 5)
        assert await sent(clarion) == ["hello"]
        assert len({one.headers["idempotency-key"] for one in shop.asked}) == 1
        assert len(shop.asked) == 3
        assert [result for _, result in await traces(clarion, accepted.event_id)] == [
            *("calls", "repeats", "repeats", "done", "sent"),
        ]


@pytest.mark.parametrize(("after", "asked"), [("20", 2), ("90", 1)])
async def test_a_service_says_when_to_come_again(store, after, asked):
    """Not sooner; when that is too late for the step, it has failed at once."""
    shop = Shop(said(503, retry_after=after), said(200, {"total": 12}))
    async with engine(store, clock=ManualClock(), http=shop) as clarion:
        await begin(clarion, replace(PRICE, fallback={}), send("hello"))
        await clarion.trigger("w", "ada")
        await clarion.pass_time(1)
        await clarion.pass_time(15)
        assert len(shop.asked) == 1
        assert await sent(clarion) == (["hello"] if asked == 1 else [])
        await clarion.pass_time(10)
        assert await sent(clarion) == ["hello"]
        assert len(shop.asked) == asked


async def test_data_never_lead_a_call_elsewhere(store):
    """Nothing is asked; the fallback stands in."""
    shop = Shop(said(200, {"total": 12}))
    async with engine(store, clock=ManualClock(), http=shop) as clarion:
        await begin(clarion, replace(PRICE, fallback={}), send("hello"))
        accepted = await clarion.trigger("w", "ada", data=msgspec.Raw(b'{"text": "../../admin"}'))
        await clarion.pass_time(5)
        assert shop.asked == []
        assert await sent(clarion) == ["hello"]
        assert await traces(clarion, accepted.event_id) == [("price", "fallback"), ("hello", "sent")]


async def test_a_redirect_is_followed_and_other_servers_learn_no_secret(store):
    """On the same server with everything; elsewhere as a plain question; a fourth one is an answer."""
    shop = Shop(
        said(307, location="/api/v2/orders"),
        said(307, location="https://other.example/orders"),
        said(200, {"total": 12}),
    )
    async with engine(store, clock=ManualClock(), http=shop) as clarion:
        step = replace(PRICE, method=HttpMethod.POST, body="data")
        await begin(clarion, step, send("hello", when="steps.price.ok"))
        await clarion.trigger("w", "ada")
        await clarion.pass_time(5)
        assert await sent(clarion) == ["hello"]
        first, same, other = shop.asked
        assert (same.method, same.url, same.body) == (
            "POST",
            "https://shop.example/api/v2/orders",
            first.body,
        )
        assert same.headers == first.headers
        assert (other.method, other.body) == ("GET", b"")
        assert dict(other.headers) == {"accept": "application/json"}


async def test_runs_that_ask_for_the_same_share_an_answer(store):
    """For as long as the step says, unless somebody else is asked, or as somebody else."""
    shop = Shop(said(200, {"total": 12}))
    async with engine(store, clock=ManualClock(), http=shop) as clarion:
        await begin(clarion, replace(PRICE, cache_s=600), send("hello", when="steps.price.ok"))
        for _ in range(3):
            await clarion.trigger("w", "ada")
            await clarion.pass_time(5)
        assert len(shop.asked) == 1
        await clarion.trigger("w", "ada", data=msgspec.Raw(b'{"text":"other"}'))
        await clarion.pass_time(5)
        assert len(shop.asked) == 2
        another = Secret(key="token", value="Bearer another", updated_at=Instant(1))
        await clarion.ledger.setup.secrets.put(clarion.tenant, another)
        await clarion.trigger("w", "ada")
        await clarion.pass_time(5)
        assert len(shop.asked) == 3
        await clarion.pass_time(600)
        await clarion.trigger("w", "ada")
        await clarion.pass_time(5)
        assert len(shop.asked) == 4
        assert await sent(clarion) == ["hello"] * 6


async def test_a_slow_service_holds_up_nobody_else(store):
    """It gets no more calls at once than it takes; runs without a place give up in time, and all others go on."""
    slow = asyncio.Event()
    shop = Shop(said(200, {"total": 12}))
    shop.hangs = slow
    async with engine(store, clock=ManualClock(), http=shop) as clarion:
        few = replace(SHOP, limits=ConnectionLimits(at_once=2))
        await begin(clarion, replace(PRICE, fallback={}), send("late"), connection=few)
        pause = Step(key="pause", type=StepType.WAIT, for_s=5)
        await clarion.ledger.setup.workflows.put(clarion.tenant, workflow("v", steps=(pause, send("soon"))))
        for _ in range(20):
            await clarion.trigger("w", "ada")
        await clarion.trigger("v", "ada")
        await clarion.pass_time(10)
        assert await sent(clarion) == ["soon"]
        assert shop.most_at_once == 2
        for _ in range(12):
            await clarion.pass_time(6)
        assert len(await sent(clarion)) == 1 + 20 - 8  # two are called, six wait in line for them
        slow.set()
        await clarion.pass_time(5)
        assert len(await sent(clarion)) == 1 + 20
        assert len(shop.asked) == 2


async def test_runs_without_a_place_come_again(store):
    """In the order in which they came, as soon as it is likely that there is one."""
    shop = Shop(said(200, {"total": 12}))
    shop.hangs = asyncio.Event()
    async with engine(store, clock=ManualClock(), http=shop) as clarion:
        few = replace(SHOP, limits=ConnectionLimits(at_once=1))
        await begin(clarion, PRICE, send("hello", when="steps.price.ok"), connection=few)
        events = [await clarion.trigger("w", "ada") for _ in range(10)]
        await clarion.pass_time(0.2)
        shop.hangs.set()
        await passing(clarion, 10)
        assert await sent(clarion) == ["hello"] * 10
        results = [result for _, result in await traces(clarion, events[-1].event_id)]
        assert results[0] == "calls"
        assert {*results[1:-2]} == {"queues"}
        assert results[-2:] == ["done", "sent"]


async def test_a_connection_that_goes_while_a_call_begins_keeps_no_place(store):
    """However often it happens, others find theirs."""
    async with engine(store, clock=ManualClock(), http=Shop(said(200, {"total": 12}))) as clarion:
        await begin(clarion, PRICE, send("hello"))
        service, setup = clarion.services.connections, clarion.ledger.setup
        request = {"connection": "shop", "method": "get", "cache_s": None}
        for number in range(ConnectionLimits().at_once * 4):
            id_ = EventId(number.to_bytes(16, "big"))
            call = StepCall(id=id_, type=StepType.FETCH, request=request)
            assert service.known(clarion.tenant, call) is None
            await setup.connections.delete(clarion.tenant, "shop")
            assert (await service.fetch(clarion.tenant, call)).reason is Reason.FETCH_FAILED
            await setup.connections.put(clarion.tenant, SHOP)
        await clarion.trigger("w", "ada")
        await clarion.pass_time(5)
        assert await sent(clarion) == ["hello"]


@pytest.mark.parametrize("gone", ["connection", "secret", "method"])
async def test_what_was_taken_away_meanwhile_is_a_failure(store, gone):
    """The run goes on with its fallback, and the explanation says what is missing."""
    shop = Shop(said(200, {"total": 12}))
    async with engine(store, clock=ManualClock(), http=shop) as clarion:
        pause = Step(key="pause", type=StepType.WAIT, for_s=60)
        await begin(clarion, pause, replace(PRICE, fallback={}), send("hello"))
        accepted = await clarion.trigger("w", "ada")
        await clarion.pass_time(5)
        setup = clarion.ledger.setup
        if gone == "connection":
            await setup.connections.delete(clarion.tenant, "shop")
        elif gone == "secret":
            await setup.secrets.delete(clarion.tenant, "token")
        else:
            await setup.connections.put(clarion.tenant, replace(SHOP, methods=(HttpMethod.POST,)))
        await clarion.pass_time(60)
        assert (await sent(clarion), shop.asked) == (["hello"], [])
        assert gone in " ".join(await told(clarion, accepted.event_id))


async def test_an_alarm_does_not_wait_for_a_service(store):
    """A fault must not silence it, also without a fallback."""
    async with engine(store, clock=ManualClock(), http=Shop(said(404))) as clarion:
        await begin(clarion, PRICE, send("hello"), category="alarms")
        await clarion.trigger("w", "ada")
        await clarion.pass_time(5)
        assert await sent(clarion) == ["hello"]


async def hung(shop: Shop, calls: int) -> Callable[[], Any]:
    """Whether so many calls hang."""

    async def hangs() -> bool:
        return len(shop.asked) == calls

    return hangs


async def test_the_first_recorded_answer_counts(store):
    """A process is killed between the call and its commit: the next one asks again under the same key."""
    shop = Shop(said(200, {"total": 12}))
    shop.hangs = asyncio.Event()
    async with engine(store, clock=ManualClock(), http=shop) as clarion:
        await begin(clarion, PRICE, send("hello", when="steps.price.body.total == 13"))
        await clarion.trigger("w", "ada")
        assert await clarion.until(await hung(shop, 1))
        await clarion.crash()
        shop.answers, shop.hangs = [said(200, {"total": 13})], None
        await clarion.open()
        for _ in range(3):
            await clarion.pass_time(30)
        assert await sent(clarion) == ["hello"]
        assert len({one.headers["idempotency-key"] for one in shop.asked}) == 1
        assert len(shop.asked) == 2
