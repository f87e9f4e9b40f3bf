"""Mattermost: messages through an incoming webhook, with a message attachment for what is more than text.

https://developers.mattermost.com/integrate/webhooks/incoming/, https://developers.mattermost.com/integrate/reference/message-attachments/
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import msgspec

from clarion.adapters.chat import (
    NOWHERE,
    Destination,
    Room,
    address_of,
    closed,
    content_of,
    is_web,
    links,
    lost,
    markdown,
    webhook_of,
    webhook_outcome,
)
from clarion.adapters.http import HttpProvider, HttpReply, HttpRequest
from clarion.adapters.service_json import answer_of
from clarion.errors import Unavailable
from clarion.model.channel import Channel
from clarion.model.content import ChatContent
from clarion.model.outcome import Outcome, Rejected
from clarion.model.outgoing import Outgoing
from clarion.model.setup import Integration
from clarion.model.user import Contact
from clarion.ports.provider import HostName, Provider, ProviderPlugin, ProviderSettings, ProviderTools, WebUrl

MESSAGE_CHARS = 6000
"""Servers with the older schema keep 7,600 characters of attachments, layout included (PostPropsMaxUserRunes)."""
TITLE_CHARS = 256
TEXT_CHARS = 4000
"""More is split into several posts by servers with the older schema."""
FIELDS = 20
FIELD_CHARS = (128, 512)
LINKS_CHARS = 1500

_PLACE = re.compile(r"@[a-z0-9._-]{1,64}|#[a-z0-9_-]{1,64}")
_ERROR = re.compile(r"(?:api|web|app|model)\.[a-z_.]{1,80}")
PLACE_ERRORS = frozenset({"web.incoming_webhook.channel.app_error", "web.incoming_webhook.user.app_error"})
"""There is no such channel or person."""
CLOSED_ERRORS = frozenset(
    {"web.incoming_webhook.channel_locked.app_error", "web.incoming_webhook.permissions.app_error"}
)
"""The webhook may not write there."""


class MattermostConfig(ProviderSettings, frozen=True, kw_only=True):
    """A webhook for everybody who brings none."""

    url: WebUrl = ""
    """Product menu, Integrations, Incoming Webhooks: `https://chat.example.com/hooks/...`."""
    hosts: tuple[HostName, ...] = ()
    """Where webhooks of contacts may be (`.example.com`: anywhere below); the host of `url` always."""

    def __post_init__(self) -> None:
        if not (self.url or self.hosts):
            raise ValueError(
                "set `url` (an incoming webhook), or `hosts` (the servers that the webhooks of contacts may use)"
            )


def destination(config: MattermostConfig, outgoing: Outgoing) -> Destination | None:
    """A webhook of the contact's; else the integration's, at `@person` or `#channel` when the contact is one."""
    address = address_of(outgoing)
    if config.url and _PLACE.fullmatch(address):
        return Destination(url=config.url, to=address.removeprefix("#"), own=True)
    return webhook_of(outgoing, config.url, (*config.hosts, urlsplit(config.url).hostname or ""))


def build(config: MattermostConfig, outgoing: Outgoing) -> HttpRequest | Outcome:
    """The request for one message."""
    goal = destination(config, outgoing)
    if goal is None:
        return NOWHERE
    message = message_of(content_of(outgoing))
    if goal.to:
        message["channel"] = goal.to
    return HttpRequest(
        url=goal.url,
        headers={"content-type": "application/json"},
        body=msgspec.json.encode(message),
        from_user=goal.from_user,
    )


def message_of(content: ChatContent) -> dict[str, Any]:
    """A text alone is a plain message; with more it is an attachment."""
    room = Room(MESSAGE_CHARS)
    more = content.title, content.url, content.image, content.fields, content.actions
    if not any(more):
        return {"text": room.text(content.text, TEXT_CHARS, markdown)}
    title, url = room.text(content.title, TITLE_CHARS, markdown), room.link(content.url)
    text = room.text(content.text, TEXT_CHARS, markdown)
    buttons = links(content.actions, room, LINKS_CHARS)
    facts = room.facts(content.fields, FIELDS, FIELD_CHARS, markdown)
    attachment = {
        "fallback": title or text,
        "title": title,
        "title_link": url if title else "",
        "text": "\n\n".join(filter(None, (text, "" if title else url, buttons))),
        "fields": [{"title": name, "value": value, "short": True} for name, value in facts],
        "image_url": room.link(content.image),
    }
    return {"attachments": [{name: value for name, value in attachment.items() if value}]}


def read(config: MattermostConfig, outgoing: Outgoing, reply: HttpReply) -> Outcome:
    """What the server's answer means: `ok`, or `{"id": ..., "message": ..., "status_code": ...}`."""
    goal = destination(config, outgoing)
    own, brought = (goal.own, goal.from_user) if goal is not None else (False, False)
    error = str(answer_of(reply).get("id", ""))
    said = f"Mattermost said {error}" if _ERROR.fullmatch(error) else f"status {reply.status}"
    if error in PLACE_ERRORS:
        return lost(own, said)
    if error in CLOSED_ERRORS:
        return closed(own, said)
    if error == "web.incoming_webhook.invalid.app_error":
        return lost(brought, said)
    if error == "web.incoming_webhook.disabled.app_error":
        return closed(brought, f"{said}: incoming webhooks are turned off")
    if reply.status == 400:
        return Rejected(detail=said)
    return webhook_outcome(reply, brought, known=reply.body.strip() == b"ok")


def check_pong(reply: HttpReply) -> None:
    """`/api/v4/system/ping` says whether the server is well; nothing can be asked of a webhook."""
    if not 200 <= reply.status < 300:
        raise Unavailable(f"Mattermost answered {reply.status} to a ping: look at the server, or check `url`")


def accepts(contact: Contact) -> bool:
    """`@person`, `#channel`, and webhooks of the form that Mattermost gives them."""
    address = contact.address
    return _PLACE.fullmatch(address) is not None or (is_web(address) and "/hooks/" in address)


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    place = urlsplit(config.url)
    path = place.path.partition("/hooks/")[0].rstrip("/")
    ping = HttpRequest(method="GET", url=f"{place.scheme}://{place.netloc}{path}/api/v4/system/ping")
    return HttpProvider(
        integration,
        tools,
        build=partial(build, config),
        read=partial(read, config),
        ping=ping if config.url else None,
        check_pong=check_pong,
    )


plugin = ProviderPlugin(
    name="mattermost",
    title="Mattermost",
    channels=frozenset({Channel.CHAT}),
    config=MattermostConfig,
    open=_open,
    accepts=accepts,
    batch=50,
    secrets=frozenset({"url"}),
    example={"url": "https://chat.example.com/hooks/..."},
)
