"""`/a/{token}`: answering a question, or acknowledging, from a message. A POST answers; a GET only asks.

Mail programs and link scanners open every link, so nothing but a POST may change anything. Whoever has the token may answer:
no cookie, no credential.
"""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qs

import structlog

from clarion.api import request_bodies
from clarion.api.dependencies import ApiParts
from clarion.api.reader_languages import languages_of
from clarion.api.responses import HttpScope, Send, answer
from clarion.api.unsubscribe_page import HEADERS, document
from clarion.content.button_words import WORDS, ButtonWords, language_for
from clarion.errors import Busy, Conflict, Unavailable, UserUnreadable
from clarion.rules.steps.ask import LONGEST_TEXT
from clarion.services.responses import Question, told

LONGEST_BODY = 16 * 1024
LINK = "link"
"""The channel of what is answered here."""

_HTML = b"text/html; charset=utf-8"

_log = structlog.get_logger("clarion.api")


class AnswerPage:
    """The links of the buttons of all messages."""

    def __init__(self, parts: ApiParts) -> None:
        self._parts = parts

    async def __call__(
        self, token: str, scope: HttpScope, receive: request_bodies.Receive, send: Send
    ) -> None:
        """Answer with a page, whatever happens: behind the link is a person, not a program."""
        headers = dict(scope["headers"])
        wanted = languages_of(headers)
        posted = scope["method"] == "POST"
        body = await request_bodies.read(receive, headers, LONGEST_BODY) if posted else b""
        try:
            found = await self._parts.services.responses.behind(token)
            if found is None:
                language = language_for(*wanted)
                await _show(send, 404, language, escape(WORDS[language].lost))
                return
            question, button = found
            language = language_for(question.user.profile.locale, *wanted, question.tenant.locale)
            if posted:
                said = await self._pressed(question, button, body)
                if said:
                    await _show(send, 200, language, escape(said))
                    return
        except (Busy, Unavailable, Conflict, UserUnreadable) as trouble:
            await _busy(send, trouble.code, *wanted)
            return
        words = WORDS[language]
        if not question.open:
            said = question.said()
            text = words.already.format(answer=said) if said else words.closed
            await _show(send, 200, language, escape(words.acknowledged if question.step is None else text))
            return
        sender = f"<bdi>{escape(question.tenant.name or question.tenant.key)}</bdi>"
        asks = words.alert if question.step is None else words.ask
        await _show(send, 200, language, asks.format(sender=sender), _forms(question, button, words))

    async def _pressed(self, question: Question, button: str, body: bytes) -> str:
        """What came of it; empty: it was none of the buttons."""
        given = parse_qs(body.decode("utf-8", "replace"), max_num_fields=16) if body else {}
        text = "".join(given.get("text", ())).strip()[:LONGEST_TEXT]
        if text and (question.step is None or not question.step.other):
            return ""
        chosen = "" if text else "".join(given.get("button", (button,)))
        if not text and not chosen:
            return ""
        pressed = await self._parts.services.responses.press(question, chosen, LINK, text=text)
        return "" if pressed is None else told(pressed)


def _forms(question: Question, button: str, words: ButtonWords) -> str:
    """The button of the link stands out."""
    shown = "".join(
        f"<button name=button value={one}{'' if button in ('', one) else ' class=quiet'}>{escape(label)}</button> "
        for one, label in zip(question.buttons, question.labels, strict=True)
    )
    form = f"<form method=post>{shown}</form>"
    if question.step is not None and question.step.other:
        form += (
            f"<form method=post><label>{escape(words.own_words)}<br>"
            f"<textarea name=text rows=3 maxlength={LONGEST_TEXT} required></textarea></label>"
            f"<button class=quiet>{escape(words.send)}</button></form>"
        )
    return form


async def _busy(send: Send, code: str, *wanted: str) -> None:
    _log.warning("answer_failed", code=code)
    language = language_for(*wanted)
    await _show(send, 503, language, escape(WORDS[language].busy))


async def _show(send: Send, status: int, language: str, text: str, form: str = "") -> None:
    shown = document(language, WORDS[language].title, text, form)
    await answer(send, status, shown, *HEADERS, media_type=_HTML)
