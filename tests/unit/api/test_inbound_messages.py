"""`/v1/inbound`: what people wrote, through the callbacks of a provider and as it is shown."""

import json

import pytest

from clarion.errors import Unavailable
from clarion.model.channel import Channel
from clarion.model.setup import Integration, Scope
from clarion.ports.callback import CallbackRequest
from tests.carrier import MARK, carrier, signature
from tests.unit.api.conftest import ACME, OTHER, PUBLIC_URL

TOKEN = "t_1"
PATH = "/v1/inbound"
NUMBER = "+4915112345678"


@pytest.fixture
async def clarion(clarion):
    """Clarion, with the carrier for text messages, and ada who gets them."""
    clarion.providers["carrier"] = carrier()
    integration = Integration(key="texts", channel=Channel.SMS, provider="carrier", config={"token": TOKEN})
    await clarion.ledger.setup.integrations.put(ACME, integration)
    await (await clarion.client(Scope.ADMIN)).ok("PUT", "/v1/users/ada", {"phone": NUMBER})
    return clarion


async def passed_on(clarion, *texts, sender=NUMBER):
    """The answer to what the carrier passes on; each text is a message of its own."""
    url = clarion.services.callbacks.urls.of(ACME, "texts")
    raw = json.dumps([{"id": text, "text": text, "sender": sender} for text in texts]).encode()
    request = CallbackRequest(url=url, body=raw)
    headers = {MARK: signature(TOKEN, clarion.clock.now() // 1000, request)}
    return await clarion.bearer("")("POST", url.removeprefix(PUBLIC_URL), content=raw, headers=headers)


async def test_an_opt_out_holds_when_the_provider_gets_its_answer(clarion, admin):
    """The number is suppressed; passed on again, nothing changes."""
    for _ in range(2):
        assert (await passed_on(clarion, "STOP")).status_code == 200
        (suppression,) = (await admin.ok("GET", "/v1/suppressions"))["items"]
        assert (suppression["channel"], suppression["reason"]) == ("sms", "opted_out")
    (shown,) = (await admin.ok("GET", PATH))["items"]
    assert (shown["user_id"], shown["verdict"], shown["needs_review"]) == ("ada", "opt_out", False)
    assert "text" not in shown


async def test_a_provider_is_not_answered_before_its_messages_are_stored(clarion, admin, monkeypatch):
    """While nothing can be stored, it is told to come again; then nothing was lost."""

    async def full(*_):
        raise Unavailable("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(clarion.ledger.inbound, "take", full)
        assert (await passed_on(clarion, "STOP")).status_code == 503
    assert (await admin.ok("GET", PATH))["items"] == []
    assert (await passed_on(clarion, "STOP")).status_code == 200
    assert len((await admin.ok("GET", "/v1/suppressions"))["items"]) == 1


async def test_one_message_is_shown_with_its_text(clarion, admin):
    """And who wrote it; of a stranger no user is named."""
    await passed_on(clarion, "Where is it?")
    await passed_on(clarion, "hello", sender="+15550100")
    stranger, mine = (await admin.ok("GET", PATH))["items"]
    shown = await admin.ok("GET", f"{PATH}/{mine['id']}")
    assert {name: shown[name] for name in mine} == mine
    assert (shown["text"], shown["sender"], shown["recipient"], shown["media"]) == (
        "Where is it?",
        NUMBER,
        "+2",
        [],
    )
    assert stranger["user_id"] is None
    assert (await admin.ok("GET", f"{PATH}/{stranger['id']}"))["text"] == "hello"


async def test_lists_are_filtered_and_paged(clarion, admin):
    """By user, channel, verdict and what a person has still to read."""
    await passed_on(clarion, "STOP", "please don't stop", "hello", "HELP")

    async def verdicts(query):
        return [one["verdict"] for one in (await admin.ok("GET", f"{PATH}?{query}"))["items"]]

    assert await verdicts("") == ["help", "other", "unclear", "opt_out"]
    assert await verdicts("needs_review=true") == ["other", "unclear"]
    assert await verdicts("needs_review=false") == ["help", "opt_out"]
    assert await verdicts("verdict=opt_out,help&channel=sms&user_id=ada") == ["help", "opt_out"]
    assert await verdicts("channel=email") == await verdicts("user_id=nobody") == []
    first = await admin.ok("GET", f"{PATH}?limit=3")
    rest = await admin.ok("GET", f"{PATH}?limit=3&cursor={first['next_cursor']}")
    assert [one["verdict"] for one in rest["items"]] == ["opt_out"]
    problem = await admin.problem("GET", f"{PATH}?verdict=optout")
    assert "opt_out" in problem["detail"]


async def test_a_person_resolves_what_is_unclear(clarion, admin):
    """An opt-out is effective when it is answered."""
    await passed_on(clarion, "no more of this, stop already")
    (waiting,) = (await admin.ok("GET", f"{PATH}?needs_review=true"))["items"]
    done = await admin.ok("POST", f"{PATH}/{waiting['id']}/resolve", {"verdict": "opt_out"})
    assert (done["verdict"], done["needs_review"]) == ("opt_out", False)
    assert done["reviewed_at"] is not None
    assert len((await admin.ok("GET", "/v1/suppressions"))["items"]) == 1
    problem = await admin.problem("POST", f"{PATH}/{waiting['id']}/resolve", {"verdict": "unclear"})
    assert problem["status"] == 400
    reader = await clarion.client(Scope.READ)
    denied = await reader.problem("POST", f"{PATH}/{waiting['id']}/resolve", {"verdict": "other"})
    assert denied["status"] == 403


@pytest.mark.parametrize("wrong", ["0", "99", "x", "1" * 30, "\u0661"])
async def test_an_unknown_id_is_not_found(clarion, admin, wrong):
    """Whatever stands there; those of another tenant are unknown too."""
    assert (await admin.problem("GET", f"{PATH}/{wrong}"))["status"] == 404
    problem = await admin.problem("POST", f"{PATH}/{wrong}/resolve", {"verdict": "other"})
    assert problem["status"] == 404


async def test_another_tenant_sees_nothing(clarion, admin):
    """Neither in its list nor by id."""
    await passed_on(clarion, "hello")
    (mine,) = (await admin.ok("GET", PATH))["items"]
    other = await clarion.client(Scope.ADMIN, OTHER)
    assert (await other.ok("GET", PATH))["items"] == []
    assert (await other.problem("GET", f"{PATH}/{mine['id']}"))["status"] == 404


async def test_what_an_erased_user_wrote_is_gone(clarion, admin):
    """With the user."""
    await passed_on(clarion, "hello")
    await admin.ok("DELETE", "/v1/users/ada")
    assert (await admin.ok("GET", PATH))["items"] == []


async def test_the_tenant_says_what_is_replied(clarion, admin):
    """A text for each language; a misspelt name or locale is refused where it stands."""
    wanted = {"opted_out": {"en": "Bye", "de": ""}, "opted_in": {}, "help": {"en": "Call us"}}
    assert (await admin.ok("PATCH", "/v1/tenant", {"replies": wanted}))["replies"] == wanted
    changed = await admin.ok("PATCH", "/v1/tenant", {"replies": {"help": {"en": None}}})
    assert changed["replies"] == {**wanted, "help": {}}
    problem = await admin.problem("PATCH", "/v1/tenant", {"replies": {"help": {"not a locale": "x"}}})
    assert problem["errors"][0]["pointer"] == "#/replies/help/not a locale"
    problem = await admin.problem("PATCH", "/v1/tenant", {"replies": {"halp": {"en": "x"}}})
    assert "help" in problem["detail"]
