"""The page of the how-to, served from another port, in a real browser: it connects, shows, marks, and learns why not."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from bench.server import Server

pytestmark = pytest.mark.browser

HOW_TO = Path(__file__).parents[2] / "docs/how-to/embed-the-inbox.md"


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing about it."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Callable[[Server, str], str]]:
    """Another web server on this machine: writes the page of the how-to for a Clarion and a token; its address."""
    folder = tmp_path / "shop"
    folder.mkdir()
    web = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=web.serve_forever, daemon=True).start()

    def page(server: Server, token: str) -> str:
        (html,) = re.findall(r"```html\n(.*?)```", HOW_TO.read_text(), re.DOTALL)
        filled = html.replace("http://127.0.0.1:8080", f"http://127.0.0.1:{server.port}")
        (folder / "index.html").write_text(filled.replace('"TOKEN"', f'"{token}"'))
        (folder / "around.html").write_text('<iframe sandbox="allow-scripts" src="index.html"></iframe>')
        return f"http://127.0.0.1:{web.server_port}/index.html"

    yield page
    web.shutdown()
    web.server_close()


async def token_of(server: Server, user: str) -> str:
    """As the shop's own server gets one."""
    answer = await server.api.call("POST", f"/v1/users/{user}/tokens", b"{}")
    token: str = answer.json()["token"]
    return token


async def test_the_page_of_the_how_to_works_from_another_port(server: Server, browser: Browser, shop):
    """It shows what is there and what comes, and marks over HTTP; the socket tells it so."""
    await server.start()
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(shop(server, await token_of(server, "ada")))
    await expect(page.locator("#unread")).not_to_have_text("…")
    before = await page.locator("li").count()
    body = b'{"recipients": ["ada"], "data": {"plan": "Reader", "voucher": "HELLO-15"}}'
    await server.api.call("POST", "/v1/workflows/welcome/trigger", body)
    await expect(page.locator("li")).to_have_count(before + 1)
    await page.get_by_role("button", name="Mark all as read").click()
    await expect(page.locator("#unread")).to_have_text("0")
    await context.close()


async def test_an_origin_that_is_not_allowed_is_told_why_and_does_not_come_back(
    server: Server, browser: Browser, shop
):
    """By its close code, which ends the page's attempts. A page in a sandbox has no origin that could be allowed."""
    await server.start()
    context = await browser.new_context()
    page = await context.new_page()
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    address = shop(server, await token_of(server, "ada"))
    await page.goto(address.replace("index.html", "around.html"))
    inside = page.frame_locator("iframe").locator("body")
    await expect(inside).to_contain_text("Closed: origin_refused (4505)")
    asked = f"fetch('http://127.0.0.1:{server.port}/v1/users/ada/inbox').then(() => 'read', () => 'blocked')"
    assert await page.evaluate(asked) == "read"
    assert await page.frames[1].evaluate(asked) == "blocked"
    assert len(sockets) == 1
    await context.close()


NOTED = """window.pauses = [];
const later = window.setTimeout;
window.setTimeout = (work, ms) => { window.pauses.push(ms); return later(work, ms); };"""


async def test_the_page_comes_back_when_the_server_said(server: Server, browser: Browser, shop):
    """A restart tells it a moment of its own: it waits for that and not for its back-off, and shows what came meanwhile."""
    await server.start()
    context = await browser.new_context()
    page = await context.new_page()
    await page.add_init_script(NOTED)
    told: list[dict[str, object]] = []
    page.on(
        "websocket", lambda socket: socket.on("framereceived", lambda text: told.append(json.loads(text)))
    )
    await page.goto(shop(server, await token_of(server, "ada")))
    await expect(page.locator("#unread")).not_to_have_text("…")
    before = await page.locator("li").count()
    assert await server.stop() == 0
    await server.start()
    body = b'{"recipients": ["ada"], "data": {"plan": "Reader", "voucher": "HELLO-15"}}'
    await server.api.call("POST", "/v1/workflows/welcome/trigger", body)
    await expect(page.locator("li")).to_have_count(before + 1, timeout=40_000)
    (close,) = (frame for frame in told if frame["type"] == "close")
    assert (close["reason"], close["reconnect"]) == ("shutting_down", True)
    assert (await page.evaluate("window.pauses"))[0] == close["after_ms"]
    await context.close()
