"""ntfy: notifications in the ntfy app, through ntfy.sh or a server of one's own.

https://docs.ntfy.sh/publish/#publish-as-json
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final

import msgspec

from clarion.adapters.http import HttpProvider, HttpReply, HttpRequest, outcome_of
from clarion.adapters.service_json import answer_of, text_in
from clarion.errors import ConfigError, Unavailable
from clarion.model.channel import Channel, Lane
from clarion.model.content import PushContent
from clarion.model.device_address import service_of, token_at
from clarion.model.outcome import Accepted, Gone, Misconfigured, Outcome, Rejected, Retry
from clarion.model.outgoing import Outgoing
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.model.user import Contact
from clarion.ports.provider import Provider, ProviderPlugin, ProviderSettings, ProviderTools, WebUrl

SERVICE: Final = "ntfy"
MOST_BYTES: Final = 4_096
"""Of the text: the server makes a file of a longer one."""
BUTTONS: Final = 3
PRIORITY: Mapping[Lane, int] = {Lane.CRITICAL: 5, Lane.HIGH: 4, Lane.NORMAL: 3, Lane.BULK: 2}

_WEB = ("https://", "http://")


class NtfyConfig(ProviderSettings, frozen=True, kw_only=True):
    """An ntfy server."""

    url: WebUrl = "https://ntfy.sh"
    token: Annotated[
        str, msgspec.Meta(pattern=r"\A[!-~]*\Z", description="a token without spaces, or nothing")
    ] = ""
    """Access token of an account that may write to the topics: `tk_...`. Empty: everybody may."""


def build(config: NtfyConfig, outgoing: Outgoing) -> HttpRequest | Outcome:
    """The request for one message to one topic."""
    topic = "" if outgoing.contact is None else token_at(SERVICE, outgoing.contact.address)
    if not topic:
        return Rejected(detail="this push contact is no topic of ntfy (ntfy:TOPIC)")
    content = outgoing.content
    assert isinstance(content, PushContent)
    if content.device is not None and content.device.background:
        return Rejected(detail="ntfy shows every message: a push in the background cannot go through it")
    text = content.body or content.title
    if (size := len(text.encode())) > MOST_BYTES:
        return Rejected(detail=f"the text takes {size:,} bytes, ntfy {MOST_BYTES:,} at most: shorten it")
    buttons = [one for one in content.actions if one.label and one.url.startswith(_WEB)]
    message = {
        "topic": topic,
        "title": content.title if content.body else "",
        "message": text,
        "priority": PRIORITY[outgoing.message.lane],
        "click": content.url,
        "attach": content.image if content.image.startswith(_WEB) else "",
        "actions": [
            {"action": "view", "label": one.label, "url": one.url, "clear": True} for one in buttons[:BUTTONS]
        ],
    }
    return HttpRequest(
        url=f"{config.url.rstrip('/')}/",
        headers={"content-type": "application/json", **_authorization(config)},
        body=msgspec.json.encode({name: value for name, value in message.items() if value}),
    )


def read(outgoing: Outgoing, reply: HttpReply) -> Outcome:
    """The message as it was published, or `{"code": 42901, "http": 429, "error": ...}`."""
    answer = answer_of(reply)
    if reply.status == 200:
        if text_in(answer, "event") == "message":
            return Accepted(provider_id=text_in(answer, "id") or None)
        # What is cut off says nothing against the 200; what is whole and reads otherwise is not from ntfy.
        return Accepted() if reply.cut else Misconfigured(detail="this is no answer of ntfy: check `url`")
    code = answer.get("code")
    said = f"ntfy said {code}" if isinstance(code, int) else f"status {reply.status}"
    if reply.status == 403:
        # A topic may be reserved by somebody else, and all others are not.
        detail = f"{said}: the account of `token` may not write to this topic"
        return Retry(reason=Reason.MISCONFIGURED, of_address=True, detail=detail)
    if reply.status == 507:
        return Retry(of_address=True, detail=f"{said}: nobody listens to this topic")
    outcome = outcome_of(reply)
    if isinstance(outcome, Gone | Accepted):
        return Misconfigured(detail=f"{said}: this is no answer of ntfy, check `url`")
    return msgspec.structs.replace(outcome, detail=said)


def check_pong(reply: HttpReply) -> None:
    """How the server or the account is."""
    if reply.status in (401, 403):
        raise ConfigError("ntfy refuses the token: make a new one (`ntfy token add`) and set `token`")
    if reply.status != 200:
        raise Unavailable(f"ntfy answered {reply.status}: check `url`, or try again later")


def accepts(contact: Contact) -> bool:
    """Topics of ntfy."""
    return service_of(contact.address) == SERVICE


def _authorization(config: NtfyConfig) -> dict[str, str]:
    return {"authorization": f"Bearer {config.token}"} if config.token else {}


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    return HttpProvider(
        integration,
        tools,
        build=partial(build, config),
        read=read,
        ping=HttpRequest(
            method="GET",
            url=f"{config.url.rstrip('/')}/v1/{'account' if config.token else 'health'}",
            headers=_authorization(config),
        ),
        check_pong=check_pong,
    )


plugin = ProviderPlugin(
    name=SERVICE,
    title="ntfy",
    channels=frozenset({Channel.PUSH}),
    config=NtfyConfig,
    open=_open,
    accepts=accepts,
    batch=32,
    secrets=frozenset({"token"}),
    example={"url": "https://ntfy.example.com"},
)
