"""What each address answers, asked of the real application on a database of its own."""

from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from clarion.app.process import App
from clarion.cli.migrate import prepare
from clarion.config import Settings
from clarion.dashboard.guard import COOKIE
from clarion.dashboard.request import LONGEST_BODY
from tests.demos import running


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: str


Ask = Callable[..., Coroutine[Any, Any, Answer]]


def asker(app: App) -> Ask:
    """Requests as a browser on this machine sends them, cookie included."""
    cookie = ""

    async def ask(path: str, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
        nonlocal cookie
        given = {"host": "127.0.0.1:8080", "cookie": cookie, **headers}
        path, _, query = path.partition("?")
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(event: Any) -> None:
            sent.append(event)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }
        await app.asgi(scope, receive, send)
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        cookie = found.get("set-cookie", cookie).partition(";")[0]
        return Answer(sent[0]["status"], found, b"".join(e.get("body", b"") for e in sent[1:]).decode())

    return ask


async def opened(tmp_path: Path, mode: str) -> AsyncIterator[App]:
    settings = Settings.load(mode=mode, data_dir=tmp_path, drain_s=0.5)
    prepare(settings)
    async with running(settings) as app:
        yield app


@pytest.fixture
def dev(app: App) -> Ask:
    """A browser that has not opened any page of a demo."""
    return asker(app)


async def test_an_installation_that_serves_shows_a_plain_page_and_nothing_else(tmp_path):
    """No form, no key, no address of the development page, whatever cookie is sent."""
    async for app in opened(tmp_path, "serve"):
        ask = asker(app)
        page = await ask("/")
        assert (page.status, "/docs" in page.body, "<form" in page.body) == (200, True, False)
        for method, path in (
            ("GET", "/ui/feed"),
            ("POST", "/ui/send"),
            ("POST", "/ui/tokens/ada"),
            ("GET", "/ui/"),
        ):
            assert (await ask(path, method, cookie=f"{COOKIE}=x")).status == 404


async def test_the_page_says_so_while_the_demo_is_prepared(tmp_path):
    """The port opens before the people are there."""
    async for app in opened(tmp_path, "dev"):
        page = await asker(app)("/")
        assert (page.status, "in a second" in page.body) == (503, True)


async def test_the_page_may_load_nothing_from_elsewhere(dev):
    """A strict policy, no framing, no sniffing, nothing kept."""
    headers = (await dev("/")).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")


async def test_a_page_where_nothing_happens_asks_for_nothing(dev):
    """An idle look costs one short read and carries no body."""
    await dev("/")
    answer = await dev("/ui/feed?after=0")
    assert (answer.status, answer.body) == (204, "")


@pytest.mark.parametrize(
    ("form", "status", "word"),
    [
        ("workflow=otp&to=ada&data=%7B%22code%22%3A1%2C%22minutes%22%3A2%7D", 200, "Accepted for 1 person"),
        ("workflow=otp&data=%7B%7D", 400, "at least one person"),
        ("workflow=otp&to=ada&data=%5B", 400, "not valid JSON"),
        ("workflow=nope&to=ada&data=%7B%7D", 404, "no workflow"),
    ],
)
async def test_sending_says_what_became_of_it(dev, form, status, word):
    """Accepted and on disk, or refused with the reason."""
    await dev("/")
    answer = await dev("/ui/send", "POST", form.encode())
    assert answer.status == status
    assert word in answer.body


async def test_everything_that_the_data_lacks_is_told_at_once(dev):
    """Not one thing after the other."""
    await dev("/")
    answer = await dev("/ui/send", "POST", b"workflow=order-shipped&to=ada&data=%7B%7D")
    assert answer.status == 422
    for word in ("order", "carrier"):
        assert f"&quot;{word}&quot; is a required property" in answer.body


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/ui/nothing"),
        ("GET", "/ui/send"),
        ("POST", "/ui/tokens/nobody"),
        ("GET", "/ui/messages/not-an-id"),
        ("GET", "/ui/messages/0199e0a8-5c1e-8d5f-8a11-3f0b8f1c9d2e"),
        ("GET", "/ui/emails/0199e0a8-5c1e-8d5f-8a11-3f0b8f1c9d2e"),
        ("GET", "/ui/workflows/nope"),
        ("GET", "/ui/workflows/nope/fields"),
        ("GET", "/ui/runs/nope"),
    ],
)
async def test_what_does_not_exist_is_not_found(dev, method, path):
    """Also with a good cookie."""
    await dev("/")
    assert (await dev(path, method)).status == 404


async def test_more_than_a_form_is_refused(dev):
    """The page never needs that much."""
    await dev("/")
    assert (await dev("/ui/send", "POST", b"x" * (LONGEST_BODY + 1))).status == 413


async def test_an_address_without_a_page_is_a_page_for_a_browser(dev):
    """With ways out; a script is told in a sentence."""
    await dev("/")
    page = await dev("/ui/partials", accept="text/html,*/*")
    assert (page.status, "<h1>Page not found</h1>" in page.body, 'href="/"' in page.body) == (404, True, True)
    assert "<" not in (await dev("/ui/partials")).body
