"""Reads a returned email: which message it is about, and what it says."""

from __future__ import annotations

import re

import msgspec

from clarion.content.bounces import smtp_codes
from clarion.content.bounces.amazon import SesEvent, amazon_event
from clarion.content.bounces.auto_replies import (
    comes_from_a_mail_system,
    is_auto_reply,
    is_by_a_person,
    is_challenge,
    reports_failure,
    says_undelivered,
)
from clarion.content.bounces.complaints import complaint
from clarion.content.bounces.dsn import DeliveryStatus, holds_notice, notices
from clarion.content.bounces.precedence import (
    FINAL,
    PLAIN,
    VAGUE,
    answers_the_sender,
    asks_for_less,
    by_words,
    speaks_of_blocking,
    spoken,
    without_proof,
)
from clarion.content.bounces.safe_mime import ParsedMail, opened
from clarion.content.bounces.verdict import BounceVerdict

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
_FORWARDED = re.compile(
    r"^([> \t]{0,8})(?:from|von|de|da|van|från|fra|od|от|kimden|差出人|送信者|发件人|寄件者|보낸 ?사람)[ \t*]{0,3}[:：][^\n]{0,200}"
    r"(?:mailer-?daemon|postmaster@|mail delivery|microsoftexchange|mail administrator|system administrator)[^\n]{0,400}\n",
    re.IGNORECASE | re.MULTILINE,
)
"""A notice that somebody has passed on: the first line of its header."""
_QUOTE = re.compile(r"^[> \t]{1,8}", re.MULTILINE)
_BLANK = re.compile(r"\n[ \t]*\n")
_REASON = re.compile(
    r"(?:^|(?:said|error|reason|status|code|with|replied|response|returned|was|smtp) ?:?|[(\[\"':;])\s{0,4}[45]\d\d[ -]{1,3}(?:#?[45]\.\d{1,3}\.\d{1,3}|[a-z<])|#[45]\.\d\.\d",
    re.IGNORECASE | re.MULTILINE,
)
"""What a mail server answered; nothing that a mail to people says by chance."""
_SUBJECT_LINE = re.compile(
    r"^[> \t*]{0,20}(?:subject|betreff|objet|asunto|oggetto|assunto|onderwerp|ämne|emne|temat|тема|konu|件名|主题|主題|主旨|제목)[ \t*]{0,3}[:：].{0,998}$",
    re.IGNORECASE | re.MULTILINE,
)
_SHORTEST_SUBJECT = 6
_OWN_SUBJECT = re.compile(r"\s*(?:(?i:returned mail)|DELIVERY FAILURE):(.*)", re.DOTALL)
"""Sendmail and Domino say the reason in their subject; behind all others stands that of the mail that was sent."""
_ADDRESS = re.compile(r"<?(?:\"[^\"\n]{1,64}\"|[^\s<>\"',;:()]{1,64})@[^\s<>\"',;:()]{1,255}>?")
_SYSTEM = re.compile(r"(?:postmaster|mailer-daemon|abuse|[bu]\+[0-9a-f]{56})@", re.IGNORECASE)
_BEFORE_OTHERS = re.compile(
    r"(?:\b(?:from|sender|sent by|von|absender|de la part de|contact|reply-to|help|support|postmaster)\b|发件人|差出人)[^@\n]{0,16}$",
    re.IGNORECASE,
)
"""Stands before the address of whoever sent it or may be asked, not of whom it was for."""
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

    verdict: BounceVerdict
    delayed: bool = False
    """Whoever carries it keeps trying: nothing is over yet."""
    status: str = ""
    """Enhanced status code (RFC 3463), when one is given."""
    detail: str = ""
    """The receiver's words without addresses."""
    recipients: tuple[str, ...] = ()
    """Whom the report names, or could mean."""
    sent_to: str = ""
    """Whom the returned mail was sent to, by its own header."""
    tags: tuple[str, ...] = ()
    """Return path tags found anywhere in it; who signs them can tell which are genuine."""
    message_ids: tuple[bytes, ...] = ()
    """From the Message-ID of returned mails that could be ours."""

    @property
    def recipient(self) -> str:
        """Whom the report most likely means."""
        return self.recipients[0] if self.recipients else ""


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


def read_reply(status: str, said: str) -> Return:
    """The verdict on a refusal that a service passes on: the enhanced status code, and what the mail server said."""
    said = said[: 4 * DETAIL]
    verdict = (
        _judged(said, status) if said else smtp_codes.exactly(status) or smtp_codes.roughly(status, "")
    ) or (BounceVerdict.UNKNOWN)
    return Return(verdict=verdict, status=status, detail=_redacted(said))


def _verdict(mail: ParsedMail) -> Return:
    if (complained := complaint(mail)) is not None:
        return Return(verdict=complained, recipients=_addresses(_reported(mail)))
    text = _text(mail)
    fields = "\n\n".join(part.text for part in mail.parts if part.type.endswith("delivery-status"))
    found = notices(fields) or (notices(text) if holds_notice(text) else [])
    said = _without_subjects(_split(text)[0], mail)
    if is_challenge(mail):
        return Return(verdict=BounceVerdict.AUTO_REPLY)
    if found:
        return _of_notice(found[0], said)
    if (event := amazon_event(text)) is not None:
        return _of_event(event)
    if comes_from_a_mail_system(mail) or _forwarded(mail):
        return _of_text(mail, said)
    return Return(verdict=BounceVerdict.AUTO_REPLY if is_auto_reply(mail) else BounceVerdict.UNKNOWN)


def _of_notice(notice: DeliveryStatus, said: str) -> Return:
    delayed = notice.action == "delayed"
    if notice.action in _DELIVERED or notice.status.startswith("2"):
        verdict = BounceVerdict.DELIVERED
    elif delayed:
        verdict = BounceVerdict.SOFT
    else:
        told = notice.diagnostic or said
        certain = None if notice.diagnostic else smtp_codes.exactly(notice.status)
        verdict = (
            certain or _judged(told, notice.status) or _judged(said, notice.status) or BounceVerdict.SOFT
        )
    if verdict is BounceVerdict.HARD and answers_the_sender(spoken(said)):
        verdict = BounceVerdict.BLOCK
    return Return(
        verdict=verdict,
        delayed=delayed,
        status=notice.status,
        detail=_redacted(notice.diagnostic or _telling(said)),
        recipients=_addresses(notice.recipient, notice.original),
    )


def _of_event(event: SesEvent) -> Return:
    verdict = event.verdict
    if verdict is None:
        verdict = _judged(event.diagnostic, event.status) or BounceVerdict.SOFT
    return Return(
        verdict=verdict,
        status=event.status,
        detail=_redacted(event.diagnostic),
        recipients=_addresses(event.recipient),
    )


def _of_text(mail: ParsedMail, said: str) -> Return:
    """What a report in plain words says; a machine that writes about something else is not understood."""
    status, subject = smtp_codes.first_status(said), mail.header("subject")
    delayed = _DELAY.search(f"{subject}\n{said}") is not None
    if not (delayed or reports_failure(mail) or _originals(mail) or smtp_codes.has_failure(said)):
        return Return(verdict=BounceVerdict.UNKNOWN)
    own = _OWN_SUBJECT.match(subject)
    told = _judged(own.group(1) if own is not None else "", status)
    verdict = BounceVerdict.SOFT if delayed else _reason(said, status) or told or BounceVerdict.SOFT
    return Return(
        verdict=verdict,
        delayed=delayed,
        status=status,
        detail=_redacted(_telling(said)),
        recipients=_addresses(mail.header("x-failed-recipients")) or _meant(mail, said),
    )


def _reason(said: str, status: str) -> BounceVerdict | None:
    """What was quoted counts before what is told, and that before what is explained."""
    quoted = _QUOTED.search(said)
    told = _ADVICE.split(said, maxsplit=1)[0]
    return (
        (_judged(quoted.group(1), status) if quoted is not None else None)
        or _judged(told, status)
        or _judged(said, status)
    )


def _judged(said: str, status: str) -> BounceVerdict | None:
    """Plain words, exact codes, vague words, vague codes; nobody is gone as long as it is not for good."""
    words = spoken(said)
    temporary = smtp_codes.is_temporary(status, words)
    own_status = smtp_codes.first_status(words)
    verdict = by_words(words, PLAIN)
    if verdict in (None, BounceVerdict.HARD):
        doubt, rest = without_proof(words)
        if doubt is not None:
            verdict = by_words(rest, PLAIN) or doubt
    if asks_for_less(words):
        if not speaks_of_blocking(words) and (temporary or verdict is not BounceVerdict.HARD):
            return BounceVerdict.SOFT
        verdict = verdict or BounceVerdict.BLOCK
    verdict = (
        verdict
        or smtp_codes.exactly(own_status)
        or smtp_codes.exactly(status)
        or by_words(words, VAGUE)
        or smtp_codes.roughly(status, words)
    )
    if verdict is not BounceVerdict.HARD:
        return verdict
    if temporary and not FINAL.search(words):
        return BounceVerdict.SOFT
    if smtp_codes.is_policy(own_status or status) and speaks_of_blocking(words):
        return BounceVerdict.BLOCK
    return BounceVerdict.HARD


def _text(mail: ParsedMail) -> str:
    """The words of a notice; of one that somebody has passed on, the notice without what stands around it."""
    return _forwarded(mail) or mail.text("text/plain", "text/html")


def _forwarded(mail: ParsedMail) -> str:
    """The notice of a mail system that a person passes on in the text of a mail; empty when it is none."""
    if not is_by_a_person(mail):
        return ""
    text = mail.text("text/plain") or mail.text("text/html")
    found = _FORWARDED.search(text)
    if found is None:
        return ""
    notice = text[found.end() :]
    if found.group(1).strip():
        notice = _QUOTE.sub("", notice)
    end = _BLANK.search(notice)
    return notice[end.end() :] if end is not None else ""


def _originals(mail: ParsedMail) -> str:
    """What is returned of the mail that was sent, wherever it stands."""
    attached = mail.text("message/rfc822", "text/rfc822-headers", "text/rfc822-header")
    return attached or _split(_text(mail))[1]


def _telling(said: str) -> str:
    """The text from its first reply code on: the greetings before it say nothing."""
    at = smtp_codes.place_of_failure(said)
    return said[at:] if at > DETAIL // 2 else said


def _split(text: str) -> tuple[str, str]:
    """What the mail system says, and what it returns."""
    found = _ORIGINAL.search(text)
    if found is None:
        return text, ""
    told, returned = text[: found.start()], text[found.start() :]
    end = _BLANK.search(returned)
    if end is None or _REASON.search(told) is not None:
        return told, returned
    # Some notices open with the header of the mail that came back, and say behind it why it did.
    later = _ORIGINAL.search(returned, end.end())
    behind = returned[end.end() : later.start() if later is not None else len(returned)]
    tells = _REASON.search(behind) is not None or says_undelivered(behind[:4000])
    return (behind, returned) if tells else (told, returned)


def _without_subjects(said: str, mail: ParsedMail) -> str:
    """The text without the subject of the mail that was sent: what it says is no reason."""
    returned = re.search(r"^subject[ \t]*:(.{1,998})$", _originals(mail), re.IGNORECASE | re.MULTILINE)
    own = mail.header("subject")
    quoted = "" if _OWN_SUBJECT.match(own) is not None else own.partition(":")[2]
    said = _SUBJECT_LINE.sub("", said)
    for subject in (quoted.strip(), returned.group(1).strip() if returned is not None else ""):
        if len(subject) >= _SHORTEST_SUBJECT and " " in subject:
            said = said.replace(subject, " ")
    return said


def _meant(mail: ParsedMail, said: str) -> tuple[str, ...]:
    """Whom a text could mean: every address in it but those of the sender and of the mail system."""
    fields = re.findall(
        r"^(?:from|sender|reply-to|return-path)[ \t]*:(.{1,998})$",
        _originals(mail),
        re.IGNORECASE | re.MULTILINE,
    )
    fields += [mail.header(name) for name in ("from", "to", "reply-to", "return-path")]
    others = {address.lower() for field in fields for address in _addresses(field)}
    named = [
        address
        for found in _ADDRESS.finditer(said[:4000])
        if (address := found.group(0).strip("<>.")).lower() not in others
        and _SYSTEM.match(address) is None
        and _BEFORE_OTHERS.search(said[max(0, found.start() - 40) : found.start()]) is None
    ]
    return tuple(dict.fromkeys(named))[:MOST_CLUES]


def _reported(mail: ParsedMail) -> str:
    """Who complained, as far as their mail service says."""
    fields = [mail.text("message/feedback-report"), mail.text("message/rfc822", "text/rfc822-headers")]
    found = _COMPLAINER.search("\n".join(fields))
    return _address(mail.header("x-hmxmroriginalrecipient") or (found.group(1) if found is not None else ""))


def _address(text: str) -> str:
    return next(iter(_addresses(text)), "")


def _addresses(*texts: str) -> tuple[str, ...]:
    """The addresses in texts, each once."""
    found = (one.strip("<>.") for text in texts for one in _ADDRESS.findall(text[:4000]))
    return tuple(dict.fromkeys(found))


def _redacted(text: str) -> str:
    return _ADDRESS.sub("<address>", " ".join(text[: 4 * DETAIL].split()))[:DETAIL]
