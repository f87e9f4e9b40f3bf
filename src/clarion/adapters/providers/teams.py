"""Microsoft Teams: Adaptive Cards through a Workflows webhook ("Post to a channel when a webhook request is received").

https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook
A flow answers 202 before it posts: what goes wrong in it afterwards is seen in Power Automate only.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import msgspec

from clarion.adapters.chat import (
    NOWHERE,
    Room,
    buttons,
    closed,
    content_of,
    is_webhook,
    json_bytes,
    webhook_of,
    webhook_outcome,
)
from clarion.adapters.http import HttpProvider, HttpReply, HttpRequest
from clarion.adapters.service_json import answer_of
from clarion.model.channel import Channel
from clarion.model.content import ChatContent
from clarion.model.outcome import Outcome, Rejected, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.setup import Integration
from clarion.model.user import Contact
from clarion.ports.provider import HostName, Provider, ProviderPlugin, ProviderSettings, ProviderTools, WebUrl

HOSTS = (".logic.azure.com", ".environment.api.powerplatform.com", ".logic.azure.us")
"""Where flows of contacts may be."""

# https://learn.microsoft.com/microsoftteams/platform/bots/how-to/format-your-bot-messages: about 28 KB, all included
MESSAGE_BYTES = 28 * 1024
WORDS_BYTES = 18 * 1024
"""What texts and links may take of it; the rest is layout."""
TITLE_BYTES = 1024
TEXT_BYTES = 12 * 1024
LINES = 50
FACTS = 20
FACT_BYTES = (256, 1024)
BUTTONS = 6
"""Teams shows six actions of a card."""
BUTTON_BYTES = 256

CARD_VERSION = "1.4"
_PASSED_ON = re.compile(rb"Microsoft Teams endpoint returned HTTP error (\d{3})\b")
"""Connectors of Office 365 (and what stands in for them) answer 200 and say in words what Teams said, 429 and 413 above all."""
_CODE = re.compile(r"[A-Za-z]{3,64}")


class TeamsConfig(ProviderSettings, frozen=True, kw_only=True):
    """A flow for everybody who brings none."""

    url: WebUrl = ""
    """The flow's HTTP POST URL, on `*.logic.azure.com` or `*.environment.api.powerplatform.com`."""
    hosts: tuple[HostName, ...] = HOSTS
    """Where flows of contacts may be (`.example.com`: anywhere below)."""


def build(config: TeamsConfig, outgoing: Outgoing) -> HttpRequest | Outcome:
    """The request for one message."""
    goal = webhook_of(outgoing, config.url, config.hosts)
    if goal is None:
        return NOWHERE
    card = card_of(content_of(outgoing))
    message = {
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}],
    }
    return HttpRequest(
        url=goal.url,
        headers={"content-type": "application/json"},
        body=msgspec.json.encode(message),
        from_user=goal.from_user,
    )


def card_of(content: ChatContent) -> dict[str, Any]:
    """The card. Text runs, not text blocks: these would read Markdown in what people wrote."""
    room = Room(WORDS_BYTES, json_bytes)
    url = room.link(content.url)
    body: list[dict[str, Any]] = []
    if title := room.text(content.title, TITLE_BYTES):
        body.append(_line(_run(title, size="Large", weight="Bolder", **_opening(url))))
    body += [_line(_run(line)) for line in _lines(room.text(content.text, TEXT_BYTES))]
    if url and not title:
        body.append(_line(_run(url, **_opening(url))))
    body += [
        _line(_run(f"{label} ", weight="Bolder"), _run(value))
        for label, value in room.facts(content.fields, FACTS, FACT_BYTES)
    ]
    if image := room.link(content.image):
        body.append({"type": "Image", "url": image, "altText": title or "-"})
    return {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": CARD_VERSION,
        "body": body,
        "actions": _buttons(content, room),
    }


def _buttons(content: ChatContent, room: Room) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    for label, url in buttons(content.actions):
        if len(shown) < BUTTONS and room.whole(url):
            shown.append({**_open_url(url), "title": room.text(label, BUTTON_BYTES) or url})
    return shown


def _lines(text: str) -> list[str]:
    """A run knows no line breaks, so every line is a block of its own."""
    lines = [line for line in text.split("\n") if line.strip()]
    return [*lines[: LINES - 1], " ".join(lines[LINES - 1 :])] if len(lines) > LINES else lines


def _line(*runs: dict[str, Any]) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": list(runs)}


def _run(text: str, **style: Any) -> dict[str, Any]:
    return {"type": "TextRun", "text": text, **style}


def _opening(url: str) -> dict[str, Any]:
    return {"selectAction": _open_url(url)} if url else {}


def _open_url(url: str) -> dict[str, Any]:
    return {"type": "Action.OpenUrl", "url": url}


def read(config: TeamsConfig, outgoing: Outgoing, reply: HttpReply) -> Outcome:
    """What the flow's answer means: nothing, or `{"error": {"code": ..., "message": ...}}`."""
    goal = webhook_of(outgoing, config.url, config.hosts)
    own = goal is not None and goal.from_user
    error = answer_of(reply).get("error")
    code = str(error.get("code", "")) if isinstance(error, dict) else ""
    if code == "WorkflowTriggerIsNotEnabled":
        return closed(own, "the flow is turned off")
    if code == "NoResponse":
        return Unknown(detail="the flow was started and did not answer")
    if reply.status == 400 and _CODE.fullmatch(code):
        return Rejected(detail=f"the flow said {code}")
    if refused := _PASSED_ON.search(reply.body):
        return webhook_outcome(HttpReply(status=int(refused[1]), headers=reply.headers, body=b""), own)
    return webhook_outcome(reply, own, known=not reply.body.lstrip().startswith(b"<"))


def accepts(contact: Contact) -> bool:
    """Flows of Power Automate."""
    return is_webhook(contact.address, HOSTS)


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    return HttpProvider(integration, tools, build=partial(build, config), read=partial(read, config))


plugin = ProviderPlugin(
    name="teams",
    title="Microsoft Teams",
    channels=frozenset({Channel.CHAT}),
    config=TeamsConfig,
    open=_open,
    accepts=accepts,
    batch=50,
    secrets=frozenset({"url"}),
    example={
        "url": "https://prod-01.westeurope.logic.azure.com/workflows/.../triggers/manual/paths/invoke?sig=..."
    },
)
