"""Telegram: messages by a bot to the people and groups that let it in.

https://core.telegram.org/bots/api#sendmessage, https://core.telegram.org/bots/api#making-requests
"""

from __future__ import annotations

import hmac
import re
from functools import partial
from html import escape
from typing import Annotated, Any

import msgspec

from clarion.adapters.chat import (
    NOWHERE,
    Destination,
    Room,
    address_of,
    answers,
    buttons,
    content_of,
    lost,
    unmentioning,
    unsent,
    wait_s,
    web_url,
)
from clarion.adapters.http import HttpEnds, HttpProvider, HttpReply, HttpRequest, outcome_of
from clarion.adapters.service_json import answer_of, object_in, object_of, text_in
from clarion.errors import CallbackForged, ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.content import ChatContent
from clarion.model.lru import Lru
from clarion.model.outcome import Accepted, Misconfigured, Outcome, Rejected, Retry, Unknown
from clarion.model.outgoing import Outgoing, SentMessage
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.model.user import Contact
from clarion.ports.callback import (
    Callback,
    CallbackAnswer,
    CallbackRequest,
    Callbacks,
    CallbackTools,
    PressedButton,
)
from clarion.ports.provider import (
    Provider,
    ProviderPlugin,
    ProviderSettings,
    ProviderTools,
    TakesBack,
    WebUrl,
)

TEXT_CHARS = 4096
"""After the markup has been read."""
CAPTION_CHARS = 1024
"""https://core.telegram.org/bots/api#sendphoto"""
TITLE_CHARS = 256
FACTS = 20
FACT_CHARS = (64, 512)
BUTTONS = 10
BUTTON_CHARS = 64
MOST_MOVES = 10_000
PHOTO = "photo"
TOO_OLD = "Telegram lets bots delete messages for 48 hours, and in groups only if they may"
_MOVED = "the group became a supergroup, and is written to under its new id"

_CHAT = r"(?:-?[1-9][0-9]{0,19}|@[A-Za-z][A-Za-z0-9_]{3,31})"
_CHAT_ID = re.compile(_CHAT)
LOST_CHATS = (
    *(
        "chat not found",
        "user not found",
        "peer_id_invalid",
        "bot was blocked by the user",
        "user is deactivated",
    ),
    *("bot was kicked", "bot is not a member", "group chat was upgraded", "group chat was deleted"),
)
"""What is said of a chat that is no longer there for this bot."""


class TelegramConfig(ProviderSettings, frozen=True, kw_only=True):
    """A bot."""

    token: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\A[0-9]{1,20}:[A-Za-z0-9_.-]+\Z",
            description="the token of a bot, as @BotFather tells it: 123456:ABC-DEF...",
        ),
    ]
    """From @BotFather: `123456:ABC-DEF...`."""
    chat: Annotated[
        str,
        msgspec.Meta(pattern=rf"\A{_CHAT}\Z", description="a chat id, such as -1001234567890, or @channel"),
    ] = ""
    """Where it writes to whose contact is no Telegram chat: a chat id or `@channel`."""
    secret_token: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\A[A-Za-z0-9_-]{1,256}\Z",
            description="words of your own: up to 256 letters, digits, `_` and `-`",
        ),
    ] = ""
    """What `setWebhook` was given as `secret_token`, with `callback_url` of the integration as `url`. Without it, buttons that
    answer are links."""
    api_url: WebUrl = "https://api.telegram.org"


class Moves:
    """Groups that became supergroups, and their new ids: Telegram tells them once somebody writes to the old one."""

    def __init__(self) -> None:
        self._moved: Lru[str, str] = Lru(MOST_MOVES)

    def now(self, chat: str) -> str:
        """Where the chat is now."""
        return self._moved.get(chat) or chat

    def learn(self, chat: str, to: str) -> None:
        """The oldest is forgotten when there are too many: then Telegram says it again."""
        self._moved.put(chat, to)


def destination(config: TelegramConfig, outgoing: Outgoing) -> Destination | None:
    """A chat id or `@channel` of the contact's; else the integration's default."""
    address = address_of(outgoing)
    if _CHAT_ID.fullmatch(address):
        return Destination(to=address, own=True)
    return Destination(to=config.chat, own=False) if config.chat else None


def build(config: TelegramConfig, outgoing: Outgoing, moves: Moves) -> HttpRequest | Outcome:
    """The request for one message."""
    method, message = message_of(content_of(outgoing), pressable=bool(config.secret_token))
    if outgoing.replaces:
        place, is_photo = _place(outgoing.replaces)
        if is_photo is not (method == "sendPhoto"):
            return Rejected(detail="Telegram cannot make a text of a photo, nor a photo of a text")
        if not is_photo:
            return _call(config, "editMessageText", {**place, **message})
        media = {"type": "photo", "media": message.pop("photo")}
        media |= {name: message.pop(name) for name in ("caption", "parse_mode")}
        return _call(config, "editMessageMedia", {**place, "media": media, **message})
    goal = destination(config, outgoing)
    if goal is None:
        return NOWHERE
    return _call(config, method, {"chat_id": moves.now(goal.to), **message})


def withdrawal(config: TelegramConfig, sent: SentMessage) -> HttpRequest | Outcome:
    """The request that deletes a message."""
    if "/" not in sent.provider_id:
        return Rejected(detail="it was sent before Clarion kept what is needed to delete it")
    return _call(config, "deleteMessage", _place(sent.provider_id)[0])


def _call(config: TelegramConfig, method: str, body: dict[str, Any]) -> HttpRequest:
    return HttpRequest(
        url=f"{config.api_url.rstrip('/')}/bot{config.token}/{method}",
        headers={"content-type": "application/json"},
        body=msgspec.json.encode(body),
    )


def _place(provider_id: str) -> tuple[dict[str, Any], bool]:
    """Where a message is, and whether it is a photo: as `read` noted it."""
    chat, _, message = provider_id.partition("/")
    number, _, kind = message.partition("/")
    return {"chat_id": int(chat), "message_id": int(number)}, kind == PHOTO


def message_of(content: ChatContent, *, pressable: bool = False) -> tuple[str, dict[str, Any]]:
    """The method and the message: a photo with a caption where all of it fits under one, else a text. `pressable`: Telegram
    tells us who presses a button."""
    image = web_url(content.image)
    rest: dict[str, Any] = {"parse_mode": "HTML"}
    if keyboard := _buttons(content, pressable):
        rest["reply_markup"] = {"inline_keyboard": keyboard}
    caption = Room(TEXT_CHARS)
    text = html_of(content, caption)
    if image and TEXT_CHARS - caption.left <= CAPTION_CHARS:
        return "sendPhoto", {"photo": image, "caption": text, **rest}
    preview = {"url": image, "show_above_text": True} if image else {"is_disabled": True}
    return "sendMessage", {"text": text, "link_preview_options": preview, **rest}


def html_of(content: ChatContent, room: Room) -> str:
    """https://core.telegram.org/bots/api#html-style; `room` counts what is left when the markup has been read."""
    url = web_url(content.url)
    lines: list[str] = []
    if title := room.text(content.title, TITLE_CHARS, unmentioning):
        bold = f"<b>{escape(title)}</b>"
        lines.append(f'<a href="{escape(url)}">{bold}</a>' if url else bold)
    elif url and room.whole(url):
        lines.append(escape(url))
    room.left -= len(lines)
    if text := room.text(content.text, room.left, unmentioning):
        lines.append(escape(text, quote=False))
    room.left -= FACTS * len("\n ")
    facts = room.facts(content.fields, FACTS, FACT_CHARS, unmentioning)
    lines += [f"<b>{escape(label)}</b> {escape(value, quote=False)}" for label, value in facts]
    return "\n".join(lines)


def _buttons(content: ChatContent, pressable: bool) -> list[list[dict[str, str]]]:
    """One below the other, so that labels stay legible."""
    pressed = answers(content.actions) if pressable else ()
    linked = buttons(one for one in content.actions if not (pressable and one.id))
    shown = [_button(label, callback_data=id_) for label, id_ in pressed]
    shown += [_button(label, url=url) for label, url in linked]
    return [[button] for button in shown[:BUTTONS]]


def _button(label: str, **what: str) -> dict[str, str]:
    return {"text": Room(BUTTON_CHARS).text(label, BUTTON_CHARS), **what}


def read(config: TelegramConfig, outgoing: Outgoing, reply: HttpReply, moves: Moves) -> Outcome:
    """What Telegram's answer means: `{"ok": ..., "result" or "error_code", "description", "parameters"}`."""
    goal = destination(config, outgoing)
    own = goal is not None and goal.own
    answer = answer_of(reply)
    if answer.get("ok") is True:
        return Accepted(provider_id=outgoing.replaces or _sent(answer.get("result")))
    if outgoing.replaces and "message is not modified" in str(answer.get("description", "")):
        return Accepted(provider_id=outgoing.replaces)
    parameters = answer.get("parameters")
    more = parameters if isinstance(parameters, dict) else {}
    if reply.status == 429:
        after_s = wait_s(more.get("retry_after"), reply)
        return Retry(reason=Reason.RATE_LIMITED, after_s=after_s, detail="Telegram asks to slow down")
    if goal is not None and isinstance(moved := more.get("migrate_to_chat_id"), int):
        moves.learn(goal.to, str(moved))
        return Retry(of_address=True, detail=f"{_MOVED}{'' if own else ': set `chat` to it'}")
    said = str(answer.get("description", "")).lower()
    if found := next((words for words in LOST_CHATS if words in said), ""):
        return lost(own, f"Telegram said: {found}")
    if reply.status in (401, 404):
        return Misconfigured(detail=f"status {reply.status}: Telegram does not know this token")
    if reply.status == 403:
        return Rejected(
            detail="status 403: the bot may not write to this chat, or nobody has started it there yet"
        )
    outcome = outcome_of(reply)
    return Unknown(detail="an answer that is not Telegram's") if isinstance(outcome, Accepted) else outcome


def _sent(result: object) -> str | None:
    """Where the message is, in a form that stays true whatever becomes of the contact."""
    if not isinstance(result, dict) or not isinstance(result.get("chat"), dict):
        return None
    chat, sent = result["chat"].get("id"), result.get("message_id")
    if not isinstance(chat, int) or not isinstance(sent, int):
        return None
    return f"{chat}/{sent}/{PHOTO}" if "photo" in result else f"{chat}/{sent}"


def read_withdrawal(config: TelegramConfig, sent: SentMessage, reply: HttpReply, moves: Moves) -> Outcome:
    """What Telegram's answer to a deletion means. What is gone already is withdrawn."""
    said = str(answer_of(reply).get("description", "")).lower()
    if "message to delete not found" in said:
        return Accepted()
    if "message can't be deleted" in said:
        return Rejected(detail=TOO_OLD)
    outcome = read(config, unsent(sent), reply, moves)
    return Accepted() if isinstance(outcome, Accepted) else outcome


def check_pong(reply: HttpReply) -> None:
    """`getMe` describes the bot."""
    if reply.status in (401, 404):
        raise ConfigError("Telegram does not know this token: get a new one from @BotFather and set `token`")
    if answer_of(reply).get("ok") is not True:
        raise Unavailable(f"Telegram answered {reply.status}: try again later")


HEADER = "x-telegram-bot-api-secret-token"
TOLD_CHARS = 200
"""https://core.telegram.org/bots/api#answercallbackquery"""


def verify(request: CallbackRequest, config: Any, tools: CallbackTools) -> None:
    """https://core.telegram.org/bots/api#setwebhook"""
    if not config.secret_token:
        raise CallbackForged("set `secret_token` of the integration: without it nobody can tell who calls")
    given = request.headers.get(HEADER, "").encode("utf-8", "replace")
    if not hmac.compare_digest(given, config.secret_token.encode()):
        raise CallbackForged("X-Telegram-Bot-Api-Secret-Token is wrong or missing")


def read_pressed(request: CallbackRequest, config: Any, tools: CallbackTools) -> Callback:
    """A button that somebody pressed; other updates say nothing of interest. What came of it is shown by the answer to this
    request: https://core.telegram.org/bots/api#making-requests-when-getting-updates"""
    query = object_in(object_of(request.body), "callback_query")
    pressed = text_in(query, "data")
    if not pressed:
        return Callback()
    user = object_in(query, "from")
    by = text_in(user, "username") or str(user.get("id", ""))
    return Callback(pressed=(PressedButton(id=pressed, by=by),), told=_Telling(text_in(query, "id")))


class _Telling(msgspec.Struct, frozen=True):
    """Shows whoever pressed a button what came of it."""

    query: str

    def __call__(self, text: str) -> CallbackAnswer:
        answer = {"method": "answerCallbackQuery", "callback_query_id": self.query, "text": text[:TOLD_CHARS]}
        return CallbackAnswer(body=msgspec.json.encode(answer), media_type="application/json")


def accepts(contact: Contact) -> bool:
    """Chat ids and `@channel`."""
    return _CHAT_ID.fullmatch(contact.address) is not None


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    moves = Moves()
    return HttpProvider(
        integration,
        tools,
        build=partial(build, config, moves=moves),
        read=partial(read, config, moves=moves),
        ping=HttpRequest(url=f"{config.api_url.rstrip('/')}/bot{config.token}/getMe"),
        check_pong=check_pong,
        withdrawal=HttpEnds(partial(withdrawal, config), partial(read_withdrawal, config, moves=moves)),
    )


plugin = ProviderPlugin(
    name="telegram",
    title="Telegram",
    channels=frozenset({Channel.CHAT}),
    config=TelegramConfig,
    open=_open,
    accepts=accepts,
    takes_back=TakesBack(
        edits=True,
        withdraws=True,
        limits="Deleted for 48 hours only. A text cannot become a photo, nor a photo a text.",
    ),
    callbacks=Callbacks(verify=verify, read=read_pressed, kinds=frozenset()),
    batch=30,
    secrets=frozenset({"token", "secret_token"}),
    example={"token": "123456:ABC-DEF...", "chat": "@shop_news"},
)
