"""Who may come in, and how the others are told."""

import json
from typing import Any

import pytest

from clarion.gateway import SSE_PATH, WS_PATH
from clarion.model.ids import TenantId
from tests.gateway import HOST, Connection, GatewayServer, settled


def code_of(connection: Connection) -> str:
    return json.loads(connection.events[1]["body"])["code"]


@pytest.mark.parametrize("path", [WS_PATH, SSE_PATH])
async def test_programs_are_refused_by_status(server: GatewayServer, path):
    """Before anything is accepted, with a problem that says what to do."""
    anna = server.users.add("anna")
    expired = server.tokens.mint(anna, ttl_s=-1)
    bad, old = (
        await server.connect(anna, path, token="nonsense"),
        await server.connect(anna, path, token=expired),
    )
    assert [(c.status, code_of(c)) for c in (bad, old)] == [(401, "bad_token"), (401, "token_expired")]


async def test_browsers_are_refused_by_close_code(server: GatewayServer):
    """A page never sees the HTTP status of a failed handshake; without a code it would retry for ever."""
    origin = {"origin": f"https://{HOST}"}
    refused = await server.connect(server.users.add("anna"), token="nonsense", headers=origin)
    assert refused.close_code == 4500
    assert refused.over


async def test_a_server_without_http_answers_gets_close_codes(server: GatewayServer):
    """The ASGI extension is optional."""
    anna = server.users.add("anna")
    connection = Connection(WS_PATH, "token=nonsense", {})
    del connection.scope["extensions"]
    await server.gateway(connection.scope, connection.receive, connection.send)
    assert connection.close_code == 4500
    strange = Connection(WS_PATH, f"token={server.tokens.mint(anna)}", {"origin": "https://evil.example"})
    del strange.scope["extensions"]
    await server.gateway(strange.scope, strange.receive, strange.send)
    assert strange.close_code == 4505


async def test_a_token_may_come_in_the_header(server: GatewayServer):
    """Where the client can set one, it stays out of URLs."""
    anna = server.users.add("anna")
    bearer = {"authorization": f"Bearer {server.tokens.mint(anna)}"}
    assert (await server.connect(anna, token=" ", headers=bearer)).frames[0]["type"] == "connected"


async def test_a_token_in_the_query_is_gone_before_anyone_logs_the_path(server: GatewayServer):
    """The server writes accepted paths into its log: by then the query is empty."""
    for path in (WS_PATH, SSE_PATH):
        connection = await server.connect(server.users.add("anna"), path)
        assert connection.frames
        assert connection.scope["query_string"] == b""


async def test_a_query_of_nonsense_is_a_bad_token(server: GatewayServer):
    """Hundreds of parameters are not read."""
    anna = server.users.add("anna")
    many: dict[str, Any] = {f"p{n}": n for n in range(100)}
    assert (await server.connect(anna, **many)).status == 401


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", f"https://{HOST}.evil.example", f"https://x.{HOST}"]
)
async def test_pages_of_other_origins_are_refused_and_told_not_to_come_back(server: GatewayServer, origin):
    """A socket by the code that the protocol promises, which the page can see; a stream by its status."""
    anna = server.users.add("anna")
    socket = await server.connect(anna, WS_PATH, headers={"origin": origin})
    assert (socket.close_code, socket.over, socket.frames) == (4505, True, [])
    stream = await server.connect(anna, SSE_PATH, headers={"origin": origin})
    assert (stream.status, code_of(stream)) == (403, "origin_refused")
    assert "access-control-allow-origin" not in stream.headers


async def test_pages_of_allowed_origins_come_in(build):
    """The page's own host always; the list adds others; `*` lets all in."""
    own = {f"https://{HOST}": True, f"https://{HOST.upper()}": True}
    for origins, allowed in (
        (("https://shop.example/",), {"https://shop.example": True, "https://evil.example": False, **own}),
        (("*",), {"https://shop.example": True, "null": True, **own}),
        ((), {"http://localhost:3000": False, **own}),
    ):
        server = build(origins=origins)
        anna = server.users.add("anna")
        for origin, fine in allowed.items():
            connection = await server.connect(anna, headers={"origin": origin})
            assert bool(connection.frames) is fine, (origins, origin)


async def test_a_page_of_an_allowed_origin_may_read_a_stream_and_why_it_was_refused(build):
    """And a browser that asks beforehand is told so, without a token."""
    server = build(origins=("https://shop.example",))
    anna = server.users.add("anna")
    page = {"origin": "https://shop.example"}
    for connection in (
        await server.connect(anna, SSE_PATH, headers=page),
        await server.connect(anna, SSE_PATH, token="nonsense", headers=page),
    ):
        assert connection.headers["access-control-allow-origin"] == "https://shop.example"
        assert connection.headers["vary"] == "origin"
    asked = Connection(SSE_PATH, "", page)
    asked.scope["method"] = "OPTIONS"
    await server.gateway(asked.scope, asked.receive, asked.send)
    assert (asked.status, asked.headers["access-control-allow-origin"]) == (204, "https://shop.example")


async def test_a_token_of_another_tenant_opens_only_that_tenants_inbox(server: GatewayServer):
    """The same user id in two tenants is two people."""
    ours, theirs = server.users.add("anna"), server.users.add("anna", TenantId(2))
    server.store(ours, "ours")
    assert (await server.connect(theirs)).frames[0]["items"] == []


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        (WS_PATH, "GET", 426, "upgrade_required"),
        (SSE_PATH, "POST", 405, "method_not_allowed"),
        ("/v1/inbox/else", "GET", 404, "not_found"),
    ],
)
async def test_requests_that_lead_nowhere_are_told_where_to_go(
    server: GatewayServer, path, method, status, code
):
    """HTTP where a WebSocket is served, a wrong method, an unknown path: a problem like any other of the API."""
    connection = Connection(path, "", {})
    connection.scope.update(type="http", method=method)
    await server.gateway(connection.scope, connection.receive, connection.send)
    assert connection.status == status
    told = json.loads(connection.events[1]["body"])
    assert (told["code"], told["status"]) == (code, status)
    assert told["detail"].endswith(".")


@pytest.mark.parametrize("path", [WS_PATH, SSE_PATH])
async def test_the_token_of_an_erased_person_opens_nothing(server: GatewayServer, path):
    """Neither while nobody has the id, nor the inbox of whoever gets it next; open connections are closed."""
    anna = server.users.add("anna")
    token = server.tokens.mint(anna)
    watching = await server.connect(anna, path, token=token)
    await server.users.delete(anna.tenant, anna.id)
    server.inbox_actions.forget(anna.tenant, anna.no)
    await settled()
    assert watching.over
    assert (await server.connect(anna, path, token=token)).status == 410
    server.users.add("anna")
    assert (await server.connect(anna, path, token=token)).status == 410
