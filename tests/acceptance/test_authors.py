"""An author in a real browser: break a template, be told where, mend it, look at it in three languages, publish, send."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from playwright.async_api import Browser, Locator, Page, Request, expect

from bench.server import Server, free_port
from tests.acceptance.test_browser import CONTRAST, Scheme, send, url

pytestmark = pytest.mark.browser

Opener = Callable[..., Awaitable[Page]]


@pytest.fixture
async def open_page(server: Server, browser: Browser) -> AsyncIterator[Opener]:
    """Opens a page for authors; a fault in its scripts fails the test."""
    await server.start()
    faults: list[str] = []
    async with AsyncExitStack() as stack:

        async def opened(
            path: str, *, width: int = 1440, height: int = 1000, scheme: Scheme = "light"
        ) -> Page:
            context = await browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=scheme,
                reduced_motion="reduce",
                locale="en-GB",
            )
            stack.push_async_callback(context.close)
            page = await context.new_page()
            page.on("pageerror", lambda error: faults.append(str(error)))
            await page.goto(f"{url(server)}/ui/templates{path}")
            return page

        yield opened
    assert faults == []


def field(page: Page, name: str) -> Locator:
    """The textarea of a field."""
    return page.locator("#fields").get_by_label(name, exact=False).first


async def choose(page: Page, group: str, name: str) -> None:
    """Switch the editor to a channel or a language."""
    await page.locator(f"#{group} label", has_text=name).click()


async def rewrite(page: Page, name: str, old: str, new: str) -> None:
    """Change a part of a field, as somebody would type it."""
    area = field(page, name)
    await area.fill((await area.input_value()).replace(old, new))


class MailSink:
    """What a mail server that we did not write was handed."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        """Called by aiosmtpd, in its own thread."""
        mail = message_from_bytes(envelope.content, policy=SMTP)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 taken"

    async def first(self) -> EmailMessage:
        """The first one, as soon as it is there."""
        async with asyncio.timeout(60):
            while not self.mails:  # noqa: ASYNC110 (it is filled in another thread)
                await asyncio.sleep(0.05)
        return self.mails[0]


@contextmanager
def mail_server() -> Iterator[tuple[int, MailSink]]:
    """A local SMTP server: its port, and what it got."""
    mail_sink, port = MailSink(), free_port()
    controller = Controller(mail_sink, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield port, mail_sink
    finally:
        controller.stop()


async def test_a_template_is_broken_mended_looked_at_published_and_sent(open_page, server):
    """The refusal names the line and leads there; three languages; what is published is what arrives, here and by SMTP."""
    page = await open_page("")
    await page.get_by_role("link", name="order-shipped").click()
    await choose(page, "channels", "email")
    await expect(page.frame_locator("#see iframe").get_by_text("It left our shelves")).to_be_visible()

    before, found, _ = (await field(page, "html").input_value()).partition("{{ carrier }}")
    line = before.count("\n") + 1
    assert found
    await rewrite(page, "html", "{{ carrier }}", "{{ carrier|uper }}")
    await expect(page.locator("#findings")).to_contain_text(f"html, line {line}")
    await expect(page.locator("#see")).to_contain_text("did you mean upper?")
    await page.get_by_role("button", name="Publish").click()
    refusal = page.get_by_role("dialog")
    await expect(refusal).to_contain_text("Not published")
    await expect(refusal).to_contain_text(f"email · en · html, line {line}")
    await expect(page.locator("#live-state")).to_have_text("Live: version 1")
    await refusal.locator("[data-jump]").first.click()
    await expect(refusal).to_be_hidden()
    await expect(field(page, "html")).to_be_focused()
    selected = await page.evaluate(
        "getSelection().toString() || (e => e.value.slice(e.selectionStart, e.selectionEnd))(document.activeElement)"
    )
    assert "{{ carrier|uper }}" in selected

    await rewrite(page, "html", "{{ carrier|uper }}", "{{ carrier|upper }}")
    await expect(page.frame_locator("#see iframe").get_by_text("DHL has your parcel")).to_be_visible()
    for language, words in (
        ("German", "Das Paket ist auf dem Weg"),
        ("Japanese", "発送のお知らせ"),
        ("English", "It left our shelves"),
    ):
        await choose(page, "locales", language)
        await expect(page.frame_locator("#see iframe").get_by_text(words)).to_be_visible()
    await rewrite(page, "html", "It left our shelves", "Off it goes")
    await page.get_by_role("button", name="Publish").click()
    await expect(page.locator("#answer")).to_contain_text("Version 2 is live")
    await expect(page.locator("#draft-state")).to_have_text("No changes")

    await page.get_by_role("link", name="Send one").click()
    await expect(page.locator("#live")).to_have_text("Live")
    await send(page, "Order shipped", "ada")
    email = page.locator("#emails .mail", has_text="ada@example.com").first
    if await email.locator("details").get_attribute("open") is None:
        await email.locator("summary").click()
    await expect(email.frame_locator("iframe").get_by_text("Off it goes")).to_be_visible()

    with mail_server() as (port, mail_sink):
        await server.api.put(
            "/v1/integrations/capture-email", {"channel": "email", "provider": "capture", "enabled": False}
        )
        config = {
            "host": "127.0.0.1",
            "port": port,
            "security": "none",
            "from_address": "shop@books.example",
        }
        await server.api.put(
            "/v1/integrations/relay", {"channel": "email", "provider": "smtp", "config": config}
        )
        await page.reload()
        await send(page, "Order shipped", "ada")
        mail = await mail_sink.first()
    assert (mail["to"], mail["from"]) == ("Ada Lovelace <ada@example.com>", "shop@books.example")
    assert mail["subject"] == "Your order A-1042 is on its way"
    html = mail.get_body(("html",))
    assert html is not None
    assert "Off it goes" in html.get_content()
    assert "/u/" in mail["list-unsubscribe"]


async def test_a_draft_waits_and_a_version_comes_back(open_page):
    """Saved with the keyboard and found again; compared; rolled back in two clicks."""
    page = await open_page("/otp")
    await rewrite(page, "text", "We never ask for it.", "Keep it to yourself.")
    await expect(page.locator("#draft-state")).to_have_text("Unsaved changes")
    await page.keyboard.press("Control+s")
    await expect(page.locator("#draft-state")).to_contain_text("Draft of")
    await page.reload()
    await expect(field(page, "text")).to_have_value(re.compile("Keep it to yourself"))
    await page.get_by_role("button", name="Compare with live").click()
    await expect(page.get_by_role("dialog").locator(".diff .new")).to_contain_text("Keep it to yourself")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Publish").click()
    await expect(page.locator("#live-state")).to_have_text("Live: version 2")
    await page.get_by_role("button", name="Versions").click()
    await page.get_by_role("button", name="Roll back to this").click()
    await expect(page.locator("#live-state")).to_have_text("Live: version 3")
    await expect(field(page, "text")).to_have_value(re.compile("We never ask for it"))


async def test_a_new_template_is_written_from_nothing(open_page):
    """Key, channel, language, words; the checks say what is missing until nothing is."""
    page = await open_page("")
    await page.get_by_label("Key of a new template").fill("greeting")
    await page.get_by_role("button", name="Create template").click()
    await page.get_by_label("Add a channel").select_option("sms")
    await expect(page.locator("#findings")).to_contain_text("SMS")
    await field(page, "text").fill("Good to see you, {{ user.id }}")
    await expect(page.locator("#see .bubble")).to_have_text("Good to see you, ada")
    await expect(page.locator("#see")).to_contain_text("1 · GSM-7")
    await page.get_by_placeholder("Language").fill("fr")
    await page.get_by_placeholder("Language").press("Enter")
    await expect(page.locator("#locales input:checked")).to_have_value("fr")
    await choose(page, "channels", "email")
    await page.get_by_role("button", name=re.compile("Remove English")).click()
    await page.get_by_role("button", name="Publish").click()
    await expect(page.locator("#live-state")).to_have_text("Live: version 1")
    await page.goto(f"{page.url.rpartition('/')[0]}")
    await expect(page.get_by_role("link", name="greeting")).to_contain_text("Live v1")


async def test_a_test_reaches_oneself_before_anything_is_live(open_page):
    """What is in the editor, unsaved; the timeline of the message opens from there."""
    page = await open_page("/otp")
    await field(page, "text").fill("Only a test, {{ user.attributes.first_name }}")
    await expect(page.locator("#see .bubble")).to_have_text("Only a test, Ada")
    await page.get_by_role("button", name="Send a test").click()
    await page.get_by_role("button", name="View message").click()
    await expect(page.get_by_role("dialog")).to_contain_text("Only a test, Ada")
    await page.get_by_role("button", name="Close").click()
    await expect(page.locator("#live-state")).to_have_text("Live: version 1")


async def test_two_authors_are_told_of_one_another(open_page):
    """The second decides whose words stay."""
    here, there = await open_page("/otp"), await open_page("/otp")
    for page, words in ((here, "Mine"), (there, "Yours")):
        await field(page, "text").fill(words)
        await page.get_by_role("button", name="Save draft").click()
    await expect(there.locator("#answer")).to_contain_text("changed or removed meanwhile")
    await there.get_by_role("button", name="Keep mine").click()
    await expect(there.locator("#draft-state")).to_contain_text("Draft of")
    await here.reload()
    await expect(field(here, "text")).to_have_value("Yours")


async def test_who_publishes_over_a_version_they_have_not_seen_is_asked_first(open_page, server):
    """The draft was begun before somebody else published; nothing is replaced until its author says so."""
    page = await open_page("/otp")
    await rewrite(page, "text", "We never ask for it.", "Keep it to yourself.")
    await page.get_by_role("button", name="Save draft").click()
    await expect(page.locator("#draft-state")).to_contain_text("Draft of")
    live = await server.api.get("/v1/templates/otp")
    live["channels"]["sms"]["en"]["text"] = "{{ code }} it is, for {{ minutes }} minutes"
    await server.api.put("/v1/templates/otp", live)
    await page.get_by_role("button", name="Publish").click()
    await expect(page.locator("#answer")).to_contain_text("version 2 is live by now")
    await page.locator("#answer").get_by_role("button", name="Compare with live").click()
    await expect(page.get_by_role("dialog").locator(".diff .old")).to_contain_text("it is, for")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Publish mine").click()
    await expect(page.locator("#live-state")).to_have_text("Live: version 3")


REFUSED = (
    ("otp", "SMS", "text", "Your {{ cod }}", "did you mean code?"),
    ("otp", "SMS", "text", "x\n{{ code|uppper }}", "line 2 There is no filter uppper; did you mean upper?"),
    ("otp", "SMS", "text", "{{ code }} " + "word " * 80, "takes 3 segments, the tenant allows 2"),
    ("welcome", "push", "body", "wörd " * 1000, "push services take 3,993"),
    (
        "welcome",
        "email",
        "mjml",
        "<mjml><mj-body>\n<mj-colum/></mj-body></mjml>",
        "line 2 <mj-colum> is not allowed here in MJML; did you mean mj-column?",
    ),
)


async def test_what_cannot_be_published_is_told_in_a_sentence(open_page, server):
    """At once in the checks, and again when it is tried; what is live stays."""
    for key, channel, name, text, said in REFUSED:
        page = await open_page(f"/{key}")
        await server.api.call("PATCH", "/v1/tenant", {"sms_segments": 2})
        await choose(page, "channels", channel)
        if name == "mjml":
            await field(page, "html").fill("")
            await page.get_by_role("button", name="+ mjml").click()
        await field(page, name).fill(text)
        await expect(page.locator("#findings .error").first).to_contain_text(said)
        await page.get_by_role("button", name="Publish").click()
        await expect(page.get_by_role("dialog")).to_contain_text(said)
        await expect(page.locator("#live-state")).to_have_text("Live: version 1")
        await server.api.call("DELETE", f"/v1/templates/{key}/draft")


async def test_a_layout_is_changed_for_all_templates_at_once(open_page):
    """Broken, it says where and changes nothing; mended, it is seen in a template, published, and found in its history."""
    page = await open_page("")
    await page.get_by_role("link", name="Letter").click()
    await expect(page.frame_locator("#see iframe").get_by_text("Northwind Books").first).to_be_visible()
    source = page.locator("#source textarea")
    before = await source.input_value()
    await source.fill(f"\n{{{{ tenant.nam|uper }}}}{before}")
    await expect(page.locator("#findings")).to_contain_text(
        "line 2 There is no filter uper; did you mean upper?"
    )
    await page.get_by_role("button", name="Publish").click()
    refusal = page.get_by_role("dialog")
    await expect(refusal).to_contain_text("Not published")
    await refusal.locator("[data-jump]").first.click()
    await expect(source).to_be_focused()
    await source.fill(
        before.replace("<body", "<body data-new", 1).replace("</body>", "<p>With love</p></body>", 1)
    )
    await expect(page.frame_locator("#see iframe").get_by_text("With love")).to_be_visible()
    await page.locator("#see-where").select_option(label="welcome · email")
    await expect(page.frame_locator("#see iframe").get_by_text("With love")).to_be_visible()
    await page.keyboard.press("Control+s")
    await expect(page.locator("#answer")).to_contain_text("Version 2 is live, and with it")
    await expect(page.locator("#answer")).to_contain_text("welcome in version 2")
    await page.get_by_role("button", name="Versions").click()
    await page.get_by_role("button", name="Open in editor").click()
    await expect(source).to_have_value(before)
    await expect(page.locator("#draft-state")).to_have_text("Unsaved changes")
    await page.get_by_role("button", name="Publish").click()
    await expect(page.locator("#live-state")).to_have_text("Live: version 3")
    await page.get_by_role("button", name="Delete partial").click()
    await expect(page.locator("#answer")).to_contain_text("is used by the templates")


async def test_the_preview_can_do_nothing_and_asks_nobody(open_page, server):
    """Scripts, pictures and frames from elsewhere in a draft stay dead."""
    page = await open_page("/welcome")
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))  # noqa: PLW0108 (it must be a function of its own)
    await choose(page, "channels", "email")
    await field(page, "html").fill(
        """<p>hello</p><script>parent.document.title = 'owned'; fetch('/canary')</script>
        <img src="/canary"><img src="http://canary.example/x.png" onerror="fetch('/canary')"><iframe src="/canary"></iframe>"""
    )
    await expect(page.frame_locator("#see iframe").get_by_text("hello")).to_be_visible()
    await page.wait_for_timeout(300)
    assert await page.title() == "welcome · Clarion"
    left = [request.url for request in asked if request.failure is None]
    assert [address for address in left if not address.startswith(f"{url(server)}/ui/")] == []


async def test_everything_has_a_name_and_can_be_reached_with_the_keyboard(open_page):
    """Tab walks through it in reading order, arrows change channel and language, and the focus can be seen."""
    page = await open_page("/welcome")
    await expect(page.locator("#see .bubble-card")).to_be_visible()
    unnamed = await page.evaluate(
        """() => [...document.querySelectorAll("main button, main input, main select, main textarea, main a")]
          .filter((e) => e.checkVisibility() && !(e.labels?.[0]?.textContent.trim() || e.textContent.trim() || e.ariaLabel))
          .map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert unnamed == []
    await page.locator("#channels input:checked").focus()
    await page.keyboard.press("ArrowRight")
    await expect(page.locator("#channels input:checked")).to_have_value("email")
    await expect(page.locator("#channels input:checked")).to_be_focused()
    reached: list[str] = []
    for _ in range(12):
        await page.keyboard.press("Tab")
        reached.append(
            await page.evaluate(
                "(e => e.labels?.[0]?.textContent.trim() || e.textContent.trim() || e.id)(document.activeElement)"
            )
        )
    order = [
        next(i for i, text in enumerate(reached) if name in text)
        for name in ("English", "subject", "html", "text")
    ]
    assert order == sorted(order), reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_can_be_read_on_a_phone_and_on_a_desk_by_day_and_by_night(open_page, scheme):
    """No sideways scrolling, and contrast of at least AA for every text, broken or not."""
    for width, height in ((375, 812), (1440, 900)):
        page = await open_page("", width=width, height=height, scheme=scheme)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert await page.evaluate(CONTRAST) == []
        await page.get_by_role("link", name="welcome").click()
        await choose(page, "channels", "email")
        await expect(page.locator("#see iframe")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert await page.evaluate(CONTRAST) == []
        await rewrite(page, "subject", "Welcome", "{{ welcome|nothing }}")
        await expect(page.locator("#see .wrong")).to_be_visible()
        assert await page.evaluate(CONTRAST) == []
        shared = await open_page("", width=width, height=height, scheme=scheme)
        await shared.get_by_role("link", name="Letter").click()
        await expect(shared.locator("#see iframe")).to_be_visible()
        assert await shared.evaluate("document.documentElement.scrollWidth") <= width
        assert await shared.evaluate(CONTRAST) == []


async def test_a_workflow_is_written_completed_tried_compared_and_published(open_page):
    """With the keyboard alone: what is wrong is marked, what may stand there is taken, and forms are let through."""
    page = await open_page("/../workflows/welcome/edit")
    text = page.get_by_label("YAML")
    await text.focus()
    await page.keyboard.press("Control+Home")
    await page.keyboard.type("descripton: x\n")
    await expect(page.locator("#findings")).to_contain_text("line 1, column 1")
    await text.fill(
        "cat\n"
        + "\n".join(
            line
            for line in (await text.input_value()).split("\n")
            if not line.startswith(("category", "descripton"))
        )
    )
    await page.keyboard.press("Control+Home")
    await page.keyboard.press("End")
    await page.keyboard.press("Control+Space")
    await expect(page.get_by_role("option", name="category:")).to_be_visible()
    await page.keyboard.press("Enter")
    await page.keyboard.type("acc")
    await page.get_by_role("option", name="account").click()
    await expect(page.locator("#findings")).to_contain_text("No issues")
    await page.get_by_role("button", name="Test run").click()
    await page.get_by_role("button", name="Run", exact=True).click()
    await expect(page.get_by_role("heading", name="What would happen for")).to_be_visible()
    await page.get_by_role("button", name="Back to the text").click()
    await page.get_by_label("YAML").fill((await page.get_by_label("YAML").input_value()) + "lane: high\n")
    await page.get_by_role("button", name="Compare and publish").click()
    await expect(page.locator(".diff .new")).to_contain_text("lane: high")
    await page.get_by_role("button", name="Publish").click()
    await expect(page.get_by_text("Live v2")).to_be_visible()
