"""What a person writes back to an email: their own words, and which email they answer."""

from __future__ import annotations

import re
from typing import NamedTuple

from clarion.content.bounces.auto_replies import is_by_a_person
from clarion.content.bounces.safe_mime import ParsedMail, opened

MOST_LINES = 200
MOST_ANSWERED = 8

_ID = re.compile(r"<([0-9a-f]{32})@", re.IGNORECASE)
_QUOTE = re.compile(
    r"^(?:>|-- ?$|_{5,}|-{3,} ?\S|(?:from|von|de|da|van|från|fra|od|от|gesendet|sent) ?:|"
    r"(?:sent from|von meinem|envoyé de|enviado desde|inviato da|verzonden vanaf) |.{0,200}<[^<>\s]+@[^<>\s]+>.{0,40}:$|"
    r"(?:on|am|le|el|il|em|op|den|dne|w dniu) .{4,200}:$)",
    re.IGNORECASE,
)
"""Here begins what is not their own: the email they answer, a signature, a line of their mail program."""
_ANSWER = re.compile(r"^\s*(?:re|aw|sv|antw|ré|rif|odp|ynt|res|回复|返信)\s*:", re.IGNORECASE)
_TAG = re.compile(r"<[^>]{0,500}>")


class EmailAnswer(NamedTuple):
    """One email of a person."""

    words: str
    """Their own, without what they quote; those of a new subject where there are none."""
    answers: tuple[bytes, ...]
    """Ids from the Message-IDs it answers, those that could be ours, newest first."""


def answer_in(raw: bytes) -> EmailAnswer | None:
    """None for what no person wrote in answer to something. Never raises."""
    mail = opened(raw)
    if not is_by_a_person(mail):
        return None
    named = f"{mail.header('in-reply-to')} {' '.join(reversed(mail.header('references').split()))}"
    ids = dict.fromkeys(bytes.fromhex(found) for found in _ID.findall(named))
    return EmailAnswer(_own_words(mail), tuple(ids)[:MOST_ANSWERED])


def _own_words(mail: ParsedMail) -> str:
    text = mail.text("text/plain") or _TAG.sub(" ", mail.text("text/html"))
    own: list[str] = []
    for line in text.splitlines()[:MOST_LINES]:
        if _QUOTE.match(line.strip()) is not None:
            break
        own.append(line)
    words = "\n".join(own).strip()
    subject = mail.header("subject")
    return words or ("" if _ANSWER.match(subject) else subject)
