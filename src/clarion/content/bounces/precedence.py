"""Which words count before which: a full mailbox is full whether it is called 5.1.1, 5.2.2 or 552."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from clarion.content.bounces import patterns
from clarion.content.bounces.verdict import BounceVerdict

LONGEST = 16_000
"""Characters of a text that are looked at."""

Rules = Sequence[tuple[re.Pattern[str], BounceVerdict]]


def _any(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


PLAIN: Rules = (
    (_any(patterns.FULL), BounceVerdict.SOFT),
    (_any(patterns.SENDER), BounceVerdict.BLOCK),
    (_any(patterns.GONE), BounceVerdict.HARD),
    (_any(patterns.BLOCKED), BounceVerdict.BLOCK),
)
"""These say more than any code."""
VAGUE: Rules = (
    (_any(patterns.OUT_OF_REACH), BounceVerdict.SOFT),
    (_any(patterns.NO_MAILBOX), BounceVerdict.HARD),
    (_any(patterns.REFUSED), BounceVerdict.BLOCK),
)
"""These say less than an exact code."""
_NO_PROOF: Rules = tuple((re.compile(pattern), verdict) for pattern, verdict in patterns.NO_PROOF)
_THROTTLED = _any(patterns.THROTTLED)
_BLOCKED = _any(patterns.BLOCKED)
_OF_SENDER = re.compile(r"in reply to (?:mail from|helo|ehlo)\b")
_IRONPORT = "5.1.0 - unknown address error "
"""IronPort puts this before whatever the other server said."""
_TYPES = re.compile(r"\b(?:message|text)/[a-z0-9-]+|\brfc822\s?;")
"""Names of formats, which reports are full of."""
_ADDRESS = re.compile(r"(?:\"[^\"\n]{1,64}\"|[^\s<>\"',;:()]{1,64})@[^\s<>\"',;:()]{1,255}")
FINAL = re.compile(r"null ?mx|no smtp service here|\bnxdomain\b")
"""What is for good although it comes with a temporary code: the domain takes no mail, or is not there."""


def spoken(text: str) -> str:
    """The text as the patterns want it: lower case, single spaces, straight quotes, every address the same."""
    words = " ".join(text[:LONGEST].lower().replace("\u2019", "'").split()).replace(_IRONPORT, "")
    return _TYPES.sub(" ", _ADDRESS.sub("a@b", words))


def asks_for_less(text: str) -> bool:
    """Whether somebody wants fewer mails or connections."""
    return _THROTTLED.search(text) is not None


def speaks_of_blocking(text: str) -> bool:
    """Whether the sender or the content could be meant, whatever else is said."""
    return _BLOCKED.search(text) is not None


def without_proof(text: str) -> tuple[BounceVerdict | None, str]:
    """What a phrase that only sounds like a missing address says, and the rest of the text; None: there is none."""
    found: BounceVerdict | None = None
    for pattern, verdict in _NO_PROOF:
        rest, count = pattern.subn(" ", text)
        if count:
            found, text = found or verdict, rest
    return found, text


def answers_the_sender(text: str) -> bool:
    """Whether the refusal came before any recipient was named: it cannot be about one."""
    return _OF_SENDER.search(text) is not None


def by_words(text: str, rules: Rules) -> BounceVerdict | None:
    """What a text says, `spoken` before; None when it says nothing we know."""
    for pattern, verdict in rules:
        if pattern.search(text):
            return verdict
    return None
