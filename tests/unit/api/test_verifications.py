"""One-time codes over the API, from the request to the right answer."""

import asyncio
import re

import pytest

from clarion.model.channel import Channel
from clarion.model.inbox import CaptureFilter
from clarion.model.setup import Scope, SendAll, Step, Template, Workflow
from clarion.services import verifications
from tests.unit.api.conftest import ACME, OTHER

PATH = "/v1/verifications"
NOBODYS = f"{PATH}/01900000-0000-7000-8000-000000000000"


async def codes(clarion, count: int = 1) -> list[str]:
    """What was captured so far, once there is so much: the codes in it, the oldest first."""
    async with asyncio.timeout(30):
        while True:
            page = await clarion.ledger.captures.page(ACME, CaptureFilter(), None, 100)
            if len(page) >= count:
                break
            await asyncio.sleep(0.01)
    users = await clarion.ledger.users.get([one.user for one in page])
    texts = [clarion.vault.open(users[one.user].key, one.sealed).decode() for one in reversed(page)]
    return [re.findall(r"(?<!\d)\d{6}(?!\d)", text)[0] for text in texts]


async def own_events(admin) -> list[str]:
    """The types of Clarion's own events, once there is one."""
    types: list[str] = []
    async with asyncio.timeout(30):
        while True:
            listed = (await admin.ok("GET", "/v1/events"))["items"]
            if types := [one["type"] for one in listed if (one["type"] or "").startswith("clarion.")]:
                return types
            await asyncio.sleep(0.05)


def other(code: str) -> str:
    """A wrong one."""
    return f"{(int(code) + 1) % 1_000_000:06d}"


async def test_a_code_is_sent_and_approved_when_it_is_entered(clarion, admin, ada):
    """Blanks in it do not matter. Afterwards nothing changes any more."""
    created = await admin("POST", PATH, {"user_id": "ada", "channels": ["sms"]})
    assert created.status_code == 202
    one = created.json()
    assert (one["status"], one["checks_left"], one["sends"], one["digits"]) == ("pending", 5, 1, 6)
    assert (one["user_id"], one["channels"], one["workflow"]) == ("ada", ["sms"], None)
    (code,) = await codes(clarion)
    assert code not in created.text
    wrong = await admin.ok("POST", f"{PATH}/{one['id']}/check", {"code": other(code)})
    assert (wrong["status"], wrong["checks_left"]) == ("pending", 4)
    right = await admin.ok("POST", f"{PATH}/{one['id']}/check", {"code": f"{code[:3]} {code[3:]}"})
    assert right["status"] == "approved"
    assert right["finished_at"] is not None
    again = await admin.ok("POST", f"{PATH}/{one['id']}/check", {"code": other(code)})
    assert again == right == await admin.ok("GET", f"{PATH}/{one['id']}")
    assert await admin.ok("POST", f"{PATH}/{one['id']}/cancel") == right
    assert (await admin.problem("POST", f"{PATH}/{one['id']}/retry"))["status"] == 409


async def test_after_five_wrong_codes_the_right_one_is_too_late(clarion, admin, ada):
    """Also when they come at the same time."""
    one = await admin.ok("POST", PATH, {"user_id": "ada"})
    (code,) = await codes(clarion)
    answers = await asyncio.gather(
        *[admin.ok("POST", f"{PATH}/{one['id']}/check", {"code": other(code)}) for _ in range(8)]
    )
    assert "approved" not in {answer["status"] for answer in answers}
    late = await admin.ok("POST", f"{PATH}/{one['id']}/check", {"code": code})
    assert (late["status"], late["checks_left"]) == ("locked", 0)


async def test_a_new_code_takes_the_place_of_the_first(clarion, admin, ada, monkeypatch):
    """Not at once, and not without end."""
    one = await admin.ok("POST", PATH, {"user_id": "ada"})
    early = await admin("POST", f"{PATH}/{one['id']}/retry")
    assert (early.status_code, early.json()["code"]) == (429, "rate_limited")
    assert early.headers["retry-after"] == "30"
    monkeypatch.setattr(verifications, "PAUSE_S", 0)
    for sends in (2, 3, 4):
        assert (await admin.ok("POST", f"{PATH}/{one['id']}/retry"))["sends"] == sends
    assert (await admin.problem("POST", f"{PATH}/{one['id']}/retry"))["status"] == 409
    first, *_, last = await codes(clarion, 4)
    assert (await admin.ok("POST", f"{PATH}/{one['id']}/check", {"code": first}))["status"] == "pending"
    assert (await admin.ok("POST", f"{PATH}/{one['id']}/check", {"code": last}))["status"] == "approved"


async def test_a_newer_verification_cancels_the_older_one_of_the_same_address(clarion, admin, ada):
    """And an address gets only so many in a while."""
    ids = [(await admin.ok("POST", PATH, {"user_id": "ada"}))["id"] for _ in range(5)]
    found = [(await admin.ok("GET", f"{PATH}/{one}"))["status"] for one in ids]
    assert found == ["canceled"] * 4 + ["pending"]
    more = await admin("POST", PATH, {"user_id": "ada"})
    assert (more.status_code, more.json()["code"]) == (429, "rate_limited")
    assert (await admin.ok("POST", PATH, {"user_id": "ada", "channels": ["email"]}))["status"] == "pending"


async def test_an_address_of_nobody_can_be_verified(clarion, admin, ada):
    """A user is made for it; an address that somebody has is theirs."""
    contact = {"channel": "email", "address": "new@example.com"}
    one = await admin.ok("POST", PATH, {"contact": contact})
    assert one["channels"] == ["email"]
    (code,) = await codes(clarion)
    assert (await admin.ok("POST", f"{PATH}/{one['id']}/check", {"code": code}))["status"] == "approved"
    assert (await admin.ok("GET", f"/v1/users/{one['user_id']}"))["email"] == "new@example.com"
    theirs = await admin.ok("POST", PATH, {"contact": {"channel": "sms", "address": "+4915112345678"}})
    assert theirs["user_id"] == "ada"


async def test_a_workflow_of_the_tenant_can_send_the_code(clarion, admin, ada):
    """With its own words, on its own channels."""
    step = Step(key="code", template="login", to=SendAll(channels=(Channel.EMAIL,)))
    await clarion.ledger.setup.templates.put(
        ACME,
        Template(
            key="login",
            channels={
                Channel.EMAIL: {"en": {"subject": "Hi", "text": "{{ data.code }} ({{ data.minutes }})"}}
            },
        ),
    )
    await clarion.ledger.setup.workflows.put(ACME, Workflow(key="login", category="orders", steps=(step,)))
    one = await admin.ok("POST", PATH, {"user_id": "ada", "workflow": "login", "ttl_s": 120})
    assert (one["workflow"], one["channels"]) == ("login", [])
    (code,) = await codes(clarion)
    assert (await admin.ok("POST", f"{PATH}/{one['id']}/check", {"code": code}))["status"] == "approved"


async def test_nobody_reads_the_code_in_clarion(clarion, admin, ada):
    """The message says that its content is not shown."""
    await admin.ok("POST", PATH, {"user_id": "ada"})
    (code,) = await codes(clarion)
    (message,) = (await admin.ok("GET", "/v1/messages"))["items"]
    whole = await admin("GET", f"/v1/messages/{message['id']}")
    assert whole.json()["content"] is None
    assert whole.json()["content_problem"] == "The content is not shown: it carries a one-time code."
    assert code not in whole.text
    assert (whole.json()["workflow"], whole.json()["lane"]) == ("~verification:sms", "critical")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#"),
        ({"user_id": "ada", "contact": {"channel": "sms", "address": "+4915112345678"}}, "#"),
        ({"contact": {"channel": "sms", "address": "12"}}, "#/contact/address"),
        ({"contact": {"channel": "chat", "address": "x"}}, "#/contact/channel"),
        ({"user_id": "ada", "channels": ["in_app"]}, "#/channels"),
        ({"user_id": "ada", "channels": ["push"]}, "#/channels"),
        ({"user_id": "ada", "digits": 3}, "#/digits"),
        ({"user_id": "ada", "ttl_s": 1}, "#/ttl_s"),
        ({"user_id": "ada", "workflow": "order-payed"}, "#/workflow"),
        ({"user_id": "ada", "workflow": "order-paid", "channels": ["sms"]}, "#/channels"),
        ({"user_id": "adda"}, "#/user_id"),
    ],
)
async def test_what_cannot_be_sent_is_refused_at_its_place(clarion, admin, ada, body, pointer):
    """And nothing is stored."""
    shown = await admin.problem("POST", PATH, body)
    assert shown["status"] in (400, 422)
    assert shown["errors"][0]["pointer"] == pointer


async def test_a_verification_is_its_tenants_alone(clarion, admin, ada):
    """Others find nothing, whatever they do with it."""
    one = await admin.ok("POST", PATH, {"user_id": "ada"})
    stranger = await clarion.client(Scope.ADMIN, OTHER)
    for method, path, body in (
        ("GET", f"{PATH}/{one['id']}", None),
        ("POST", f"{PATH}/{one['id']}/check", {"code": "123456"}),
        ("POST", f"{PATH}/{one['id']}/retry", None),
        ("POST", f"{PATH}/{one['id']}/cancel", None),
        ("GET", f"{PATH}/not-an-id", None),
        ("GET", NOBODYS, None),
    ):
        assert (await stranger.problem(method, path, body))["status"] == 404
    reader = await clarion.client(Scope.READ)
    assert (await reader.problem("POST", PATH, {"user_id": "ada"}))["status"] == 403


async def test_the_guard_is_set_and_its_blocks_are_lifted(clarion, admin):
    """A block names the digits of its range."""
    shown = await admin.ok("GET", "/v1/sms-guard")
    assert (shown["mode"], shown["watch"], shown["country_mode"], shown["countries"]) == (
        "on",
        "codes",
        "observe",
        None,
    )
    assert shown["seen_countries"] == []
    await admin.ok("PUT", "/v1/users/bob", {"phone": "+37127000001"})
    changed = await admin.ok("PATCH", "/v1/sms-guard", {"range_limit": 1, "countries": ["DE"]})
    assert (changed["range_limit"], changed["countries"], changed["seen_countries"]) == (1, ["DE"], ["LV"])
    for number in (1, 2):
        contact = {"channel": "sms", "address": f"+3712700000{number}"}
        await admin.ok("POST", PATH, {"contact": contact})
    assert "clarion.sms_guard.blocked" in await own_events(admin)
    (block,) = (await admin.ok("GET", "/v1/sms-guard/blocks"))["items"]
    assert (block["id"], block["sent"], block["confirmed"]) == ("3712700", 1, 0)
    await admin.ok("DELETE", "/v1/sms-guard/blocks/3712700")
    assert (await admin.ok("GET", "/v1/sms-guard/blocks"))["items"] == []
    assert (await admin.problem("DELETE", "/v1/sms-guard/blocks/3712700"))["status"] == 404
    for wrong, pointer in (
        ({"range_limit": 0}, "#/range_limit"),
        ({"countries": ["Latvia"]}, "#/countries/0"),
        ({"mode": "maybe"}, "#/mode"),
        ({"seen_countries": []}, "#/seen_countries"),
    ):
        assert (await admin.problem("PATCH", "/v1/sms-guard", wrong))["errors"][0]["pointer"] == pointer
