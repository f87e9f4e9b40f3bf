"""Settings that cannot work are refused when they are stored, with the place and what would be right."""

import msgspec
import pytest


@pytest.mark.parametrize(
    ("provider", "channel", "config", "pointer", "said"),
    [
        ("discord", "chat", {"url": ""}, "#/config/url", "expected a URL such as https://"),
        ("discord", "chat", {"url": "nonsense-s3cret"}, "#/config/url", "expected a URL such as https://"),
        ("discord", "chat", {"url": "https://discord.com:99999/"}, "#/config/url", "with a host"),
        (
            "discord",
            "chat",
            {"hosts": ["https://discord.com"]},
            "#/config/hosts/0",
            "expected a host name in lower case",
        ),
        ("webhook", "webhook", {"secret": "s3cret"}, "#/config/secret", "whsec_ and 24 to 64 bytes"),
        ("webhook", "webhook", {"secret": "whsec_czNjcmV0"}, "#/config/secret", "24 to 64 random bytes"),
        (
            "smtp",
            "email",
            {"host": "two words", "from_address": "a@b.example"},
            "#/config/host",
            "not the name or address",
        ),
    ],
)
async def test_a_setting_that_cannot_work_is_refused_where_it_stands(
    admin, provider, channel, config, pointer, said
):
    """Before a message fails for it, and without showing what it was."""
    body = {"channel": channel, "provider": provider, "config": config}
    shown = await admin.problem("PUT", "/v1/integrations/x", body)
    assert (shown["status"], shown["code"]) == (400, "invalid_request")
    assert shown["errors"][0]["pointer"] == pointer
    assert said in shown["errors"][0]["detail"]
    assert "s3cret" not in str(shown)
    assert "regex" not in str(shown)


async def test_a_provider_that_falls_over_its_settings_is_refused_too(clarion, admin):
    """Foreign code may raise anything, and its words are not shown."""

    def falls(integration, config, tools):
        raise KeyError("s3cret")

    clarion.providers["falling"] = msgspec.structs.replace(clarion.providers["mailer"], open=falls)
    body = {"channel": "email", "provider": "falling", "config": {"host": "h", "password": "p"}}
    shown = await admin.problem("PUT", "/v1/integrations/x", body)
    assert (shown["status"], shown["errors"][0]["pointer"]) == (400, "#/config")
    assert "KeyError" in shown["errors"][0]["detail"]
    assert "s3cret" not in str(shown)


@pytest.mark.parametrize(
    ("fields", "pointer", "said"),
    [
        ({"weight": -1}, "#/weight", "must not be negative"),
        ({"limits": {"concurrency": 0}}, "#/limits/concurrency", ">= 1"),
        ({"limits": {"timeout_s": 0}}, "#/limits/timeout_s", "above 0"),
        ({"limits": {"timeout_s": 61}}, "#/limits/timeout_s", "at most 60"),
        ({"limits": {"per_second": 0}}, "#/limits/per_second", "above 0"),
        ({"limits": {"per_day": 0}}, "#/limits/per_day", ">= 1"),
        ({"limits": {"day_zone": "Europe/Berln"}}, "#/limits/day_zone", "Europe/Berlin"),
        (
            {"limits": {"warm_up": {"since": "2026-02-30", "per_day": [5]}}},
            "#/limits/warm_up/since",
            "not in the calendar",
        ),
        (
            {"limits": {"warm_up": {"since": "soon", "per_day": [5]}}},
            "#/limits/warm_up/since",
            "a day like 2026-05-04",
        ),
        ({"limits": {"warm_up": {"since": "2026-02-03", "per_day": []}}}, "#/limits/warm_up/per_day", ">= 1"),
        (
            {"limits": {"warm_up": {"since": "2026-02-03", "per_day": [5, 0]}}},
            "#/limits/warm_up/per_day/1",
            ">= 1",
        ),
        ({"countries": ["DE"]}, "#/countries", "only telephone numbers"),
        ({"channel": "sms", "countries": ["DE", "XY"]}, "#/countries/1", "in two capital letters"),
        ({"max_price": {"amount": "cheap", "currency": "EUR"}}, "#/max_price/amount", "a decimal number"),
        ({"max_price": {"amount": "0.1", "currency": "EURO"}}, "#/max_price/currency", "like EUR"),
        ({"receipt_within_s": 0}, "#/receipt_within_s", ">= 1"),
        ({"receipt_within_s": 30}, "#/receipt_within_s", "reports nothing"),
    ],
)
async def test_a_bound_that_cannot_work_is_refused_where_it_stands(admin, fields, pointer, said):
    """A call longer than a message is held for would be made twice."""
    body = {"channel": "email", "provider": "capture", "config": {}} | fields
    shown = await admin.problem("PUT", "/v1/integrations/x", body)
    assert (shown["status"], shown["code"]) == (400, "invalid_request")
    assert shown["errors"][0]["pointer"] == pointer
    assert said in shown["errors"][0]["detail"]


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/hook",
        "https://[::1]/hook",
        "https://[::ffff:10.0.0.1]/hook",
        "https://2130706433/hook",
        "https://0x7f.1/hook",
        "https://0177.0.0.1/hook",
        "https://shop.internal/hook",
        "http://93.184.216.34/hook",
    ],
)
async def test_a_url_that_leads_inside_is_refused_where_it_stands(admin, url):
    """Whoever sets up integrations is not the operator: only ranges that are allowed in the configuration may be reached."""
    body = {"channel": "chat", "provider": "discord", "config": {"url": url}}
    shown = await admin.problem("PUT", "/v1/integrations/x", body)
    assert (shown["status"], shown["errors"][0]["pointer"]) == (400, "#/config/url")


@pytest.mark.parametrize("host", ["10.0.0.1", "shop.internal", "169.254.169.254", "::1"])
async def test_a_mail_relay_inside_is_refused_where_it_stands(admin, host):
    """By name or by address; the answer says what the operator can do."""
    config = {"host": host, "from_address": "a@b.example", "security": "tls"}
    body = {"channel": "email", "provider": "smtp", "config": config}
    shown = await admin.problem("PUT", "/v1/integrations/x", body)
    assert (shown["status"], shown["errors"][0]["pointer"]) == (400, "#/config/host")
    assert "outbound.allowed_networks" in shown["errors"][0]["detail"]


async def test_public_and_allowed_addresses_are_taken(admin):
    """The operator has opened 127.0.0.1 here."""
    for url in ("https://hooks.example/a", "http://127.0.0.1:9/a"):
        body = {"channel": "chat", "provider": "discord", "config": {"url": url}}
        await admin.ok("PUT", "/v1/integrations/x", body)


async def test_the_health_of_an_integration_says_what_share_it_gets_and_why(admin):
    """Also before anything was sent; one that is turned off gets nothing."""
    for key, more in (("a", {"weight": 30}), ("b", {"weight": 90}), ("c", {"enabled": False})):
        body = {"channel": "push", "provider": "capture", "config": {}, **more}
        await admin.ok("PUT", f"/v1/integrations/{key}", body)
    shown = {key: await admin.ok("GET", f"/v1/integrations/{key}/health") for key in "abc"}
    assert {key: one["share"] for key, one in shown.items()} == {"a": 0.25, "b": 0.75, "c": 0}
    assert shown["a"]["score"] == {"weight": 30, "success": 1, "speed": 1, "receipts": 1}
    assert (shown["a"]["per_day"], shown["a"]["used_today"]) == (None, 0)
    assert (shown["a"]["circuit"], shown["a"]["trouble"], shown["a"]["messages"]) == ("closed", None, 0)
    assert shown["c"]["trouble"] == "it is turned off"
    assert (await admin.problem("GET", "/v1/integrations/d/health"))["code"] == "not_found"


@pytest.mark.parametrize(
    ("channel", "senders", "pointer"),
    [
        ("email", {"US": "+15005550006"}, "#/senders"),
        ("sms", {"Germany": "Example"}, "#/senders/Germany"),
        ("sms", {"US": "Example"}, "#/senders/US"),
        ("sms", {"DE": "+18005550006"}, "#/senders/DE"),
        ("sms", {"*": "38080"}, "#/senders/*"),
    ],
)
async def test_a_sender_that_cannot_reach_its_country_is_refused(admin, channel, senders, pointer):
    """Where it is set, not when a message is sent."""
    body = {"channel": channel, "provider": "capture", "senders": senders}
    shown = await admin.problem("PUT", "/v1/integrations/texts", body)
    assert (shown["status"], shown["errors"][0]["pointer"]) == (400, pointer)


async def test_senders_are_kept_by_country(admin):
    """Null sends nothing there."""
    senders = {"US": "+18005550006", "GB": "Example", "FR": "38080", "IN": None, "*": "Other"}
    body = {"channel": "sms", "provider": "capture", "senders": senders}
    assert (await admin.ok("PUT", "/v1/integrations/texts", body))["senders"] == senders
