"""The tenant that is measured: everything that costs time is on, and nothing stops a message.

Users have contacts on every channel, a locale, a time zone, preferences and quiet hours (never the current hour).
Categories and the workflows' users have frequency caps, high enough not to be reached, so every message is counted.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bench.load import Pool
from bench.wire import Answer, Api, request

LOCALES = ("en", "de", "fr")
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "UTC", "America/Sao_Paulo", "Asia/Kolkata")
UPDATES, ALERTS = "bench-updates", "bench-alerts"

IN_APP, EMAIL, SMS, PUSH, ALERT, BULK_PUSH, BULK_EMAIL, BULK_SMS = (
    "bench-in-app",
    "bench-email",
    "bench-sms",
    "bench-push",
    "bench-alert",
    "bench-bulk-push",
    "bench-bulk-email",
    "bench-bulk-sms",
)
MARK = "~"
"""Stands on both sides of the request's number in every title, so that a frame's sender finds it unparsed."""

WORDS = {
    "en": ("Order {n} is on its way", "Hello {name}, your order leaves {place} today."),
    "de": ("Bestellung {n} ist unterwegs", "Hallo {name}, deine Bestellung verlässt heute {place}."),
    "fr": ("Votre commande {n} est en route", "Bonjour {name}, votre commande quitte {place} aujourd'hui."),
}


def user_id(i: int) -> str:
    """The id of the i-th user."""
    return f"bench-{i}"


def device_token(i: int) -> str:
    """Of the phone of the i-th user."""
    return f"{i:064x}"


def _template() -> dict[str, Any]:
    def say(text: str) -> str:
        values = {"n": "{{ data.n }}", "name": "{{ user.id }}", "place": "{{ data.place }}"}
        return text.format(**values)

    number = f"{MARK}{{{{ data.n }}}}{MARK}"
    texts = {locale: (say(title), say(body)) for locale, (title, body) in WORDS.items()}
    html = (
        "<html><body><h1>{0}</h1><p>{1}</p>"
        + "<p>Thank you for your trust in us.</p>" * 40
        + "</body></html>"
    )
    return {
        "default_locale": "en",
        "channels": {
            "in_app": {k: {"title": f"{number} {t}", "body": b} for k, (t, b) in texts.items()},
            "push": {k: {"title": f"{number} {t}", "body": b} for k, (t, b) in texts.items()},
            "sms": {k: {"text": f"{t}. {b}"} for k, (t, b) in texts.items()},
            "email": {
                k: {"subject": f"{number} {t}", "text": b, "html": html.format(t, b)}
                for k, (t, b) in texts.items()
            },
        },
    }


def event_type(workflow: str) -> str:
    """The CloudEvents type that starts the workflow."""
    return workflow.replace("-", ".")


WORKFLOWS = {
    IN_APP: (UPDATES, "normal", "in_app"),
    EMAIL: (UPDATES, "normal", "email"),
    SMS: (UPDATES, "normal", "sms"),
    PUSH: (UPDATES, "normal", "push"),
    ALERT: (ALERTS, "critical", "in_app"),
    BULK_PUSH: (UPDATES, "bulk", "push"),
    BULK_EMAIL: (UPDATES, "bulk", "email"),
    BULK_SMS: (UPDATES, "bulk", "sms"),
}
"""Key -> category, lane, channel."""


def _workflow(key: str, category: str, lane: str, channel: str) -> dict[str, Any]:
    return {
        "category": category,
        "lane": lane,
        "on": {"type": event_type(key)},
        "steps": [{"key": "send", "template": "bench-note", "to": {"mode": "all", "channels": [channel]}}],
    }


def _user(i: int) -> dict[str, Any]:
    return {
        "user_id": user_id(i),
        "locale": LOCALES[i % len(LOCALES)],
        "timezone": ZONES[i % len(ZONES)],
        "contacts": [
            {"channel": "email", "address": f"bench-{i}@example.com"},
            {"channel": "sms", "address": f"+1202555{i % 10_000:04}"},
            {"channel": "push", "address": f"apns:{device_token(i)}"},
        ],
        "attributes": {"plan": "free" if i % 3 else "pro"},
    }


def _preferences(i: int) -> bytes:
    zone = ZoneInfo(ZONES[i % len(ZONES)])
    hour = datetime.now(zone).hour
    quiet = {"start": f"{(hour + 6) % 24:02}:00", "end": f"{(hour + 7) % 24:02}:00"}
    chosen = {
        "channels": {"sms": True},
        "categories": {UPDATES: {"channels": {"email": True, "in_app": True}}},
        "quiet_hours": [quiet],
    }
    return json.dumps(chosen).encode()


async def create_setup(api: Api, users: int, *, preferences: bool = True) -> None:
    """Create categories, template, workflows and `users` users."""
    caps = [{"limit": 100_000, "window_s": 86_400}, {"limit": 50_000, "window_s": 3_600, "channel": "email"}]
    await api.put(f"/v1/categories/{UPDATES}", {"name": "Updates", "caps": caps})
    await api.put(f"/v1/categories/{ALERTS}", {"name": "Alerts", "critical": True})
    await api.put("/v1/templates/bench-note", _template())
    for key, (category, lane, channel) in WORKFLOWS.items():
        await api.put(f"/v1/workflows/{key}", _workflow(key, category, lane, channel))
    for start in range(0, users, 500):
        lines = b"\n".join(json.dumps(_user(i)).encode() for i in range(start, min(start + 500, users)))
        await api.post("/v1/users/bulk", lines, headers={"content-type": "application/x-ndjson"})
    if preferences:
        await _choose(api, users)


async def _choose(api: Api, users: int) -> None:
    """Store every user's preferences."""
    pool = await Pool.to(api.port, 16)

    def stored(answer: Answer | None) -> None:
        if answer is None or answer.status >= 300:
            raise RuntimeError(f"preferences were not stored: {answer}")

    for i in range(users):
        pool.send(request("PUT", f"/v1/users/{user_id(i)}/preferences", _preferences(i), key=api.key), stored)
        if i % 64 == 63:
            await pool.idle()
    await pool.idle()
    pool.close()
