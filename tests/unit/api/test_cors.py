"""What pages of other origins may read: the inbox of a person, with that person's own token, and nothing else."""

from __future__ import annotations

import pytest

from clarion.api import openapi
from clarion.api.dependencies import ApiLimits
from clarion.rules.origins import Origins
from tests.unit.api.conftest import ROUTES, Installation
from tests.unit.api.test_every_operation import OPERATIONS, named

SHOP = "https://shop.example"
OWN = [(path, method) for path, method, one in OPERATIONS if {"userToken": []} in one.get("security", ())]


@pytest.fixture
def edge(clarion: Installation):
    """An installation that allows the shop."""
    return clarion.with_limits(ApiLimits(), origins=Origins((SHOP,)))


def test_the_document_says_which_routes_take_a_users_token():
    """Three of the inbox at least."""
    assert len(OWN) >= 3
    assert all(path.startswith("/v1/users/{user_id}/inbox") for path, _ in OWN)
    assert openapi.whole(ROUTES)["paths"]


async def test_a_page_of_an_allowed_origin_may_ask_beforehand(clarion, edge):
    """Without a credential, as browsers do; the answer names methods and headers."""
    for path, method in OWN:
        asked = {"origin": SHOP, "access-control-request-method": method.upper()}
        answer = await clarion.bearer("", edge)("OPTIONS", named(path), headers=asked)
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == SHOP
        assert method.upper() in answer.headers["access-control-allow-methods"]
        assert "authorization" in answer.headers["access-control-allow-headers"]
        assert answer.headers["vary"] == "origin"
        assert "access-control-allow-credentials" not in answer.headers


async def test_an_answer_can_be_read_whatever_it_says(clarion, edge, ada):
    """Success, an expired token, a mistake: the page sees which."""
    own = await clarion.own("ada")
    for client, status in ((clarion.bearer(own.credential, edge), 200), (clarion.bearer("a.b.c", edge), 401)):
        answer = await client("GET", "/v1/users/ada/inbox", headers={"origin": SHOP})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, SHOP)
    client = clarion.bearer(own.credential, edge)
    answer = await client("POST", "/v1/users/ada/inbox/mark", {"action": "x"}, headers={"origin": SHOP})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (400, SHOP)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", f"{SHOP}.evil.example", "http://localhost:3000"]
)
async def test_a_page_of_another_origin_may_not(clarion, edge, ada, origin):
    """Neither ask nor read."""
    own = await clarion.own("ada")
    client = clarion.bearer(own.credential, edge)
    for path, method in OWN:
        asked = {"origin": origin, "access-control-request-method": method.upper()}
        answer = await clarion.bearer("", edge)("OPTIONS", named(path), headers=asked)
        assert answer.status_code == 401
        assert "access-control-allow-origin" not in answer.headers
    answer = await client("GET", "/v1/users/ada/inbox", headers={"origin": origin})
    assert "access-control-allow-origin" not in answer.headers


async def test_no_other_route_is_open_to_pages(clarion, edge, admin):
    """API keys do not belong into browsers, also those of allowed origins."""
    allowed = {(path, method) for path, method in OWN}
    for path, method, _ in OPERATIONS:
        if (path, method) in allowed:
            continue
        asked = {"origin": SHOP, "access-control-request-method": method.upper()}
        answer = await clarion.bearer("", edge)("OPTIONS", named(path), headers=asked)
        assert "access-control-allow-origin" not in answer.headers, (method, path)
        answer = await clarion.bearer("", edge)(method.upper(), named(path), headers={"origin": SHOP})
        assert "access-control-allow-origin" not in answer.headers, (method, path)
