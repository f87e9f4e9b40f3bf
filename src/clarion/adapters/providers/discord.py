"""Discord: messages through a channel's webhook.

https://docs.discord.com/developers/resources/webhook#execute-webhook
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import msgspec

from clarion.adapters.chat import (
    NOWHERE,
    Room,
    content_of,
    is_webhook,
    links,
    lost,
    markdown,
    units,
    unsent,
    wait_s,
    web_url,
    webhook_of,
    webhook_outcome,
)
from clarion.adapters.http import HttpEnds, HttpProvider, HttpReply, HttpRequest
from clarion.adapters.service_json import answer_of
from clarion.errors import ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.content import ChatContent
from clarion.model.outcome import Accepted, Outcome, Rejected, Retry
from clarion.model.outgoing import Outgoing, SentMessage
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.model.user import Contact
from clarion.ports.provider import (
    HostName,
    Provider,
    ProviderPlugin,
    ProviderSettings,
    ProviderTools,
    TakesBack,
    WebUrl,
)

HOSTS = ("discord.com", "ptb.discord.com", "canary.discord.com", "discordapp.com")
"""Where webhooks of contacts may be."""
CONTENT_CHARS = 2000
# https://docs.discord.com/developers/resources/message#embed-object-embed-limits
EMBED_CHARS = 6000
TITLE_CHARS = 256
DESCRIPTION_CHARS = 4096
TEXT_CHARS = 3000
LINKS_CHARS = 1000
"""Of the description, in place of buttons."""
FIELDS = 25
FIELD_CHARS = (256, 1024)

UNKNOWN_MESSAGE = 10008
UNKNOWN_WEBHOOK = 10015
INVALID_WEBHOOK_TOKEN = 50027
"""https://docs.discord.com/developers/topics/opcodes-and-status-codes#json"""


class DiscordConfig(ProviderSettings, frozen=True, kw_only=True):
    """A webhook for everybody who brings none."""

    url: WebUrl = ""
    """Channel settings, Integrations, Webhooks: https://discord.com/api/webhooks/..."""
    username: Annotated[str, msgspec.Meta(max_length=80)] = ""
    """The name it speaks under; empty: the webhook's own."""
    hosts: tuple[HostName, ...] = HOSTS
    """Where webhooks of contacts may be."""


def build(config: DiscordConfig, outgoing: Outgoing) -> HttpRequest | Outcome:
    """The request for one message."""
    goal = webhook_of(outgoing, config.url, config.hosts)
    if goal is None:
        return NOWHERE
    message = {**message_of(content_of(outgoing)), "allowed_mentions": {"parse": []}}
    if outgoing.replaces:
        return HttpRequest(
            method="PATCH",
            url=_message_url(goal.url, outgoing.replaces),
            headers={"content-type": "application/json"},
            body=msgspec.json.encode({"content": "", "embeds": [], **message}),
            from_user=goal.from_user,
        )
    if config.username:
        message["username"] = config.username
    return HttpRequest(
        url=f"{goal.url}{'&' if '?' in goal.url else '?'}wait=true",
        headers={"content-type": "application/json"},
        body=msgspec.json.encode(message),
        from_user=goal.from_user,
    )


def withdrawal(config: DiscordConfig, sent: SentMessage) -> HttpRequest | Outcome:
    """The request that deletes a message."""
    goal = webhook_of(unsent(sent), config.url, config.hosts)
    if goal is None or not sent.provider_id:
        return Rejected(detail="nobody knows any more through which webhook it was sent")
    return HttpRequest(
        method="DELETE", url=_message_url(goal.url, sent.provider_id), from_user=goal.from_user
    )


def read_withdrawal(config: DiscordConfig, sent: SentMessage, reply: HttpReply) -> Outcome:
    """What Discord's answer to a deletion means. What is gone already is withdrawn."""
    if answer_of(reply).get("code") == UNKNOWN_MESSAGE:
        return Accepted()
    return read(config, unsent(sent), reply)


def _message_url(webhook: str, message: str) -> str:
    """https://docs.discord.com/developers/resources/webhook#edit-webhook-message"""
    place, mark, query = webhook.partition("?")
    return f"{place.rstrip('/')}/messages/{message}{mark}{query}"


def message_of(content: ChatContent) -> dict[str, Any]:
    """A text alone is a plain message; with more it is an embed."""
    more = content.title, content.url, content.image, content.fields, content.actions
    if not any(more):
        return {"content": Room(CONTENT_CHARS).text(content.text, CONTENT_CHARS, markdown)}
    title = Room(TITLE_CHARS).text(content.title, TITLE_CHARS, markdown)
    description = Room(DESCRIPTION_CHARS)
    paragraphs = [description.text(content.text, TEXT_CHARS, markdown)]
    if not title:
        paragraphs.append(description.link(content.url))
    paragraphs.append(links(content.actions, description, LINKS_CHARS))
    described = "\n\n".join(filter(None, paragraphs))
    facts = Room(EMBED_CHARS - units(title) - units(described)).facts(
        content.fields, FIELDS, FIELD_CHARS, markdown
    )
    image = web_url(content.image)
    embed = {
        "title": title,
        "url": web_url(content.url),
        "description": described,
        "fields": [{"name": name, "value": value, "inline": True} for name, value in facts],
        "image": {"url": image} if image else None,
    }
    return {"embeds": [{name: value for name, value in embed.items() if value}]}


def read(config: DiscordConfig, outgoing: Outgoing, reply: HttpReply) -> Outcome:
    """What Discord's answer means: the message, or `{"code": ..., "message": ...}`."""
    goal = webhook_of(outgoing, config.url, config.hosts)
    own = goal is not None and goal.from_user
    answer = answer_of(reply)
    if 200 <= reply.status < 300 and (sent := str(answer.get("id", ""))):
        return Accepted(provider_id=sent)
    if reply.status == 429:
        return _slower(answer, reply)
    code = answer.get("code")
    if code == UNKNOWN_MESSAGE:
        return Rejected(detail=f"Discord knows no such message through this webhook (code {code})")
    if code in (UNKNOWN_WEBHOOK, INVALID_WEBHOOK_TOKEN):
        return lost(own, f"Discord knows no such webhook (code {code})")
    if reply.status == 400 and isinstance(code, int):
        return Rejected(detail=f"Discord does not take the message (code {code})")
    return webhook_outcome(reply, own, known=reply.status == 204)


def _slower(answer: dict[str, object], reply: HttpReply) -> Retry:
    """https://docs.discord.com/developers/topics/rate-limits: of this webhook, or of all that we send (or our network)."""
    everybody = (
        answer.get("global") is True or reply.headers.get("x-ratelimit-scope") == "global" or not answer
    )
    return Retry(
        reason=Reason.RATE_LIMITED,
        after_s=wait_s(answer.get("retry_after"), reply),
        of_address=False if everybody else None,
        detail=f"Discord asks to slow down {'everywhere' if everybody else 'with this webhook'}",
    )


def check_pong(reply: HttpReply) -> None:
    """The webhook describes itself when asked with GET."""
    if reply.status in (401, 403, 404):
        raise ConfigError(
            "Discord does not know this webhook: create one in the channel's settings and set `url`"
        )
    if not 200 <= reply.status < 300:
        raise Unavailable(f"Discord answered {reply.status}: try again later")


def accepts(contact: Contact) -> bool:
    """Webhooks at Discord."""
    return is_webhook(contact.address, HOSTS)


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    return HttpProvider(
        integration,
        tools,
        build=partial(build, config),
        read=partial(read, config),
        ping=HttpRequest(method="GET", url=config.url) if config.url else None,
        check_pong=check_pong,
        withdrawal=HttpEnds(partial(withdrawal, config), partial(read_withdrawal, config)),
    )


plugin = ProviderPlugin(
    name="discord",
    title="Discord",
    channels=frozenset({Channel.CHAT}),
    config=DiscordConfig,
    open=_open,
    accepts=accepts,
    takes_back=TakesBack(
        edits=True,
        withdraws=True,
        limits="Only through the webhook it was sent with: not after the contact or the integration has got another one.",
    ),
    batch=50,
    secrets=frozenset({"url"}),
    example={"url": "https://discord.com/api/webhooks/1234567890/...", "username": "Shop"},
)
