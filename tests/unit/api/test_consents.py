"""Consents over the API: what a user said, what follows from it, and what followed at any time before."""

import pytest

from clarion.rules.time_format import rfc3339
from tests.unit.api.conftest import ACME

USER = "/v1/users/ada/consents"
NEWS = {"name": "News", "law": "marketing", "purpose": "newsletter"}
ONE_CLICK = {
    "content": "List-Unsubscribe=One-Click",
    "headers": {"content-type": "application/x-www-form-urlencoded"},
}


@pytest.fixture
async def news(admin, ada):
    """A marketing category."""
    return await admin.ok("PUT", "/v1/categories/news", NEWS)


async def said(admin, **query):
    """What is recorded of ada, oldest first."""
    listed = (await admin.ok("GET", USER, params=query))["items"]
    return [(one["action"], one["purpose"], one["channel"], one["source"]) for one in reversed(listed)]


async def answer(admin, channel="email", **query):
    """What the consents of ada say about the news."""
    found = await admin.ok("GET", f"{USER}/state", params=query)
    return found["categories"]["news"][channel]


async def the_clock_moves(clarion):
    """What comes next has another time."""
    await clarion.clock.sleep(0.002)


async def test_a_consent_is_shown_as_it_was_recorded(admin, news):
    """To its tenant, of one user and of all; the proof can be read until the user is deleted, the rest stays."""
    body = {
        "action": "granted",
        "purpose": "newsletter",
        "channel": "email",
        "source": "signup_form",
        "text_version": "2026-05",
        "proof": {"ip": "192.0.2.1"},
    }
    made = await admin.ok("POST", USER, body)
    now = {"at": made["recorded_at"], "recorded_at": made["recorded_at"]}
    assert made == body | now | {"id": made["id"], "user_id": "ada"}
    assert (await admin.ok("GET", USER))["items"] == [made]
    assert (await admin.ok("GET", "/v1/consents", params={"purpose": "newsletter"}))["items"] == [made]
    assert (await admin.ok("GET", "/v1/consents", params={"source": "reply"}))["items"] == []
    await admin.ok("DELETE", "/v1/users/ada")
    (left,) = (await admin.ok("GET", "/v1/consents"))["items"]
    assert left == made | {"user_id": None, "proof": None}


async def test_a_dry_run_records_nothing(admin, news):
    """And answers as the call would."""
    body = {"action": "granted", "purpose": "newsletter"}
    shown = await admin.ok("POST", USER, body, params={"dry_run": "true"})
    assert shown["action"] == "granted"
    assert await said(admin) == []


async def test_records_are_listed_in_pages(admin, news):
    """Newest first, each once."""
    made = [
        (await admin.ok("POST", USER, {"action": action, "purpose": "news"}))["id"]
        for action in ("granted", "withdrawn", "granted")
    ]
    first = await admin.ok("GET", USER, params={"limit": 2})
    rest = await admin.ok("GET", USER, params={"limit": 2, "cursor": first["next_cursor"]})
    assert {one["id"] for one in first["items"] + rest["items"]} == {*made}
    assert len(rest["items"]) == 1
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({"action": "granted", "purpose": "newsleter"}, "unknown_reference", "#/purpose"),
        ({"action": "granted"}, "invalid_request", "#/purpose"),
        ({"action": "granted", "purpose": "news", "source": "double_opt_in"}, "invalid_request", "#/source"),
        ({"action": "granted", "purpose": "news", "at": "2999-01-01T00:00:00Z"}, "invalid_request", "#/at"),
        ({"action": "granted", "purpose": "news", "proof": {"x": "y" * 9_000}}, "invalid_request", "#/proof"),
        ({"action": "maybe", "purpose": "news"}, "invalid_request", "#/action"),
    ],
)
async def test_what_cannot_be_meant_is_refused(admin, news, body, code, pointer):
    """By its place; a purpose that no category has comes with the one that was probably meant."""
    problem = await admin.problem("POST", USER, body)
    assert problem["code"] == code
    assert [one["pointer"] for one in problem["errors"]] == [pointer]
    if code == "unknown_reference":
        assert problem["errors"][0]["did_you_mean"] == "newsletter"
    assert await said(admin) == []


async def test_critical_categories_are_no_matter_of_consent(admin):
    """Neither by their own word nor as marketing."""
    for field, value in (("consent", "required"), ("law", "marketing")):
        problem = await admin.problem("PUT", "/v1/categories/alarm", {"critical": True, field: value})
        assert [one["pointer"] for one in problem["errors"]] == [f"#/{field}"]


async def test_the_state_says_what_was_known_at_any_time(clarion, admin, news):
    """A consent that was recorded later was not known then, whatever time it names."""
    start = clarion.clock.now()
    assert await answer(admin, "sms") == {
        "allowed": False,
        "reason": "never_granted",
        "consent_id": None,
        "source": "Directive 2002/58/EC art. 13(1)",
    }
    await the_clock_moves(clarion)
    early = {"action": "granted", "purpose": "newsletter", "channel": "sms", "at": rfc3339(start)}
    granted = await admin.ok("POST", USER, early)
    await the_clock_moves(clarion)
    withdrawn = await admin.ok("POST", USER, {"action": "withdrawn", "channel": "sms"})
    now = await answer(admin, "sms")
    assert (now["allowed"], now["reason"], now["consent_id"]) == (False, "withdrawn", withdrawn["id"])
    for at, reason, consent in (
        (rfc3339(start), "never_granted", None),
        (granted["recorded_at"], "granted", granted["id"]),
        (withdrawn["recorded_at"], "withdrawn", withdrawn["id"]),
    ):
        then = await answer(admin, "sms", at=at)
        assert (then["reason"], then["consent_id"]) == (reason, consent)
    assert (await answer(admin, "in_app"))["reason"] == "not_withdrawn"


async def test_the_law_of_the_country_decides_what_marketing_needs(admin, news):
    """The attribute `country` says it; without it the strictest law of all that number, language tag and time zone name."""
    await admin.ok("PATCH", "/v1/users/ada", {"locale": "en-US"})
    assert (await answer(admin))["source"] == "Directive 2002/58/EC art. 13(1)"
    await admin.ok("PATCH", "/v1/users/ada", {"attributes": {"country": "BR"}})
    assert (await answer(admin))["source"] == "no rule is listed for this country"
    await admin.ok("PATCH", "/v1/users/ada", {"attributes": {"country": "US"}})
    assert await answer(admin) == {
        "allowed": True,
        "reason": "not_withdrawn",
        "consent_id": None,
        "source": "15 U.S.C. 7704(a)",
    }
    await admin.ok("PATCH", "/v1/users/ada", {"attributes": {"country": "ca"}})
    assert (await answer(admin))["source"] == "CASL, S.C. 2010, c. 23, s. 6"
    await admin.ok("PATCH", "/v1/categories/news", {"consent": "opt_out"})
    assert (await answer(admin))["source"] == "the category says so"
    await admin.ok("PATCH", "/v1/categories/news", {"consent": None, "law": "transactional"})
    assert (await answer(admin))["reason"] == "not_asked"


async def test_every_way_out_leads_to_the_same_records(clarion, admin, news):
    """Preferences, the link of a mail and its undo: each says what was done, and where."""
    await admin.ok("POST", USER, {"action": "granted", "purpose": "news", "channel": "email"})
    user = (await clarion.ledger.users.find(ACME, ["ada"]))["ada"]
    link = "/u/" + clarion.services.unsubscribe.token(ACME, user.no, "news")
    nobody = clarion.bearer("")
    await nobody("POST", link, **ONE_CLICK)
    assert (await answer(admin))["reason"] == "withdrawn"
    await nobody("POST", link, **{**ONE_CLICK, "content": "action=back"})
    assert (await answer(admin))["reason"] == "granted"
    await admin.ok("PATCH", "/v1/users/ada/preferences", {"channels": {"sms": False}})
    await admin.ok("PUT", "/v1/users/ada/preferences/categories/news", {"enabled": False})
    await admin.ok("DELETE", "/v1/users/ada/preferences/categories/news")
    assert await said(admin) == [
        ("granted", "news", "email", "api"),
        ("withdrawn", "news", "email", "unsubscribe_link"),
        ("granted", "news", "email", "unsubscribe_link"),
        ("withdrawn", None, "sms", "preferences"),
        ("withdrawn", "news", None, "preferences"),
        ("granted", "news", None, "preferences"),
    ]


async def test_a_preference_that_is_switched_on_is_no_consent(admin, news):
    """Nobody was asked: only what was withdrawn comes back."""
    await admin.ok("PATCH", "/v1/users/ada/preferences", {"categories": {"news": {"enabled": True}}})
    assert await said(admin) == []
    assert (await answer(admin))["reason"] == "never_granted"
