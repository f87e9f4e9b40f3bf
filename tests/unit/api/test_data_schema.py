"""An event whose data a template could not be filled with is refused at the door, with the places that are wrong."""

from __future__ import annotations

from typing import Any

import pytest

SCHEMA = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "string"}, "lines": {"items": {"required": ["name"]}}},
}
PAID = {
    "channels": {
        "email": {"en": {"subject": "Order {{ data.id }}", "text": "Thanks"}},
        "sms": {"en": {"text": "Paid {{ data.id }}"}},
        "in_app": {"en": {"title": "Paid {{ data.id }}"}},
    },
    "data_schema": SCHEMA,
    "example_data": {"id": "4711"},
}
TRIGGER = "/v1/workflows/order-paid/trigger"


@pytest.fixture
async def strict(admin, ada):
    """The workflow's template has a schema."""
    await admin.ok("PUT", "/v1/templates/paid", PAID)


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("query", ["", "?dry_run=true"])
async def test_data_that_does_not_fit_is_refused_with_every_place(admin, query):
    """422 with JSON pointers into the body; nothing is accepted. A dry run says the same."""
    body = {"recipients": ["ada"], "data": {"id": 7, "lines": [{"name": "Tea"}, {}]}}
    refused = await admin.problem("POST", TRIGGER + query, body)
    assert (refused["status"], refused["code"]) == (422, "invalid_data")
    assert {one["pointer"] for one in refused["errors"]} == {"#/data/id", "#/data/lines/1"}
    assert "'paid'" in refused["detail"]
    assert (await admin.ok("GET", "/v1/messages"))["items"] == []


@pytest.mark.usefixtures("strict")
async def test_data_that_fits_is_accepted(admin):
    """More than the template asks for is no fault."""
    await admin.ok("POST", TRIGGER, {"recipients": ["ada"], "data": {"id": "4711", "more": 1}})


@pytest.mark.usefixtures("strict")
async def test_in_a_batch_only_the_misfits_are_refused(admin):
    """Cloud events too."""
    event = {"specversion": "1.0", "source": "/shop", "type": "order.paid", "subject": "ada"}
    batch = [{**event, "id": "1", "data": {"id": "A"}}, {**event, "id": "2", "data": {}}]
    headers = {"content-type": "application/cloudevents-batch+json"}
    answer = await admin.ok("POST", "/v1/events", batch, headers=headers)
    assert (answer["accepted"], answer["rejected"]) == (1, 1)
    problem = answer["items"][1]["error"]
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("invalid_data", "#/data")


@pytest.mark.usefixtures("strict")
async def test_a_new_version_counts_from_the_moment_it_is_live(admin):
    """So does one without a schema, and a template that is gone."""
    body = {"recipients": ["ada"], "data": {"id": 7}}
    await admin.problem("POST", TRIGGER, body)
    await admin.ok("PUT", "/v1/templates/paid", {**PAID, "data_schema": None})
    await admin.ok("POST", TRIGGER, body)
    await admin.ok("POST", "/v1/templates/paid/rollback", {"version": 2})
    await admin.problem("POST", TRIGGER, body)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"data_schema": {"type": "objekt"}}, "#/data_schema/type"),
        ({"data_schema": {"$ref": "https://example.com/schema"}}, "#/data_schema/$ref"),
        ({"example_data": {"id": 7}}, "#/example_data/id"),
    ],
)
async def test_a_schema_that_cannot_work_is_not_published(admin, change, pointer):
    """Nor an example that it would refuse."""
    refused = await admin.problem("PUT", "/v1/templates/paid", {**PAID, **change})
    assert (refused["code"], pointer in {one["pointer"] for one in refused["errors"]}) == (
        "content_error",
        True,
    )


SMS = {"mode": "all", "channels": ["sms"]}
TYPED: dict[str, Any] = {
    "category": "orders",
    "data_schema": {
        "required": ["total"],
        "properties": {"total": {"type": "number"}, "order": {"type": "string", "minLength": 3}},
    },
    "steps": [{"key": "a", "template": "paid", "to": SMS, "when": "data.total > 100.0"}],
}


async def test_conditions_are_held_against_the_schema_of_the_workflow(admin):
    """The pointer leads to the expression, the detail to the place in it; keys are held against it too."""
    wrong = {
        **TYPED,
        "steps": [{**TYPED["steps"][0], "when": "data.totl > 100.0"}],
        "cancellation_key": "/ordr",
    }
    refused = await admin.problem("PUT", "/v1/workflows/typed", wrong)
    assert (refused["status"], refused["code"]) == (400, "invalid_request")
    said = {one["pointer"]: one["detail"] for one in refused["errors"]}
    assert said == {
        "#/steps/0/when": "column 6: there is no field `totl`: did you mean `total`?.",
        "#/cancellation_key": "the pointer /ordr leads to nothing: the schema has no `ordr`: did you mean `order`?.",
    }


async def test_a_schema_or_an_example_that_is_wrong_is_refused(admin):
    """With its place in the document."""
    refused = await admin.problem("PUT", "/v1/workflows/typed", {**TYPED, "data_schema": {"type": "objekt"}})
    assert [one["pointer"] for one in refused["errors"]] == ["#/data_schema/type"]
    refused = await admin.problem("PUT", "/v1/workflows/typed", {**TYPED, "example_data": {"total": "x"}})
    assert [one["pointer"] for one in refused["errors"]] == ["#/example_data/total"]


async def test_events_are_held_against_the_schema_of_their_workflow(admin, ada):
    """Of its live version; the message names the workflow."""
    await admin.ok("PUT", "/v1/workflows/typed", TYPED)
    trigger = "/v1/workflows/typed/trigger"
    refused = await admin.problem(
        "POST", trigger, {"recipients": ["ada"], "data": {"total": "x", "order": "1"}}
    )
    assert (refused["status"], refused["code"]) == (422, "invalid_data")
    assert {one["pointer"] for one in refused["errors"]} == {"#/data/total", "#/data/order"}
    assert "the workflow 'typed' needs" in refused["detail"]
    await admin.ok(
        "PATCH",
        "/v1/workflows/typed",
        {"data_schema": {"required": ["other"]}, "steps": [{**TYPED["steps"][0], "when": None}]},
    )
    refused = await admin.problem("POST", trigger, {"recipients": ["ada"], "data": {"total": 1}})
    assert "other" in refused["errors"][0]["detail"]
    first = await admin.ok("GET", "/v1/workflows/typed?version=1")
    assert first["data_schema"] == TYPED["data_schema"]


async def test_a_number_is_one_however_it_is_written(admin, ada):
    """`200` satisfies `number`, and is compared with `100.0`."""
    await admin.ok(
        "PUT",
        "/v1/workflows/typed",
        {**TYPED, "steps": [{**TYPED["steps"][0], "when": "data.total * 1.5 > 100.0"}]},
    )
    dry = await admin.ok(
        "POST", "/v1/workflows/typed/trigger?dry_run=true", {"recipients": ["ada"], "data": {"total": 200}}
    )
    assert [one["result"] for one in dry["runs"][0]["steps"]] == ["sent"]


async def test_example_data_are_made_from_the_schema(admin):
    """What the author gave stays."""
    await admin.ok("PUT", "/v1/workflows/typed", {**TYPED, "example_data": {"total": 7}})
    found = await admin.ok("GET", "/v1/workflows/typed/example-data")
    assert found == {"data": {"total": 7, "order": "text"}}
    await admin.problem("GET", "/v1/workflows/typd/example-data")
