"""The first minute in a real browser: send something, watch it arrive, ask why."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Literal

import pytest
from playwright.async_api import Browser, Page, Request, expect

from bench.server import Server
from tests.needs import require

pytestmark = pytest.mark.browser

Scheme = Literal["light", "dark"]
Opener = Callable[..., Awaitable[Page]]

CONTRAST = """() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = rgb(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(rgb(style.color)), light(behind(element))].sort((x, y) => y - x);
    const large = parseFloat(style.fontSize) >= 24;
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) low.push(`${ratio.toFixed(2)} ${element.className || element.tagName}: ${element.textContent.trim().slice(0, 30)}`);
  }
  return [...new Set(low)];
}"""
"""Texts whose contrast is below AA."""


@pytest.fixture
async def open_page(server: Server, browser: Browser) -> AsyncIterator[Opener]:
    """Opens the page of a running demo; a fault in its scripts fails the test."""
    await server.start()
    faults: list[str] = []
    async with AsyncExitStack() as stack:

        async def opened(*, width: int = 1440, height: int = 1000, scheme: Scheme = "light") -> Page:
            context = await browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=scheme,
                reduced_motion="reduce",
                locale="en-GB",
                timezone_id="Europe/London",
            )
            stack.push_async_callback(context.close)
            page = await context.new_page()
            page.on("pageerror", lambda error: faults.append(str(error)))
            await page.goto(url(server))
            await expect(page.locator("#live")).to_have_text("Live")
            return page

        yield opened
    assert faults == []


def url(server: Server) -> str:
    """Where the page is."""
    return f"http://127.0.0.1:{server.port}"


async def send(page: Page, workflow: str, *people: str) -> None:
    """Fill in the form as a person would."""
    await page.get_by_text(workflow, exact=True).first.click()
    await expect(page.locator(f".tile:has-text('{workflow}') input")).to_be_checked()
    for box in await page.locator("[name=to]").all():
        wanted = not people or await box.get_attribute("value") in people
        await box.set_checked(wanted)
    await page.get_by_role("button", name="Send", exact=True).click()
    await expect(page.locator("#answer")).to_contain_text("Accepted")


async def test_what_is_sent_arrives_on_every_channel_in_every_language(open_page):
    """One click: three inboxes, the captured email as it looks and as it is written, the text with its segments."""
    page = await open_page()
    await send(page, "Welcome")
    inbox = page.locator("#inbox")
    for title in ("Welcome, Ada", "Willkommen, Jürgen", "美咲さん、ようこそ"):
        await expect(inbox.get_by_text(title)).to_be_visible()
    email = page.locator("#emails .mail", has_text="ada@example.com").first
    if await email.locator("details").get_attribute("open") is None:
        await email.locator("summary").click()
    await expect(email.frame_locator("iframe").get_by_text("Good to have you here")).to_be_visible()
    await email.get_by_role("tab", name="Source").click()
    await expect(email.locator("pre", has_text="<!doctype html>")).to_be_visible()
    text = page.locator("#texts .text", has_text="+447700900123")
    await expect(text.locator(".meter")).to_have_text(re.compile(r"1 segment · GSM-7 · \d+ characters"))
    await expect(page.locator("#pushes").get_by_text("Welcome aboard")).to_be_visible()
    await expect(page.locator("#activity .row")).to_have_count(15)


async def test_a_push_is_shown_on_a_lock_screen_and_a_call_as_what_is_said(open_page, server):
    """The clock is that of the newest notification, where its person is; filtered, that of the newest one shown."""
    page = await open_page()
    # Whatever the time is in Tokyo.
    await server.api.put("/v1/users/misaki/preferences", {"quiet_hours": []})
    await expect(page.locator("#calls")).to_be_hidden()
    await send(page, "Ready to collect", "misaki")
    await expect(page.locator("#pushes .push")).to_have_count(1)
    await send(page, "Ready to collect", "ada")
    pushes = page.locator("#pushes .push")
    await expect(pushes).to_have_count(2)
    clocks = page.locator("#pushes .lock-clock:visible")
    await expect(clocks).to_have_count(1)
    here = await clocks.inner_text()
    await page.locator(".pill", has_text="美咲").click()
    await expect(clocks).to_contain_text("曜日")
    assert here != await clocks.inner_text()
    await page.locator(".pill", has_text="Everyone").click()
    call = page.locator("#calls .call", has_text="+447700900123")
    await expect(call.locator(".transcript")).to_contain_text("Hello Ada, this is Northwind Books.")
    bubble = page.locator("#whatsapps .whatsapp", has_text="+447700900123")
    await expect(bubble).to_contain_text("Template order_ready")
    await call.get_by_role("button").click()
    await expect(page.get_by_role("dialog")).to_contain_text("voice")


async def test_a_call_can_be_listened_to(open_page):
    """The machine speaks what the call would say, in the language of the person."""
    require("espeak-ng", "a captured call is spoken by it")
    page = await open_page()
    await send(page, "Ready to collect", "ada", "juergen")
    for name in ("Ada Lovelace", "Jürgen Vogt"):
        sound = page.get_by_label(f"Call to {name}")
        await expect(sound).to_be_visible()
        lasts_s = await sound.evaluate(
            "e => new Promise((done) => { e.onloadedmetadata = () => done(e.duration); e.load(); })"
        )
        assert 2 < lasts_s < 60


async def test_each_message_opens_its_timeline_and_its_reasons(open_page):
    """Also one that was never sent; Escape closes it and the focus is where it was."""
    page = await open_page()
    await send(page, "Welcome", "juergen")
    row = page.locator("#activity .row", has_text="chat").locator("button")
    await expect(row).to_contain_text("Not sent")
    await row.focus()
    await page.keyboard.press("Enter")
    sheet = page.get_by_role("dialog")
    await expect(sheet).to_contain_text("the user has no chat contact")
    await expect(sheet.locator(".line li")).not_to_have_count(0)
    await sheet.get_by_text("All rules and their inputs").click()
    await expect(sheet.get_by_role("cell", name="no_contact")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(sheet).to_be_hidden()
    await expect(row).to_be_focused()


async def test_a_rehearsal_tells_what_would_happen_and_sends_nothing(open_page):
    """Whoever is curious disturbs nobody."""
    page = await open_page()
    await page.get_by_role("button", name="Dry run").click()
    sheet = page.get_by_role("dialog")
    await expect(sheet.locator(".plan")).to_have_count(3)
    await expect(sheet).to_contain_text("sent at once")
    await sheet.get_by_role("button", name="Close").click()
    await expect(page.locator("#activity .row")).to_have_count(0)
    await expect(page.locator(".activity .empty")).to_be_visible()


async def test_wrong_data_is_shown_where_it_is_wrong_and_not_sent(open_page):
    """Fields, JSON and the terminal command are one document."""
    page = await open_page()
    await page.locator("[data-field=plan]").fill("It's gold")
    await expect(page.locator("#curl")).to_contain_text("""It'\\''s gold""")
    await page.get_by_role("tab", name="JSON").click()
    await page.locator("#source").fill('{\n  "plan": nope\n}')
    await expect(page.locator("#data-error")).to_contain_text("Line 2, column")
    await page.get_by_role("button", name="Send", exact=True).click()
    await expect(page.locator("#source")).to_be_focused()
    assert await page.locator("#source").get_attribute("aria-invalid") == "true"
    assert await page.locator("#answer").inner_text() == ""


async def test_what_one_device_marks_every_device_shows(open_page):
    """Read here is read there; archived here is gone there."""
    here, there = await open_page(), await open_page()
    await send(here, "Order shipped", "ada")
    for page in (here, there):
        await expect(page.locator("#unread")).to_have_text("1 unread")
    await here.locator("#inbox").get_by_role("button", name="Read").click()
    await expect(there.locator("#unread")).to_be_hidden()
    await expect(there.locator("#inbox .note.done")).to_have_count(1)
    await there.locator("#inbox").get_by_role("button", name="Archive").click()
    await expect(here.locator("#inbox .note")).to_have_count(0)


async def test_a_page_that_lost_its_server_says_so_and_catches_up(open_page, server):
    """Nobody has to load it again after a restart."""
    page = await open_page()
    await server.stop()
    await expect(page.get_by_role("alert")).to_contain_text("does not answer", timeout=10_000)
    await server.start()
    await server.api.post(
        "/v1/workflows/otp/trigger", {"recipients": ["ada"], "data": {"code": "1", "minutes": 5}}
    )
    await expect(page.locator("#live")).to_have_text("Live", timeout=15_000)
    await expect(page.get_by_role("alert")).to_be_hidden()
    await expect(page.locator("#texts .text")).to_have_count(1)


async def test_everything_can_be_done_with_the_keyboard(open_page):
    """Tab reaches every control in reading order and the focus can be seen; Ctrl+Enter sends."""
    page = await open_page()
    reached: list[str] = []
    for _ in range(25):
        await page.keyboard.press("Tab")
        reached.append(
            await page.evaluate(
                "() => { const e = document.activeElement; return e.name || e.id || e.getAttribute('role') || e.textContent.trim() }"
            )
        )
        assert await page.evaluate(
            """() => {
              const e = document.activeElement, shown = e.matches('.tile input, .pill input') ? e.nextElementSibling : e;
              return getComputedStyle(shown).outlineStyle !== 'none';
            }"""
        ), reached
    order = ["Skip to the messages", "workflow", "to", "tab-fields", "Send"]
    assert [reached.index(name) for name in order] == sorted(reached.index(name) for name in order)
    await page.locator("[data-field]").first.focus()
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#answer")).to_contain_text("Accepted")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_can_be_read_on_a_phone_and_on_a_desk_by_day_and_by_night(open_page, scheme):
    """No sideways scrolling, and contrast of at least AA for every text, in the dialog too."""
    for width, height in ((375, 812), (1440, 900)):
        page = await open_page(width=width, height=height, scheme=scheme)
        await send(page, "Flash sale")
        await send(page, "Welcome")
        await send(page, "Ready to collect")
        await expect(page.locator("#calls .call")).not_to_have_count(0)
        await expect(page.locator("#whatsapps .whatsapp")).not_to_have_count(0)
        await expect(page.locator("#chats .chat")).not_to_have_count(0)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert await page.evaluate(CONTRAST) == []
        await page.locator("#activity .row button").first.click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        assert await page.evaluate(CONTRAST) == []


async def test_an_email_can_do_nothing_and_the_page_asks_nobody_else(open_page, server):
    """A captured email brings a script and a picture from elsewhere: neither runs, neither is fetched."""
    page = await open_page()
    asked: list[Request] = []

    def note(request: Request) -> None:
        asked.append(request)

    page.on("request", note)
    html = """<p>hello</p><script>parent.document.title = 'owned'; fetch('/canary')</script>
      <img src="/canary"><img src="http://canary.example/x.png" onerror="fetch('/canary')">
      <iframe src="/canary"></iframe>"""
    await server.api.post(
        "/v1/workflows/order-shipped/trigger",
        {
            "recipients": ["ada"],
            "data": {"order": "1", "carrier": "DHL"},
            "overrides": {"email": {"html": html}},
        },
    )
    await expect(page.frame_locator("#emails iframe").first.get_by_text("hello")).to_be_visible()
    await asyncio.sleep(0.3)
    assert await page.title() == "Clarion · development"
    left = [request.url for request in asked if request.failure is None]
    assert [address for address in left if not address.startswith(f"{url(server)}/ui/")] == []


async def test_other_sites_and_other_programs_are_kept_out(open_page, server):
    """A name that was rebound to this machine, a foreign origin, and a program without the page's cookie."""
    page = await open_page()
    for headers, path in (
        ({"host": "evil.example"}, "/"),
        ({"host": "evil.example"}, "/ui/feed"),
        ({}, "/ui/feed"),
        ({"origin": "http://evil.example"}, "/ui/feed"),
    ):
        status = await _status(server, path, headers)
        assert status == 403, (headers, path)
    policy = (await page.request.get(url(server))).headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


async def _status(server: Server, path: str, headers: dict[str, Any]) -> int:
    given = {"host": f"127.0.0.1:{server.port}", "connection": "close", **headers}
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    writer.write(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
    status = int((await reader.readline()).split()[1])
    writer.close()
    return status


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1366, 768), (375, 800)])
async def test_the_answer_is_in_view_whoever_and_however_many_are_chosen(open_page, server, width, height):
    """Buttons, answer and errors stay visible beside many people; a new error replaces the old answer."""
    for number in range(6):
        await server.api.call(
            "PUT", f"/v1/users/person-{number}", {"locale": "en", "timezone": "Europe/London"}
        )
    page = await open_page(width=width, height=height)
    await send(page, "Welcome")
    answer, error = page.locator("#answer"), page.locator("#answer .error")
    await expect(answer.get_by_text("Accepted for")).to_be_in_viewport(ratio=1)
    for box in await page.locator("[name=to]").all():
        await box.set_checked(False)
    await page.get_by_role("button", name="Send", exact=True).click()
    await expect(error).to_be_in_viewport(ratio=1)
    await expect(answer).not_to_contain_text("Accepted")
    await expect(page.get_by_role("button", name="Send", exact=True)).to_be_in_viewport(ratio=1)
    box = page.locator("[name=to]").last
    await box.scroll_into_view_if_needed()
    await box.click()
    await expect(box).to_be_checked()


async def test_the_api_page_is_searched_by_words(open_page, server):
    """Only what contains every word is shown, in the list and in the text; Escape shows all again."""
    page = await open_page()
    await page.goto(f"{url(server)}/docs")
    everything = await page.locator("article").count()
    await page.keyboard.press("/")
    await page.keyboard.type("trigger recipients")
    found = page.locator("article:visible")
    await expect(found.get_by_text("/v1/workflows/{key}/trigger").first).to_be_visible()
    assert await found.count() < everything / 4
    await expect(page.get_by_role("heading", name="Health", exact=True)).to_be_hidden()
    await page.keyboard.type(" zzz")
    await expect(page.get_by_text("Nothing matches.")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(found).to_have_count(everything)
