"""A push through the whole engine: event, plan, dispatch, pushy's mock of APNs and a server that holds requests to FCM
against Google's own description of them, outcome, ledger.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest

from clarion.adapters.system import SystemClock
from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.message import Message
from clarion.model.setup import Category, Integration, SendAll, Step, Template
from clarion.model.status import Reason, Status
from clarion.services.lives import LiveState
from clarion.testing.ports import ManualClock
from clarion.testing.scripted_server import Answer, Received, ScriptedServer, scripted_server
from tests.apns_server import GONE_TOKEN, KEY_ID, TEAM_ID, TOKEN, TOPIC, ApnsServer, apns_server
from tests.engine import Engine, engine, workflow
from tests.fcm_description import SCHEMA
from tests.google import ACCESS_TOKEN, TokenServer, service_account
from tests.vendors.fcm import TAKEN, refused
from tests.vendors.fcm import TOKEN as ANDROID

pytestmark = pytest.mark.acceptance

ORDER = Template(
    key="order",
    channels={
        Channel.PUSH: {
            "en": {
                "title": "Order {{ data.order }}",
                "body": "{{ data.text }}",
                "live": '{"attributes_type": "OrderAttributes", "attributes": {"order": {{ data.order|tojson }}},'
                ' "progress": {{ data.progress|tojson }}}',
            }
        }
    },
    example_data={"order": "A-1", "text": "packed", "progress": 0.5},
)


@pytest.fixture(scope="module")
def apns() -> Iterator[ApnsServer]:
    with apns_server() as running:
        yield running


@pytest.fixture(name="google", scope="module")
def running_google() -> Iterator[TokenServer]:
    server = TokenServer()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def trusted(apns, monkeypatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(apns.folder / "ca.pem"))


def fcm(*script: Answer) -> contextlib.AbstractAsyncContextManager[ScriptedServer]:
    """FCM: it refuses what its description does not know."""

    def answer(request: Received) -> Answer:
        known = SCHEMA.is_valid(request.json) and request.path.endswith(
            "/projects/example-project/messages:send"
        )
        granted = request.headers["authorization"] == f"Bearer {ACCESS_TOKEN}"
        return TAKEN if known and granted else refused(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT")

    return scripted_server(*script, otherwise=answer)


@contextlib.asynccontextmanager
async def connected(
    tmp_path: Any, apns: ApnsServer, fcm: ScriptedServer, google: TokenServer
) -> AsyncIterator[Engine]:
    """An engine with both services, on a clock that shows the time: APNs looks at it."""
    async with engine(tmp_path, clock=ManualClock(SystemClock().now())) as clarion:
        await clarion.create_setup(
            workflow("ping", channel=Channel.PUSH),
            workflow(
                "orders",
                steps=(Step(key="tell", template="order", to=SendAll(channels=(Channel.PUSH,))),),
            ),
            categories=(Category(key="news"),),
        )
        setup = clarion.ledger.setup
        await setup.templates.put(clarion.tenant, ORDER)
        await setup.integrations.delete(clarion.tenant, "main-push")
        key = {"key_id": KEY_ID, "team_id": TEAM_ID, "private_key": apns.private_key}
        config = {
            "apns": {"topic": TOPIC, "url": f"https://127.0.0.1:{apns.port}", **key},
            "fcm": {"service_account": service_account(google.url), "url": fcm.url},
        }
        for name, its in config.items():
            integration = Integration(key=name, channel=Channel.PUSH, provider=name, config=its)
            await setup.integrations.put(clarion.tenant, integration)
        yield clarion


async def detail(clarion: Engine, message: Message) -> str:
    """What the timeline says of the last attempt."""
    changes = await clarion.ledger.records.changes(clarion.tenant, message.id)
    return changes[-1].detail or ""


async def test_one_push_reaches_the_phones_of_both_services(tmp_path, apns, google):
    """Rendered, sent once to each, and stored as sent with what both said."""
    before = len(apns.accepted())
    async with fcm() as server, connected(tmp_path, apns, server, google) as clarion:
        await clarion.put_user("ada", devices=(f"apns:{TOKEN}", f"fcm:{ANDROID}"))
        await clarion.trigger("ping", "ada", data=msgspec.Raw(b'{"text": "W\xc3\xb6rld"}'))
        await clarion.until_idle(network_s=30)
        message = await clarion.one()
        assert message.status is Status.SENT
        assert await detail(clarion, message) == "2 of 2 devices took it"
        (request,) = server.requests
    ((kind, _, payload),) = apns.accepted()[before:]
    assert kind == "alert"
    assert json.loads(payload)["aps"]["alert"] == {"title": "W\xf6rld"}
    assert request.json["message"]["notification"] == {"title": "W\xf6rld"}
    assert request.json["message"]["token"] == ANDROID


async def test_a_phone_without_the_app_is_suppressed_and_its_person_still_reached(tmp_path, apns, google):
    """410 of APNs and UNREGISTERED of FCM; the next push does not try these again."""
    gone = refused(404, "NOT_FOUND", "UNREGISTERED")
    async with fcm(gone) as server, connected(tmp_path, apns, server, google) as clarion:
        await clarion.put_user("ada", devices=(f"apns:{GONE_TOKEN}", f"fcm:{ANDROID}", f"apns:{TOKEN}"))
        await clarion.trigger("ping", "ada")
        await clarion.until_idle(network_s=30)
        assert await detail(clarion, await clarion.one()) == "1 of 3 devices took it (2 gone)"
        await clarion.trigger("ping", "ada")
        await clarion.until_idle(network_s=30)
        user = (await clarion.ledger.users.find(clarion.tenant, ["ada"]))["ada"]
        assert [one.address for one in user.usable(Channel.PUSH)] == [f"apns:{TOKEN}"]
        assert {m.status for m in (await clarion.messages()).values()} == {Status.SENT}
        assert len(server.requests) == 1


async def test_a_service_that_is_away_gets_it_later_and_once(tmp_path, apns, google):
    """UNAVAILABLE with a time, then a page of a proxy: the message waits, and is sent when the service is back."""
    away = refused(503, "UNAVAILABLE", "UNAVAILABLE", retry_after="20")
    script = (away, Answer.text(502, "<html>Bad gateway</html>"))
    async with fcm(*script) as server, connected(tmp_path, apns, server, google) as clarion:
        await clarion.put_user("ada", devices=(f"fcm:{ANDROID}",))
        await clarion.trigger("ping", "ada")
        await clarion.until_idle(network_s=30)
        waiting = await clarion.one()
        assert (waiting.status, waiting.reason) == (Status.DEFERRED, Reason.RETRY)
        assert waiting.due_at is not None
        assert waiting.due_at >= clarion.clock.now() + 20_000

        async def sent() -> bool:
            return (await clarion.one()).status is Status.SENT

        assert await clarion.until(sent)
        assert len(server.requests) == 3
        assert (await clarion.one()).attempt == 3


async def test_a_live_resource_is_a_live_activity_and_a_progress_notification(tmp_path, apns, google):
    """Started by a push-to-start token, updated and ended by the token of the activity; beside it the phone of Android."""
    before = len(apns.accepted())
    async with fcm() as server, connected(tmp_path, apns, server, google) as clarion:
        lives = clarion.services.lives

        async def show(text: str, progress: float, **more: Any) -> None:
            data = {"order": "A-1", "text": text, "progress": progress}
            state = msgspec.Raw(json.dumps(data).encode())
            given = LiveState(workflow="orders", recipients=("ada",), state=state, **more)
            await lives.put(clarion.tenant, "a-1", given)
            await clarion.pass_time(2)
            await clarion.until_idle(network_s=30)

        await clarion.put_user("ada", devices=(f"apns-start:{TOKEN}", f"fcm:{ANDROID}"))
        stale_at = Instant(clarion.clock.now() + 3_600_000)
        await show("packed", 0.25, stale_at=stale_at)
        devices = (f"apns-start:{TOKEN}", f"apns-activity:a-1/{TOKEN}", f"fcm:{ANDROID}")
        await clarion.put_user("ada", devices=devices)
        await show("on its way", 0.75)
        await lives.end(clarion.tenant, "a-1", dismiss_at=clarion.clock.now())
        await clarion.pass_time(2)
        await clarion.until_idle(network_s=30)
        messages = list((await clarion.messages()).values())
        assert {m.status for m in messages} == {Status.SENT}
        assert {await detail(clarion, m) for m in messages} == {"2 of 2 devices took it"}
        requests = [request.json["message"] for request in server.requests]
    activities = [json.loads(payload)["aps"] for _, _, payload in apns.accepted()[before:]]
    assert {kind for kind, _, _ in apns.accepted()[before:]} == {"liveactivity"}
    start, update, end = activities
    assert (start["event"], start["attributes-type"]) == ("start", "OrderAttributes")
    assert start["attributes"] == {"order": "A-1"}
    assert start["content-state"] == {"order": "A-1", "text": "packed", "progress": 0.25}
    assert start["stale-date"] == stale_at // 1000
    assert start["alert"] == {"title": "Order A-1", "body": "packed"}
    assert (update["event"], update["content-state"]["text"]) == ("update", "on its way")
    assert "alert" not in update
    assert end["event"] == "end"
    assert end["dismissal-date"] <= end["timestamp"] + 2
    assert start["timestamp"] < update["timestamp"] < end["timestamp"]
    told = [json.loads(one["data"]["live"]) for one in requests]
    assert [(one["event"], one["progress"]) for one in told] == [
        ("start", 0.25),
        ("update", 0.75),
        ("end", 0.75),
    ]
    assert all("notification" not in one for one in requests)
    assert len({one["android"]["collapseKey"] for one in requests}) == 1
