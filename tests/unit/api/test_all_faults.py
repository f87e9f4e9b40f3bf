"""A refusal says everything that is wrong at once: where, what was sent, what may stand there, and what was meant."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from clarion.api.faults import KINDS, faults
from clarion.api.problems import CATALOGUE, MOST
from clarion.model.user import Value


async def wrong(api, method: str, path: str, body: Any = None, **more: Any) -> dict[str, dict[str, Any]]:
    """The faults of a refusal, by their place."""
    shown = await api.problem(method, path, body, **more)
    assert all(fault.get("code", "missing") in {*KINDS, *CATALOGUE} for fault in shown["errors"]), shown
    return {
        fault.get("pointer") or fault.get("parameter") or fault.get("header"): fault
        for fault in shown["errors"]
    }


async def test_every_wrong_field_is_listed(admin):
    """Unknown, missing, of another type, not among the values, wherever they are."""
    found = await wrong(
        admin,
        "PUT",
        "/v1/workflows/x",
        {
            "category": 5,
            "lane": "hihg",
            "stepz": [],
            "steps": [
                {"key": 1, "template": "a", "to": {"mode": "al"}},
                {"key": "b", "to": {"mode": "all", "channels": ["sms", "emal"]}},
            ],
        },
    )
    assert {place: fault["code"] for place, fault in found.items()} == {
        "#/stepz": "unknown_field",
        "#/category": "wrong_type",
        "#/lane": "not_allowed",
        "#/steps/0/key": "wrong_type",
        "#/steps/0/to/mode": "not_allowed",
        "#/steps/1/to/channels/1": "not_allowed",
    }
    assert (found["#/stepz"]["did_you_mean"], found["#/category"]["value"]) == ("steps", 5)
    lane = found["#/lane"]
    assert (lane["value"], lane["did_you_mean"]) == ("hihg", "high")
    assert lane["allowed"] == ["critical", "high", "normal", "bulk"]
    assert set(found["#/steps/0/to/mode"]["allowed"]) == {"all", "first", "ladder"}


@pytest.mark.parametrize(
    ("method", "path", "body", "places"),
    [
        ("PUT", "/v1/users/x", {"email": "x", "phone": "0", "locale": "1", "timezone": "Mars"}, {"email", "phone", "locale", "timezone"}),
        ("PUT", "/v1/users/x", {"contacts": [{"channel": "sms", "address": "1"}, {"channel": "email", "address": "2"}]}, {"contacts/0/address", "contacts/1/address"}),
        ("PATCH", "/v1/tenant", {"locale": "1", "timezone": "Mars", "required_locales": ["de", "?", "!"], "sms_segments": -1}, {"locale", "timezone", "required_locales/1", "required_locales/2", "sms_segments"}),
        ("PATCH", "/v1/tenant", {"locale": 1, "nam": "x"}, {"locale", "nam"}),
        ("PUT", "/v1/categories/x", {"send_window": [{"start": "25:00", "end": "1"}], "caps": [{"limit": 0, "window_s": 1}]}, {"send_window/0", "caps/0"}),
        ("PUT", "/v1/integrations/x", {"channel": "email", "provider": "mailer", "config": {"hots": "h", "port": "x"}}, {"config/hots", "config/port", "config"}),
        ("POST", "/v1/workflows/order-paid/trigger", {"recipients": [{"user_id": "a", "email": "x", "phone": "0"}, {"topic": "?"}], "data": {}}, {"recipients/0/email", "recipients/0/phone", "recipients/1/topic"}),
        ("POST", "/v1/workflows/order-paid/trigger", {"recipients": ["ada"], "overrides": {"emial": {}, "sns": {}}}, {"overrides/emial", "overrides/sns"}),
    ],
)  # fmt: skip
async def test_no_problem_hides_another(admin, method, path, body, places):
    """Also those that no type can tell."""
    found = await wrong(admin, method, path, body)
    assert {place.removeprefix("#/") for place in found} == places


async def test_every_wrong_parameter_is_listed(admin):
    """Unknown ones with the nearest, values with those allowed, and what is given twice."""
    found = await wrong(
        admin,
        "GET",
        "/v1/messages?statuss=sent&channel=emial&limit=0&lane=high&reason=x&workflow=a&workflow=b",
    )
    assert {place: fault["code"] for place, fault in found.items()} == {
        "statuss": "unknown_parameter",
        "lane": "unknown_parameter",
        "channel": "not_allowed",
        "limit": "out_of_range",
        "reason": "not_allowed",
        "workflow": "repeated",
    }
    assert (found["statuss"]["did_you_mean"], found["channel"]["did_you_mean"]) == ("status", "email")
    assert "sms" in found["channel"]["allowed"]


async def test_no_secret_is_told_back(admin):
    """Neither of a provider's settings nor of what is named like one."""
    secret = "hunter2-" * 3
    config = {"host": 5, "password": 7, "port": secret}
    body = {"channel": "email", "provider": "mailer", "config": config}
    for method, path, sent in (
        ("PUT", "/v1/integrations/x", body),
        ("POST", "/v1/endpoints", {"url": "https://x.example", "secret": [secret], "tokn": secret}),
    ):
        refused = await admin(method, path, sent)
        assert refused.status_code == 400
        assert secret not in refused.text
        assert not [fault for fault in refused.json()["errors"] if fault.get("value") == 7]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "The body is empty"),
        (b"  \n", "The body is empty"),
        (b'{"name": ', "ends too early"),
        (b'{"name": 5} x', "malformed"),
        (b'{"name": 5, "x": nul}', "malformed"),
    ],
)
async def test_what_is_no_json_is_said_in_plain_words(admin, body, says):
    """Even when something before it was wrong already."""
    shown = await admin.problem(
        "PUT", "/v1/categories/x", content=body, headers={"content-type": "application/json"}
    )
    assert shown["code"] == "malformed_json"
    assert says in shown["detail"]


async def test_a_wrong_method_names_the_right_ones(admin):
    """All of them."""
    shown = await admin.problem("POST", "/v1/categories/x")
    assert shown["detail"] == "This path accepts only these methods: DELETE, GET, PATCH, PUT."


def test_the_answer_stays_short():
    """However much is wrong, and however long what was sent."""

    class Body(Value, frozen=True, kw_only=True):
        numbers: list[int]
        name: int = 0
        raw: msgspec.Raw = msgspec.Raw(b"{}")

    found = faults({"numbers": ["x"] * 5_000, "name": "x" * 5_000, "raw": [1]}, Body)
    assert len(found) == MOST
    (long,) = faults({"numbers": [], "name": "x" * 5_000, "raw": {}}, Body)
    assert len(str(long.value)) == 100
    assert faults({"numbers": [], "raw": [1]}, Body) == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/categories/x", {f"k{n}": 1 for n in range(40_000)}),
        ("PUT", "/v1/users/x", {"attributes": 1, **{f"x{n}": 1 for n in range(40_000)}}),
        ("PATCH", "/v1/users/ada/preferences", {"categories": {f"order{n}": {} for n in range(20_000)}}),
        ("PUT", "/v1/users/x", {"contacts": [{"chanel": "sms"}] * 20_000}),
    ],
)
async def test_thousands_of_faults_are_told_as_quickly_as_a_hundred(
    admin, ada, monkeypatch, method, path, body
):
    """For a few a name is looked for that was probably meant: everybody else waits meanwhile."""
    looked_for = 0

    def matching(*_: object, **__: object) -> list[str]:
        nonlocal looked_for
        looked_for += 1
        return []

    monkeypatch.setattr("clarion.api.faults.get_close_matches", matching)
    monkeypatch.setattr("difflib.get_close_matches", matching)
    refused = await admin(method, path, body)
    assert refused.status_code in (400, 422)
    assert 0 < looked_for <= 5 * MOST


async def test_thousands_of_unknown_parameters_are_told_as_quickly(admin, monkeypatch):
    """The first hundred are enough to see what is wrong."""
    query = "&".join(f"a{n}=1" for n in range(5_000))
    problem = await admin.problem("GET", f"/v1/messages?{query}")
    assert len(problem["errors"]) <= MOST
