"""Answering by a link: only a POST answers, whoever has the link, and nobody else."""

import re

import pytest

from clarion.api.answer_page import LINK
from clarion.content.button_words import WORDS
from clarion.model.message import MessageFilter
from clarion.model.setup import Scope
from clarion.services.message_references import MessageReferences
from clarion.services.response_links import ResponseLinks
from tests.unit.api.conftest import ACME, OTHER, PUBLIC_URL
from tests.unit.api.test_runs import SMS, waiting

FORM = {"content-type": "application/x-www-form-urlencoded"}
ASK = {
    "key": "ok",
    "type": "ask",
    "template": "paid",
    "to": SMS,
    "other": True,
    "options": {"yes": {"en": "Yes & go", "de": "Ja"}, "no": "No"},
}


@pytest.fixture
async def asked(clarion, admin):
    """A question to ada: its run, and the way to its links."""
    await admin.ok("PUT", "/v1/workflows/ask", {"category": "orders", "steps": [ASK]})
    await admin.ok("PUT", "/v1/users/ada", {"phone": "+4915112345678"})
    return await ask(clarion, admin, "ask")


async def ask(clarion, admin, workflow):
    """Start it: its run, and where each of its buttons leads."""
    sender = await clarion.client(Scope.SEND)
    await sender.ok("POST", f"/v1/workflows/{workflow}/trigger", {"recipients": ["ada"], "data": {"id": "1"}})
    (run,) = await waiting(clarion, admin, 1, f"?workflow={workflow}&status=waiting")
    where = MessageFilter(workflows=frozenset({workflow}))
    (message,), _ = await clarion.ledger.records.page(ACME, where, None, 5)

    def link(button):
        return ResponseLinks(clarion.vault, PUBLIC_URL).url(message, button).removeprefix(PUBLIC_URL)

    return run, link


async def answers(admin, run):
    """Of a run."""
    return (await admin.ok("GET", f"/v1/runs/{run['id']}"))["answers"]


async def test_looking_answers_nothing(clarion, admin, asked):
    """A GET, as link scanners do it, shows all answers as buttons that post; that of the link stands out."""
    run, link = asked
    nobody = clarion.bearer("")
    assert (await nobody("HEAD", link("0"))).status_code == 200
    page = await nobody("GET", link("0"))
    assert page.status_code == 200
    assert re.findall(r"<button name=button value=(\d)([^>]*)>([^<]*)", page.text) == [
        *(("0", "", "Yes &amp; go"), ("1", " class=quiet", "No")),
    ]
    assert "<textarea name=text" in page.text
    assert "<script" not in page.text
    assert (await answers(admin, run)) == {}
    assert (await admin.ok("GET", f"/v1/runs/{run['id']}"))["status"] == "waiting"


async def test_a_post_answers_once(clarion, admin, asked):
    """Pressed again it says so; who is late sees the answer that counts."""
    run, link = asked
    nobody = clarion.bearer("")
    for _ in range(2):
        page = await nobody("POST", link("1"), content="button=1", headers=FORM)
        assert "Your answer is saved: No" in page.text
    late = await nobody("POST", link("0"), content="button=0", headers=FORM)
    assert "Already answered: No" in late.text
    assert "Already answered: No" in (await nobody("GET", link("0"))).text
    (given,) = (await answers(admin, run)).values()
    assert (given["answer"], given["channel"]) == ("no", LINK)


async def test_an_answer_may_be_in_own_words(clarion, admin, asked):
    """What stands in it is text."""
    run, link = asked
    page = await clarion.bearer("")("POST", link(""), content="text=%3Cb%3Emaybe", headers=FORM)
    assert "Your answer is saved: &lt;b&gt;maybe" in page.text
    assert (await answers(admin, run))["ok"]["text"] == "<b>maybe"


@pytest.mark.parametrize(
    "body", ["", "button=7", "button=-1", "button=ack", "button=%F0%9F%98%80", "x=" + "y" * 99]
)
async def test_what_is_no_button_answers_nothing(clarion, admin, asked, body):
    """The question is shown again."""
    run, link = asked
    page = await clarion.bearer("")("POST", link(""), content=body, headers=FORM)
    assert "<button name=button value=0" in page.text
    assert (await answers(admin, run)) == {}


async def test_a_link_that_is_not_ours_leads_nowhere(clarion, asked):
    """Changed, cut, of another kind, or one with a foreign tenant; never an error page of a program."""
    _, link = asked
    nobody = clarion.bearer("")
    good = link("0")
    unsubscribe = "/a/" + clarion.services.unsubscribe.token(ACME, 1, "news")
    for path in (good[:-2] + "AA", good[:-9], "/a/", "/a/%ff", unsubscribe, good + "/x"):
        page = await nobody("POST", path, content="button=0", headers=FORM)
        assert (page.status_code, WORDS["en"].lost in page.text) == (404, True), path


async def test_the_page_speaks_the_language_of_its_reader(clarion, admin, asked):
    """That of the user, else of their browser."""
    _, link = asked
    assert (
        "Ihre Antwort" in (await clarion.bearer("")("GET", link("0"), headers={"accept-language": "de"})).text
    )
    await admin.ok("PUT", "/v1/users/ada", {"phone": "+4915112345678", "locale": "ar"})
    page = (await clarion.bearer("")("GET", link("0"), headers={"accept-language": "de"})).text
    assert 'dir="rtl"' in page


async def test_an_alarm_is_acknowledged_by_its_link(clarion, admin, asked):
    """A run that repeats goes on behind it."""
    page = {"key": "page", "template": "paid", "to": SMS}
    alarm = {"key": "alarm", "type": "repeat", "every_s": 86_400, "at_most": 9, "until": "acknowledged"}
    steps = [{**alarm, "steps": [page]}]
    await admin.ok("PUT", "/v1/workflows/alarm", {"category": "orders", "steps": steps})
    run, link = await ask(clarion, admin, "alarm")
    nobody = clarion.bearer("")
    assert "Acknowledge</button>" in (await nobody("GET", link("ack"))).text
    assert (await admin.ok("GET", f"/v1/runs/{run['id']}"))["status"] == "waiting"
    assert "Acknowledged." in (await nobody("POST", link("ack"), content="button=ack", headers=FORM)).text
    await waiting(clarion, admin, 1, "?workflow=alarm&status=finished")
    assert "Acknowledged." in (await nobody("POST", link("ack"), content="button=ack", headers=FORM)).text


async def test_an_item_of_the_inbox_is_answered_by_its_user_only(clarion, admin):
    """Its buttons carry ids; with another user's token, or another tenant's key, they are nobody's."""
    to = {"mode": "all", "channels": ["in_app"]}
    await admin.ok(
        "PUT", "/v1/workflows/ask", {"category": "orders", "steps": [{**ASK, "template": "paid", "to": to}]}
    )
    for name in ("ada", "bob"):
        await admin.ok("PUT", f"/v1/users/{name}", {})
    run, _ = await ask(clarion, admin, "ask")
    (item,) = (await admin.ok("GET", "/v1/users/ada/inbox"))["items"]
    yes, _ = item["actions"]
    assert yes["label"] == "Yes & go"
    tokens = {
        name: (await admin.ok("POST", f"/v1/users/{name}/tokens", {"ttl_s": 60}))["token"]
        for name in ("ada", "bob")
    }
    ada, bob = (clarion.bearer(tokens[name]) for name in ("ada", "bob"))
    refused = await bob.problem("POST", "/v1/users/bob/inbox/act", {"action": yes["id"]})
    assert refused["errors"][0]["pointer"] == "#/action"
    assert (await bob.problem("POST", "/v1/users/ada/inbox/act", {"action": yes["id"]}))["status"] in (
        403,
        404,
    )
    forged = yes["id"][:-4] + "00" + yes["id"][-2:]
    assert (await ada.problem("POST", "/v1/users/ada/inbox/act", {"action": forged}))["status"] == 400
    done = await ada.ok("POST", "/v1/users/ada/inbox/act", {"action": yes["id"]})
    assert done == {
        "accepted": True,
        "answer": "yes",
        "text": None,
        "message": "Your answer is saved: Yes & go",
    }
    late = await ada.ok("POST", "/v1/users/ada/inbox/act", {"action": yes["id"], "text": "maybe"})
    assert (late["accepted"], late["message"]) == (False, "Already answered: Yes & go")
    assert (await answers(admin, run))["ok"]["by"] == "ada"
    assert (await admin.ok("GET", "/v1/users/ada/inbox/counts"))["unread"] == 0


async def test_a_run_of_another_tenant_is_nobodys(clarion, admin, asked):
    """Nor is its button, whatever integration reports it."""
    run, _ = asked
    foreign = await clarion.client(Scope.SEND, tenant=OTHER)
    assert (await foreign.problem("POST", f"/v1/runs/{run['id']}/answer", {"answer": "yes"}))["status"] == 404
    where = MessageFilter(workflows=frozenset({"ask"}))
    (message,), _ = await clarion.ledger.records.page(ACME, where, None, 5)
    id_ = f"{MessageReferences(clarion.vault).of(message)}.0"
    assert await clarion.services.responses.press_by_id(id_, "chat", tenant=OTHER) is None
    assert (await answers(admin, run)) == {}
