"""Buttons under a message: the answers to its question, or that somebody has seen it. Links where a channel has no buttons."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from msgspec.structs import replace

from clarion.content.button_words import ButtonWords, words_for
from clarion.content.localise.locales import choose
from clarion.model.content import (
    Action,
    AnyContent,
    ChatContent,
    EmailContent,
    InAppContent,
    PushContent,
    SmsContent,
    VoiceContent,
    WhatsAppContent,
)
from clarion.model.push import fitted
from clarion.model.setup import Step
from clarion.rules.replies import words_of

ACKNOWLEDGE = "ack"
"""What stands for the button that acknowledges; options are told by their place."""

_BODY_ENDS = re.compile(r"</body\s*>", re.IGNORECASE)
_BLOCK = "margin:24px 0;text-align:center"
_BUTTON = (
    "display:inline-block;margin:4px;padding:12px 24px;border-radius:8px;background:#4350c4;color:#ffffff;"
    "font-family:sans-serif;font-size:16px;font-weight:600;text-decoration:none"
)


def labels_of(question: Step | None, *locales: str) -> tuple[str, ...]:
    """What stands on the buttons of a question, in order. None: of what is to be acknowledged."""
    if question is None:
        return (words_for(*locales).acknowledge,)
    return tuple(label_of(question, key, *locales) for key in question.options)


def label_of(question: Step, key: str, *locales: str) -> str:
    """What stands on the button of an option."""
    given = question.options[key]
    return given if isinstance(given, str) else given[choose(given, *locales) or next(iter(given))]


def option_in(question: Step, text: str) -> str | None:
    """The key of the option that somebody means who writes its key, its number, or what stands on its button."""
    said = words_of(text)
    for number, (key, given) in enumerate(question.options.items(), 1):
        named = (key, str(number), *([given] if isinstance(given, str) else given.values()))
        if said and said in [words_of(one) for one in named]:
            return key
    return None


def with_buttons(
    content: AnyContent, actions: Sequence[Action], page: str, words: ButtonWords, *, asks: bool
) -> AnyContent:
    """The content with these buttons. `page`: the link to all of them, for texts; empty: there are no links."""
    match content:
        case ChatContent() | InAppContent() | WhatsAppContent():
            return replace(content, actions=(*actions, *content.actions))
        case PushContent():
            linked = tuple(one for one in actions if one.url)
            return fitted(replace(content, actions=(*linked, *content.actions)))
        case EmailContent() if page:
            return _email(content, actions)
        case SmsContent() if page:
            return replace(
                content, text=f"{content.text}\n{' / '.join(one.label for one in actions)}: {page}"
            )
        case VoiceContent() if not content.acknowledge:
            # A call that asks nothing has any digit as an acknowledgement.
            told = [words.press.format(label=one.label, digit=digit) for digit, one in enumerate(actions, 1)]
            return replace(content, acknowledge=" ".join(told[:9]) if asks else told[0])
        case _:
            return content


def _email(content: EmailContent, actions: Sequence[Action]) -> EmailContent:
    text = "\n".join(f"{one.label}: {one.url}" for one in actions)
    html = content.html
    if html:
        links = "".join(
            f'<a href="{escape(one.url)}" style="{_BUTTON}">{escape(one.label)}</a>' for one in actions
        )
        block = f'<div style="{_BLOCK}">{links}</div>'
        ends = [*_BODY_ENDS.finditer(html)]
        at = ends[-1].start() if ends else len(html)
        html = html[:at] + block + html[at:]
    return replace(content, html=html, text=f"{content.text}\n\n{text}".strip() if content.text else "")
