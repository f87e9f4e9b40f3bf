"""Webhook endpoints on a whole engine, with a real receiver: told, disabled, retried."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import msgspec
import pytest
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from clarion.adapters.ledgers.memory import Tables
from clarion.errors import Conflict, InvalidInput, NotFound
from clarion.model.channel import Channel
from clarion.model.endpoint import DeliveryFilter
from clarion.model.ids import Instant, id_text
from clarion.model.setup import EventMatch, Integration, SendAll, SendFirst, Step, Template
from clarion.model.status import Reason, Status
from clarion.model.submission import Submission
from clarion.model.user import Preferences
from clarion.rules.endpoints import TENANT_USER, endpoint_of
from clarion.rules.retry import WEBHOOKS
from clarion.services.endpoint_monitor import DISABLED
from clarion.services.retries import Retries
from clarion.services.webhook_endpoints import MOST, Wanted, WebhookEndpoints
from clarion.testing.scripted_server import Answer, scripted_server
from tests.engine import engine, workflow

ORDER = Template(
    key="order",
    channels={Channel.WEBHOOK: {"en": {"type": "order.shipped", "body": '{"text": {{ data.text|tojson }}}'}}},
    example_data={"text": "hello"},
)
STEP = (Step(key="tell", template="order", to=SendAll(channels=(Channel.WEBHOOK,))),)
NOTE = Template(
    key="disabled",
    channels={Channel.IN_APP: {"en": {"title": "{{ data.endpoint_id }} is {{ data.reason }}"}}},
)
NOTICE = workflow(
    "notice",
    steps=(Step(key="tell", template="disabled", to=SendAll(channels=(Channel.IN_APP,))),),
    on=EventMatch(type=DISABLED),
)
DAY_S = 86_400


async def anywhere(url):
    """Every URL may be called."""


@contextlib.asynccontextmanager
async def shop(store, *workflows):
    """An engine with a shipping workflow, a user and somebody to manage endpoints."""
    async with engine(store) as one:
        await one.create_setup(workflow("shipped", steps=STEP, on=EventMatch(type="order.*")), *workflows)
        await one.ledger.setup.templates.put(one.tenant, ORDER)
        await one.ledger.setup.templates.put(one.tenant, NOTE)
        hooks = Integration(key="hooks", channel=Channel.WEBHOOK, provider="webhook")
        await one.ledger.setup.integrations.put(one.tenant, hooks)
        await one.put_user("ada")
        desk = WebhookEndpoints(one.ledger, Retries(one.ledger, one.clock), anywhere, one.clock, one.random)
        yield one, desk


async def created(one, desk, url, *events, user="ada"):
    """A new endpoint of ada's."""
    owner = (await one.ledger.users.find(one.tenant, [user]))[user]
    owned = await desk.create(one.tenant, owner, Wanted(url=url, events=events), None)
    return owned.endpoint


async def happened(one, type, *, subject="ada"):
    """A CloudEvent about somebody."""
    event = Submission(source="/shop", type=type, subject=subject, data=msgspec.Raw(b'{"text":"hello"}'))
    await one.pipeline.submit(one.tenant, [event])
    await one.until_idle()


async def statuses(one):
    """Of every webhook message, with reasons."""
    found = (await one.messages(channel=Channel.WEBHOOK)).values()
    return [(m.status, m.reason) for m in sorted(found, key=lambda m: m.created_at)]


async def used_up(one):
    """Until every message has had its attempts."""
    for pause_s in WEBHOOKS.pauses_s:
        await one.pass_time(1.1 * pause_s)
    assert {status for status, _ in await statuses(one)} == {Status.DEAD_LETTERED}


async def failing_for_days(one, days):
    """An event a day that nobody takes."""
    for _ in range(days):
        await happened(one, "order.shipped")
        await one.pass_time(DAY_S)


async def test_every_endpoint_that_hears_is_told_with_its_own_signature(store):
    """One message each, under its own id, verified with its own secret."""
    async with scripted_server() as there, shop(store) as (one, desk):
        first = await created(one, desk, f"{there.url}/first")
        second = await created(one, desk, f"{there.url}/second", "order.*")
        await created(one, desk, f"{there.url}/third", "shipped")
        await happened(one, "order.shipped")
        assert [status for status, _ in await statuses(one)] == [Status.SENT, Status.SENT]
        requests = {request.path: request for request in there.requests}
    assert set(requests) == {"/first", "/second"}
    for path, endpoint in (("/first", first), ("/second", second)):
        headers = requests[path].headers
        at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        expected = Webhook(endpoint.secrets[0].text).sign(
            headers["webhook-id"], at, requests[path].body.decode()
        )
        assert headers["webhook-signature"] == expected
    assert requests["/first"].headers["webhook-id"] != requests["/second"].headers["webhook-id"]
    assert msgspec.json.decode(requests["/first"].body)["data"] == {"text": "hello"}


async def test_a_receiver_that_is_down_is_tried_for_days_and_then_dead_lettered(store):
    """Ten attempts on the standard's schedule, each in the log."""
    async with scripted_server(otherwise=Answer(status=500)) as there, shop(store) as (one, desk):
        endpoint = await created(one, desk, there.url)
        await happened(one, "order.shipped")
        seen = [len(there.requests)]
        for pause_s in WEBHOOKS.pauses_s:
            await one.pass_time(pause_s * 0.9)
            assert len(there.requests) == seen[-1]
            await one.pass_time(pause_s * 0.2)
            seen.append(len(there.requests))
        assert seen == list(range(1, 11))
        assert await statuses(one) == [(Status.DEAD_LETTERED, Reason.ATTEMPTS_EXHAUSTED)]
        log = await one.ledger.deliveries.page(one.tenant, endpoint.id, DeliveryFilter(), None, 50)
        assert [(call.ok, call.status) for call in log] == [(False, 500)] * 10
        assert len({request.headers["webhook-id"] for request in there.requests}) == 1


async def test_one_endpoint_that_fails_opens_no_circuit(store):
    """Many failures at one receiver, and another is still told at once."""

    def answers(request):
        return Answer(status=500 if request.path == "/bad" else 200)

    async with scripted_server(otherwise=answers) as there, shop(store) as (one, desk):
        await created(one, desk, f"{there.url}/bad")
        for _ in range(30):
            await happened(one, "order.shipped")
        await one.put_user("grace")
        await created(one, desk, f"{there.url}/good", user="grace")
        await happened(one, "order.shipped", subject="grace")
        assert [request.path for request in there.requests].count("/good") == 1


async def test_a_receiver_that_hangs_does_not_delay_the_record_of_one_in_its_batch(store):
    """What the quick one answered is stored, with its call in the log, while the other still has not answered."""

    def answers(request):
        return Answer(manner="hang" if request.path == "/hung" else "whole")

    async with scripted_server(otherwise=answers) as there, shop(store) as (one, desk):
        hung = await created(one, desk, f"{there.url}/hung")
        quick = await created(one, desk, f"{there.url}/quick")
        await one.trigger("shipped", "ada")

        async def stored() -> bool:
            return len(await one.ledger.deliveries.page(one.tenant, quick.id, DeliveryFilter(), None, 5)) == 1

        began_s = one.clock.monotonic()
        assert await one.until(stored)
        assert one.clock.monotonic() - began_s < 5
        assert {request.path for request in there.requests} == {"/hung", "/quick"}
        assert await one.ledger.deliveries.page(one.tenant, hung.id, DeliveryFilter(), None, 5) == []
        assert {status for status, _ in await statuses(one)} == {Status.SENT, Status.QUEUED}


async def test_a_receiver_that_hangs_does_not_hold_up_another():
    """Calls to it wait for themselves only."""

    def answers(request):
        return Answer(manner="hang" if request.path == "/hung" else "whole")

    async with scripted_server(otherwise=answers) as there, shop(Tables()) as (one, desk):
        await created(one, desk, f"{there.url}/hung")
        for _ in range(5):
            await one.trigger("shipped", "ada")
        await one.put_user("grace")
        await created(one, desk, f"{there.url}/good", user="grace")
        await one.trigger("shipped", "grace")
        user = (await one.ledger.users.find(one.tenant, ["grace"]))["grace"]
        assert await one.eventually(Status.SENT, user=user.no)


async def test_days_of_failure_disable_an_endpoint_and_tell_everybody(store):
    """Operators in log and metric, the tenant by an event of its own, and whoever looks at the endpoint."""
    async with scripted_server(otherwise=Answer(status=500)) as there, shop(store, NOTICE) as (one, desk):
        endpoint = await created(one, desk, there.url)
        with capture_logs() as logs:
            await failing_for_days(one, 5)
            assert (await desk.get(one.tenant, endpoint.id)).state.disabled_at is None
            await failing_for_days(one, 2)
        state = (await desk.get(one.tenant, endpoint.id)).state
        assert state.disabled_reason == "failing"
        assert [entry["event"] for entry in logs].count("endpoint_disabled") == 1
        assert one.services.stats()["endpoints_disabled"] == 1
        notice = await one.one(workflow="notice")
        assert notice.status is Status.DELIVERED
        assert (
            await one.services.message_contents.render(notice)
        ).title == f"{id_text(endpoint.id)} is failing"
        told = len(there.requests)
        await happened(one, "order.shipped")
        assert len(there.requests) == told
        assert (await statuses(one))[-1] == (Status.SUPPRESSED, Reason.ENDPOINT_DISABLED)


async def test_a_success_in_between_keeps_an_endpoint(store):
    """Only failure without a break disables."""
    calls = []

    def sometimes(request):
        calls.append(request)
        return Answer(status=200 if len(calls) % 7 == 0 else 500)

    async with scripted_server(otherwise=sometimes) as there, shop(store) as (one, desk):
        endpoint = await created(one, desk, there.url)
        await failing_for_days(one, 9)
        assert (await desk.get(one.tenant, endpoint.id)).state.disabled_at is None


async def test_an_endpoint_nobody_calls_is_not_disabled(store):
    """One failure long ago is no failure of days."""
    async with scripted_server(otherwise=Answer(status=500)) as there, shop(store) as (one, desk):
        endpoint = await created(one, desk, there.url)
        await happened(one, "order.shipped")
        await used_up(one)
        await one.pass_time(7 * DAY_S)
        state = (await desk.get(one.tenant, endpoint.id)).state
        assert state.failing_since is not None
        assert state.disabled_at is None


async def test_410_disables_at_once_and_is_told_within_a_minute(store):
    """The receiver said so itself."""
    async with scripted_server(otherwise=Answer(status=410)) as there, shop(store, NOTICE) as (one, desk):
        endpoint = await created(one, desk, there.url)
        await happened(one, "order.shipped")
        assert await statuses(one) == [(Status.BOUNCED, Reason.ADDRESS_GONE)]
        assert (await desk.get(one.tenant, endpoint.id)).state.disabled_reason == "address_gone"
        await happened(one, "order.shipped")
        await one.pass_time(60)
        assert len(there.requests) == 1
        assert await one.eventually(Status.DELIVERED, workflow="notice")
        await one.pass_time(600)
        await one.one(workflow="notice")


async def test_what_was_missed_is_retried(store):
    """Failed, ended by 410 and suppressed: everything since then goes out, nothing before it, and nothing twice."""
    said = [500]
    async with (
        scripted_server(otherwise=lambda _: Answer(status=said[0])) as there,
        shop(store) as (one, desk),
    ):
        endpoint = await created(one, desk, there.url)
        await failing_for_days(one, 4)
        since = one.clock.now()
        said[0] = 410
        await happened(one, "order.shipped")
        await happened(one, "order.returned")
        with pytest.raises(Conflict, match="enable it first"):
            await desk.retry_since(one.tenant, endpoint.id, since, 100, "live")
        said[0] = 200
        await desk.switch(one.tenant, endpoint.id, on=True)
        there.requests.clear()
        missed = await desk.retry_since(one.tenant, endpoint.id, since, 100, "live")
        await one.pass_time(1)
        assert (missed.retried, missed.more) == (2, False)
        assert len(there.requests) == 2
        rest = await desk.retry_since(one.tenant, endpoint.id, Instant(0), 1, "live")
        await one.pass_time(1)
        assert rest.retried <= 1
        assert (await desk.get(one.tenant, endpoint.id)).state.failing_since is None


async def test_a_retry_concerns_one_endpoint_and_a_bounded_number(store):
    """The other's failures stay where they are."""
    async with scripted_server(otherwise=Answer(status=410)) as there, shop(store) as (one, desk):
        mine = await created(one, desk, f"{there.url}/mine")
        await created(one, desk, f"{there.url}/other")
        for _ in range(3):
            await happened(one, "order.shipped")
        await desk.switch(one.tenant, mine.id, on=True)
        there.otherwise = Answer()
        there.requests.clear()
        first = await desk.retry_since(one.tenant, mine.id, Instant(0), 2, "live")
        await one.pass_time(1)
        second = await desk.retry_since(one.tenant, mine.id, Instant(0), 2, "live")
        await one.pass_time(1)
        assert [(first.retried, first.more), (second.retried, second.more)] == [(2, True), (1, False)]
        assert {request.path for request in there.requests} == {"/mine"}


async def test_one_message_is_retried(store):
    """The same message id, fresh attempts. What was accepted is not."""
    said = [500]
    async with (
        scripted_server(otherwise=lambda _: Answer(status=said[0])) as there,
        shop(store) as (one, desk),
    ):
        endpoint = await created(one, desk, there.url)
        other = await created(one, desk, there.url, "shipped")
        await happened(one, "order.shipped")
        await used_up(one)
        failed = await one.one(channel=Channel.WEBHOOK)
        said[0] = 200
        with pytest.raises(NotFound):
            await desk.retry(one.tenant, other.id, [failed.id], "live")
        await desk.retry(one.tenant, endpoint.id, [failed.id], "live")
        await one.pass_time(1)
        assert (await one.one(channel=Channel.WEBHOOK)).status is Status.SENT
        assert len({request.headers["webhook-id"] for request in there.requests}) == 1
        with pytest.raises(Conflict, match="sent"):
            await desk.retry(one.tenant, endpoint.id, [failed.id], "live")


@pytest.mark.parametrize(
    ("change", "reason"), [("disable", Reason.ENDPOINT_DISABLED), ("delete", Reason.NO_CONTACT)]
)
async def test_what_waits_for_a_retry_is_bound_by_a_change(store, change, reason):
    """Disabled or deleted meanwhile: no attempt starts, and the message says why."""
    async with scripted_server(otherwise=Answer(status=500)) as there, shop(store) as (one, desk):
        endpoint = await created(one, desk, there.url)
        await happened(one, "order.shipped")
        if change == "disable":
            await desk.switch(one.tenant, endpoint.id, on=False)
        else:
            await desk.delete(one.tenant, endpoint.id)
        await one.pass_time(10)
        assert len(there.requests) == 1
        assert await statuses(one) == [(Status.SUPPRESSED, reason)]


async def test_a_retry_goes_to_the_url_as_it_is_now(store):
    """A receiver that moved need not be down for what is under way."""
    async with (
        scripted_server(otherwise=Answer(status=500)) as old,
        scripted_server() as new,
        shop(store) as (one, desk),
    ):
        endpoint = await created(one, desk, old.url)
        await happened(one, "order.shipped")
        await desk.change(one.tenant, endpoint.id, Wanted(url=new.url))
        await one.pass_time(10)
        assert (len(old.requests), len(new.requests)) == (1, 1)


async def test_the_tenants_own_endpoints_hear_what_names_the_tenant(store):
    """Once per event, however many people it concerns."""
    async with scripted_server() as there, shop(store) as (one, desk):
        owned = await desk.create(one.tenant, None, Wanted(url=there.url), None)
        await one.put_user("grace")
        await one.trigger("shipped", "ada", "grace", TENANT_USER)
        await one.until_idle()
        assert owned.user.id == TENANT_USER
        assert len(there.requests) == 1


async def test_an_opt_out_stops_webhooks_like_everything_else(store):
    """The channel is a channel."""
    async with scripted_server() as there, shop(store) as (one, desk):
        await created(one, desk, there.url)
        await one.put_user("ada", Preferences(channels={Channel.WEBHOOK: False}))
        await happened(one, "order.shipped")
        assert there.requests == []
        assert await statuses(one) == [(Status.SUPPRESSED, Reason.OPTED_OUT)]


async def test_first_binds_its_message_to_one_endpoint(store):
    """Also across a retry, when another one would be free."""
    steps = (Step(key="tell", template="order", to=SendFirst(channels=(Channel.WEBHOOK,))),)
    async with (
        scripted_server(otherwise=Answer(status=500)) as there,
        shop(store, workflow("one", steps=steps)) as (
            one,
            desk,
        ),
    ):
        first = await created(one, desk, f"{there.url}/first")
        await created(one, desk, f"{there.url}/second")
        await one.trigger("one", "ada")
        await one.pass_time(10)
        assert [request.path for request in there.requests] == ["/first", "/first"]
        message = await one.one(channel=Channel.WEBHOOK)
        user = (await one.ledger.users.find(one.tenant, ["ada"]))["ada"]
        assert endpoint_of(message, user) == first


async def test_secrets_overlap_for_a_day(store):
    """Two signatures, then one; a rotation within the day keeps all that are still in use."""
    async with scripted_server() as there, shop(store) as (one, desk):
        endpoint = await created(one, desk, there.url)
        await desk.rotate(one.tenant, endpoint.id, None)
        await happened(one, "order.shipped")
        await desk.rotate(one.tenant, endpoint.id, None)
        await happened(one, "order.shipped")
        await one.pass_time(DAY_S + 1)
        await happened(one, "order.shipped")
        counts = [len(request.headers["webhook-signature"].split(" ")) for request in there.requests]
        assert counts == [2, 3, 1]


async def test_a_user_has_a_bounded_number_of_endpoints(store):
    """Each costs a message per event."""
    async with shop(store) as (one, desk):
        for n in range(MOST):
            await created(one, desk, f"https://shop.example/{n}")
        with pytest.raises(Conflict, match=str(MOST)):
            await created(one, desk, "https://shop.example/more")


@pytest.mark.parametrize(
    ("wanted", "secret", "pointer"),
    [
        (Wanted(url="shop.example"), None, "#/url"),
        (Wanted(url="https://shop.example", events=("order.",)), None, "#/events/0"),
        (Wanted(url="https://shop.example", events=("order.*", "order shipped")), None, "#/events/1"),
        (Wanted(url="https://shop.example", events=("or*",)), None, "#/events/0"),
        (Wanted(url="https://shop.example"), "whsec_short", "#/secret"),
    ],
)
async def test_what_cannot_work_is_refused_at_once(store, wanted, secret, pointer):
    """With the place of the mistake."""
    async with shop(store) as (one, desk):
        with pytest.raises(InvalidInput) as refused:
            await desk.create(one.tenant, None, wanted, secret)
        assert refused.value.pointer == pointer
