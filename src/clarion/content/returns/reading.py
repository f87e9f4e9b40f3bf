"""Reading a mail that came back: what it says about which mail."""

from __future__ import annotations

import re

import msgspec

from clarion.content.returns import codes
from clarion.content.returns.amazon import Event, amazon_event
from clarion.content.returns.complaints import complaint
from clarion.content.returns.notices import Notice, holds_notice, notices
from clarion.content.returns.opened import Opened, opened
from clarion.content.returns.replies import (
    comes_from_a_mail_system,
    is_auto_reply,
    is_challenge,
    reports_failure,
)
from clarion.content.returns.verdict import Verdict
from clarion.content.returns.words import (
    NULL_MX,
    PLAIN,
    VAGUE,
    answers_the_sender,
    asks_for_less,
    by_words,
    speaks_of_blocking,
    spoken,
)

DETAIL = 300
MOST_CLUES = 8

_ORIGINAL = re.compile(
    r"^(?:[ ]{0,20}[-=_*>][-=_*> ]{1,60}(?:begin(?:ning)? (?:of )?|the |your |this is (?:a|the) |start of )?"
    r"(?:original|returned|copy of|below this line|header|undelivered|unsent|message (?:text|header|body|follows)|failed message|included|attached|received)"
    r"|(?:the |your )?(?:original|old) message(?: (?:follows|headers?|text|is |body)|:)|(?:enclosed are|a summary of) the (?:original|undelivered)|message headers? follows?|original message headers?:|"
    r"(?:here is )?(?:a|the) (?:copy|header|headers|body|text|first \S{1,20} (?:lines|bytes|characters)) of (?:the|your) (?:original |returned |failed )?(?:message|mail)|"
    r"received message|your (?:message|mail) (?:reads|begins|follows)|-{3,} ?元の|元のメッセージ|"
    r"(?:received|return-path|message-id|date|from|mime-version|to|subject|x-[a-z-]{2,30}|content-type): .{1,998}\n(?:[ \t].{0,998}\n){0,20}(?:[a-z-]{2,40}: .{0,998}\n(?:[ \t].{0,998}\n){0,20}){2})",
    re.IGNORECASE | re.MULTILINE,
)
_ADDRESS = re.compile(r"<?[^\s<>\"',;:()]{1,64}@[^\s<>\"',;:()]{1,255}>?")
_TO = re.compile(r"^to[ \t]*:[ \t]*(.{1,998})$", re.IGNORECASE | re.MULTILINE)
_COMPLAINER = re.compile(
    r"^(?:original-rcpt-to|x-hmxmroriginalrecipient)[ \t]*:(.{1,400})$", re.IGNORECASE | re.MULTILINE
)
_TAG = re.compile(r"\bb\+([0-9a-f]{56})@", re.IGNORECASE)
_MESSAGE_ID = re.compile(r"^[ \t>]*message-id[ \t]*:\s{0,20}<([0-9a-f]{32})@", re.IGNORECASE | re.MULTILINE)
_DELAY = re.compile(
    r"warning message only|has not yet been delivered|delivery will continue|(?:is|has been|message) delayed|\(delay\)|will be retried for|"
    r"delivery attempts will continue|still being retried|will continue to try|zugestellt werden, es wird weiter",
    re.IGNORECASE,
)
_QUOTED = re.compile(
    r"(?:reported error|server returned|gave this error)\s{0,3}:?\s{0,3}['\"]?([^'\"]{3,400})",
    re.IGNORECASE,
)
"""What another server said, in the middle of explanations."""
_ADVICE = re.compile(r"how to fix it|more info for email admins|original message details", re.IGNORECASE)
"""From here on every reason there could be is explained."""
_DELIVERED = frozenset({"delivered", "relayed", "expanded"})


class Return(msgspec.Struct, frozen=True, kw_only=True):
    """What a mail says about another one."""

    verdict: Verdict
    delayed: bool = False
    """Whoever carries it keeps trying: nothing is over yet."""
    status: str = ""
    """Enhanced status code (RFC 3463), when one is given."""
    detail: str = ""
    """The receiver's words without addresses."""
    recipient: str = ""
    """Whom the report names."""
    sent_to: str = ""
    """Whom the returned mail was sent to, by its own header."""
    tags: tuple[str, ...] = ()
    """Return path tags found anywhere in it; who signs them can tell which are genuine."""
    message_ids: tuple[bytes, ...] = ()
    """From the Message-ID of returned mails that could be ours."""


def read(raw: bytes) -> Return:
    """The verdict on a mail of any shape and size. Never raises."""
    mail = opened(raw)
    found = _verdict(mail)
    everything = "\n".join(
        [*(f"{name}: {value}" for name, value in mail.headers.items()), *(p.text for p in mail.parts)]
    )
    originals = _originals(mail)
    to = _TO.search(originals)
    return msgspec.structs.replace(
        found,
        sent_to=_address(to.group(1)) if to is not None else "",
        tags=tuple(dict.fromkeys(tag.lower() for tag in _TAG.findall(everything)))[:MOST_CLUES],
        message_ids=tuple(dict.fromkeys(bytes.fromhex(found) for found in _MESSAGE_ID.findall(originals)))[
            :MOST_CLUES
        ],
    )


def _verdict(mail: Opened) -> Return:
    if (complained := complaint(mail)) is not None:
        return Return(verdict=complained, recipient=_reported(mail))
    text = mail.text("text/plain", "text/html")
    fields = "\n\n".join(part.text for part in mail.parts if part.type.endswith("delivery-status"))
    found = notices(fields) or (notices(text) if holds_notice(text) else [])
    said = _split(text)[0]
    if is_challenge(mail):
        return Return(verdict=Verdict.AUTO_REPLY)
    if found:
        return _of_notice(found[0], said)
    if (event := amazon_event(text)) is not None:
        return _of_event(event)
    if comes_from_a_mail_system(mail):
        return _of_text(mail, said)
    return Return(verdict=Verdict.AUTO_REPLY if is_auto_reply(mail) else Verdict.UNKNOWN)


def _of_notice(notice: Notice, said: str) -> Return:
    delayed = notice.action == "delayed"
    if notice.action in _DELIVERED or notice.status.startswith("2"):
        verdict = Verdict.DELIVERED
    elif delayed:
        verdict = Verdict.SOFT
    else:
        told = notice.diagnostic or said
        certain = None if notice.diagnostic else codes.exactly(notice.status)
        verdict = certain or _judged(told, notice.status) or _judged(said, notice.status) or Verdict.SOFT
    if verdict is Verdict.HARD and answers_the_sender(spoken(said)):
        verdict = Verdict.BLOCK
    return Return(
        verdict=verdict,
        delayed=delayed,
        status=notice.status,
        detail=_redacted(notice.diagnostic or _telling(said)),
        recipient=_address(notice.recipient or notice.original),
    )


def _of_event(event: Event) -> Return:
    verdict = event.verdict
    if verdict is None:
        verdict = _judged(event.diagnostic, event.status) or Verdict.SOFT
    return Return(
        verdict=verdict,
        status=event.status,
        detail=_redacted(event.diagnostic),
        recipient=_address(event.recipient),
    )


def _of_text(mail: Opened, said: str) -> Return:
    """What a report in plain words says; a machine that writes about something else is not understood."""
    status, subject = codes.first_status(said), mail.header("subject")
    delayed = _DELAY.search(f"{subject}\n{said}") is not None
    if not (delayed or reports_failure(mail) or _originals(mail) or codes.has_failure(said)):
        return Return(verdict=Verdict.UNKNOWN)
    verdict = Verdict.SOFT if delayed else _reason(said, status) or _judged(subject, status) or Verdict.SOFT
    return Return(
        verdict=verdict,
        delayed=delayed,
        status=status,
        detail=_redacted(_telling(said)),
        recipient=_address(mail.header("x-failed-recipients") or said),
    )


def _reason(said: str, status: str) -> Verdict | None:
    """What was quoted counts before what is told, and that before what is explained."""
    quoted = _QUOTED.search(said)
    told = _ADVICE.split(said, maxsplit=1)[0]
    return (
        (_judged(quoted.group(1), status) if quoted is not None else None)
        or _judged(told, status)
        or _judged(said, status)
    )


def _judged(said: str, status: str) -> Verdict | None:
    """Plain words, exact codes, vague words, vague codes; nobody is gone as long as it is not for good."""
    words = spoken(said)
    temporary = codes.is_temporary(status, words)
    own_status = codes.first_status(words)
    verdict = by_words(words, PLAIN)
    if asks_for_less(words):
        if temporary and not speaks_of_blocking(words):
            return Verdict.SOFT
        verdict = verdict or Verdict.BLOCK
    verdict = (
        verdict
        or codes.exactly(own_status)
        or codes.exactly(status)
        or by_words(words, VAGUE)
        or codes.roughly(status, words)
    )
    if verdict is not Verdict.HARD:
        return verdict
    if temporary and not NULL_MX.search(words):
        return Verdict.SOFT
    if codes.is_policy(own_status or status) and speaks_of_blocking(words):
        return Verdict.BLOCK
    return Verdict.HARD


def _originals(mail: Opened) -> str:
    """What is returned of the mail that was sent, wherever it stands."""
    attached = mail.text("message/rfc822", "text/rfc822-headers", "text/rfc822-header")
    return attached or _split(mail.text("text/plain", "text/html"))[1]


def _telling(said: str) -> str:
    """The text from its first reply code on: the greetings before it say nothing."""
    at = codes.place_of_failure(said)
    return said[at:] if at > DETAIL // 2 else said


def _split(text: str) -> tuple[str, str]:
    """What the mail system says, and what it returns."""
    found = _ORIGINAL.search(text)
    return (text, "") if found is None else (text[: found.start()], text[found.start() :])


def _reported(mail: Opened) -> str:
    """Who complained, as far as their mail service says."""
    fields = [mail.text("message/feedback-report"), mail.text("message/rfc822", "text/rfc822-headers")]
    found = _COMPLAINER.search("\n".join(fields))
    return _address(mail.header("x-hmxmroriginalrecipient") or (found.group(1) if found is not None else ""))


def _address(text: str) -> str:
    found = _ADDRESS.search(text[:4000])
    return found.group(0).strip("<>.") if found is not None else ""


def _redacted(text: str) -> str:
    return _ADDRESS.sub("<address>", " ".join(text[: 4 * DETAIL].split()))[:DETAIL]
