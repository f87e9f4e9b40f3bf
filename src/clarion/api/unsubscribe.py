"""`/u/{token}`: leaving a category from an email. A POST leaves (RFC 8058, one click); a GET only asks.

Mail programs and link scanners open every link, so nothing but a POST may change anything. Whoever has the
token may leave: no cookie, no credential, no redirect.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

import structlog

from clarion.api import request_bodies
from clarion.api.dependencies import ApiParts
from clarion.api.reader_languages import languages_of
from clarion.api.responses import HttpScope, Send, answer
from clarion.api.unsubscribe_page import HEADERS, State, page
from clarion.api.unsubscribe_words import WORDS
from clarion.content.localise.locales import choose
from clarion.errors import Busy, Conflict, Unavailable, UserUnreadable
from clarion.model.consent import ConsentSource
from clarion.rules.limiter import Bucket, take
from clarion.services.unsubscribe import Choice

LONGEST_BODY = 16 * 1024
RETURNS_PER_S = 20.0
"""Subscribing again, by everybody together: what would let one token write without end. Leaving is never limited,
and leaving twice writes once."""

_HTML = b"text/html; charset=utf-8"
_FORM = b"application/x-www-form-urlencoded"
_STATUS: dict[State, int] = {"lost": 404, "busy": 503}

_log = structlog.get_logger("clarion.api")


class Farewell:
    """The unsubscribe links of all tenants."""

    def __init__(self, parts: ApiParts) -> None:
        self._parts = parts
        self._returns = Bucket(rate=RETURNS_PER_S, burst=RETURNS_PER_S, tokens=RETURNS_PER_S)

    async def __call__(
        self, token: str, scope: HttpScope, receive: request_bodies.Receive, send: Send
    ) -> None:
        """Answer with a page, whatever happens: behind the link is a person, not a program."""
        headers = dict(scope["headers"])
        wanted = languages_of(headers)
        posted = scope["method"] == "POST"
        body = await request_bodies.read(receive, headers, LONGEST_BODY) if posted else b""
        try:
            choice = await self._parts.services.unsubscribe.read(token)
            if choice is None:
                await _show(send, "lost", choose(WORDS, *wanted))
                return
            state: State = "ask" if choice.subscribed else "done"
            if posted:
                state, choice = await self._act(choice, back=_wants_back(headers, body))
        except (Busy, Unavailable, Conflict, UserUnreadable) as trouble:
            _log.warning("unsubscribe_failed", code=trouble.code)
            await _show(send, "busy", choose(WORDS, *wanted))
            return
        user, tenant, category = choice.user, choice.tenant, choice.category
        own = (user.profile.locale,) if user is not None else ()
        await _show(
            send,
            state,
            choose(WORDS, *own, *wanted, tenant.locale),
            category=category.name or category.key,
            sender=tenant.name or tenant.key,
            button=user is not None,
        )

    async def _act(self, choice: Choice, *, back: bool) -> tuple[State, Choice]:
        if not back:
            return "done", await self._parts.services.unsubscribe.leave(
                choice, ConsentSource.UNSUBSCRIBE_LINK
            )
        self._returns, granted, wait_s = take(self._returns, self._parts.clock.monotonic(), (1,))
        if not granted:
            raise Busy(f"too many people subscribe again at once: try again in {wait_s:.0f} seconds")
        return "back", await self._parts.services.unsubscribe.return_to(choice)


def _wants_back(headers: Mapping[bytes, bytes], body: bytes) -> bool:
    """Whether it is the undo button of our own page; everything else that is posted here means to leave."""
    if not headers.get(b"content-type", b"").lower().startswith(_FORM):
        return False
    return ("action", "back") in parse_qsl(body.decode("latin-1"), max_num_fields=16)


async def _show(
    send: Send,
    state: State,
    language: str | None,
    *,
    category: str = "",
    sender: str = "",
    button: bool = True,
) -> None:
    shown = page(state, language or "en", category=category, sender=sender, button=button)
    await answer(send, _STATUS.get(state, 200), shown, *HEADERS, media_type=_HTML)
