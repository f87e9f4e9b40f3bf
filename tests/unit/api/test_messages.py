"""Looking up what became of notifications, and moving them by hand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from clarion.model.channel import Channel, Lane
from clarion.model.event import SetAside
from clarion.model.ids import EventId, Instant, TenantId, id_text
from clarion.model.settlement import Settlement
from clarion.model.setup import Scope
from clarion.model.status import Reason, Status
from clarion.model.worker import Process
from tests.unit.api.conftest import OTHER, Api
from tests.unit.api.test_ingest import TRIGGER, messages_of


async def trigger(api: Api, **more: Any) -> str:
    """The event id of a trigger for ada."""
    answer = await api.ok("POST", TRIGGER, {"recipients": ["ada"], "data": {"id": "1"}, **more})
    return str(answer["event_id"])


async def until(api: Api, path: str, good: Any) -> list[dict[str, Any]]:
    """The items of a list once they are as wished."""
    items: list[dict[str, Any]] = []
    for _ in range(200):
        items = (await api.ok("GET", path))["items"]
        if good(items):
            return items
        await asyncio.sleep(0.01)
    raise AssertionError(f"never came: {items}")


async def deferred(api: Api) -> dict[str, Any]:
    """A message that waits for the end of quiet hours that never let it out today."""
    await api.ok("PUT", "/v1/users/ada/preferences", {"quiet_hours": [{"start": "00:00", "end": "23:59"}]})
    event = await trigger(api)
    items = await until(
        api, f"/v1/messages?event_id={event}", lambda items: any(m["status"] == "deferred" for m in items)
    )
    return next(m for m in items if m["status"] == "deferred")


async def failed(api: Api) -> dict[str, Any]:
    """An email that its provider refused for good."""
    await api.ok(
        "PUT",
        "/v1/integrations/main-email",
        {"channel": "email", "provider": "capture", "config": {"outcome": "reject"}},
    )
    event = await trigger(api)
    items = await until(
        api, f"/v1/messages?event_id={event}", lambda items: any(m["status"] == "rejected" for m in items)
    )
    return next(m for m in items if m["status"] == "rejected")


async def test_a_message_tells_its_whole_story(admin, ada):
    """Timeline, attempts, explanation and content in one answer."""
    found = await messages_of(admin, await trigger(admin))
    email = next(m for m in found if m["channel"] == "email")
    detail = await admin.ok("GET", f"/v1/messages/{email['id']}")
    assert detail["content"]["subject"] == "Order 1"
    assert [c["status"] for c in detail["timeline"]][-1] == "sent"
    assert [a["outcome"] for a in detail["attempts"]] == ["accepted"]
    assert detail["attempts"][0]["integration"] == "main-email"
    assert detail["explanation"]["user_id"] == "ada"
    assert "email" in {c["channel"] for c in detail["explanation"]["channels"]}


async def test_messages_are_found_by_every_filter(admin, ada):
    """Each filter alone, and all of them together."""
    event = await trigger(admin)
    await messages_of(admin, event)
    for query, count in (
        ("", 3),
        ("user_id=ada", 3),
        ("user_id=nobody", 0),
        (f"event_id={event}", 3),
        ("workflow=order-paid", 3),
        ("channel=sms", 1),
        ("channel=sms,email", 2),
        ("workflow=order-paid,order-paid", 3),
        ("status_group=sent", 3),
        ("status_group=failed,not_sent", 0),
        ("status_group=waiting,sent", 3),
        ("status_group=sent&status=bounced", 0),
        ("status_group=sent&status=delivered", 1),
        ("reason=opted_out,no_contact", 0),
        ("status=delivered&channel=in_app", 1),
        ("status=bounced", 0),
        ("reason=opted_out", 0),
        ("since=2020-01-01T00:00:00Z", 3),
        ("since=2020-01-01T00:00:00%2B02:00", 3),
        ("until=2020-01-01T00:00:00Z", 0),
        (f"user_id=ada&event_id={event}&workflow=order-paid&channel=email&status=sent", 1),
    ):
        items = (await admin.ok("GET", f"/v1/messages?{query}"))["items"]
        assert len(items) == count, query


@pytest.mark.parametrize(
    ("query", "parameter", "said"),
    [
        ("statuss=sent", "statuss", "did you mean `status`?"),
        ("status=gone", "status", ""),
        ("channel=smss", "channel", "sms"),
        ("channel=email,emial", "channel", "email"),
        ("channel=", "channel", ""),
        ("reason=opted_uot", "reason", "opted_out"),
        ("status_group=snet", "status_group", "sent"),
        ("since=monday", "since", "RFC 3339"),
        ("event_id=42", "event_id", "UUID"),
    ],
)
async def test_a_wrong_filter_is_refused_and_does_not_match_everything(admin, query, parameter, said):
    """The parameter is named."""
    shown = await admin.problem("GET", f"/v1/messages?{query}")
    assert shown["status"] == 400
    assert shown["errors"][0]["parameter"] == parameter
    assert said in shown["errors"][0]["detail"]


async def test_a_workflow_that_never_was_is_no_filter(admin, ada):
    """The nearest is told; one that was deleted still filters."""
    await messages_of(admin, await trigger(admin))
    for path in ("messages", "dead-letters"):
        shown = await admin.problem("GET", f"/v1/{path}?workflow=order-payed")
        (fault,) = shown["errors"]
        assert (shown["status"], shown["code"]) == (422, "unknown_reference")
        assert (fault["parameter"], fault["value"], fault["did_you_mean"]) == (
            "workflow",
            "order-payed",
            "order-paid",
        )
    await admin.ok("DELETE", "/v1/workflows/order-paid")
    assert len((await admin.ok("GET", "/v1/messages?workflow=order-paid"))["items"]) == 3


async def test_pages_of_messages_cover_everything_once(admin, ada):
    """Cursor by cursor, newest first."""
    for _ in range(4):
        await messages_of(admin, await trigger(admin))
    seen, cursor = [], ""
    while cursor is not None:
        page = await admin.ok("GET", f"/v1/messages?limit=5{f'&cursor={cursor}' if cursor else ''}")
        seen += [m["id"] for m in page["items"]]
        cursor = page["next_cursor"]
    assert len(seen) == len(set(seen)) == 12
    assert seen == sorted(seen, reverse=True)


async def test_a_waiting_message_can_be_canceled_once(admin, ada):
    """What has not started is stopped; what has ended is a conflict."""
    message = await deferred(admin)
    canceled = await admin.ok("POST", f"/v1/messages/{message['id']}/cancel")
    assert (canceled["status"], canceled["reason"]) == ("canceled", "canceled_by_caller")
    sent = next(m for m in await messages_of(admin, await _sent(admin)) if m["status"] == "sent")
    shown = await admin.problem("POST", f"/v1/messages/{sent['id']}/cancel")
    assert (shown["status"], shown["code"]) == (409, "conflict")


async def _sent(api: Api) -> str:
    await api.ok("PUT", "/v1/users/ada/preferences", {})
    return await trigger(api)


async def test_a_failed_message_can_be_retried(admin, ada):
    """Put right what was wrong, then send it again."""
    message = await failed(admin)
    await admin.ok(
        "PUT", "/v1/integrations/main-email", {"channel": "email", "provider": "capture", "config": {}}
    )
    await admin.ok("POST", f"/v1/messages/{message['id']}/retry")
    await until(admin, f"/v1/messages?event_id={message['event_id']}&status=sent&channel=email", len)
    shown = await admin.problem("POST", f"/v1/messages/{message['id']}/retry")
    assert (shown["status"], shown["code"]) == (409, "conflict")


@pytest.mark.parametrize("message_id", ["42", "00000000-0000-7000-8000-000000000000"])
async def test_an_unknown_message_is_not_found(admin, message_id):
    """Well-formed or not."""
    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/retry")):
        assert (await admin.problem(method, f"/v1/messages/{message_id}{path}"))["code"] == "not_found"
    assert (await admin.problem("GET", f"/v1/dead-letters/{message_id}"))["code"] == "not_found"


async def dead_letter(clarion: Any, api: Api) -> dict[str, Any]:
    """An email whose allowed attempts all failed."""
    await api.ok(
        "PUT",
        "/v1/integrations/main-email",
        {"channel": "email", "provider": "capture", "config": {"outcome": "retry"}},
    )
    event = await trigger(api)
    items = await until(
        api, f"/v1/messages?event_id={event}&channel=email", lambda i: i and i[0]["status"] == "deferred"
    )
    late = Instant(clarion.clock.now() + 3_600_000)
    worker = await clarion.ledger.leases.open(Process(), late, Instant(late + 60_000))
    (message,) = await clarion.ledger.messages.claim(worker, Lane.NORMAL, Channel.EMAIL, 10, late)
    settlement = Settlement(
        message=message, status=Status.DEAD_LETTERED, at=late, reason=Reason.ATTEMPTS_EXHAUSTED, attempt=9
    )
    assert not (await clarion.ledger.messages.settle(worker, [settlement])).refused
    return items[0]


async def test_dead_letters_are_listed_inspected_and_retried(clarion, admin, ada):
    """One by id, or all that match."""
    letter = await dead_letter(clarion, admin)
    listed = (await admin.ok("GET", "/v1/dead-letters?user_id=ada&channel=email"))["items"]
    assert [m["id"] for m in listed] == [letter["id"]]
    detail = await admin.ok("GET", f"/v1/dead-letters/{letter['id']}")
    assert detail["attempts"]
    await admin.ok(
        "PUT", "/v1/integrations/main-email", {"channel": "email", "provider": "capture", "config": {}}
    )
    body = {"filter": {"user_id": "ada", "workflow": "order-paid"}}
    assert (await admin.ok("POST", "/v1/dead-letters/retry", body))["kind"] == "messages.retry"
    await until(admin, f"/v1/messages?event_id={letter['event_id']}&status=sent&channel=email", len)
    assert (await admin.ok("GET", "/v1/dead-letters"))["items"] == []
    refused = await admin.problem("POST", "/v1/dead-letters/retry", {"ids": [letter["id"]]})
    assert refused["code"] == "all_rejected"
    assert (await admin.problem("GET", f"/v1/dead-letters/{letter['id']}"))["status"] == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": [], "filter": {}},
        {"ids": ["x"]},
        {"filter": {"status": "sent"}},
        {"filter": {}, "limit": 10},
        {"filter": {}, "template_version": 0},
        {"filter": {}, "template_version": "newest"},
        {"filter": {}, "template_version": 1},
    ],
)
async def test_a_retry_must_say_what_it_means(admin, body):
    """Never everything by mistake."""
    assert (await admin.problem("POST", "/v1/dead-letters/retry", body))["code"] == "invalid_request"


TEMPLATE = "/v1/templates/paid"
BROKEN = "Order {{ data.id|money }}"


async def email_of_template(api: Api, subject: str) -> None:
    """Publish the template of the demo workflow with another subject of its email."""
    shown = await api.ok("GET", TEMPLATE)
    kept = {"channels": shown["channels"], "default_locale": shown["default_locale"]}
    kept["channels"]["email"]["en"]["subject"] = subject
    await api.ok("PUT", TEMPLATE, kept)


async def wrong(api: Api) -> dict[str, Any]:
    """An email whose template failed with its data."""
    await email_of_template(api, BROKEN)
    event = await trigger(api)
    items = await until(
        api, f"/v1/messages?event_id={event}&channel=email", lambda i: i and i[0]["status"] == "failed"
    )
    return items[0]


async def subject_of(api: Api, message: dict[str, Any]) -> str:
    """What the email says once it is sent."""
    await until(api, f"/v1/messages?event_id={message['event_id']}&status=sent&channel=email", len)
    return str((await api.ok("GET", f"/v1/messages/{message['id']}"))["content"]["subject"])


async def test_a_template_error_is_a_dead_letter_and_a_retry_sends_what_is_live_now(admin, ada):
    """Mend the template, retry everything that failed with it: the mended version is sent."""
    message = await wrong(admin)
    listed = (await admin.ok("GET", "/v1/dead-letters?reason=template_error"))["items"]
    assert [m["id"] for m in listed] == [message["id"]]
    assert (await admin.ok("GET", f"/v1/dead-letters/{message['id']}"))["reason"] == "template_error"
    assert (await admin.ok("GET", "/v1/dead-letters?status=bounced"))["items"] == []
    await email_of_template(admin, "Mended {{ data.id }}")
    body = {"filter": {"reason": "template_error", "status": "failed"}}
    assert (await admin.ok("POST", "/v1/dead-letters/retry", body))["status"] == "queued"
    assert await subject_of(admin, message) == "Mended 1"
    detail = await admin.ok("GET", f"/v1/messages/{message['id']}")
    assert detail["template_version"] == message["template_version"] + 1
    assert "retried" in [change["reason"] for change in detail["timeline"]]


@pytest.mark.parametrize("choice", ["live", "planned", "number"])
async def test_a_retry_chooses_the_version_of_the_template(admin, ada, choice):
    """The live one, the one it was planned with, or exactly the one that is named."""
    message = await failed(admin)
    await admin.ok(
        "PUT", "/v1/integrations/main-email", {"channel": "email", "provider": "capture", "config": {}}
    )
    number = message["template_version"]
    await email_of_template(admin, "Second")
    await email_of_template(admin, "Third")
    said = {"live": "Third", "planned": "Order 1", "number": "Second"}[choice]
    version = number + 1 if choice == "number" else choice
    await admin.ok("POST", f"/v1/messages/{message['id']}/retry", {"template_version": version})
    assert await subject_of(admin, message) == said


async def test_a_version_that_does_not_exist_is_refused(admin, ada):
    """By its place, and the message stays where it is."""
    message = await failed(admin)
    path, body = f"/v1/messages/{message['id']}/retry", {"template_version": 999}
    refused = await admin.problem("POST", path, body)
    assert (refused["status"], refused["errors"][0]["pointer"]) == (400, "#/template_version")
    assert "999" in refused["detail"]
    assert (await admin.ok("GET", f"/v1/messages/{message['id']}"))["status"] == "rejected"


async def test_a_tail_follows_what_happens(admin, ada):
    """It waits for the next change, and goes on where it was."""
    page = await admin.ok("GET", "/v1/messages/tail?wait_s=0")
    assert page["items"] == []
    waiting = asyncio.create_task(admin.ok("GET", f"/v1/messages/tail?cursor={page['next_cursor']}&wait_s=5"))
    await asyncio.sleep(0.05)
    event = await trigger(admin)
    seen = (await waiting)["items"]
    assert seen
    await messages_of(admin, event)
    statuses = {c["status"] for c in (await admin.ok("GET", "/v1/messages/tail?wait_s=0&limit=200"))["items"]}
    assert {"sent", "delivered"} <= statuses


async def test_events_are_listed_newest_first(clarion, admin, ada):
    """Each with what it started and where its messages are; in pages, by time, and those of one's own tenant only."""
    first = await trigger(admin)
    await messages_of(admin, first)
    cloud = {
        "specversion": "1.0",
        "id": "e1",
        "source": "/shop",
        "type": "order.paid",
        "subject": "ada",
        "data": {"id": "2"},
    }
    second = (
        await admin.ok("POST", "/v1/events", cloud, headers={"content-type": "application/cloudevents+json"})
    )["event_id"]
    await messages_of(admin, second)
    third = await trigger(admin, delay_s=3600)
    items = await until(admin, "/v1/events", lambda items: len(items) == 3)
    assert [one["id"] for one in items] == [third, second, first]
    assert [one["status"] for one in items] == ["in_progress", "done", "done"]
    assert items[0]["counts"] == {"deferred": 3}
    assert (items[1]["type"], items[1]["source"], items[1]["workflows"]) == (
        "order.paid",
        "/shop",
        ["order-paid"],
    )
    assert (items[2]["type"], sum(items[2]["counts"].values())) == (None, 3)
    page = await admin.ok("GET", "/v1/events?limit=2")
    assert [one["id"] for one in page["items"]] == [third, second]
    rest = await admin.ok("GET", f"/v1/events?limit=2&cursor={page['next_cursor']}")
    assert [one["id"] for one in rest["items"]] == [first]
    assert (await admin.ok("GET", "/v1/events?until=2020-01-01T00:00:00Z"))["items"] == []
    assert len((await admin.ok("GET", "/v1/events?since=2020-01-01T00:00:00Z"))["items"]) == 3
    stranger = await clarion.client(Scope.ADMIN, OTHER)
    assert (await stranger.ok("GET", "/v1/events"))["items"] == []


async def test_an_event_that_nobody_listens_to_is_listed_too(admin):
    """It started nothing, and is done."""
    cloud = {"specversion": "1.0", "id": "e2", "source": "/shop", "type": "nobody.cares", "data": {}}
    await admin.ok("POST", "/v1/events", cloud, headers={"content-type": "application/cloudevents+json"})
    (one,) = await until(admin, "/v1/events", len)
    assert (one["type"], one["workflows"], one["status"], one["counts"]) == ("nobody.cares", [], "done", {})


async def test_an_event_is_canceled_by_its_id(admin, ada):
    """All its messages that have not begun; repeating it is harmless, and what was sent stays."""
    event = await trigger(admin, delay_s=3600)
    await until(admin, f"/v1/messages?event_id={event}", lambda items: len(items) == 3)
    path = f"/v1/events/{event}/cancel"
    assert await admin.ok("POST", path) == {"event_id": event, "canceled": 3}
    assert await admin.ok("POST", path) == {"event_id": event, "canceled": 0}
    items = (await admin.ok("GET", f"/v1/messages?event_id={event}"))["items"]
    assert {(m["status"], m["reason"]) for m in items} == {("canceled", "canceled_by_caller")}
    sent = await trigger(admin)
    await messages_of(admin, sent)
    assert (await admin.ok("POST", f"/v1/events/{sent}/cancel"))["canceled"] == 0


async def test_only_an_event_of_ones_own_can_be_canceled(clarion, admin, ada):
    """Unknown ones are not found, nor are those of another tenant; a key that only reads may not."""
    event = await trigger(admin, delay_s=3600)
    unknown = "/v1/events/00000000-0000-7000-8000-000000000000/cancel"
    assert (await admin.problem("POST", unknown))["code"] == "not_found"
    stranger = await clarion.client(Scope.ADMIN, OTHER)
    assert (await stranger.problem("POST", f"/v1/events/{event}/cancel"))["code"] == "not_found"
    reader = await clarion.client(Scope.READ)
    assert (await reader.problem("POST", f"/v1/events/{event}/cancel"))["code"] == "forbidden"


async def test_an_event_shows_its_runs_and_messages(admin, ada):
    """What came of it, and why; an unknown one is not found."""
    event = await trigger(admin)
    await messages_of(admin, event)
    shown = await admin.ok("GET", f"/v1/events/{event}")
    assert [run["user_id"] for run in shown["runs"]] == ["ada"]
    assert len(shown["messages"]) == 3
    explained = await admin.ok("GET", f"/v1/events/{event}/explanation?user_id=ada")
    assert explained["runs"] == shown["runs"]
    missing = await admin.problem("GET", "/v1/events/00000000-0000-7000-8000-000000000000")
    assert missing["code"] == "not_found"
    await admin.ok("PUT", "/v1/users/eve", {})
    path = f"/v1/events/{event}/explanation"
    assert (await admin.problem("GET", f"{path}?user_id=eve"))["status"] == 404
    everybody = await admin.ok("GET", path)
    assert everybody["runs"] == shown["runs"]
    assert everybody["text"] == f"ada: {explained['text']}"
    gone = "/v1/events/00000000-0000-7000-8000-000000000000/explanation"
    assert (await admin.problem("GET", gone))["code"] == "not_found"


async def test_an_event_is_shown_from_its_202_on_and_never_torn(admin, ada):
    """Accepted, in progress or done: whoever sees its runs sees their messages, whenever they ask."""
    seen = set()
    for _ in range(30):
        event = await trigger(admin)
        while True:
            shown = await admin.ok("GET", f"/v1/events/{event}")
            seen.add(shown["status"])
            told = [
                one["message_id"] for run in shown["runs"] for one in run["channels"] if one["message_id"]
            ]
            assert sorted(told) == sorted(one["id"] for one in shown["messages"])
            assert (shown["status"] == "accepted") == (not shown["runs"])
            if shown["status"] == "done":
                break
    assert seen <= {"accepted", "in_progress", "done"}


async def test_an_event_that_reached_nobody_is_done(admin, ada):
    """A topic without members; a type that no workflow listens to."""
    await admin.ok("PUT", "/v1/topics/empty", {})
    body = {"recipients": [{"topic": "empty"}], "data": {"id": "1"}}
    to_nobody = (await admin.ok("POST", TRIGGER, body))["event_id"]
    event = {"specversion": "1.0", "id": "1", "source": "/x", "type": "nothing.listens", "subject": "ada"}
    unheard = (await admin.ok("POST", "/v1/events", event))["event_id"]
    for sent in (to_nobody, unheard):
        while (shown := await admin.ok("GET", f"/v1/events/{sent}"))["status"] != "done":
            assert shown["status"] in {"accepted", "in_progress"}
        assert (shown["runs"], shown["messages"], shown["reason"]) == ([], [], None)


async def test_an_event_that_was_set_aside_says_so(clarion, admin, ada):
    """With the reason, also when somebody has discarded it."""
    kept = SetAside(
        event_id=EventId(b"\1" * 16), tenant=TenantId(1), lane=Lane.BULK, workflow="w",
        reason=Reason.UNREADABLE, detail="SealBroken", at=Instant(1),
    )  # fmt: skip
    await clarion.ledger.set_aside.keep([kept], [], [])
    for _ in range(2):
        shown = await admin.ok("GET", f"/v1/events/{id_text(kept.event_id)}")
        assert (shown["status"], shown["reason"]) == ("set_aside", "unreadable")
        await clarion.ledger.set_aside.discard(kept.tenant, 1, clarion.clock.now())


async def test_captures_show_what_would_have_gone_out(admin, ada):
    """Address and content, per channel and user."""
    await messages_of(admin, await trigger(admin))
    (sms,) = (await admin.ok("GET", "/v1/captures?user_id=ada&channel=sms"))["items"]
    assert (sms["to"], sms["content"]["text"]) == ("+4915112345678", "Paid 1")
    page = await admin.ok("GET", "/v1/captures?limit=1")
    rest = await admin.ok("GET", f"/v1/captures?limit=1&cursor={page['next_cursor']}")
    assert {page["items"][0]["channel"], rest["items"][0]["channel"]} == {"sms", "email"}
    assert (await admin.ok("GET", "/v1/captures?user_id=nobody"))["items"] == []
    assert len((await admin.ok("GET", "/v1/captures?channel=sms,email"))["items"]) == 2
    for query, count in (
        ("since=2020-01-01T00:00:00Z", 2),
        ("since=2999-01-01T00:00:00Z", 0),
        ("until=2020-01-01T00:00:00Z", 0),
        ("user_id=ada&until=2999-01-01T00:00:00Z", 2),
        ("user_id=ada&since=2999-01-01T00:00:00Z", 0),
    ):
        assert len((await admin.ok("GET", f"/v1/captures?{query}"))["items"]) == count, query
    for wrong in ("channel=smss", "since=monday"):
        await admin.problem("GET", f"/v1/captures?{wrong}")
