"""What a tenant configures: checked when it is stored, so that nothing fails when it is used."""

from __future__ import annotations

import asyncio

import pytest

TEMPLATE = {"channels": {"sms": {"en": {"text": "Hello {{ user.id }}"}}}}
WORKFLOW = {
    "category": "orders",
    "steps": [{"key": "s", "template": "paid", "to": {"mode": "all", "channels": ["email", "sms"]}}],
}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/categories/news", {"name": "News", "enabled": False, "channels": {"email": True}}),
        ("/v1/templates/hello", TEMPLATE),
        ("/v1/workflows/welcome", WORKFLOW),
        (
            "/v1/integrations/mail",
            {"channel": "email", "provider": "mailer", "config": {"host": "h", "password": "p"}},
        ),
    ],
)
async def test_a_document_goes_in_comes_out_and_can_be_sent_back(admin, path, body):
    """PUT, GET, list, PUT what was got, DELETE: no field gets in the way."""
    put = await admin.ok("PUT", path, body)
    assert put["key"] == path.rpartition("/")[2]
    got = await admin.ok("GET", path)
    assert got == put
    assert got in (await admin.ok("GET", path.rpartition("/")[0]))["items"]
    again = await admin.ok("PUT", path, got)
    moment = {"version": 0, "published_at": None}
    assert {**again, **moment} == {**got, **moment}
    assert (await admin("DELETE", path)).status_code == 204
    assert (await admin.problem("GET", path))["code"] == "not_found"
    assert (await admin.problem("DELETE", path))["code"] == "not_found"


@pytest.mark.parametrize(
    ("path", "body", "pointer", "said"),
    [
        ("categories/x", {"key": "y"}, "#/key", "differs"),
        ("categories/x", {"caps": [{"limit": 0, "window_s": 60}]}, "#/caps/0", "at least 1"),
        ("categories/x", {"caps": [{"limit": 2**64, "window_s": 60}]}, "#/caps/0/limit", "1,000,000,000"),
        ("workflows/x", {"category": "news", "expires_after_s": 10**17}, "#/expires_after_s", "<= 316224000"),
        ("categories/x", {"send_window": [{"start": "9", "end": "17:00"}]}, "#/send_window/0", "07:30"),
        (
            "categories/x",
            {"send_window": [{"start": "09:00", "end": "17:00", "days": []}]},
            "#/send_window/0",
            "weekday",
        ),
        (
            "workflows/x",
            {**WORKFLOW, "send_window": [{"start": "09:00", "end": "17:00", "days": []}]},
            "#/send_window/0",
            "weekday",
        ),
        (
            "categories/x",
            {"send_window": [{"start": "09:00", "end": "17:00", "days": [0]}]},
            "#/send_window/0/days/0",
            "Expected `str`",
        ),
        ("categories/x%20y", {}, "#/key", "letters, digits"),
        ("categories/x", {"critcal": True}, "#/critcal", "did you mean `critical`?"),
        ("workflows/x", {**WORKFLOW, "category": "order"}, "#/category", "Did you mean 'orders'?"),
        ("workflows/x", {**WORKFLOW, "steps": []}, "#/steps", "at least one step"),
        ("workflows/x", {**WORKFLOW, "on": {"type": "order paid"}}, "#/on/type", "segments between dots"),
        ("workflows/x", {**WORKFLOW, "on": {"type": "a", "recipients": "/x~2"}}, "#/on/recipients", "'~0'"),
        ("workflows/x", {**WORKFLOW, "thread": "order"}, "#/thread", "JSON pointer"),
        (
            "workflows/x",
            {
                **WORKFLOW,
                "steps": [{"key": "s", "template": "paids", "to": {"mode": "all", "channels": ["sms"]}}],
            },
            "#/steps/0/template",
            "Did you mean 'paid'?",
        ),
        (
            "workflows/x",
            {
                **WORKFLOW,
                "steps": [{"key": "s", "template": "paid", "to": {"mode": "all", "channels": ["push"]}}],
            },
            "#/steps/0/to",
            "no content for push",
        ),
        (
            "workflows/x",
            {
                **WORKFLOW,
                "steps": [{"key": "s", "template": "paid", "to": {"mode": "every", "channels": []}}],
            },
            "#/steps/0/to/mode",
            "`all`, `first`, `ladder`",
        ),
        (
            "workflows/x",
            {
                **WORKFLOW,
                "steps": [{"key": "s", "template": "paid", "to": {"mode": "ladder", "channels": []}}],
            },
            "#/steps/0/to/channels",
            "at least one channel",
        ),
        (
            "workflows/x",
            {
                **WORKFLOW,
                "steps": [{"key": "s", "template": "paid", "to": {"mode": "ladder", "rungs": []}}],
            },
            "#/steps/0/to/rungs",
            "did you mean `channels`?",
        ),
        (
            "workflows/x",
            {**WORKFLOW, "steps": [{"key": "s", "template": "paid", "to": {"mode": "ladder"}}]},
            "#/steps/0/to",
            'as in {"mode": "ladder", "channels": [{"channel": "push"',
        ),
        (
            "workflows/x",
            {
                **WORKFLOW,
                "steps": [{"key": "s", "template": "paid", "to": {"mode": "ladder", "channels": ["sms"]}}],
            },
            "#/steps/0/to/channels/0",
            'as in {"channel": "push", "wait_s": 30}',
        ),
        (
            "workflows/x",
            {**WORKFLOW, "steps": [{"key": "s", "template": "paid", "to": {"channels": ["sms"]}}]},
            "#/steps/0/to",
            'as in {"mode": "all"',
        ),
        (
            "workflows/x",
            {
                **WORKFLOW,
                "steps": [
                    {
                        "key": "s",
                        "template": "paid",
                        "to": {"mode": "ladder", "channels": [{"channel": "sms"}], "always": ["sms"]},
                    }
                ],
            },
            "#/steps/0/to/always/0",
            "`sms` is listed twice",
        ),
        (
            "workflows/x",
            {
                **WORKFLOW,
                "steps": [
                    {"key": "s", "template": "paid", "to": {"mode": "all", "channels": ["sms", "sms"]}}
                ],
            },
            "#/steps/0/to/channels/1",
            "`sms` is listed twice",
        ),
        ("integrations/x", {"channel": "email", "provider": "mailr"}, "#/provider", "Did you mean 'mailer'?"),
        ("integrations/x", {"channel": "sms", "provider": "mailer"}, "#/channel", "does not serve sms"),
        (
            "integrations/x",
            {"channel": "email", "provider": "mailer", "config": {"host": 1, "password": "s3cret"}},
            "#/config/host",
            "Expected `str`",
        ),
        (
            "integrations/x",
            {"channel": "email", "provider": "mailer", "config": {"hots": "h"}},
            "#/config/hots",
            "did you mean `host`?",
        ),
        (
            "integrations/x",
            {
                "channel": "email",
                "provider": "smtp",
                "config": {"host": "smtp.example.com", "from_address": "a@b.example", "dkim_keys": "s3cret"},
            },
            "#/config",
            "give one selector for each key",
        ),
    ],
)
async def test_what_could_not_work_is_refused_where_it_is_wrong(admin, path, body, pointer, said):
    """A pointer, and what to do."""
    shown = await admin.problem("PUT", f"/v1/{path}", body)
    unknown = said.startswith("Did you mean")
    assert (
        (shown["status"], shown["code"]) == (422, "unknown_reference")
        if unknown
        else (400, "invalid_request")
    )
    assert shown["errors"][0]["pointer"] == pointer
    assert said in shown["errors"][0]["detail"]
    assert shown["errors"][0].get("did_you_mean", "") in said
    assert "s3cret" not in str(shown)


async def test_a_wrong_ladder_is_told_everything_at_once(admin):
    """One refused request says all there is to say, with an example of what would be right."""
    to = {"mode": "ladder", "channels": ["push", {"channel": "smoke"}], "until": "opened", "wait_s": 30}
    shown = await admin.problem("PUT", "/v1/workflows/x", {**WORKFLOW, "steps": [{"key": "s", "to": to}]})
    found = {one["pointer"]: one["detail"] for one in shown["errors"]}
    assert list(found) == [
        "#/steps/0/to/wait_s",
        "#/steps/0/to/channels/0",
        "#/steps/0/to/channels/1/channel",
        "#/steps/0/to/until",
    ]
    assert '{"channel": "push", "wait_s": 30}' in found["#/steps/0/to/channels/0"]


async def test_windows_that_are_never_open_together_are_refused_on_either_side(admin):
    """A workflow sends when its window and that of its category are open: some time of the week must be both."""
    hours = {name: [{"start": name, "end": end}] for name, end in (("08:00", "12:00"), ("12:00", "16:00"))}
    await admin.ok("PUT", "/v1/categories/office", {"send_window": hours["08:00"]})
    late = {**WORKFLOW, "category": "office", "send_window": hours["12:00"]}
    refused = await admin.problem("PUT", "/v1/workflows/late", late)
    assert (refused["status"], refused["errors"][0]["pointer"]) == (400, "#/send_window")
    assert "never open together" in refused["errors"][0]["detail"]
    await admin.ok("PUT", "/v1/categories/office", {})
    await admin.ok("PUT", "/v1/workflows/late", late)
    refused = await admin.problem("PUT", "/v1/categories/office", {"send_window": hours["08:00"]})
    assert (refused["status"], refused["errors"][0]["pointer"]) == (400, "#/send_window")
    assert "late" in refused["errors"][0]["detail"]
    await admin.ok("PUT", "/v1/categories/office", {"send_window": hours["08:00"] + hours["12:00"]})


async def test_a_template_that_does_not_compile_is_refused_with_the_line(admin):
    """Nobody is sent a broken template."""
    body = {"channels": {"sms": {"en": {"text": "Hello\n{{ user.id "}}}}
    shown = await admin.problem("PUT", "/v1/templates/broken", body)
    assert (shown["status"], shown["code"]) == (422, "content_error")
    assert shown["errors"][0]["pointer"] == "#/channels/sms/en/text"
    assert "line 2" in shown["errors"][0]["detail"]
    assert (await admin.problem("GET", "/v1/templates/broken"))["status"] == 404


async def test_old_versions_of_workflows_and_templates_can_be_read(admin):
    """Messages under way keep their version; so does whoever looks."""
    first = await admin.ok("PUT", "/v1/templates/hello", TEMPLATE)
    second = await admin.ok("PUT", "/v1/templates/hello", {**TEMPLATE, "name": "new"})
    assert (first["version"], second["version"]) == (1, 2)
    assert (await admin.ok("GET", "/v1/templates/hello?version=1"))["name"] is None
    assert (await admin.ok("GET", "/v1/templates/hello"))["name"] == "new"
    assert (await admin.problem("GET", "/v1/templates/hello?version=9"))["status"] == 404


async def test_what_is_in_use_is_not_deleted(admin):
    """A workflow never loses its category or template."""
    for path in ("/v1/categories/orders", "/v1/templates/paid"):
        shown = await admin.problem("DELETE", path)
        assert (shown["status"], shown["code"]) == (409, "conflict")
        assert "order-paid" in shown["detail"]


async def test_secrets_go_in_and_never_come_out(clarion, admin):
    """Masked in every answer; the mask sent back keeps the stored one."""
    path = "/v1/integrations/mail"
    body = {"channel": "email", "provider": "mailer", "config": {"host": "h", "password": "s3cret"}}
    put = await admin("PUT", path, body)
    got = await admin("GET", path)
    listed = await admin("GET", "/v1/integrations")
    assert all("s3cret" not in answer.text for answer in (put, got, listed))
    assert got.json()["config"] == {"host": "h", "password": "********"}
    await admin.ok("PUT", path, {**got.json(), "config": {"host": "other", "password": "********"}})
    stored = clarion.ledger.setup.integrations.all(1)["mail"]
    assert stored.config == {"host": "other", "password": "s3cret"}


async def test_a_mask_never_brings_back_a_secret_that_was_replaced(clarion, admin):
    """Somebody corrects the host and keeps the secret while somebody else replaces it: the new secret stays."""
    path, body = "/v1/integrations/post", {"channel": "email", "provider": "mailer"}
    await admin.ok("PUT", path, {**body, "config": {"host": "h", "password": "old"}})
    replaced, kept = await asyncio.gather(
        admin("PUT", path, {**body, "config": {"host": "h", "password": "new"}}),
        admin("PUT", path, {**body, "config": {"host": "other", "password": "********"}}),
    )
    assert replaced.status_code == 200
    assert kept.status_code in (200, 409)
    assert clarion.ledger.setup.integrations.all(1)["post"].config["password"] == "new"


async def test_a_mask_without_a_stored_secret_is_refused(admin):
    """Nothing is stored under the literal asterisks."""
    body = {"channel": "email", "provider": "mailer", "config": {"host": "h", "password": "********"}}
    shown = await admin.problem("PUT", "/v1/integrations/mail", body)
    assert shown["errors"][0]["pointer"] == "#/config/password"


@pytest.mark.parametrize(
    ("path", "body", "change", "after"),
    [
        (
            "/v1/categories/orders",
            {"name": "Orders", "channels": {"email": True, "sms": False}},
            {"name": None, "channels": {"sms": True}},
            {"name": None, "channels": {"email": True, "sms": True}},
        ),
        ("/v1/workflows/welcome", WORKFLOW, {"lane": "high"}, {"lane": "high", "category": "orders"}),
        (
            "/v1/integrations/mail",
            {"channel": "email", "provider": "mailer", "config": {"host": "h", "password": "p"}},
            {"weight": 3, "config": {"host": "other"}},
            {"weight": 3, "config": {"host": "other", "password": "********"}},
        ),
    ],
)
async def test_a_patch_changes_what_it_names_and_nothing_else(admin, path, body, change, after):
    """null restores the default; secrets stay; the whole document is checked and answered."""
    before = await admin.ok("PUT", path, body)
    patched = await admin.ok("PATCH", path, change)
    assert {name: patched[name] for name in after} == after
    same = before.keys() - after.keys() - {"version"}
    assert {name: patched[name] for name in same} == {name: before[name] for name in same}
    assert (await admin.problem("PATCH", path, {"nonsense": 1}))["code"] == "invalid_request"
    assert await admin.ok("GET", path) == patched
    assert (await admin.problem("PATCH", f"{path}-missing", change))["code"] == "not_found"
