"""The tenants of an installation, managed with an operator's key while it runs."""


async def test_a_tenant_is_created_while_the_server_runs(clarion, operator):
    """It works at once: its own key sets it up and sends; its inbox is there."""
    made = await operator.ok(
        "POST", "/v1/tenants", {"key": "fresh", "name": "Fresh", "timezone": "Asia/Tokyo"}
    )
    assert (made["tenant"]["key"], made["tenant"]["timezone"]) == ("fresh", "Asia/Tokyo")
    fresh = clarion.bearer(made["admin_key"])
    assert (await fresh.ok("GET", "/v1/tenant")) == made["tenant"]
    assert [one["channel"] for one in (await fresh.ok("GET", "/v1/integrations"))["items"]] == ["in_app"]
    await fresh.ok("PUT", "/v1/users/ada", {})
    assert [one["user_id"] for one in (await fresh.ok("GET", "/v1/users"))["items"]] == ["ada"]
    again = await operator.problem("POST", "/v1/tenants", {"key": "fresh"})
    assert (again["status"], again["errors"][0]["pointer"]) == (409, "#/key")


async def test_tenants_are_listed_read_and_changed(operator):
    """By key, page by page; a misspelt one is 404 with the nearest; the key stays."""
    first = await operator.ok("GET", "/v1/tenants", params={"limit": 1})
    rest = await operator.ok("GET", "/v1/tenants", params={"limit": 1, "cursor": first["next_cursor"]})
    assert [one["key"] for one in first["items"] + rest["items"]] == ["acme", "other"]
    assert rest["next_cursor"] is None
    changed = await operator.ok("PATCH", "/v1/tenants/acme", {"name": "Acme"})
    assert changed == await operator.ok("GET", "/v1/tenants/acme")
    assert changed["name"] == "Acme"
    shown = await operator.problem("GET", "/v1/tenants/acne")
    assert (shown["status"], "Did you mean 'acme'?" in shown["detail"]) == (404, True)
    for body, pointer in (
        ({"key": "x"}, "#/key"),
        ({"timezone": "Mars"}, "#/timezone"),
        ({"nmae": "x"}, "#/nmae"),
    ):
        shown = await operator.problem("PATCH", "/v1/tenants/acme", body)
        assert shown["errors"][0]["pointer"] == pointer
    for body in ({}, {"key": "a b"}, {"key": "fine", "locale": "xx"}):
        assert (await operator.problem("POST", "/v1/tenants", body))["status"] == 400


async def test_an_operator_reaches_nothing_inside_a_tenant(operator):
    """No people, no messages, no set-up, no sending: 403 names what the key lacks."""
    for method, path, body in (
        ("GET", "/v1/users", None),
        ("GET", "/v1/tenant", None),
        ("GET", "/v1/integrations", None),
        ("GET", "/v1/messages", None),
        ("PUT", "/v1/users/ada", {}),
        ("POST", "/v1/keys", {"name": "x", "scope": "admin"}),
        ("POST", "/v1/workflows/order-paid/trigger", {"recipients": ["ada"]}),
        ("POST", "/v1/events", {"workflow": "order-paid", "recipients": ["ada"]}),
        ("GET", "/v1/users/ada/inbox", None),
    ):
        shown = await operator.problem(method, path, body)
        assert (shown["status"], "operator" in shown["detail"]) == (403, True), path


async def test_no_key_of_a_tenant_manages_tenants_or_becomes_an_operators(admin):
    """Not even an admin's; and no admin can make an operator key."""
    for method, path, body in (
        ("GET", "/v1/tenants", None),
        ("POST", "/v1/tenants", {"key": "mine"}),
        ("GET", "/v1/tenants/other", None),
        ("PATCH", "/v1/tenants/other", {"name": "mine"}),
    ):
        assert (await admin.problem(method, path, body))["status"] == 403, path
    shown = await admin.problem("POST", "/v1/keys", {"name": "x", "scope": "operator"})
    assert (shown["status"], shown["errors"][0]["pointer"]) == (400, "#/scope")
