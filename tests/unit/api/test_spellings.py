"""Every route of the API, the gateway and the pages, asked for without a credential in every spelling."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from litestar import Litestar, get

from clarion.api import guards, openapi, routes
from clarion.app.process import App
from clarion.cli.migrate import prepare
from clarion.config import Settings
from clarion.dashboard import browsers, partials, site, template_pages
from clarion.gateway import SSE_PATH, WS_PATH
from tests.demos import new_demo, running
from tests.unit.api.conftest import ROUTES
from tests.unit.api.test_every_operation import named

OPEN = ("/healthz", "/readyz", "/metrics")
API = [
    (named(path), method.upper())
    for path, method, _ in openapi.operations(openapi.whole(ROUTES))
    if path not in OPEN
]
PAGES = [
    (one.path.replace("*", "x"), one.method)
    for one in (*site.route, *template_pages.route, *partials.route, *browsers.route)
    if not one.page
]
EVERY = [*API, *PAGES, (SSE_PATH, "GET"), (SSE_PATH, "POST"), (WS_PATH, "GET")]


def spellings(path: str) -> Iterator[str]:
    """How somebody would write a path who wants to get past what compares its beginning."""
    first, rest = path[1:].split("/", 1) if "/" in path[1:] else (path[1:], "")
    yield path
    yield f"{path}/"
    yield f"{path}//"
    yield f"/{path}"
    yield f"//{path}"
    yield path.replace("/", "//")
    yield f"/.{path}"
    yield f"/{first}/..{path}"
    yield f"/x/..{path}"
    yield f"/%2e{path}"
    yield f"/%2e%2e{path}"
    yield f"/%2E%2E%2f{path}"
    yield f"/%2f{path[1:]}"
    yield f"/%2f%2f{path[1:]}"
    yield path.replace("/", "/%2f", 1)
    yield f"/{first}%2f{rest}"
    yield f"/%252f{path}"
    yield f"\\{path[1:]}"
    yield f"/\\{path}"
    yield f"/%5c{path}"
    yield path.upper()
    yield f"/{first.upper()}/{rest}"
    yield f"/%{ord(first[0]):02x}{first[1:]}/{rest}"
    yield f"/{first};x=y/{rest}"
    yield f"{path};x=y"
    yield f"{path}%00"
    yield f"/%00{path}"
    yield f"{path}%0d%0a"
    yield f"{path}%20"
    yield f"{path}."
    yield f"{path}#x"
    yield f"http://clarion{path}"
    yield f"/{first}/./{rest}"
    yield f"/{first}/%2e/{rest}"
    yield f"/{first}/%c0%af{rest}"
    yield path.removeprefix("/")


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    """The whole application with demo data."""
    async with running(await new_demo(tmp_path)) as app:
        yield app


async def status_of(app: App, method: str, raw: str, **headers: str) -> int:
    """The answer to a request whose body nobody may ask for."""
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError(f"{method} {raw}: the body was read")

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {
        "type": "http",
        "method": method,
        "path": unquote(raw),
        "raw_path": raw.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    await app.asgi(scope, receive, send)
    assert isinstance(sent[0]["status"], int)
    return sent[0]["status"]


@pytest.mark.parametrize("method", ["as declared", "POST", "OPTIONS", "HEAD", "BREW"])
async def test_no_spelling_of_a_path_gets_past_the_credential(app, method):
    """Refused or not there, whatever the method, before one byte of a body is read."""
    for path, declared in EVERY:
        for raw in spellings(path):
            verb = declared if method == "as declared" else method
            status = await status_of(app, verb, raw, host="127.0.0.1")
            assert status in (401, 403, 404, 405, 426), (verb, raw, status)


async def test_a_wrong_credential_is_refused_before_the_body_is_read(app):
    """401, or 404 where nothing is; the length that was announced does not matter."""
    for credential in ("Bearer clr_wrong", "Basic x", "Bearer a.b.c", ""):
        for path, method in API:
            headers = {"authorization": credential, "content-length": "4194304", "content-encoding": "gzip"}
            assert await status_of(app, method, path, **headers) == 401, (method, path)
        assert await status_of(app, "POST", "/nothing", authorization=credential) == 404


async def test_what_is_open_needs_its_own_spelling(app):
    """Nothing is found under another one, apart from a slash at the end."""
    for path in OPEN:
        assert await status_of(app, "GET", path) in (200, 503)
        assert await status_of(app, "GET", f"{path}/") in (200, 503)
        assert await status_of(app, "POST", path) == 405
        for raw in (f"/{path}", path.upper(), f"/.{path}", f"{path}%00", f"{path};x"):
            assert await status_of(app, "GET", raw) == 404, raw


async def test_whoever_may_read_an_open_route_may_ask_for_its_methods(app):
    """OPTIONS needs no credential where no method does: 204, or 405 where nobody answers it."""
    for path in (*OPEN, "/docs", "/docs/errors", "/openapi.json"):
        assert await status_of(app, "OPTIONS", path) in (204, 405), path


async def test_a_route_without_a_declared_credential_is_not_registered(monkeypatch):
    """The application does not start, and names the route."""

    @get("/v1/forgotten", name="forgotten")
    async def forgotten() -> str:
        return "everything"

    assert guards.undeclared(Litestar([forgotten], openapi_config=None)) == ["/v1/forgotten"]
    monkeypatch.setattr(routes, "ROUTERS", (forgotten,))
    with pytest.raises(TypeError, match="/v1/forgotten"):
        routes.routed("1.2.3")


async def test_the_pages_serve_nothing_else_in_production(tmp_path):
    """No address of the development page answers, in any spelling."""
    settings = Settings.load(mode="serve", data_dir=tmp_path, drain_s=0.5)
    prepare(settings)
    async with running(settings) as app:
        for path, method in PAGES:
            for raw in spellings(path):
                assert await status_of(app, method, raw, host="127.0.0.1") in (401, 403, 404, 405), raw
