"""A person's inbox over HTTP, with an API key or with that person's own token."""

from __future__ import annotations

import asyncio

import pytest

from clarion.model.inbox import InboxChange
from clarion.model.setup import Scope
from tests.unit.api.conftest import ACME, OTHER


@pytest.fixture
async def inbox(clarion, admin, ada):
    """Ada's inbox with three items, and a client with her own token."""
    for n in range(3):
        body = {"recipients": ["ada"], "data": {"id": str(n)}}
        await admin.ok("POST", "/v1/workflows/order-paid/trigger", body)
    for _ in range(200):
        if (await admin.ok("GET", "/v1/users/ada/inbox/counts"))["total"] == 3:
            break
        await asyncio.sleep(0.01)
    token = (await admin.ok("POST", "/v1/users/ada/tokens", {"ttl_s": 60}))["token"]
    return clarion.bearer(token)


async def test_an_inbox_shows_opened_items_newest_first_with_exact_counters(inbox):
    """Content in the clear, cursor pages, and the counters beside them."""
    page = await inbox.ok("GET", "/v1/users/ada/inbox?limit=2")
    rest = await inbox.ok("GET", f"/v1/users/ada/inbox?limit=2&cursor={page['next_cursor']}")
    titles = [item["title"] for item in page["items"] + rest["items"]]
    assert titles == ["Paid 2", "Paid 1", "Paid 0"]
    assert page["counts"] == {"unseen": 3, "unread": 3, "total": 3}
    assert rest["next_cursor"] is None


async def test_items_are_marked_one_by_one_or_all_at_once(inbox):
    """Seen, read, archived, and back; the answer says what changed."""
    items = (await inbox.ok("GET", "/v1/users/ada/inbox"))["items"]
    done = await inbox.ok("POST", "/v1/users/ada/inbox/mark", {"action": "read", "ids": [items[0]["id"]]})
    assert (done["changed"], done["counts"]["unread"]) == (1, 2)
    assert len((await inbox.ok("GET", "/v1/users/ada/inbox?unread=true"))["items"]) == 2
    again = await inbox.ok("POST", "/v1/users/ada/inbox/mark", {"action": "read", "ids": [items[0]["id"]]})
    assert again["changed"] == 0
    done = await inbox.ok("POST", "/v1/users/ada/inbox/mark", {"action": "archived", "filter": {}})
    assert (done["changed"], done["counts"]["total"]) == (3, 0)
    assert len((await inbox.ok("GET", "/v1/users/ada/inbox?archived=true"))["items"]) == 3


async def test_a_mark_that_a_sink_is_told_of_is_in_the_timeline_and_no_attempt(admin, inbox):
    """What nobody asks for is not."""
    (first, second, _) = (await inbox.ok("GET", "/v1/users/ada/inbox"))["items"]
    await inbox.ok("POST", "/v1/users/ada/inbox/mark", {"action": "read", "ids": [first["id"]]})
    await admin.ok("PUT", "/v1/sinks/crm", {"kind": "memory", "types": ["clarion.message.read"]})
    for action in ("archived", "read"):
        await inbox.ok("POST", "/v1/users/ada/inbox/mark", {"action": action, "ids": [second["id"]]})
    unrecorded = await admin.ok("GET", f"/v1/messages/{first['id']}")
    recorded = await admin.ok("GET", f"/v1/messages/{second['id']}")
    assert recorded["timeline"][-1]["outcome"] == "read"
    assert len(recorded["timeline"]) == len(unrecorded["timeline"]) + 1
    assert len(recorded["attempts"]) == len(unrecorded["attempts"])


async def test_marking_reaches_all_devices(clarion, inbox):
    """What one device does, the fan-out tells the others."""
    heard: list[InboxChange] = []
    clarion.fanout.subscribe(heard.extend)
    await inbox.ok("POST", "/v1/users/ada/inbox/mark", {"action": "seen", "filter": {}})
    await asyncio.sleep(0)
    assert [len(change.items) for change in heard] == [3]


@pytest.mark.parametrize(
    "body",
    [
        {"action": "liked", "filter": {}},
        {},
        {"action": "read"},
        {"action": "read", "ids": None},
        {"action": "read", "ids": "all"},
        {"action": "read", "ids": ["x"]},
        {"action": "read", "ids": [], "filter": {}},
        {"action": "read", "filter": {"unraed": True}},
        {"action": "read", "id": 1},
    ],
)
async def test_a_wrong_mark_is_refused(inbox, body):
    """Named with its place."""
    shown = await inbox.problem("POST", "/v1/users/ada/inbox/mark", body)
    assert shown["code"] == "invalid_request"
    assert shown["errors"][0]["pointer"].startswith("#")


async def test_a_user_token_opens_its_own_inbox_and_nothing_else(clarion, admin, inbox):
    """Not another user's, not the rest of the API, not another tenant."""
    await admin.ok("PUT", "/v1/users/eve", {})
    for method, path in (
        ("GET", "/v1/users/eve/inbox"),
        ("POST", "/v1/users/eve/inbox/mark"),
        ("GET", "/v1/users/ada"),
        ("GET", "/v1/users/ada/preferences"),
        ("POST", "/v1/users/ada/tokens"),
        ("GET", "/v1/messages"),
        ("DELETE", "/v1/users/ada"),
    ):
        assert (await inbox.problem(method, path))["code"] == "forbidden", path
    for path in ("/v1/events", "/v1/workflows/order-paid/trigger"):
        assert (await inbox.problem("POST", path, {}))["status"] == 401
    await (await clarion.client(Scope.ADMIN, OTHER)).ok("PUT", "/v1/users/ada", {})
    stranger = await clarion.own("ada", OTHER)
    assert (await stranger.ok("GET", "/v1/users/ada/inbox"))["items"] == []


async def test_an_expired_or_forged_token_is_refused(clarion, ada):
    """And told which of the two it is."""
    expired = await clarion.own("ada", ttl_s=-1)
    shown = await expired.problem("GET", "/v1/users/ada/inbox")
    assert (shown["code"], "has expired" in shown["detail"]) == ("unauthenticated", True)
    token = clarion.tokens.mint((await clarion.ledger.users.find(ACME, ["ada"]))["ada"], 60)
    forged = clarion.bearer(token[:-4] + ("AAAA" if not token.endswith("AAAA") else "BBBB"))
    answer = await forged("GET", "/v1/users/ada/inbox")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_read_key_may_look_but_not_mark(clarion, inbox):
    """Scopes hold for the inbox too."""
    reader = await clarion.client(Scope.READ)
    await reader.ok("GET", "/v1/users/ada/inbox")
    assert (await reader.problem("POST", "/v1/users/ada/inbox/mark", {"action": "read"}))[
        "code"
    ] == "forbidden"


@pytest.mark.parametrize("ttl", [59, 86_401, "long"])
async def test_tokens_live_between_a_minute_and_a_day(admin, ada, ttl):
    """Neither useless nor for ever; a quarter of an hour unless asked otherwise."""
    assert (await admin.problem("POST", "/v1/users/ada/tokens", {"ttl_s": ttl}))["code"] == "invalid_request"
    assert (await admin.ok("POST", "/v1/users/ada/tokens"))["expires_at"].endswith("Z")


async def test_the_token_of_an_erased_person_is_refused_at_once(clarion, admin, inbox):
    """On every route, as if it never was; also when somebody else has the id by now."""
    await inbox.ok("GET", "/v1/users/ada/inbox")
    await admin.ok("DELETE", "/v1/users/ada")
    for _ in range(2):
        for method, path in (("GET", "/v1/users/ada/inbox"), ("GET", "/v1/users/ada/inbox/counts")):
            shown = await inbox.problem(method, path)
            assert (shown["status"], "deleted" in shown["detail"]) == (401, True)
        mark = {"action": "read", "filter": {}}
        assert (await inbox.problem("POST", "/v1/users/ada/inbox/mark", mark))["status"] == 401
        await admin.ok("PUT", "/v1/users/ada", {"email": "another@example.com"})
    await (await clarion.own("ada")).ok("GET", "/v1/users/ada/inbox")
