"""Events in: every form, every limit, and never a 202 too many."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import msgspec
import pytest

from clarion.api import ApiLimits
from clarion.errors import Busy, Unavailable
from clarion.model.setup import Scope
from tests.unit.api.conftest import OTHER, Api, Installation

TRIGGER = "/v1/workflows/order-paid/trigger"
EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "/shop",
    "type": "order.paid",
    "subject": "ada",
    "data": {"id": "4711"},
}


async def messages_of(api: Api, event_id: str, count: int = 3) -> list[dict[str, Any]]:
    """The finished messages of an event, once there are `count` of them."""
    found: list[dict[str, Any]] = []
    for _ in range(200):
        found = (await api.ok("GET", f"/v1/messages?event_id={event_id}"))["items"]
        if len(found) == count and all(m["status"] in ("sent", "delivered", "suppressed") for m in found):
            return list(found)
        await asyncio.sleep(0.01)
    raise AssertionError(f"not finished: {found}")


async def test_a_trigger_is_accepted_and_becomes_messages(admin, ada):
    """202 names the event, and soon everyone concerned has been notified on every channel."""
    answer = await admin("POST", TRIGGER, {"recipients": ["ada"], "data": {"id": "4711"}})
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 1
    found = await messages_of(admin, answer.json()["event_id"])
    assert {m["channel"] for m in found} == {"email", "sms", "in_app"}
    assert {m["user_id"] for m in found} == {"ada"}


async def test_recipients_are_users_topics_or_people_to_create(admin, ada):
    """Ids, objects with an address, and topics stand side by side; the answer lists who is new."""
    await admin.ok("PUT", "/v1/topics/vip")
    await admin.ok("POST", "/v1/topics/vip/subscriptions", {"user_ids": ["ada"]})
    bob = {"user_id": "bob", "create": True, "email": "bob@example.com"}
    answer = await admin.ok("POST", TRIGGER, {"recipients": ["ada", bob, {"topic": "vip"}]})
    assert (answer["accepted"], answer["created_users"]) == (3, ["bob"])
    assert (await admin.ok("GET", "/v1/users/bob"))["email"] == "bob@example.com"
    again = await admin.ok("POST", TRIGGER, {"recipients": [bob]})
    assert (again["accepted"], again["created_users"]) == (1, [])


@pytest.mark.parametrize("query", ["", "?dry_run=true"])
async def test_an_unknown_recipient_is_refused_with_the_nearest_name(admin, ada, query):
    """422 with every unknown name at its place; nobody is created, nothing is accepted. A dry run says the same."""
    await admin.ok("PUT", "/v1/topics/vip")
    body = {"recipients": ["ada", "adda", {"user_id": "aga", "email": "a@example.com"}, {"topic": "vipp"}]}
    shown = await admin.problem("POST", TRIGGER + query, body)
    assert (shown["status"], shown["code"]) == (422, "unknown_reference")
    assert [(e["pointer"], e["code"], e["value"], e["did_you_mean"]) for e in shown["errors"]] == [
        ("#/recipients/1", "unknown_reference", "adda", "ada"),
        ("#/recipients/2/user_id", "unknown_reference", "aga", "ada"),
        ("#/recipients/3/topic", "unknown_reference", "vipp", "vip"),
    ]
    assert "There is no user 'adda'. Did you mean 'ada'?" in shown["detail"]
    assert '"create": true' in shown["detail"]
    assert (await admin.ok("GET", "/v1/messages"))["items"] == []
    assert [user["user_id"] for user in (await admin.ok("GET", "/v1/users"))["items"]] == ["ada"]


async def test_a_name_is_suggested_only_when_one_comes_near(admin, ada, clarion):
    """Nothing is invented, and other tenants' people stay theirs."""
    shown = await admin.problem("POST", TRIGGER, {"recipients": ["zzzzzzzz"]})
    assert "did_you_mean" not in shown["errors"][0]
    other = await clarion.client(Scope.ADMIN, OTHER)
    await other.ok("PUT", "/v1/users/zzzzzzzy", {})
    shown = await admin.problem("POST", TRIGGER, {"recipients": ["zzzzzzzz"]})
    assert "did_you_mean" not in shown["errors"][0]


async def test_in_a_batch_only_items_with_unknown_recipients_are_refused(admin, ada):
    """Each with its own error; whom an earlier item creates, a later one may name."""
    lines = [
        {"workflow": "order-paid", "recipients": ["ada"]},
        {"workflow": "order-paid", "recipients": ["zoe"]},
        {"workflow": "order-paid", "recipients": [{"user_id": "zoe", "create": True}]},
        {"workflow": "order-paid", "recipients": ["zoe"]},
        {"workflow": "order-paid", "recipients": [{"topic": "nobody"}]},
    ]
    for content_type in ("application/x-ndjson", "application/json"):
        many = content_type == "application/x-ndjson"
        content = b"\n".join(map(msgspec.json.encode, lines)) if many else msgspec.json.encode(lines)
        headers = {"content-type": content_type}
        answer = (await admin("POST", "/v1/events", content=content, headers=headers)).json()
        shown = [e["error"]["code"] if "error" in e else e["created_users"] for e in answer["items"]]
        assert shown == [[], "unknown_reference", ["zoe"], [], "unknown_reference"]
        assert answer["items"][1]["error"]["errors"][0]["pointer"] == "#/recipients/0"
        await admin.ok("DELETE", "/v1/users/zoe")


async def test_a_repeat_lists_whom_the_first_call_created(admin):
    """The same key, the same answer; once that person is erased, nothing names them any more."""
    body = {"recipients": [{"user_id": "zoe", "create": True}, {"user_id": "yan", "create": True}]}
    headers = {"idempotency-key": "k"}
    first = await admin.ok("POST", TRIGGER, body, headers=headers)
    assert first["created_users"] == ["zoe", "yan"]
    again = await admin("POST", TRIGGER, body, headers=headers)
    assert (again.json(), again.headers["idempotency-replayed"]) == (first, "true")


@pytest.mark.parametrize("mode", ["structured", "binary"])
async def test_an_event_for_an_unknown_person_is_refused(admin, ada, mode):
    """Nothing is accepted that would reach nobody: 422 points at the subject, with the nearest name."""
    event = {**EVENT, "id": mode, "subject": "adda"}
    if mode == "structured":
        shown = await admin.problem("POST", "/v1/events", event)
    else:
        headers = {f"ce-{name}": value for name, value in event.items() if name != "data"}
        shown = await admin.problem("POST", "/v1/events", event["data"], headers=headers)
    assert (shown["code"], shown["errors"][0]["pointer"]) == ("unknown_reference", "#/subject")
    assert shown["errors"][0]["did_you_mean"] == "ada"


async def test_a_workflow_may_ask_for_the_people_of_its_events_to_be_created(admin):
    """`on.create`: what a registration starts is for somebody new. So do recipients that lie in the data."""
    stored = await admin.ok("GET", "/v1/workflows/order-paid")
    on = {"type": "order.paid", "create": True}
    await admin.ok("PUT", "/v1/workflows/order-paid", {**stored, "on": on})
    answer = await admin.ok("POST", "/v1/events", {**EVENT, "subject": "newcomer"})
    assert (answer["accepted"], answer["created_users"]) == (1, ["newcomer"])
    assert (await admin.problem("POST", TRIGGER, {"recipients": ["stranger"]}))["code"] == "unknown_reference"
    on = {"type": "order.paid", "recipients": "/to"}
    await admin.ok("PUT", "/v1/workflows/order-paid", {**stored, "on": on})
    named = {"to": ["newcomer", {"user_id": "late", "create": True}, "nobody"]}
    shown = await admin.problem("POST", "/v1/events", {**EVENT, "id": "2", "data": named})
    assert [e["pointer"] for e in shown["errors"]] == ["#/data/to/2"]
    answer = await admin.ok("POST", "/v1/events", {**EVENT, "id": "3", "data": {"to": named["to"][:2]}})
    assert (answer["accepted"], answer["created_users"]) == (2, ["late"])


async def test_the_tenant_itself_can_always_be_told(admin):
    """`$tenant` is nobody's name: it may be a recipient before the tenant has an endpoint."""
    assert (await admin.ok("POST", TRIGGER, {"recipients": ["$tenant"]}))["created_users"] == []


@pytest.mark.parametrize(
    ("body", "pointer", "said"),
    [
        ({"recipients": ["ada"], "payload": {}}, "#/payload", "did you mean `data`?"),
        ({"to": ["ada"]}, "#/to", "did you mean `recipients`?"),
        ({"recipients": [{"subscriberId": "ada"}]}, "#/recipients/0/subscriberId", "did you mean `user_id`?"),
        ({"recipients": ["ada"], "lanes": "high"}, "#/lanes", "did you mean `lane`?"),
        ({"recipients": ["ada"], "lane": "urgent"}, "#/lane", "`critical`, `high`, `normal`, `bulk`"),
        ({"recipients": []}, "#/recipients", "length >= 1"),
        ({"recipients": ["ok", " "]}, "#/recipients/1", "1 to 255 printable"),
        (
            {"recipients": [{"email": "ada@example.com"}]},
            "#/recipients/0",
            "needs `user_id`, `topic`, `segment` or `object`",
        ),
        ({"recipients": [{"topic": "t", "user_id": "ada"}]}, "#/recipients/0", "give `topic` alone"),
        ({"recipients": [{"user_id": "u", "email": "nope"}]}, "#/recipients/0/email", "ada@example.com"),
        ({"recipients": [{"user_id": "u", "phone": "0151"}]}, "#/recipients/0/phone", "E.164"),
        ({"recipients": [{"user_id": "u", "locale": "de_DE"}]}, "#/recipients/0/locale", "write de-DE"),
        ({"recipients": [{"user_id": "u", "timezone": "CET+1"}]}, "#/recipients/0/timezone", "Europe/Berlin"),
        ({"recipients": ["ada"], "data": [1]}, "#/data", "JSON object"),
        ({"recipients": ["ada"], "expires_at": "tomorrow"}, "#/expires_at", "RFC 3339"),
        ({"recipients": ["ada"], "expires_at": "2020-01-01T00:00:00Z"}, "#/expires_at", "already passed"),
        ({"recipients": ["ada"], "overrides": {"mail": {}}}, "#/overrides/mail", "`email`"),
        (
            {"recipients": ["ada"], "overrides": {"email": {"htm": "x"}}},
            "#/overrides/email/htm",
            "mean `html`",
        ),
        (
            {"recipients": ["ada"], "overrides": {"email": {"html": "<!--" * 60_000}}},
            "#/overrides/email/html",
            "240,000 characters, at most 100,000",
        ),
        ({"recipients": ["ada"], "overrides": {"sms": {"text": 1}}}, "#/overrides/sms/text", "a string"),
        (
            {"recipients": ["ada"], "overrides": {"email": {"mjml": "<mjml>"}}},
            "#/overrides/email/mjml",
            "set `html`",
        ),
        (
            {"recipients": ["ada"], "overrides": {"push": {"url": "javascript:go()"}}},
            "#/overrides/push/url",
            "https:",
        ),
        ({"recipients": ["ada"], "send_at": "2030-05-04T09:00"}, "#/send_at", "RFC 3339"),
        ({"recipients": ["ada"], "send_at": "2020-05-04T09:00:00Z"}, "#/send_at", "in the past"),
        (
            {"recipients": ["ada"], "send_at_local": "2030-05-04 9:00"},
            "#/send_at_local",
            "like 2026-05-04T09:00",
        ),
        ({"recipients": ["ada"], "delay_s": -1}, "#/delay_s", ">= 0"),
        ({"recipients": ["ada"], "delay_s": 10**9}, "#/delay_s", "<= 31622400"),
        (
            {"recipients": ["ada"], "delay_s": 1, "send_at": "2020-05-04T09:00:00Z"},
            "#/delay_s",
            "not `send_at`",
        ),
        ({"data": {}}, "#", "missing required field `recipients`"),
    ],
)
async def test_what_is_wrong_is_named_with_its_place(admin, body, pointer, said):
    """A wrong trigger is refused with a pointer to the field and a word on what it must be."""
    shown = await admin.problem("POST", TRIGGER, body)
    assert (shown["status"], shown["code"]) == (400, "invalid_request")
    assert shown["errors"][0]["pointer"] == pointer
    assert said in shown["errors"][0]["detail"]


async def test_a_message_can_be_sent_later(admin, ada):
    """It waits; a dry run and the list of messages say until when and why. A trigger among events too."""
    body = {"recipients": ["ada"], "data": {"id": "1"}, "delay_s": 3600}
    (run,) = (await admin.ok("POST", f"{TRIGGER}?dry_run=true", body))["runs"]
    assert {c["reason"] for c in run["channels"]} == {"scheduled"}
    assert "as scheduled" in run["channels"][0]["text"]
    event = (await admin.ok("POST", "/v1/events", {"workflow": "order-paid", **body}))["event_id"]
    found: list[dict[str, Any]] = []
    for _ in range(200):
        found = (await admin.ok("GET", f"/v1/messages?event_id={event}"))["items"]
        if found:
            break
        await asyncio.sleep(0.01)
    assert [(m["status"], m["reason"]) for m in found] == [("deferred", "scheduled")] * 3
    assert all(m["due_at"] > m["created_at"] for m in found)


async def test_an_unknown_workflow_is_not_found_with_the_nearest_name(admin):
    """A typo in the path is answered with what exists."""
    shown = await admin.problem("POST", "/v1/workflows/order-payed/trigger", {"recipients": ["ada"]})
    assert shown["code"] == "not_found"
    assert "order-paid" in shown["detail"]
    assert "errors" not in shown


@pytest.mark.parametrize(
    ("raw", "code", "status"),
    [
        (b'{"recipients": ["ada"', "malformed_json", 400),
        (b"", "malformed_json", 400),
        (b'{"recipients": ["a\xff"]}', "malformed_json", 400),
        (b'{"recipients": ["ada"], "data": {"n": 1e999}}', "invalid_request", 400),
        (b'{"recipients": ["ada"], "data": {"a": "\\ud800"}}', "malformed_json", 400),
        (b'{"recipients": ["ada"], "data": ' + b'{"a":' * 40 + b"1" + b"}" * 40 + b"}", "too_deep", 413),
        (b'{"recipients": ["ada"], "data": ' + b"[" * 100_000 + b"}", "too_deep", 413),
    ],
)
async def test_bytes_that_no_template_could_read_are_refused(admin, raw, code, status):
    """What is accepted can be opened later: broken text, numbers and nesting stay outside."""
    shown = await admin.problem("POST", TRIGGER, content=raw, headers={"content-type": "application/json"})
    assert (shown["code"], shown["status"]) == (code, status)


async def test_brackets_in_text_are_not_nesting(admin, ada):
    """Depth counts structure, not characters."""
    await admin.ok("POST", TRIGGER, {"recipients": ["ada"], "data": {"id": "[{" * 200}})


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml"]
)
@pytest.mark.parametrize("path", [TRIGGER, "/v1/events", "/v1/users/ada/contacts"])
async def test_another_media_type_is_refused_by_name(admin, ada, path, content_type):
    """curl's default media type is the commonest mistake: the answer says what to send."""
    shown = await admin.problem("POST", path, content=b"{}", headers={"content-type": content_type})
    assert shown["code"] == "unsupported_media_type"
    assert "application/json" in shown["detail"]


async def test_cloudevents_come_structured_binary_and_batched(admin, ada):
    """Three content modes, one outcome: the workflow whose pattern matches is started for the subject."""
    await admin.ok("PUT", "/v1/users/jürgen k", {})
    structured = await admin(
        "POST",
        "/v1/events",
        content=msgspec.json.encode(EVENT),
        headers={"content-type": "application/cloudevents+json; charset=utf-8"},
    )
    binary = await admin(
        "POST",
        "/v1/events",
        {"id": "4711"},
        headers={
            "ce-specversion": "1.0",
            "ce-id": "2",
            "ce-source": "/shop",
            "ce-type": "order.paid",
            "ce-subject": "j%C3%BCrgen%20k",
        },
    )
    batched = await admin(
        "POST",
        "/v1/events",
        content=msgspec.json.encode([{**EVENT, "id": "3"}, {**EVENT, "id": "4", "type": "nobody.cares"}]),
        headers={"content-type": "application/cloudevents-batch+json"},
    )
    assert structured.status_code == binary.status_code == batched.status_code == 202
    assert structured.json()["accepted"] == binary.json()["accepted"] == 1
    assert [e["accepted"] for e in batched.json()["items"]] == [1, 0]
    await messages_of(admin, structured.json()["event_id"])
    assert {m["user_id"] for m in await messages_of(admin, binary.json()["event_id"])} == {"jürgen k"}


async def test_base64_data_is_read_when_it_is_json(admin, ada):
    """`data_base64` is the other way to carry the same object."""
    event = {**EVENT, "data_base64": base64.b64encode(b'{"id": "8"}').decode(), "id": "b64"}
    del event["data"]
    answer = await admin.ok("POST", "/v1/events", event)
    found = await messages_of(admin, answer["event_id"])
    sms = next(m for m in found if m["channel"] == "sms")
    assert (await admin.ok("GET", f"/v1/messages/{sms['id']}"))["content"]["text"] == "Paid 8"


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"specversion": "0.3"}, "invalid_request", "CloudEvents 1.0"),
        ({"id": ""}, "invalid_request", "length >= 1"),
        ({"time": "yesterday"}, "invalid_request", "RFC 3339"),
        ({"datacontenttype": "text/xml"}, "unsupported_media_type", "must be JSON"),
        ({"data": "text"}, "invalid_request", "JSON object"),
        ({"data_base64": "%%"}, "invalid_request", "not both"),
        ({"subject": "line\nbreak"}, "invalid_request", "control"),
        ({"subject": ""}, "invalid_request", "length >= 1"),
        ({"subject": None}, "invalid_request", "No recipients"),
        ({"id": None}, "invalid_request", "null"),
        ({"id": "a\x00b"}, "invalid_request", "control"),
        ({"id": "a\x7fb"}, "invalid_request", "control"),
        ({"source": "/a\u009f"}, "invalid_request", "control"),
        ({"type": "order\npaid"}, "invalid_request", "control"),
        ({"type": "clarion.message.delivered"}, "invalid_request", "`clarion.`"),
        ({"type": "Clarion.x"}, "invalid_request", "`clarion.`"),
        ({"data": [1]}, "invalid_request", "JSON object"),
    ],
)
async def test_a_broken_cloudevent_is_refused(admin, change, code, said):
    """Required attributes and JSON data are insisted on."""
    shown = await admin.problem("POST", "/v1/events", {**EVENT, **change})
    assert shown["code"] == code
    assert said in shown["detail"]


async def test_a_broken_binary_cloudevent_names_the_header(admin):
    """Attributes in headers are checked like those in a body."""
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t", "ce-time": "noon"}
    shown = await admin.problem("POST", "/v1/events", {}, headers=headers)
    assert "ce-time" in shown["detail"]


async def test_extension_attributes_are_allowed_and_unknown_trigger_fields_are_not(admin, ada):
    """CloudEvents may carry more than we read; our own form may not."""
    await admin.ok("POST", "/v1/events", {**EVENT, "id": "ext", "comexampleextension": "x"})
    line = {"workflow": "order-paid", "recipients": ["ada"], "payload": {}}
    assert "`data`" in (await admin.problem("POST", "/v1/events", line))["detail"]


async def test_ndjson_mixes_events_and_triggers_and_reports_failures_by_index(admin, ada):
    """One bad line does not take the others with it."""
    lines = [
        msgspec.json.encode({**EVENT, "id": "nd1"}),
        b'{"workflow": "order-paid", "recipients": ["ada"], "data": {"specversion": "not an event"}}',
        b"",
        b'{"workflow": "order-paid"}',
        b"not json",
        b'{"workflow": "nope", "recipients": ["ada"]}',
    ]
    answer = await admin(
        "POST", "/v1/events", content=b"\n".join(lines), headers={"content-type": "application/x-ndjson"}
    )
    assert answer.status_code == 202
    shown = answer.json()
    assert (shown["accepted"], shown["rejected"]) == (2, 3)
    assert [e["index"] for e in shown["items"]] == [0, 1, 2, 3, 4]
    assert [e["error"]["code"] for e in shown["items"][2:]] == [
        "invalid_request",
        "malformed_json",
        "not_found",
    ]
    assert shown["items"][2]["error"]["errors"][0]["pointer"] == "#"


async def test_a_batch_without_one_good_event_is_a_problem(admin):
    """Nothing accepted means no 202."""
    answer = await admin("POST", "/v1/events", [{"workflow": "nope", "recipients": ["a"]}, 3])
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "all_rejected"
    assert [e["error"]["status"] for e in answer.json()["items"]] == [404, 400]


async def test_an_empty_batch_is_fine(admin):
    """CloudEvents allows empty batches."""
    shown = await admin.ok("POST", "/v1/events", [])
    assert shown == {"accepted": 0, "rejected": 0, "items": []}


async def test_a_batch_over_the_limit_is_refused_whole(admin):
    """1,000 events a call; of 1,001 none is accepted."""
    line = b'{"workflow": "order-paid", "recipients": ["ada"]}'
    answer = await admin.problem(
        "POST",
        "/v1/events",
        content=b"\n".join([line] * 1_001),
        headers={"content-type": "application/x-ndjson"},
    )
    assert (answer["code"], answer["status"]) == ("batch_too_large", 413)


async def test_a_dry_run_shows_the_plan_and_stores_nothing(admin, ada):
    """Every message and non-message with its reasons; afterwards nothing is there."""
    plan = await admin.ok(
        "POST",
        f"{TRIGGER}?dry_run=true",
        {"recipients": ["ada", {"user_id": "stranger", "create": True}], "data": {"id": "1"}},
    )
    assert plan["dry_run"] is True
    shown = {(run["user_id"], c["channel"]): c["status"] for run in plan["runs"] for c in run["channels"]}
    assert shown["ada", "email"] == "queued"
    assert shown["stranger", "email"] == "suppressed"
    assert (await admin.ok("GET", "/v1/messages"))["items"] == []
    assert (await admin.problem("GET", "/v1/users/stranger"))["status"] == 404
    by_event = await admin.ok("POST", "/v1/events?dry_run=true", [EVENT, {**EVENT, "id": "2"}])
    assert len(by_event["runs"]) == 2


async def test_a_dry_run_of_a_batch_points_at_the_bad_event(admin):
    """All of them must be valid; the pointer leads into the batch."""
    shown = await admin.problem("POST", "/v1/events?dry_run=true", [EVENT, {**EVENT, "id": ""}])
    assert shown["errors"][0]["pointer"] == "#/1/id"


@pytest.mark.parametrize("query", ["dry-run=true", "dry_run=maybe", "foo=1"])
async def test_a_misspelt_switch_is_refused(admin, query):
    """Whoever wanted a dry run does not send by mistake."""
    shown = await admin.problem("POST", f"{TRIGGER}?{query}", {"recipients": ["ada"]})
    assert "dry_run" in shown["detail"]


@pytest.mark.parametrize("key", ['"k-1"', "k-1"])
async def test_a_repeated_key_gets_the_same_answer_and_no_second_event(admin, ada, key):
    """Quoted or bare, the key makes a repeat harmless and says so."""
    body = {"recipients": ["ada"], "data": {"id": "1"}}
    first = await admin("POST", TRIGGER, body, headers={"idempotency-key": key})
    second = await admin("POST", TRIGGER, body, headers={"idempotency-key": "k-1"})
    assert first.status_code == second.status_code == 202
    assert first.content == second.content
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"


async def test_a_key_with_another_body_or_path_is_refused(admin, ada):
    """The key names one request, body and path included."""
    headers = {"idempotency-key": "k"}
    await admin.ok("POST", TRIGGER, {"recipients": ["ada"]}, headers=headers)
    other = await admin.problem("POST", TRIGGER, {"recipients": ["ada"], "data": {}}, headers=headers)
    assert (other["code"], other["status"]) == ("idempotency_key_reused", 422)
    line = {"workflow": "order-paid", "recipients": ["ada"]}
    assert (await admin.problem("POST", "/v1/events", line, headers=headers))["status"] == 422


async def test_a_key_survives_a_restart(clarion, admin, ada, tmp_path):
    """It is as durable as the event."""
    headers = {"idempotency-key": "restart"}
    first = await admin.ok("POST", TRIGGER, {"recipients": ["ada"]}, headers=headers)
    await clarion.pipeline.drain(1.0)
    await clarion.ledger.close()
    again = Installation(tmp_path)
    await again.ledger.setup.catch_up()
    second = await (await again.client(Scope.SEND)).ok(
        "POST", TRIGGER, {"recipients": ["ada"]}, headers=headers
    )
    await again.pipeline.drain(1.0)
    await again.ledger.close()
    assert first == second


async def test_errors_are_not_kept_under_a_key(admin, ada):
    """After a refusal the corrected request may use the key."""
    headers = {"idempotency-key": "again"}
    await admin.problem("POST", TRIGGER, {"recipients": []}, headers=headers)
    await admin.problem("POST", "/v1/workflows/nope/trigger", {"recipients": ["ada"]}, headers=headers)
    await admin.ok("POST", TRIGGER, {"recipients": ["ada"]}, headers=headers)


async def test_keys_of_tenants_do_not_collide(clarion, admin, ada):
    """The same key in two tenants is two keys."""
    other = await clarion.client(Scope.SEND, OTHER)
    headers = {"idempotency-key": "shared"}
    await admin.ok("POST", "/v1/events", EVENT, headers=headers)
    assert (await other.ok("POST", "/v1/events", EVENT, headers=headers))["accepted"] == 0


async def test_two_calls_at_once_under_one_key_make_one_event(admin, ada):
    """The second is told to wait, or gets the first one's answer; never a second event."""
    body = {"recipients": ["ada"]}
    answers = await asyncio.gather(
        *(admin("POST", TRIGGER, body, headers={"idempotency-key": "race"}) for _ in range(10))
    )
    accepted = [a for a in answers if a.status_code == 202]
    waiting = [a for a in answers if a.status_code == 409]
    assert len(accepted) + len(waiting) == 10
    assert len({a.json()["event_id"] for a in accepted}) == 1
    assert all(a.headers["retry-after"] == "1" for a in waiting)


async def test_one_key_covers_a_whole_batch(admin, ada):
    """The repeat gets the same list; another batch under the key is refused before any of it is accepted."""
    batch = [{"workflow": "order-paid", "recipients": ["ada"], "data": {"id": str(n)}} for n in range(3)]
    headers = {"idempotency-key": "batch"}
    first = await admin("POST", "/v1/events", batch, headers=headers)
    second = await admin("POST", "/v1/events", batch, headers=headers)
    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    other = await admin.problem(
        "POST", "/v1/events", [*batch, {**batch[0], "data": {"id": "new"}}], headers=headers
    )
    assert other["code"] == "idempotency_key_reused"
    for event in first.json()["items"]:
        await messages_of(admin, event["event_id"])
    assert len((await admin.ok("GET", "/v1/messages?limit=200"))["items"]) == 9


@pytest.mark.parametrize("key", ["", "x" * 256, '""', "a\tb"])
async def test_a_key_must_be_usable(admin, key):
    """1 to 255 printable characters."""
    shown = await admin.problem("POST", TRIGGER, {"recipients": ["ada"]}, headers={"idempotency-key": key})
    assert "Idempotency-Key" in shown["detail"]


async def test_a_cloudevent_repeated_is_one_event(admin, ada):
    """`source` and `id` identify it, also within one batch."""
    first = await admin.ok("POST", "/v1/events", EVENT)
    batch = await admin.ok("POST", "/v1/events", [EVENT, EVENT])
    assert {e["event_id"] for e in batch["items"]} == {first["event_id"]}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", True),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", False),
        ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", False),
        ("hello", False),
    ],
)
async def test_a_valid_traceparent_reaches_every_attempt(admin, ada, sent, kept):
    """The caller's trace is kept with the event; nonsense is dropped, the event is not."""
    answer = await admin.ok(
        "POST", TRIGGER, {"recipients": ["ada"], "data": {"id": "1"}}, headers={"traceparent": sent}
    )
    email = next(m for m in await messages_of(admin, answer["event_id"]) if m["channel"] == "email")
    attempts = (await admin.ok("GET", f"/v1/messages/{email['id']}"))["attempts"]
    assert [a["traceparent"] for a in attempts] == [sent if kept else None]


@pytest.mark.parametrize("path", [TRIGGER, "/v1/events", "/v1/users/ada/contacts"])
async def test_a_body_over_the_limit_is_refused_even_when_its_length_is_hidden(clarion, admin, ada, path):
    """Announced or sent in pieces: 413, and the rest is not read."""
    edge = clarion.with_limits(ApiLimits(body_bytes=1_000))
    client = await clarion.client(Scope.ADMIN, edge=edge)
    headers = {"content-type": "application/json"}
    announced = await client.problem("POST", path, content=b" " * 1_001, headers=headers)
    assert (announced["code"], announced["status"]) == ("body_too_large", 413)
    read = 0

    async def pieces():
        nonlocal read
        for _ in range(1_000):
            read += 1
            yield b" " * 100

    assert (await client.problem("POST", path, content=pieces(), headers=headers))["status"] == 413
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [
            (b"authorization", client._http.headers["authorization"].encode()),
            (b"content-type", b"application/json"),
        ],
    }
    pulled, answers = 0, []

    async def receive():
        nonlocal pulled
        pulled += 1
        return {"type": "http.request", "body": b" " * 100, "more_body": True}

    async def send(message):
        answers.append(message)

    await edge(scope, receive, send)
    assert answers[0]["status"] == 413
    assert pulled < 15


@pytest.mark.parametrize(
    ("error", "status", "code", "wait"),
    [
        (Busy("full", retry_after_s=7), 429, "too_busy", "7"),
        (Unavailable("disk full"), 503, "unavailable", "5"),
    ],
)
async def test_a_full_or_broken_engine_is_answered_with_when_to_come_back(clarion, error, status, code, wait):
    """No 202, and Retry-After."""

    class Refusing:
        async def submit(self, tenant, submissions):
            raise error

    edge = clarion.with_limits(ApiLimits(), pipeline=Refusing())
    client = await clarion.client(Scope.SEND, edge=edge)
    for path, body in ((TRIGGER, {"recipients": ["a"]}), ("/v1/events", [EVENT])):
        answer = await client("POST", path, body)
        assert answer.status_code == status
        assert answer.json()["code"] == code
        assert answer.headers["retry-after"] == wait


async def test_a_request_that_takes_too_long_is_ended(clarion):
    """Whoever dribbles a body, or an engine that hangs, does not hold a request for ever."""

    class Hanging:
        async def submit(self, tenant, submissions):
            await asyncio.sleep(60)

    edge = clarion.with_limits(ApiLimits(request_s=0.05), pipeline=Hanging())
    client = await clarion.client(Scope.SEND, edge=edge)
    answer = await client("POST", TRIGGER, {"recipients": ["a"]})
    assert (answer.status_code, answer.json()["code"]) == (503, "timeout")
    assert answer.headers["retry-after"] == "1"


async def test_the_wrong_method_is_told_the_right_one(admin):
    """405 with Allow, on ingest and ordinary routes alike."""
    for path, allow in (
        ("/v1/events", "GET, POST"),
        (TRIGGER, "POST"),
        ("/v1/messages", "GET, HEAD"),
        ("/v1/messages/tail", "GET, HEAD"),
        ("/v1/users/x", "DELETE, GET, HEAD, PATCH, PUT"),
    ):
        answer = await admin("BREW", path)
        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
        assert answer.headers["allow"] in (allow, allow.replace(", HEAD", ""))


async def test_the_answer_warns_of_a_channel_without_integration(clarion, admin, ada):
    """Of one event and of many; without trouble the list is empty."""
    sent = await admin.ok("POST", "/v1/workflows/order-paid/trigger", {"recipients": ["ada"]})
    assert sent["warnings"] == []
    await admin.ok("DELETE", "/v1/integrations/main-sms")
    sent = await admin.ok("POST", "/v1/workflows/order-paid/trigger", {"recipients": ["ada"]})
    (warning,) = sent["warnings"]
    assert warning["code"] == "no_integration"
    assert "`sms`" in warning["detail"]
    item = {"workflow": "order-paid", "recipients": ["ada"]}
    many = await admin.ok("POST", "/v1/events", [item])
    listed = next(value for value in many.values() if isinstance(value, list))
    assert listed[0]["warnings"] == [warning]


@pytest.mark.parametrize("batched", [False, True])
async def test_a_repeat_brings_nobody_back_and_changes_nobody(admin, clarion, batched):
    """Whoever was erased since the first call stays erased, and whoever has another address keeps it."""
    headers = {"idempotency-key": "once"}
    new = {"user_id": "zoe", "create": True, "email": "zoe@example.com"}
    known = {"user_id": "ian", "email": "old@example.com"}
    await admin.ok("PUT", "/v1/users/ian", {"email": "first@example.com"})
    body = {"recipients": [new, known], "data": {"id": 1}}
    path = "/v1/events" if batched else TRIGGER
    call = [{**body, "workflow": "order-paid"}] if batched else body
    first = await admin.ok("POST", path, call, headers=headers)
    await admin.ok("DELETE", "/v1/users/zoe")
    await admin.ok("PUT", "/v1/users/ian", {"email": "new@example.com"})
    again = await admin("POST", path, call, headers=headers)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (202, "true")
    event = again.json()["items"][0] if batched else again.json()
    assert event["event_id"] == (first["items"][0] if batched else first)["event_id"]
    assert event["created_users"] == []
    assert (await admin.problem("GET", "/v1/users/zoe"))["code"] == "not_found"
    assert (await admin.ok("GET", "/v1/users/ian"))["email"] == "new@example.com"


async def test_a_repeat_is_answered_although_its_recipient_or_workflow_is_gone(admin, clarion, ada):
    """Same call, same key, same answer; another body under the key is still refused, and creates nobody."""
    headers = {"idempotency-key": "gone"}
    body = {"recipients": ["ada"], "data": {"id": 1}}
    first = await admin.ok("POST", TRIGGER, body, headers=headers)
    await admin.ok("DELETE", "/v1/users/ada")
    assert (await admin.ok("POST", TRIGGER, body, headers=headers))["event_id"] == first["event_id"]
    other = {"recipients": [{"user_id": "new", "create": True}], "data": {"id": 1}}
    refused = await admin.problem("POST", TRIGGER, other, headers=headers)
    assert refused["code"] == "idempotency_key_reused"
    assert (await admin.problem("GET", "/v1/users/new"))["code"] == "not_found"
    await admin.ok("DELETE", f"/v1/workflows/{TRIGGER.split('/')[3]}")
    assert (await admin.ok("POST", TRIGGER, body, headers=headers))["event_id"] == first["event_id"]


async def test_a_cloudevent_sent_twice_brings_nobody_back(admin, clarion):
    """Its id and source are its key."""
    workflow = await admin.ok("GET", "/v1/workflows/order-paid")
    listening = {**workflow, "on": {"type": "shop.joined", "recipients": "/who", "create": True}}
    await admin.ok("PUT", "/v1/workflows/order-paid", listening)
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "/shop",
        "type": "shop.joined",
        "data": {"id": 1, "who": "zoe"},
    }
    headers = {"content-type": "application/cloudevents+json"}
    first = await admin.ok("POST", "/v1/events", event, headers=headers)
    assert first["created_users"] == ["zoe"]
    await admin.ok("DELETE", "/v1/users/zoe")
    again = await admin.ok("POST", "/v1/events", event, headers=headers)
    assert (again["event_id"], again["created_users"]) == (first["event_id"], [])
    assert (await admin.problem("GET", "/v1/users/zoe"))["code"] == "not_found"
