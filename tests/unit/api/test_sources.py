"""Sources over HTTP: stored with their secrets hidden, tried on real records, paused, rewound; and their dead letters."""

from __future__ import annotations

import asyncio
import json

import pytest

SOURCE = {
    "kind": "memory",
    "connection": {"password": "s3cret"},
    "map": {"workflow": "'order-paid'", "recipients": "data.customer", "data": "{'id': data.id}"},
    "start_at": "earliest",
}


def order(id: str, customer: str = "ada") -> bytes:
    """A record as the shop writes it."""
    return json.dumps({"id": id, "customer": customer}).encode()


@pytest.fixture
async def orders(admin):
    """A source, which is paused as it is new."""
    return await admin.ok("PUT", "/v1/sources/orders", SOURCE)


async def until(done) -> None:
    """Real time passes here, in small steps."""
    for _ in range(600):
        if await done():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never happened")


async def test_a_source_is_stored_and_its_secret_never_shown(admin, clarion, orders):
    """It is paused until somebody resumes it; a mask that is sent back keeps the secret."""
    assert orders["paused"] is True
    assert orders["connection"] == {"password": "********"}
    assert orders["dedupe"] is None
    again = await admin.ok("PUT", "/v1/sources/orders", {**orders, "name": "Orders"})
    assert again == {**orders, "name": "Orders"}
    (stored,) = clarion.ledger.setup.sources.all(1).values()
    assert stored.connection == {"password": "s3cret"}
    changed = await admin.ok("PATCH", "/v1/sources/orders", {"when": "has(data.id)"})
    assert (changed["when"], changed["connection"]) == ("has(data.id)", {"password": "********"})
    assert (await admin.ok("GET", "/v1/sources"))["items"] == [changed]
    await admin.ok("DELETE", "/v1/sources/orders")
    assert (await admin.problem("GET", "/v1/sources/orders"))["code"] == "not_found"


@pytest.mark.parametrize(
    ("change", "pointer", "said"),
    [
        ({"kind": "memry"}, "#/kind", "Did you mean 'memory'?"),
        ({"format": "jsn"}, "#/format", "Did you mean 'json'?"),
        ({"connection": {"passwort": "s3cret"}}, "#/connection/passwort", "password"),
        ({"connection": {"password": 7}}, "#/connection/password", "str"),
        ({"map": {"workflow": "'a'", "recipients": "data.x +"}}, "#/map/recipients", "column 9"),
        (
            {"map": {"workflow": "order-paid", "recipients": "data.x"}},
            "#/map/workflow",
            "nothing is called `order`",
        ),
        ({"map": {"recipients": "data.x"}}, "#/map", "nothing says what a record starts"),
        ({"map": {"workflw": "'a'"}}, "#/map/workflw", "workflow"),
        ({"when": ""}, "#/when", "1"),
    ],
)
async def test_a_source_that_cannot_work_is_refused(admin, change, pointer, said):
    """With the field that is wrong, the nearest name, and no secret."""
    problem = await admin.problem("PUT", "/v1/sources/orders", {**SOURCE, **change})
    assert pointer in [one["pointer"] for one in problem["errors"]]
    assert said in json.dumps(problem)
    assert "s3cret" not in json.dumps(problem)


async def test_all_wrong_expressions_are_told_at_once(admin):
    """Each with its field."""
    wrong = {**SOURCE, "when": "dota", "dedupe": "data.", "map": {"workflow": "'a'", "recipients": "1 +"}}
    problem = await admin.problem("PUT", "/v1/sources/orders", wrong)
    assert [one["pointer"] for one in problem["errors"]] == ["#/when", "#/dedupe", "#/map/recipients"]


async def test_the_last_records_are_tried_before_anything_is_switched_on(admin, clarion, ada, orders):
    """What each would start, message by message, or why not; nothing is stored."""
    for value in (order("A-0"), order("A-1"), order("A-2", "zoe"), b'{"customer": "ada"}', b"{"):
        clarion.topic.publish(value, key="k")
    items = (await admin.ok("POST", "/v1/sources/orders/test", {"limit": 4}))["items"]
    starts, unknown, unmapped, unreadable = items
    assert (starts["outcome"], starts["place"], starts["key"]) == ("starts", "orders/1/1", "k")
    assert starts["data"] == {"id": "A-1", "customer": "ada"}
    assert starts["recipients"] == ["ada"]
    assert {one["channel"]: one["status"] for one in starts["messages"]} == {
        "email": "queued",
        "sms": "queued",
        "in_app": "queued",
    }
    assert (unknown["outcome"], unknown["reason"]) == ("refused", "unknown_reference")
    assert (unmapped["reason"], unmapped["pointer"]) == ("mapping_failed", "#/map/data")
    assert "there is no field `id`" in unmapped["detail"]
    assert (unreadable["reason"], unreadable["data"]) == ("unreadable_record", "{")
    await admin.ok("PATCH", "/v1/sources/orders", {"when": "false"})
    (passed, *_) = (await admin.ok("POST", "/v1/sources/orders/test", {}))["items"]
    assert (passed["outcome"], passed["reason"]) == ("passed_over", None)
    assert (await admin.ok("GET", "/v1/messages"))["items"] == []
    clarion.topic.trouble = "the server is away"
    assert (await admin.problem("POST", "/v1/sources/orders/test", {}))["code"] == "unavailable"


async def test_a_source_is_resumed_read_paused_and_rewound(admin, clarion, ada, orders):
    """Its status says how far it is."""
    assert (await admin.ok("GET", "/v1/sources/orders/status"))["updated_at"] is None
    clarion.topic.publish(order("A-1"))
    assert (await admin.ok("POST", "/v1/sources/orders/resume"))["paused"] is False

    async def sent() -> bool:
        return len((await admin.ok("GET", "/v1/messages"))["items"]) == 3

    await until(sent)

    async def moved() -> bool:
        return (await admin.ok("GET", "/v1/sources/orders/status"))["position"].get("0") == "0"

    await until(moved)
    assert (await admin.ok("POST", "/v1/sources/orders/pause"))["paused"] is True
    assert (await admin.ok("POST", "/v1/sources/orders/pause"))["paused"] is True
    status = await admin.ok("POST", "/v1/sources/orders/rewind", {"to": "earliest"})
    assert (status["paused"], status["position"]) == (True, {"0": "-1", "1": "-1"})
    status = await admin.ok("POST", "/v1/sources/orders/rewind", {"position": {"0": "0"}})
    assert status["position"] == {"0": "0"}
    wrong = await admin.problem("POST", "/v1/sources/orders/rewind", {"position": {"0": "0", "7": "1"}})
    assert wrong["errors"] == [{"detail": "there is no partition '7'.", "pointer": "#/position"}]
    wrong = await admin.problem("POST", "/v1/sources/orders/rewind", {"position": {"0": "first"}})
    assert wrong["detail"] == "an offset is none of this topic."
    status = await admin.ok("POST", "/v1/sources/orders/rewind", {"at": "1999-01-01T00:00:00Z"})
    assert status["error"] is None
    problem = await admin.problem("POST", "/v1/sources/orders/rewind", {})
    assert problem["detail"] == "send one of `to`, `at` and `position`."
    assert (await admin.problem("POST", "/v1/sources/order/rewind", {"to": "latest"}))["code"] == "not_found"


async def test_dead_letters_of_records_are_listed_retried_and_discarded(admin, clarion, ada, orders):
    """Those that are refused again stay, with the reason."""
    clarion.topic.publish(order("A-1", "zoe"))
    clarion.topic.publish(b"{")
    await admin.ok("POST", "/v1/sources/orders/resume")

    async def dead() -> bool:
        return len((await admin.ok("GET", "/v1/dead-letters/records"))["items"]) == 2

    await until(dead)
    waiting = (await admin.ok("GET", "/v1/dead-letters/records?origin=orders"))["items"]
    by_reason = {one["reason"]: one for one in waiting}
    unreadable, unknown = by_reason["unreadable_record"], by_reason["unknown_reference"]
    assert (unreadable["kind"], unreadable["place"]) == ("source_record", "orders/0/1")
    assert (unknown["place"], unknown["reason"]) == ("orders/0/0", "unknown_reference")
    assert await admin.ok("GET", f"/v1/dead-letters/records/{unknown['id']}") == unknown
    assert (await admin.ok("GET", "/v1/dead-letters/records?kind=sink_event"))["items"] == []
    await admin.ok("PUT", "/v1/users/zoe", {"email": "zoe@example.com"})
    dry = await admin.ok("POST", "/v1/dead-letters/records/retry?dry_run=true", {"all": True})
    assert dry["retried"] == 1
    answer = await admin.ok("POST", "/v1/dead-letters/records/retry", {"all": True, "origin": "orders"})
    assert answer["retried"] == 1
    assert [one["reason"] for one in answer["refused"]] == ["unreadable_record"]
    problem = await admin.problem("POST", "/v1/dead-letters/records/retry", {"ids": [unknown["id"]]})
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("not_found", "#/ids/0")
    chosen = {"ids": [unreadable["id"]]}
    assert await admin.ok("POST", "/v1/dead-letters/records/discard", chosen) == {"discarded": 1}
    assert (await admin.ok("GET", "/v1/dead-letters/records"))["items"] == []
