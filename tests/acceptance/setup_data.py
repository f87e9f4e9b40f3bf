"""The users and workflows of acceptance tests. No preference, cap or quiet hour stops their messages."""

from __future__ import annotations

import json
from typing import Any

from bench.wire import Api

USERS = tuple(f"acc-{i}" for i in range(24))
WORKFLOWS: dict[str, tuple[str, tuple[str, ...]]] = {
    "acc-order": ("normal", ("in_app", "email")),
    "acc-alarm": ("critical", ("in_app", "sms")),
    "acc-news": ("bulk", ("push", "email")),
}
"""Workflow -> lane, channels. Events of type `acc.order` start `acc-order`, and so on."""
CHANNELS = ("in_app", "email", "sms", "push")


def event_type(workflow: str) -> str:
    """The CloudEvents type that starts the workflow."""
    return workflow.replace("-", ".", 1)


def _user(user: str, i: int) -> dict[str, Any]:
    return {
        "user_id": user,
        "contacts": [
            {"channel": "email", "address": f"{user}@example.com"},
            {"channel": "sms", "address": f"+1202555{i:04}"},
            {"channel": "push", "address": f"token-{user}"},
        ],
    }


async def create_setup(api: Api) -> None:
    """Create categories, a template, the workflows and the users."""
    await api.put("/v1/categories/acc-normal", {"name": "Normal"})
    await api.put("/v1/categories/acc-critical", {"name": "Critical", "critical": True})
    title, text = "Number {{ data.n }}", "For {{ user.id }}"
    fields = {
        "in_app": {"title": title, "body": text},
        "email": {"subject": title, "text": text},
        "sms": {"text": title},
        "push": {"title": title, "body": text},
    }
    await api.put("/v1/templates/acc", {"channels": {channel: {"en": f} for channel, f in fields.items()}})
    for workflow, (lane, channels) in WORKFLOWS.items():
        document = {
            "category": "acc-critical" if lane == "critical" else "acc-normal",
            "lane": lane,
            "on": {"type": event_type(workflow)},
            "steps": [{"key": "send", "template": "acc", "to": {"mode": "all", "channels": channels}}],
        }
        await api.put(f"/v1/workflows/{workflow}", document)
    lines = b"\n".join(json.dumps(_user(user, i)).encode() for i, user in enumerate(USERS))
    await api.post("/v1/users/bulk", lines, headers={"content-type": "application/x-ndjson"})
