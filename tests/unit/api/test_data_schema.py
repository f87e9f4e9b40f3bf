"""An event whose data a template could not be filled with is refused at the door, with the places that are wrong."""

from __future__ import annotations

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
