"""Operations over HTTP: asked for, watched, canceled, and tried again where something failed."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from clarion.model.ids import MessageId, TenantId, parse_id
from clarion.model.operation import OperationStep
from clarion.model.setup import Scope
from tests.unit.api.conftest import OTHER, Api, Installation

DONE = {"done": 0, "failed": 0, "total": 0}
NOBODYS = "00000000-0000-0000-0000-000000000000"
FINISHED = ("succeeded", "partly_failed", "failed", "canceled")


async def finished(api: Api, place: str) -> dict[str, Any]:
    """The operation once it is over."""
    async with asyncio.timeout(20):
        while True:
            shown: dict[str, Any] = await api.ok("GET", f"{place}?wait_s=5")
            if shown["status"] in FINISHED:
                return shown


async def waiting(api: Api, count: int = 1) -> list[str]:
    """The ids of messages that wait for tomorrow."""
    body = {"recipients": ["ada"], "data": {"id": 1}, "delay_s": 86_400}
    for _ in range(count):
        await api.ok("POST", "/v1/workflows/order-paid/trigger", body)
    async with asyncio.timeout(20):
        while True:
            found = (await api.ok("GET", "/v1/messages?status=deferred&channel=email"))["items"]
            if len(found) == count:
                return [one["id"] for one in found]
            await asyncio.sleep(0.01)


async def until_sent(api: Api) -> list[dict[str, Any]]:
    """The messages that are sent, once there is an email among them."""
    async with asyncio.timeout(20):
        while True:
            found: list[dict[str, Any]] = (await api.ok("GET", "/v1/messages?status_group=sent"))["items"]
            if any(one["channel"] == "email" for one in found):
                return found
            await asyncio.sleep(0.01)


async def stopped(clarion: Installation) -> None:
    """Nothing takes up operations any more."""
    await clarion.pipeline.loops.stop("operations")


@pytest.mark.parametrize(
    "path",
    ["/v1/dead-letters/retry", "/v1/messages/retry", "/v1/messages/cancel", "/v1/messages/withdraw"],
)
async def test_an_action_on_a_filter_becomes_an_operation(admin, ada, path):
    """202 with the place where it is; that nothing matches is no failure."""
    answer = await admin("POST", path, {"filter": {"workflow": "other"}})
    assert answer.status_code == 202
    made = answer.json()
    assert answer.headers["location"] == f"/v1/operations/{made['id']}"
    assert (made["status"], made["eta"], made["errors"]) == ("queued", None, [])
    assert (made["progress"]["total"], made["actions"]) == (None, ["cancel"])
    shown = await finished(admin, answer.headers["location"])
    assert (shown["status"], shown["progress"], shown["detail"]) == ("succeeded", DONE, "Nothing matched.")
    assert (shown["actions"], shown["eta"]) == ([], None)
    listed = await admin.ok("GET", "/v1/operations?status=succeeded&total=true")
    assert ([one["id"] for one in listed["items"]], listed["total"]["value"]) == ([made["id"]], 1)


async def test_messages_that_match_are_canceled(admin, ada):
    """All that wait, of one channel here; the others stay."""
    await waiting(admin, 3)
    answer = await admin("POST", "/v1/messages/cancel", {"filter": {"channel": "email", "user_id": "ada"}})
    shown = await finished(admin, answer.headers["location"])
    assert (shown["kind"], shown["status"]) == ("messages.cancel", "succeeded")
    assert shown["progress"] == {"done": 3, "failed": 0, "total": 3}
    assert (await admin.ok("GET", "/v1/messages?status=deferred&channel=email"))["items"] == []
    assert (await admin.ok("GET", "/v1/messages?status=deferred"))["items"]


async def test_messages_are_canceled_by_id_at_once(admin, ada):
    """Each answered for; one that cannot be stops no other."""
    first, second = await waiting(admin, 2)
    unknown = "0199e0a8-5c1e-8d5f-8a11-3f0b8f1c9d2e"
    await admin.ok("POST", f"/v1/messages/{second}/cancel")
    answer = await admin.ok("POST", "/v1/messages/cancel", {"ids": [first, unknown, second]})
    assert (answer["accepted"], answer["rejected"]) == (2, 1)
    assert [(one["index"], one["error"]["code"]) for one in answer["items"]] == [(1, "not_found")]
    none = await admin.problem("POST", "/v1/messages/cancel", {"ids": [unknown]})
    assert none["code"] == "all_rejected"


async def test_messages_are_retried_by_id_at_once(admin, ada):
    """What has not failed is refused with its status."""
    (message,) = await waiting(admin)
    shown = await admin.problem("POST", "/v1/messages/retry", {"ids": [message]})
    assert shown["code"] == "all_rejected"
    stranger = await admin.problem("POST", "/v1/dead-letters/retry", {"ids": [message]})
    assert stranger["code"] == "all_rejected"


@pytest.mark.parametrize("path", ["/v1/messages/retry", "/v1/messages/cancel", "/v1/dead-letters/retry"])
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": []},
        {"ids": ["x"]},
        {"ids": [], "filter": {}},
        {"filter": {"status": "sent"}},
        {"filter": {"event_id": "x"}},
        {"filter": {"user": "ada"}},
        {"filter": {}, "all": True},
    ],
)
async def test_an_action_on_many_must_say_what_it_means(admin, path, body):
    """Never everything by mistake."""
    assert (await admin.problem("POST", path, body))["code"] in {"invalid_request", "unknown_field"}


async def test_a_user_who_does_not_exist_is_no_filter(admin, ada):
    """A misspelt id would match nothing in silence."""
    shown = await admin.problem("POST", "/v1/messages/cancel", {"filter": {"user_id": "adda"}})
    assert (shown["code"], shown["errors"][0]["pointer"]) == ("unknown_reference", "#/filter/user_id")


async def test_a_canceled_operation_says_what_it_has_done(clarion, admin, ada):
    """It stays so; canceling it again is harmless, and what is over cannot be canceled."""
    await stopped(clarion)
    place = (await admin("POST", "/v1/messages/retry", {"filter": {}})).headers["location"]
    shown = await admin.ok("POST", f"{place}/cancel")
    assert (shown["status"], shown["actions"]) == ("canceled", [])
    assert shown["detail"] == "Canceled: 0 were done before and stay done."
    assert (await admin.ok("POST", f"{place}/cancel"))["status"] == "canceled"
    assert (await admin.problem("POST", f"{place}/retry-failed"))["code"] == "conflict"


async def test_what_failed_is_listed_and_tried_again(clarion, admin, ada):
    """As NDJSON with the message and the problem; then only these are done once more."""
    await stopped(clarion)
    ids = await waiting(admin, 2)
    made = (await admin("POST", "/v1/messages/cancel", {"filter": {"channel": "email"}})).json()
    place = f"/v1/operations/{made['id']}"
    (operation,) = await clarion.ledger.steps.waiting(TenantId(0), 10)
    numbers = [MessageId(parse_id(one)) for one in ids]
    step = OperationStep(ids=numbers, at=clarion.clock.now(), total=2, begun=frozenset(numbers[1:]))
    stepped = await clarion.ledger.steps.advance(operation, step)
    await clarion.ledger.steps.advance(stepped.operation, OperationStep(ids=(), at=clarion.clock.now()))
    shown = await admin.ok("GET", place)
    assert (shown["status"], shown["actions"]) == ("partly_failed", ["retry-failed"])
    assert shown["progress"] == {"done": 1, "failed": 1, "total": 2}
    answer = await admin("GET", shown["errors_url"])
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    (line,) = map(json.loads, answer.text.splitlines())
    assert (line["index"], line["message_id"], line["error"]["code"]) == (1, ids[1], "conflict")
    assert shown["errors"] == [line]
    again = await admin("POST", f"{place}/retry-failed")
    assert (again.status_code, again.json()["status"]) == (202, "queued")
    clarion.pipeline.loops.start("operations", clarion.services.operations.run)
    over = await finished(admin, place)
    assert (over["status"], over["progress"]) == ("succeeded", {"done": 2, "failed": 0, "total": 2})
    assert (await admin("GET", over["errors_url"])).text == ""


async def test_a_wait_ends_with_a_change(clarion, admin, ada):
    """And carries the ETag of what it answers; when nothing changes it ends by itself."""
    await stopped(clarion)
    place = (await admin("POST", "/v1/messages/retry", {"filter": {}})).headers["location"]
    before = await admin("GET", f"{place}?wait_s=1")
    assert before.json()["status"] == "queued"
    waits = asyncio.create_task(admin("GET", f"{place}?wait_s=25"))
    await asyncio.sleep(0)
    await admin.ok("POST", f"{place}/cancel", headers={"if-match": before.headers["etag"]})
    async with asyncio.timeout(15):
        after = await waits
    assert after.json()["status"] == "canceled"
    assert after.headers["etag"] == (await admin("GET", place)).headers["etag"] != before.headers["etag"]
    stale = await admin.problem("POST", f"{place}/cancel", headers={"if-match": before.headers["etag"]})
    assert stale["code"] == "precondition_failed"


async def test_an_operation_belongs_to_its_tenant(clarion, admin, ada):
    """Nobody else sees, stops or repeats it, and what they ask for touches their own messages only."""
    await waiting(admin)
    place = (await admin("POST", "/v1/messages/retry", {"filter": {}})).headers["location"]
    stranger = await clarion.client(Scope.ADMIN, OTHER)
    assert (await stranger.ok("GET", "/v1/operations"))["items"] == []
    for method, path in (("GET", ""), ("GET", "/errors"), ("POST", "/cancel"), ("POST", "/retry-failed")):
        assert (await stranger.problem(method, place + path))["code"] == "not_found"
    theirs = (await stranger("POST", "/v1/messages/cancel", {"filter": {}})).headers["location"]
    assert (await finished(stranger, theirs))["progress"] == DONE
    assert (await admin.ok("GET", "/v1/messages?status=deferred"))["items"]


async def test_a_dry_run_tells_how_many_and_does_nothing(admin, ada):
    """Of a filter as of ids."""
    (message,) = await waiting(admin)
    body = {"filter": {"channel": "email"}}
    shown = await admin.ok("POST", "/v1/messages/cancel?dry_run=true", body)
    assert (shown["dry_run"], shown["progress"]["total"]) == (True, 1)
    shown = await admin.ok("POST", "/v1/messages/cancel?dry_run=true", {"ids": [message]})
    assert (shown["dry_run"], shown["accepted"]) == (True, 1)
    shown = await admin.ok("POST", f"/v1/messages/{message}/cancel?dry_run=true")
    assert shown["dry_run"]
    assert (await admin.ok("GET", "/v1/operations"))["items"] == []
    assert (await admin.ok("GET", f"/v1/messages/{message}"))["status"] == "deferred"


async def test_a_repeat_under_the_same_key_starts_one_operation(admin, ada):
    """And is answered with its place again."""
    more = {"headers": {"idempotency-key": "once"}}
    first, second = [await admin("POST", "/v1/messages/retry", {"filter": {}}, **more) for _ in range(2)]
    assert first.headers["location"] == second.headers["location"]
    assert len((await admin.ok("GET", "/v1/operations"))["items"]) == 1


async def test_a_tenant_has_a_bounded_number_of_unfinished_operations(clarion, admin, ada):
    """The next one is told to wait."""
    await stopped(clarion)
    for _ in range(20):
        await admin.ok("POST", "/v1/messages/retry", {"filter": {}})
    assert (await admin.problem("POST", "/v1/messages/retry", {"filter": {}}))["code"] == "too_busy"


async def test_messages_are_withdrawn_over_http(admin, ada):
    """One that waits is canceled, with its reason; of one that does not exist, and of another tenant's, nothing is told."""
    (one,) = await waiting(admin)
    answer = await admin("POST", f"/v1/messages/{one}/withdraw")
    assert (answer.status_code, answer.json()["status"], answer.json()["reason"]) == (
        200,
        "canceled",
        "withdrawn",
    )
    assert (await admin.ok("GET", f"/v1/messages/{one}"))["withdrawal"] is None
    many = await admin.ok("POST", "/v1/messages/withdraw", {"ids": [one, NOBODYS]})
    assert (many["accepted"], many["items"][0]["error"]["code"]) == (1, "not_found")
    assert (await admin("POST", f"/v1/messages/{NOBODYS}/withdraw")).status_code == 404
    assert (await admin("POST", "/v1/messages/withdraw", {"ids": [one], "filter": {}})).status_code == 400


async def test_what_is_out_says_what_came_of_its_withdrawal(admin, ada):
    """202, and in a moment the result in words, also in the timeline."""
    await admin.ok("POST", "/v1/workflows/order-paid/trigger", {"recipients": ["ada"], "data": {"id": 1}})
    (one,) = [sent["id"] for sent in await until_sent(admin) if sent["channel"] == "email"]
    answer = await admin("POST", f"/v1/messages/{one}/withdraw")
    assert answer.status_code == 202
    async with asyncio.timeout(20):
        while True:
            shown = await admin.ok("GET", f"/v1/messages/{one}")
            if shown["withdrawal"]["result"] != "waiting":
                break
            await asyncio.sleep(0.01)
    assert shown["withdrawal"]["text"] == "It was withdrawn."
    assert shown["timeline"][-1]["outcome"] == "withdrawn"
