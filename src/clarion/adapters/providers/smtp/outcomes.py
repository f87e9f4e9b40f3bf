"""The outcome that an SMTP reply means: RFC 5321 codes and RFC 3463 enhanced codes, as servers use them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum

from clarion.adapters.providers.smtp.replies import Reply, enhanced
from clarion.model.outcome import Accepted, Gone, Misconfigured, Outcome, Rejected, Retry
from clarion.model.status import Reason

LONGEST_DETAIL = 240


class Stage(IntEnum):
    """What was asked when the reply came."""

    MAIL = 0
    RCPT = 1
    DATA = 2
    END = 3
    """The final dot: the whole mail is there."""
    NOTHING = 4
    """The end of a mail that had no recipient left, or RSET: the answer does not matter."""


NO_SUCH_ADDRESS = frozenset({(1, 1), (1, 2), (1, 3), (1, 6), (1, 10)})
"""subject.detail of RFC 3463 and the IANA registry: no such user, bad domain, bad syntax, moved, null MX."""
MAILBOX_FULL = (2, 2)
DELIVERY_EXPIRED = (4, 7)
ADDRESS, MAILBOX, MAIL_SYSTEM, NETWORK, SECURITY = 1, 2, 3, 4, 7
"""Subjects of RFC 3463."""
BAD_SENDER = frozenset({(1, 7), (1, 8)})
WANTS_LOGIN = frozenset({530, 534, 535, 538})
SLOW_DOWN = frozenset({421, 450, 451})
"""Without an enhanced code that says otherwise: greylisting and rate limits."""

_UNKNOWN_USER = re.compile(
    rb"(?:user|mailbox|recipient|account|address|alias)\b.{0,40}?\b(?:unknown|not found|does(?:n't| not) exist|invalid)"
    rb"|(?:unknown|no such|invalid|non-?existent)\b.{0,20}?\b(?:user|mailbox|recipient|account|address|alias)"
    rb"|address rejected: (?:user )?unknown",
    re.IGNORECASE | re.DOTALL,
).search
_FULL = re.compile(
    rb"mailbox.{0,20}full|over ?quota|quota exceeded|insufficient.{0,20}storage", re.IGNORECASE
).search
_RELAY = re.compile(
    rb"relay\w*\s+(?:access\s+)?(?:is\s+)?(?:denied|not (?:permitted|allowed)|prohibited)|unable to relay",
    re.IGNORECASE,
).search
_LESS = re.compile(rb"gr[ea]y-?list|\brate\b|too (?:many|fast|much)|throttl|slow down", re.IGNORECASE).search
_WAIT = re.compile(rb"\b(\d{1,5})\s*(s|sec|m|min|seconds?|minutes?)\b", re.IGNORECASE).search
_QUEUED = re.compile(
    rb"(?:queued as|\bid=|^(?:2\.\d\.\d )?Ok:?(?!:? (?:queued|id=))) ?<?([\w.@:+/=-]{2,120})", re.IGNORECASE
).search
_ADDRESS = re.compile(r"[^\s<>()\[\]\"',;:]+@[^\s<>()\"',;:]+")


def accepted(reply: Reply) -> Accepted:
    """The relay has it; its own name for the mail when it says one."""
    found = _QUEUED(reply[1])
    return Accepted(provider_id=found[1].decode("ascii", "replace") if found is not None else None)


def outcome_of(stage: Stage, reply: Reply, recipient: str) -> Outcome:
    """What a refusal at `stage` means. `recipient` is kept out of the detail."""
    code, text = reply
    detail = detail_of(reply, recipient)
    status = enhanced(text)
    if (status is not None and status[1:] == MAILBOX_FULL) or (code // 100 == 5 and _FULL(text)):
        return Retry(of_address=True, after_s=_asked(text), detail=detail)
    if code // 100 == 4:
        return _later(stage, code, status, text, detail)
    if code // 100 != 5:
        return Retry(detail=f"out of turn: {detail}")
    if stage is Stage.MAIL:
        return _sender_refused(code, status, detail)
    return _refused(code, status, text, detail)


def slows_domain(outcome: Outcome) -> bool:
    """Whether the destination asked for less."""
    return isinstance(outcome, Retry) and outcome.reason is Reason.RATE_LIMITED and outcome.of_address is True


def detail_of(reply: Reply, recipient: str = "", secrets: Iterable[str] = ()) -> str:
    """The server's words, on one line, bounded, without addresses and secrets."""
    words = " ".join(reply[1].decode("utf-8", "replace").split())
    words = "".join(c for c in words if c.isprintable())
    for secret in filter(None, secrets):
        words = words.replace(secret, "<secret>")
    words = _ADDRESS.sub("<address>", words)
    if recipient:
        words = _without_local_part(words, recipient)
    return f"{reply[0]} {words}"[:LONGEST_DETAIL]


def _without_local_part(words: str, recipient: str) -> str:
    """Servers also write `user ada unknown`."""
    local = recipient.rpartition("@")[0]
    return (
        re.sub(rf"(?<!\w){re.escape(local)}(?!\w)", "<address>", words, flags=re.IGNORECASE)
        if local
        else words
    )


def _later(stage: Stage, code: int, status: tuple[int, int, int] | None, text: bytes, detail: str) -> Outcome:
    after_s = _asked(text)
    if status is not None and status[1:] == DELIVERY_EXPIRED:
        return Rejected(detail=detail)
    subject = status[1] if status is not None else None
    if stage is Stage.MAIL or (subject in {MAIL_SYSTEM, NETWORK} and stage is Stage.END):
        # Nobody has looked at the recipient yet, or the relay itself has no room: the provider is busy.
        return Retry(after_s=after_s, detail=detail)
    about_person = subject in {ADDRESS, MAILBOX} and not _LESS(text)
    if subject == SECURITY or (code in SLOW_DOWN and not about_person):
        return Retry(reason=Reason.RATE_LIMITED, of_address=True, after_s=after_s, detail=detail)
    return Retry(of_address=True, after_s=after_s, detail=detail)


def _sender_refused(code: int, status: tuple[int, int, int] | None, detail: str) -> Outcome:
    """At MAIL only the sender and the connection are known, so nothing is wrong with the recipient."""
    if code in WANTS_LOGIN or (status is not None and (status[1:] in BAD_SENDER or status[1] == SECURITY)):
        return Misconfigured(detail=f"the relay does not take mail from this sender: {detail}")
    return Rejected(detail=detail)


def _refused(code: int, status: tuple[int, int, int] | None, text: bytes, detail: str) -> Outcome:
    if (
        status is not None and status[1:] in NO_SUCH_ADDRESS
    ) or code == 556:  # RFC 7504: no mail at this domain
        return Gone(detail=detail)
    if _RELAY(text):
        return Rejected(detail=f"{detail} (the relay wants a login, or is the wrong server for this domain)")
    if status is None and code in {550, 551, 553} and _UNKNOWN_USER(text):
        return Gone(detail=detail)
    if status is not None and status[1] == SECURITY:
        return Rejected(detail=f"{detail} (blocked by policy: check SPF, DKIM, DMARC and reputation)")
    return Rejected(detail=detail)


def _asked(text: bytes) -> float | None:
    """Seconds, when the reply says how long to wait."""
    found = _WAIT(text)
    if found is None:
        return None
    return float(found[1]) * (60 if found[2][:1].lower() == b"m" else 1)
