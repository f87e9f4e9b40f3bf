"""Slack: messages by a bot (`chat.postMessage`) or through an incoming webhook, laid out with Block Kit.

https://docs.slack.dev/reference/methods/chat.postMessage, https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

from __future__ import annotations

import hashlib
import hmac
import re
from functools import partial
from typing import Annotated, Any
from urllib.parse import parse_qsl

import msgspec

from clarion.adapters.chat import (
    NOWHERE,
    Destination,
    Room,
    address_of,
    answers,
    buttons,
    content_of,
    is_webhook,
    lost,
    unsent,
    web_url,
    webhook_of,
    webhook_outcome,
    words,
)
from clarion.adapters.http import HttpEnds, HttpProvider, HttpReply, HttpRequest, outcome_of
from clarion.adapters.service_json import answer_of, object_in, object_of, text_in
from clarion.errors import CallbackForged, CallbackUnreadable, ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.content import ChatContent
from clarion.model.outcome import Accepted, Misconfigured, Outcome, Rejected, Retry, Unknown
from clarion.model.outgoing import Outgoing, SentMessage
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.model.user import Contact
from clarion.ports.callback import Callback, CallbackRequest, Callbacks, CallbackTools, PressedButton
from clarion.ports.provider import (
    HostName,
    Provider,
    ProviderPlugin,
    ProviderSettings,
    ProviderTools,
    TakesBack,
    WebUrl,
)

# https://docs.slack.dev/reference/block-kit/blocks (header, section, image, actions)
HEADER_CHARS = 150
TEXT_CHARS = 3000
FIELD_CHARS = 2000
FIELDS_TOGETHER = 10
FIELDS = 40
IMAGE_TEXT_CHARS = 2000
BUTTONS = 25
BUTTON_CHARS = 75
# https://docs.slack.dev/reference/methods/chat.postMessage#truncating
FALLBACK_CHARS = 4000

HOSTS = ("hooks.slack.com", "hooks.slack-gov.com")
"""Where webhooks of contacts may be."""

_ID = re.compile(r"[CDGUW][A-Z0-9]{2,20}|#[^\s,:]{1,80}")
_CODE = re.compile(r"[a-z][a-z_]{1,63}")

DESTINATION_ERRORS = frozenset(
    {
        *("channel_not_found", "is_archived", "channel_is_archived", "user_not_found", "user_disabled"),
        *("no_service", "no_service_id", "no_active_hooks", "invalid_token", "no_team", "team_disabled"),
    }
)
"""The channel, person or webhook is not there (any more)."""
TOKEN_ERRORS = frozenset(
    {
        *(
            "invalid_auth",
            "not_authed",
            "account_inactive",
            "token_revoked",
            "token_expired",
            "missing_scope",
        ),
        *(
            "no_permission",
            "not_allowed_token_type",
            "org_login_required",
            "ekm_access_denied",
            "access_denied",
        ),
        *(
            "team_access_not_granted",
            "two_factor_setup_required",
            "accesslimited",
            "enterprise_is_restricted",
        ),
    }
)
PASSING_ERRORS = frozenset(
    {"internal_error", "service_unavailable", "request_timeout", "team_added_to_org", "rollup_error"}
)
RATE_ERRORS = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})


class SlackConfig(ProviderSettings, frozen=True, kw_only=True):
    """A bot, a webhook, or neither: then every contact brings a webhook of its own."""

    token: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\Axox[a-z][.-][!-~]+\Z",
            description="the token of a bot, as shown under OAuth & Permissions: xoxb-...",
        ),
    ] = ""
    """Of a bot with the scope `chat:write`: `xoxb-...`. Contacts are ids of people or channels, or `#channel`."""
    channel: Annotated[
        str,
        msgspec.Meta(pattern=r"\A[^\s,:]{1,81}\Z", description="the id of a channel or person, or #channel"),
    ] = ""
    """Where the bot writes to whose contact is no Slack address."""
    url: WebUrl = ""
    """An incoming webhook, for contacts that are no webhook themselves."""
    signing_secret: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\A[!-~]+\Z", description="the signing secret, as shown under Basic Information"
        ),
    ] = ""
    """Of the app, with which Slack signs what its buttons report. Its interactivity request URL is `callback_url` of the
    integration. Without it, buttons that answer are links."""
    api_url: WebUrl = "https://slack.com/api"
    hosts: tuple[HostName, ...] = HOSTS
    """Where webhooks of contacts may be."""

    def __post_init__(self) -> None:
        if self.token and self.url:
            raise ValueError("set `token` (a bot) or `url` (an incoming webhook), not both")
        if self.channel and not self.token:
            raise ValueError("`channel` needs `token`: an incoming webhook always posts to its own channel")


def destination(config: SlackConfig, outgoing: Outgoing) -> Destination | None:
    """A webhook or a Slack id of the contact's; else the integration's default."""
    if config.token and _ID.fullmatch(address := address_of(outgoing)):
        return Destination(to=address, own=True)
    if goal := webhook_of(outgoing, config.url, config.hosts):
        return goal
    return Destination(to=config.channel, own=False) if config.channel else None


def build(config: SlackConfig, outgoing: Outgoing) -> HttpRequest | Outcome:
    """The request for one message."""
    message = blocks_of(content_of(outgoing), pressable=bool(config.signing_secret))
    if outgoing.replaces:
        return _call(config, "chat.update", {**_place(outgoing.replaces), **message})
    goal = destination(config, outgoing)
    if goal is None:
        return NOWHERE
    headers = {"content-type": "application/json; charset=utf-8"}
    if goal.url:
        return HttpRequest(
            url=goal.url, headers=headers, body=msgspec.json.encode(message), from_user=goal.from_user
        )
    return _call(config, "chat.postMessage", {"channel": goal.to, **message})


def withdrawal(config: SlackConfig, sent: SentMessage) -> HttpRequest | Outcome:
    """The request that deletes a message."""
    if not sent.provider_id:
        return Rejected(
            detail="it was sent through an incoming webhook, which cannot delete or change messages"
        )
    return _call(config, "chat.delete", _place(sent.provider_id))


def _call(config: SlackConfig, method: str, body: dict[str, Any]) -> HttpRequest:
    return HttpRequest(
        url=f"{config.api_url.rstrip('/')}/{method}",
        headers={
            "content-type": "application/json; charset=utf-8",
            "authorization": f"Bearer {config.token}",
        },
        body=msgspec.json.encode(body),
    )


def _place(provider_id: str) -> dict[str, str]:
    """Where a message is: as `read` noted it."""
    channel, _, ts = provider_id.partition("/")
    return {"channel": channel, "ts": ts}


def blocks_of(content: ChatContent, *, pressable: bool = False) -> dict[str, Any]:
    """The message. `pressable`: Slack tells us who presses a button. Only plain text objects and links: nothing in them is
    read as a mention or as markup."""
    blocks: list[dict[str, Any]] = []
    title, url = words(content.title), web_url(content.url)
    if title:
        blocks.append(_heading(title, url))
    if text := words(content.text):
        blocks.append({"type": "section", "text": _plain(text, TEXT_CHARS)})
    if url and not title:
        blocks.append(_rich({"type": "link", "url": url}))
    told = Room(FIELDS * FIELD_CHARS).facts(content.fields, FIELDS, (FIELD_CHARS, FIELD_CHARS))
    facts = [_plain(f"{label}\n{value}", FIELD_CHARS) for label, value in told]
    blocks += [
        {"type": "section", "fields": facts[at : at + FIELDS_TOGETHER]}
        for at in range(0, len(facts), FIELDS_TOGETHER)
    ]
    fallback = title or text
    if image := web_url(content.image):
        alt = Room(IMAGE_TEXT_CHARS).text(fallback or "-", IMAGE_TEXT_CHARS)
        blocks.append({"type": "image", "image_url": image, "alt_text": alt})
    pressed = [_answer(label, id_) for label, id_ in answers(content.actions)] if pressable else []
    linked = [one for one in content.actions if not (pressable and one.id)]
    if shown := [*pressed, *(_button(label, url) for label, url in buttons(linked))]:
        blocks.append({"type": "actions", "elements": shown[:BUTTONS]})
    plain = Room(FALLBACK_CHARS).text(fallback, FALLBACK_CHARS, escaped)
    return {"text": plain, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False, "blocks": blocks}


def escaped(text: str) -> str:
    """https://docs.slack.dev/messaging/formatting-message-text#escaping"""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _heading(title: str, url: str) -> dict[str, Any]:
    if not url:
        return {"type": "header", "text": _plain(title, HEADER_CHARS)}
    text = Room(HEADER_CHARS).text(title, HEADER_CHARS)
    return _rich({"type": "link", "url": url, "text": text, "style": {"bold": True}})


def _plain(text: str, most: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": Room(most).text(text, most, escaped), "emoji": False}


def _rich(element: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [element]}]}


def _button(label: str, url: str) -> dict[str, Any]:
    return {"type": "button", "text": _plain(label, BUTTON_CHARS), "url": url}


def _answer(label: str, id_: str) -> dict[str, Any]:
    return {"type": "button", "text": _plain(label, BUTTON_CHARS), "action_id": id_, "value": id_}


def read(config: SlackConfig, outgoing: Outgoing, reply: HttpReply) -> Outcome:
    """What Slack's answer means: JSON from the API, one word of plain text from a webhook."""
    goal = destination(config, outgoing)
    own = goal is not None and goal.own
    answer = answer_of(reply)
    if answer.get("ok") is True:
        ts = str(answer.get("ts", ""))
        return Accepted(provider_id=f"{answer.get('channel', '')}/{ts}" if ts else None)
    code = str(answer.get("error", "")) or reply.body.decode("utf-8", "replace").strip()
    if reply.status == 429 or code in RATE_ERRORS:
        return Retry(reason=Reason.RATE_LIMITED, after_s=reply.retry_after_s, detail=_said(code, reply))
    if code in DESTINATION_ERRORS:
        return lost(own, _said(code, reply))
    if code in TOKEN_ERRORS:
        return Misconfigured(detail=_said(code, reply))
    if code in PASSING_ERRORS:
        return Retry(after_s=reply.retry_after_s, detail=_said(code, reply))
    if (
        code == "fatal_error"
    ):  # "It's possible some aspect of the operation succeeded before the error was raised."
        return Unknown(detail=_said(code, reply))
    if answer.get("ok") is False or (400 <= reply.status < 500 and _CODE.fullmatch(code)):
        return Rejected(detail=_said(code, reply))
    if goal is not None and goal.url:
        return webhook_outcome(reply, own, known=code == "ok")
    outcome = outcome_of(reply)
    return Unknown(detail="an answer that is not Slack's") if isinstance(outcome, Accepted) else outcome


def read_withdrawal(config: SlackConfig, sent: SentMessage, reply: HttpReply) -> Outcome:
    """What Slack's answer to a deletion means. What is gone already is withdrawn."""
    code = str(answer_of(reply).get("error", ""))
    if code == "message_not_found":
        return Accepted()
    outcome = read(config, unsent(sent), reply)
    return Accepted() if isinstance(outcome, Accepted) else outcome


def _said(code: str, reply: HttpReply) -> str:
    return f"Slack said {code}" if _CODE.fullmatch(code) else f"status {reply.status}"


def check_pong(reply: HttpReply) -> None:
    """`auth.test` answers 200 also to a token that is refused."""
    answer = answer_of(reply)
    if answer.get("ok") is True:
        return
    said = _said(str(answer.get("error", "")), reply)
    if answer.get("error") in TOKEN_ERRORS:
        raise ConfigError(f"{said}: install the app again and set its bot token as `token`")
    raise Unavailable(f"{said}: try again later, or look at https://slack-status.com")


SIGNATURE, SIGNED_AT = "x-slack-signature", "x-slack-request-timestamp"
REPLAY_S = 5 * 60
MOST_FIELDS = 16


def verify(request: CallbackRequest, config: Any, tools: CallbackTools) -> None:
    """https://docs.slack.dev/authentication/verifying-requests-from-slack"""
    if not config.signing_secret:
        raise CallbackForged("set `signing_secret` of the integration: without it nobody can tell who calls")
    signed_at = request.headers.get(SIGNED_AT, "")
    if not (signed_at.isascii() and signed_at.isdecimal() and len(signed_at) < 12):
        raise CallbackForged("X-Slack-Request-Timestamp is missing or no time")
    if abs(tools.now - int(signed_at) * 1_000) > REPLAY_S * 1_000:
        raise CallbackForged("X-Slack-Request-Timestamp is more than 5 minutes away from now")
    base = b"v0:" + signed_at.encode() + b":" + request.body
    right = "v0=" + hmac.new(config.signing_secret.encode(), base, hashlib.sha256).hexdigest()
    given = request.headers.get(SIGNATURE, "").encode("utf-8", "replace")
    if not hmac.compare_digest(given, right.encode()):
        raise CallbackForged("X-Slack-Signature is wrong or missing")


def read_pressed(request: CallbackRequest, config: Any, tools: CallbackTools) -> Callback:
    """Buttons that people pressed. https://docs.slack.dev/reference/interaction-payloads/block_actions-payload"""
    try:
        fields = dict(parse_qsl(request.body.decode("utf-8", "replace"), max_num_fields=MOST_FIELDS))
    except ValueError:
        raise CallbackUnreadable("the body has too many fields") from None
    payload = object_of(fields.get("payload", "").encode())
    if text_in(payload, "type") != "block_actions":
        return Callback()
    user = object_in(payload, "user")
    by = text_in(user, "username") or text_in(user, "id")
    actions = payload.get("actions")
    return Callback(
        pressed=tuple(
            PressedButton(id=text_in(one, "value"), by=by)
            for one in (actions if isinstance(actions, list) else ())
            if isinstance(one, dict) and text_in(one, "value")
        )
    )


def accepts(contact: Contact) -> bool:
    """Ids of people and channels, `#channel`, and webhooks at Slack."""
    return _ID.fullmatch(contact.address) is not None or is_webhook(contact.address, HOSTS)


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    ping = HttpRequest(
        url=f"{config.api_url.rstrip('/')}/auth.test", headers={"authorization": f"Bearer {config.token}"}
    )
    return HttpProvider(
        integration,
        tools,
        build=partial(build, config),
        read=partial(read, config),
        ping=ping if config.token else None,
        check_pong=check_pong,
        withdrawal=HttpEnds(partial(withdrawal, config), partial(read_withdrawal, config)),
    )


plugin = ProviderPlugin(
    name="slack",
    title="Slack",
    channels=frozenset({Channel.CHAT}),
    config=SlackConfig,
    open=_open,
    accepts=accepts,
    takes_back=TakesBack(
        edits=True,
        withdraws=True,
        limits="Only what a bot sent: an incoming webhook can neither delete nor change a message. A workspace may forbid "
        "both, or allow them only for some time.",
    ),
    callbacks=Callbacks(verify=verify, read=read_pressed, kinds=frozenset(), replay_window_s=REPLAY_S),
    batch=50,
    secrets=frozenset({"token", "url", "signing_secret"}),
    example={"token": "xoxb-...", "channel": "#deliveries"},
)
