"""A real notification in a real browser: subscribed on the page, pushed through a service, shown by the worker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
from playwright.async_api import BrowserContext, Page, Worker, async_playwright, expect

from bench.server import Server
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.testing.ports import provider_tools
from tests.acceptance.conftest import FLAGS
from tests.acceptance.test_browser import send, url
from tests.browsers import PushService, push_service
from tests.needs import require_browser

pytestmark = pytest.mark.browser

# A browser without its vendor's push service cannot subscribe: here it is handed a subscription of another one.
SUBSCRIBE = """(subscription) => {
  let current = null;
  const made = {
    ...subscription,
    options: { get applicationServerKey() { return window.subscribedWith; } },
    toJSON: () => ({ endpoint: subscription.endpoint, keys: subscription.keys }),
    unsubscribe: async () => { current = null; return true; },
  };
  PushManager.prototype.subscribe = async function (options) {
    window.subscribedWith = options.applicationServerKey;
    if (!options.userVisibleOnly) throw new Error("userVisibleOnly is required");
    return (current = made);
  };
  PushManager.prototype.getSubscription = async () => current;
}"""
# Chromium forgets a notification that is asked for while it is still being put on the screen, so nobody asks before.
WATCH = """() => {
  self.put = new Promise((resolve, reject) => {
    self.registration.showNotification = (...what) =>
      ServiceWorkerRegistration.prototype.showNotification.apply(self.registration, what).then(resolve, reject);
  });
}"""
SHOWN = """async () => {
  await Promise.race([self.put, new Promise((resolve) => setTimeout(resolve, 5000))]);
  const shown = await self.registration.getNotifications();
  return shown.map(({title, body, tag, data}) => ({title, body, tag, data}));
}"""
CLICK = """async () => {
  const opened = [];
  Object.defineProperty(self.clients, "openWindow", { configurable: true, value: async (url) => { opened.push(url); return null; } });
  Object.defineProperty(self.clients, "matchAll", { configurable: true, value: async () => [] });
  for (const notification of await self.registration.getNotifications()) {
    const event = new NotificationEvent("notificationclick", { notification });
    self.dispatchEvent(event);
  }
  await new Promise((resolve) => setTimeout(resolve, 100));
  return { opened, left: (await self.registration.getNotifications()).length };
}"""


@pytest.fixture
async def context() -> AsyncIterator[BrowserContext]:
    """A browser."""
    path = require_browser("it shows the notification")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        context = await browser.new_context(locale="en-GB", viewport={"width": 1440, "height": 1000})
        yield context
        await browser.close()


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    """A push service."""
    random = SystemRandom()
    tools = provider_tools(SystemClock(), random, LocalVault(bytes(32), random))
    async with push_service(tools) as service:
        yield service


async def opened(context: BrowserContext, server: Server) -> Page:
    page = await context.new_page()
    await page.goto(url(server))
    await expect(page.locator("#live")).to_have_text("Live")
    return page


async def push_key(page: Page) -> str:
    key = await page.locator("#browser").get_attribute("data-key")
    assert key
    return key


async def platforms(server: Server, user: str) -> list[str]:
    """Of the devices on which somebody is logged in."""
    answer = await server.api.get(f"/v1/users/{user}/devices")
    return [device["platform"] for device in answer["items"]]


async def pusher(context: BrowserContext, page: Page, origin: str) -> Callable[[object], Awaitable[None]]:
    """What the push service does at the end: hand the decrypted message to the browser."""
    session = await context.new_cdp_session(page)
    registrations: list[dict[str, Any]] = []
    session.on("ServiceWorker.workerRegistrationUpdated", lambda e: registrations.extend(e["registrations"]))
    await session.send("ServiceWorker.enable")
    for _ in range(100):
        if registrations:
            break
        await asyncio.sleep(0.05)

    async def push(said: object) -> None:
        await session.send(
            "ServiceWorker.deliverPushMessage",
            {
                "origin": origin,
                "registrationId": registrations[-1]["registrationId"],
                "data": said if isinstance(said, str) else json.dumps(said),
            },
        )

    return push


async def shown(worker: Worker, push: Awaitable[None]) -> list[dict[str, Any]]:
    """What the browser shows after the push."""
    await worker.evaluate(WATCH)
    await push
    found: list[dict[str, Any]] = await worker.evaluate(SHOWN)
    return found


async def test_a_visitor_is_notified_in_their_own_browser(server, context, service):
    """Subscribe on the page, send, and the browser shows it; a click opens the message's page; stop, and it stops."""
    await server.start()
    await context.grant_permissions(["notifications"], origin=url(server))
    page = await opened(context, server)
    subscription = await service.subscribe(await push_key(page))
    await page.evaluate(SUBSCRIBE, subscription)
    place = page.locator("#browser")
    await place.get_by_role("combobox").select_option("ada")
    await place.get_by_role("button", name="Notify this browser").click()
    await expect(place.get_by_role("status")).to_have_text("This browser receives Ada's pushes.")
    assert await platforms(server, "ada") == ["web"]

    await send(page, "Welcome", "ada")
    said = None
    for _ in range(100):
        if messages := await service.messages(subscription):
            said = messages[0]
            break
        await asyncio.sleep(0.05)
    assert said is not None
    push = await pusher(context, page, f"{url(server)}/")
    (worker,) = context.service_workers
    (notification,) = await shown(worker, push(said))
    sent = said["notification"]
    assert [notification[name] for name in ("title", "body", "tag")] == [
        sent[name] for name in ("title", "body", "tag")
    ]

    clicked = await worker.evaluate(CLICK)
    assert clicked == {"opened": [sent["navigate"]], "left": 0}

    await place.get_by_role("button", name="Stop").click()
    await expect(place.get_by_role("button", name="Notify this browser")).to_be_visible()
    assert await platforms(server, "ada") == []


async def test_a_push_that_cannot_be_read_still_shows_something(server, context, service):
    """Browsers take the permission away from pages whose pushes show nothing; and a click never runs a script."""
    await server.start()
    await context.grant_permissions(["notifications"], origin=url(server))
    page = await opened(context, server)
    await page.evaluate(SUBSCRIBE, await service.subscribe(await push_key(page)))
    await page.locator("#browser").get_by_role("button", name="Notify this browser").click()
    await expect(page.locator("#browser").get_by_role("status")).to_contain_text("This browser receives")
    push = await pusher(context, page, f"{url(server)}/")
    (worker,) = context.service_workers
    (notification,) = await shown(worker, push("not JSON"))
    assert notification["title"] == "Notification"
    assert (await worker.evaluate(CLICK))["opened"] == [f"{url(server)}/"]
    again = await shown(worker, push({"notification": {"title": "x", "navigate": "javascript:alert(1)"}}))
    assert [one["title"] for one in again] == ["x"]
    assert (await worker.evaluate(CLICK))["opened"] == [f"{url(server)}/"]


async def test_a_browser_that_cannot_or_must_not_be_notified_says_why(server, context):
    """A page cannot ask again for what was denied; and no button does nothing."""
    await server.start()
    lacks = {
        "Object.defineProperty(Notification, 'permission', { get: () => 'denied' })": "site settings",
        "delete window.PushManager": "does not support push",
    }
    for script, says in lacks.items():
        page = await context.new_page()
        await page.add_init_script(script)
        await page.goto(url(server))
        place = page.locator("#browser")
        await expect(place.get_by_role("status")).to_contain_text(says)
        await expect(place.get_by_role("button")).to_have_count(0)


async def test_the_worker_is_what_browsers_accept(server, context):
    """Its type, its scope and its caching; every header of the page applies to it, too."""
    await server.start()
    answer = await context.request.get(f"{url(server)}/ui/push-worker.js")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "no-cache"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert msgspec.json.encode(await answer.text())
