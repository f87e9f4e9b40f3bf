"""Which words count before which: a full mailbox is full whether it is called 5.1.1, 5.2.2 or 552."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from clarion.content.returns import phrases
from clarion.content.returns.verdict import Verdict

LONGEST = 16_000
"""Characters of a text that are looked at."""

Rules = Sequence[tuple[re.Pattern[str], Verdict]]


def _any(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


PLAIN: Rules = (
    (_any(phrases.FULL), Verdict.SOFT),
    (_any(phrases.SENDER), Verdict.BLOCK),
    (_any(phrases.GONE), Verdict.HARD),
    (_any(phrases.BLOCKED), Verdict.BLOCK),
)
"""These say more than any code."""
VAGUE: Rules = (
    (_any(phrases.OUT_OF_REACH), Verdict.SOFT),
    (_any(phrases.NO_MAILBOX), Verdict.HARD),
    (_any(phrases.REFUSED), Verdict.BLOCK),
)
"""These say less than an exact code."""
_IRONPORT = "5.1.0 - unknown address error "
"""IronPort puts this before whatever the other server said."""
_ADDRESS = re.compile(r"[^\s<>\"',;:()]{1,64}@[^\s<>\"',;:()]{1,255}")
NULL_MX = re.compile(r"null ?mx|no smtp service")


def spoken(text: str) -> str:
    """The text as the patterns want it: lower case, single spaces, straight quotes, every address the same."""
    words = " ".join(text[:LONGEST].lower().replace("\u2019", "'").split()).replace(_IRONPORT, "")
    return _ADDRESS.sub("a@b", words)


def by_words(text: str, rules: Rules) -> Verdict | None:
    """What a text says, `spoken` before; None when it says nothing we know."""
    for pattern, verdict in rules:
        if pattern.search(text):
            return verdict
    return None
