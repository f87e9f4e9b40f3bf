"""Everything that a tenant configures, as documents: what a plan says, and what applying it does."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from clarion.api.config_kinds import BY_NAME
from clarion.api.config_plan import differences
from clarion.model.setup import Category, Partial, Scope
from tests.unit.api.conftest import ACME

MAIL = {"channel": "email", "provider": "mailer", "config": {"host": "mail.example", "password": "s3cret"}}


async def planned(admin, documents, **more):
    """A plan, and its changes by kind and key."""
    plan = await admin.ok("POST", "/v1/config/plan", {"documents": documents, **more})
    return plan, {(one["kind"], one["key"]): one for one in plan["changes"]}


async def applied(admin, documents, **more):
    """What applying the plan of these documents did."""
    plan, _ = await planned(admin, documents, **more)
    assert not plan["errors"], plan["errors"]
    return await admin.ok(
        "POST", "/v1/config/apply", {"documents": documents, "plan_id": plan["plan_id"], **more}
    )


async def test_what_is_exported_changes_nothing(admin):
    """Every kind, also when the folder owns them all."""
    config = await admin.ok("GET", "/v1/config")
    assert config["tenant"] == "acme"
    assert config["documents"]["workflows"]["order-paid"] == {
        "category": "orders",
        "on": {"type": "order.paid", "recipients": None, "create": False},
        "steps": [
            {"key": "note", "template": "paid", "to": {"mode": "all", "channels": ["email", "sms", "in_app"]}}
        ],
    }
    many = [kind.name for kind in BY_NAME.values() if not kind.single]
    plan, changes = await planned(admin, config["documents"], owns=many)
    assert (changes, plan["errors"], plan["kept"]) == ({}, [], [])


async def test_documents_that_refer_to_one_another_are_created_together(admin):
    """In an order in which each is possible, whatever the order of the body."""
    documents = {
        "workflows": {
            "welcome": {
                "category": "news",
                "steps": [{"key": "tell", "template": "hello", "to": {"mode": "all", "channels": ["sms"]}}],
            }
        },
        "templates": {"hello": {"channels": {"sms": {"en": {"text": '{% include "sign" %} Hello'}}}}},
        "partials": {"sign": {"source": "ACME:"}},
        "categories": {"news": {"name": "News"}},
    }
    done = await applied(admin, documents)
    assert [one["kind"] for one in done["applied"]] == ["categories", "partials", "templates", "workflows"]
    assert (await admin.ok("GET", "/v1/workflows/welcome"))["category"] == "news"
    assert (await planned(admin, documents))[1] == {}


async def test_a_channel_moves_from_workflow_and_template_at_once(admin):
    """Taking one out and adding another, where neither document could be stored first in a fixed order."""
    config = (await admin.ok("GET", "/v1/config"))["documents"]
    workflow, template = config["workflows"]["order-paid"], config["templates"]["paid"]
    workflow["steps"][0]["to"]["channels"] = ["email", "in_app"]
    del template["channels"]["sms"]
    done = await applied(admin, {"workflows": {"order-paid": workflow}, "templates": {"paid": template}})
    assert [one["kind"] for one in done["applied"]] == ["templates", "workflows"]


async def test_a_plan_tells_every_field_that_changes(admin):
    """With its path, what was there and what comes; steps are told apart by their keys."""
    workflow = (await admin.ok("GET", "/v1/config"))["documents"]["workflows"]["order-paid"]
    workflow["steps"] = [{"key": "rest", "type": "wait", "for_s": 60}, *workflow["steps"]]
    workflow["lane"] = "high"
    plan, changes = await planned(admin, {"workflows": {"order-paid": workflow}})
    fields = {
        one["field"]: (one["before"], one["after"]) for one in changes["workflows", "order-paid"]["fields"]
    }
    assert fields == {
        "steps[rest]": (None, {"key": "rest", "type": "wait", "for_s": 60}),
        "lane": ("normal", "high"),
    }
    assert (await admin.ok("GET", "/v1/workflows/order-paid"))["lane"] == "normal"
    assert plan["plan_id"]


async def test_a_plan_tells_how_many_runs_wait_in_each_version(clarion, admin, ada):
    """They keep their version when the workflow changes."""
    waits = {
        "category": "orders",
        "steps": [
            {"key": "rest", "type": "wait", "for_s": 3600},
            {"key": "tell", "template": "paid", "to": {"mode": "all", "channels": ["in_app"]}},
        ],
    }
    await applied(admin, {"workflows": {"later": waits}})
    await admin.ok("POST", "/v1/workflows/later/trigger", {"recipients": ["ada"], "data": {"id": 1}})
    while not (await admin.ok("GET", "/v1/runs"))["items"]:
        await clarion.clock.sleep(0.01)
    waits["lane"] = "bulk"
    _, changes = await planned(admin, {"workflows": {"later": waits}})
    assert changes["workflows", "later"]["waiting_runs"] == {"1": 1}


async def test_every_error_of_every_document_is_told_at_once(admin):
    """With its pointer and the nearest name; what only follows from another error is not told."""
    plan, _ = await planned(
        admin,
        {
            "workflows": {
                "a": {"category": "oders", "steps": []},
                "b": {"category": "orders", "stepz": []},
                "c": {
                    "category": "orders",
                    "steps": [{"key": "x", "template": "bad", "to": {"mode": "all", "channels": ["sms"]}}],
                },
            },
            "templates": {"bad": {"channels": {"sms": {"en": {"text": "{{ nothing"}}}}},
            "workflow": {"d": {}},
        },
        owns=["tenant"],
    )
    told = {one["pointer"]: one.get("did_you_mean") for one in plan["errors"]}
    assert told == {
        "#/documents/workflow": "workflows",
        "#/documents/workflows/a/category": "orders",
        "#/documents/workflows/a/steps": None,
        "#/documents/workflows/b/stepz": "steps",
        "#/documents/templates/bad/channels/sms/en/text": None,
        "#/owns/0": None,
    }
    assert plan["plan_id"] is None


async def test_what_is_not_owned_is_kept_and_what_is_owned_is_deleted(admin):
    """`owns` alone decides; what is still used cannot be deleted."""
    kept, changes = await planned(admin, {"workflows": {}})
    assert changes == {}
    assert {"kind": "workflows", "key": "order-paid"} in kept["kept"]
    refused, _ = await planned(admin, {}, owns=["templates"])
    assert [one["pointer"] for one in refused["errors"]] == ["#/documents/templates/paid"]
    assert "order-paid" in refused["errors"][0]["detail"]
    done = await applied(admin, {}, owns=["workflows", "templates", "categories"])
    assert {(one["kind"], one["action"]) for one in done["applied"]} == {
        ("workflows", "delete"),
        ("templates", "delete"),
        ("categories", "delete"),
    }
    assert (await admin.ok("GET", "/v1/workflows"))["items"] == []


async def test_a_plan_is_refused_when_anything_changed_since(admin):
    """Nothing is applied then: neither when the server changed nor when the documents did."""
    documents = {"categories": {"orders": {"name": "Orders"}}}
    plan, _ = await planned(admin, documents)
    await admin.ok("PATCH", "/v1/categories/orders", {"name": "Purchases"})
    body = {"documents": documents, "plan_id": plan["plan_id"]}
    assert (await admin.problem("POST", "/v1/config/apply", body))["code"] == "precondition_failed"
    assert (await admin.ok("GET", "/v1/categories/orders"))["name"] == "Purchases"
    plan, _ = await planned(admin, documents)
    other = {"documents": {"categories": {"orders": {"name": "X"}}}, "plan_id": plan["plan_id"]}
    assert (await admin.problem("POST", "/v1/config/apply", other))["code"] == "precondition_failed"


async def test_a_change_of_something_else_while_a_plan_is_applied_does_not_stop_it(
    clarion, admin, monkeypatch
):
    """It is planned again, and is the same plan: what the others changed stays."""
    setup, store = clarion.ledger.setup, clarion.ledger.setup.apply
    tries: list[None] = []

    async def racing(changes, schedules=()):
        tries.append(None)
        if len(tries) == 1:
            await setup.categories.put(ACME, Category(key="other"))
        await store(changes, schedules)

    monkeypatch.setattr(setup, "apply", racing)
    done = await applied(admin, {"categories": {"a": {}}})
    assert [one["key"] for one in done["applied"]] == ["a"]
    assert {"a", "other"} <= setup.categories.all(ACME).keys()
    assert len(tries) == 2


async def test_a_change_of_the_same_document_while_a_plan_is_applied_stops_all_of_it(
    clarion, admin, monkeypatch
):
    """Nothing of the plan is stored, also not what nobody else touched; planning and applying again does."""
    documents = {"categories": {"a": {}}, "partials": {"b": {"source": "x"}}}
    setup, store = clarion.ledger.setup, clarion.ledger.setup.apply
    tries: list[None] = []

    async def racing(changes, schedules=()):
        tries.append(None)
        if len(tries) == 1:
            await clarion.services.templates.put_partial(ACME, Partial(key="b", source="other"))
        await store(changes, schedules)

    monkeypatch.setattr(setup, "apply", racing)
    plan, _ = await planned(admin, documents)
    body = {"documents": documents, "plan_id": plan["plan_id"]}
    assert (await admin.problem("POST", "/v1/config/apply", body))["code"] == "precondition_failed"
    assert "a" not in setup.categories.all(ACME)
    assert setup.partials.all(ACME)["b"].source == "other"
    assert len((await applied(admin, documents))["applied"]) == 2


async def test_secrets_stand_in_no_document_and_stay_as_they_are(clarion, admin):
    """A new secret is a change that shows nothing of it; a new integration needs one."""
    plan, _ = await planned(admin, {"integrations": {"mail": {**MAIL, "config": {"host": "mail.example"}}}})
    assert plan["errors"][0]["pointer"] == "#/documents/integrations/mail/config"
    done = await applied(admin, {"integrations": {"mail": MAIL}})
    assert "s3cret" not in str(done)
    mail = (await admin.ok("GET", "/v1/config"))["documents"]["integrations"]["mail"]
    assert mail["config"] == {"host": "mail.example"}
    await applied(admin, {"integrations": {"mail": {**mail, "weight": 7}}})
    assert clarion.ledger.setup.integrations.all(ACME)["mail"].config["password"] == "s3cret"
    new = {**mail, "weight": 7, "config": {"host": "mail.example", "password": "another"}}
    plan, changes = await planned(admin, {"integrations": {"mail": new}})
    assert changes["integrations", "mail"]["fields"] == [
        {"field": "config.password", "before": "********", "after": "********"}
    ]


async def test_settings_of_the_tenant_are_documents_too(admin):
    """A field that a file leaves out has its default again."""
    await admin.ok("PATCH", "/v1/tenant", {"sms_segments": 3})
    documents: dict[str, Any] = {
        "tenant": {"timezone": "Europe/Berlin"},
        "retention": {"events": {"keep": "P7D"}},
        "budgets": {"budgets": {"daily": {"limit": {"amount": "5", "currency": "EUR"}}}},
        "prices": {"sms": {"DE": {"amount": "0.07", "currency": "EUR"}}},
        "sms-guard": {"range_limit": 5},
    }
    done = await applied(admin, documents)
    assert [one["kind"] for one in done["applied"]] == [
        "tenant",
        "retention",
        "prices",
        "budgets",
        "sms-guard",
    ]
    tenant = await admin.ok("GET", "/v1/tenant")
    assert (tenant["timezone"], tenant["sms_segments"]) == ("Europe/Berlin", 0)
    exported = (await admin.ok("GET", "/v1/config"))["documents"]
    assert {name: exported[name] for name in ("tenant", "retention", "prices")} == {
        name: documents[name] for name in ("tenant", "retention", "prices")
    }
    assert (await planned(admin, exported))[1] == {}


async def test_schedules_and_segments_are_documents_that_may_refer_to_new_ones(admin, ada):
    """A schedule starts a workflow for a segment, both of which the same plan creates; a moment is compared as one."""
    steps = [{"key": "tell", "template": "paid", "to": {"mode": "all", "channels": ["sms"]}}]
    documents: dict[str, Any] = {
        "tenant": {"attributes": {"plan": {"type": "string", "searchable": True}}},
        "segments": {"pro": {"where": "user.attributes.plan == 'pro'"}},
        "workflows": {"weekly": {"category": "orders", "steps": steps}},
        "schedules": {
            "mondays": {
                "workflow": "weekly",
                "recipients": [{"segment": "pro"}],
                "data": {"id": 1},
                "cron": "0 9 * * mon",
                "starts_at": "2090-05-04T09:00:00+02:00",
            }
        },
    }
    plan, _ = await planned(
        admin, {**documents, "schedules": {"x": {**documents["schedules"]["mondays"], "workflow": "weakly"}}}
    )
    assert [one["pointer"] for one in plan["errors"]] == ["#/documents/schedules/x/workflow"]
    done = await applied(admin, documents)
    assert [one["kind"] for one in done["applied"]] == ["tenant", "segments", "workflows", "schedules"]
    assert (await admin.ok("GET", "/v1/schedules/mondays"))["cron"] == "0 9 * * mon"
    assert (await planned(admin, documents))[1] == {}
    exported = (await admin.ok("GET", "/v1/config"))["documents"]
    assert exported["schedules"]["mondays"]["starts_at"] == "2090-05-04T07:00:00Z"
    documents["schedules"]["mondays"]["cron"] = "0 8 * * mon"
    _, changes = await planned(admin, documents)
    assert [one["field"] for one in changes["schedules", "mondays"]["fields"]] == ["cron"]
    gone = await applied(admin, {}, owns=["schedules", "segments"])
    assert [one["action"] for one in gone["applied"]] == ["delete", "delete"]


async def test_documents_of_another_tenant_are_refused(admin):
    """The folder says whose it is."""
    plan, _ = await planned(admin, {}, tenant="other")
    assert plan["errors"][0]["pointer"] == "#/tenant"


async def test_a_dry_run_of_apply_stores_nothing(admin):
    """It answers what would be applied."""
    documents: dict[str, Any] = {"categories": {"news": {}}}
    plan, _ = await planned(admin, documents)
    body = {"documents": documents, "plan_id": plan["plan_id"]}
    done = await admin.ok("POST", "/v1/config/apply?dry_run=true", body)
    assert [one["key"] for one in done["applied"]] == ["news"]
    assert "news" not in (await admin.ok("GET", "/v1/config"))["documents"]["categories"]


async def test_planning_stores_nothing_in_any_engine(clarion, admin):
    """Not even a version."""
    before = clarion.ledger.setup.revision
    await planned(admin, {"categories": {"x": {}}, "templates": {}}, owns=["workflows"])
    await clarion.ledger.setup.catch_up()
    assert clarion.ledger.setup.revision == before


async def test_tenants_see_only_their_own(clarion, admin):
    """Neither in an export nor in a plan."""
    other = await clarion.client(Scope.ADMIN, ACME + 1)
    assert "workflows" not in (await other.ok("GET", "/v1/config"))["documents"]


async def test_schemas_accept_every_exported_document_and_refuse_misspellings(admin):
    """As the server does."""
    await applied(admin, {"integrations": {"mail": MAIL}, "retention": {"events": {"keep": "P7D"}}})
    documents = (await admin.ok("GET", "/v1/config"))["documents"]
    checked = 0
    for name, kind in BY_NAME.items():
        schema = await admin.ok("GET", f"/v1/schemas/{name}.json")
        jsonschema.Draft202012Validator.check_schema(schema)
        validator = jsonschema.Draft202012Validator(schema)
        mine: Any = documents.get(name, {})
        for document in [mine] if kind.single else mine.values():
            validator.validate(document)
            checked += 1
            assert list(validator.iter_errors({**document, "no_such_field": 1})), name
    assert checked >= 10
    wrong = {**MAIL, "config": {"hots": "mail.example"}}
    validator = jsonschema.Draft202012Validator(await admin.ok("GET", "/v1/schemas/integrations"))
    assert any("hots" in error.message for error in validator.iter_errors(wrong))
    assert (await admin.problem("GET", "/v1/schemas/workflow"))["detail"].endswith("'workflows'?")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "d": 4}}, ["a.b", "a.c", "a.d"]),
        ({"a": [1]}, {"a": [1, 2]}, ["a"]),
        ({"s": [{"key": "x", "n": 1}]}, {"s": [{"key": "x", "n": 2}, {"key": "y"}]}, ["s[x].n", "s[y]"]),
        ({"s": [{"key": "x"}, {"key": "y"}]}, {"s": [{"key": "y"}, {"key": "x"}]}, ["s (order)"]),
    ],
)
def test_differences_name_the_smallest_fields(before, after, told):
    """Lists without keys are told as a whole."""
    assert [one.field for one in differences(before, after)] == told
