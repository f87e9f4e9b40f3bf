"""Double opt-in: a consent is granted by whoever confirms through their own address, and by nobody else."""

import re

import pytest

from tests.unit.api.conftest import ACME
from tests.unit.api.test_verifications import codes, other

PATH = "/v1/verifications"
USER = "/v1/users/ada/consents"
ASKED = {
    "user_id": "ada",
    "channels": ["email"],
    "consent": {"purpose": "newsletter", "text_version": "2026-05"},
}


@pytest.fixture
async def news(admin, ada):
    """A category that needs consent."""
    body = {"name": "News & more", "consent": "required", "purpose": "newsletter"}
    return await admin.ok("PUT", "/v1/categories/news", body)


async def allowed(admin):
    """Whether consents let the news go to ada by email."""
    return (await admin.ok("GET", f"{USER}/state"))["categories"]["news"]["email"]["allowed"]


async def link_of(clarion, asked):
    """Where the message leads to."""
    verification = await clarion.services.verifications.get(ACME, bytes.fromhex(asked["id"].replace("-", "")))
    return clarion.services.verifications.link(verification).removeprefix("https://notify.example")


async def test_only_the_right_code_grants_the_consent(clarion, admin, news):
    """With a proof that names the verification; afterwards nothing grants it again."""
    asked = await admin.ok("POST", PATH, ASKED)
    assert asked["consent"] == ASKED["consent"]
    (code,) = await codes(clarion)
    assert not await allowed(admin)
    await admin.ok("POST", f"{PATH}/{asked['id']}/check", {"code": other(code)})
    assert not await allowed(admin)
    await admin.ok("POST", f"{PATH}/{asked['id']}/check", {"code": code})
    assert await allowed(admin)
    (record,) = (await admin.ok("GET", USER))["items"]
    said = record["action"], record["purpose"], record["channel"], record["source"], record["text_version"]
    assert said == ("granted", "newsletter", "email", "double_opt_in", "2026-05")
    assert record["proof"]["verification_id"] == asked["id"]
    assert record["proof"]["confirmed_by"] == "code"
    await admin.ok("POST", USER, {"action": "withdrawn", "purpose": "newsletter"})
    await admin.ok("POST", f"{PATH}/{asked['id']}/check", {"code": code})
    assert not await allowed(admin)


async def test_the_page_asks_and_only_its_button_grants(clarion, admin, news):
    """Without JavaScript, and a look changes nothing; pressing twice grants once, and undoes nothing that was said since."""
    asked = await admin.ok("POST", PATH, ASKED)
    link = await link_of(clarion, asked)
    nobody = clarion.bearer("")
    shown = await nobody("GET", link, headers={"accept-language": "de"})
    assert shown.status_code == 200
    assert "Please confirm" in shown.text
    assert re.search(r"<form method=post><button>Yes, I want them</button></form>", shown.text)
    assert "News &amp; more" in shown.text
    assert "<script" not in shown.text
    assert not await allowed(admin)
    done = await nobody("POST", link)
    assert "Thank you" in done.text
    assert await allowed(admin)
    await admin.ok("POST", USER, {"action": "withdrawn", "purpose": "newsletter"})
    assert (await nobody("POST", link)).text == done.text
    assert not await allowed(admin)
    records = (await admin.ok("GET", USER, params={"source": "double_opt_in"}))["items"]
    assert [one["proof"]["confirmed_by"] for one in records] == ["page"]


async def test_a_link_that_is_over_grants_nothing(clarion, admin, news):
    """Neither one that was canceled nor one that was changed."""
    asked = await admin.ok("POST", PATH, ASKED)
    link = await link_of(clarion, asked)
    await admin.ok("POST", f"{PATH}/{asked['id']}/cancel")
    nobody = clarion.bearer("")
    assert "no longer valid" in (await nobody("POST", link)).text
    assert (await nobody("POST", f"{link}x")).status_code == 404
    assert not await allowed(admin)


async def test_confirming_takes_back_an_earlier_opt_out(clarion, admin, news):
    """Of the category and the address that are confirmed."""
    await admin.ok(
        "PATCH", "/v1/users/ada/preferences", {"categories": {"news": {"channels": {"email": False}}}}
    )
    asked = await admin.ok("POST", PATH, ASKED)
    await clarion.bearer("")("POST", await link_of(clarion, asked))
    shown = await admin.ok("GET", "/v1/users/ada/preferences")
    assert shown["stored"]["categories"]["news"]["channels"] == {}
    assert await allowed(admin)


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"consent": {"purpose": "newsleter"}}, "#/consent/purpose"),
        ({"consent": None, "ttl_s": 86_400}, "#/ttl_s"),
        ({"ttl_s": 8 * 86_400}, "#/ttl_s"),
    ],
)
async def test_what_cannot_be_confirmed_is_refused(admin, news, more, pointer):
    """A purpose that no category has, a code that is right for days without a consent, and a link for more than a week."""
    problem = await admin.problem("POST", PATH, ASKED | more)
    assert [one["pointer"] for one in problem["errors"]] == [pointer]
