"""What reply codes (RFC 5321) and enhanced status codes (RFC 3463) mean for an address."""

from __future__ import annotations

import re
from itertools import islice

from clarion.content.bounces.verdict import BounceVerdict

HARD, SOFT, BLOCK = BounceVerdict.HARD, BounceVerdict.SOFT, BounceVerdict.BLOCK

ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")
REPLY = re.compile(r"(?<![\d.\[-])([45]\d\d)(?=[\s#-]|$)(?!-\d)")

_EXACT = {
    "5.1.1": HARD,  # no such mailbox
    "5.1.2": HARD,  # no such domain
    "5.1.3": HARD,  # not an address
    "5.1.6": HARD,  # has moved
    "5.1.10": HARD,  # null MX, RFC 7505
    "5.1.90": SOFT,  # Exchange Online: the sender has reached a limit for now
    "5.2.1": HARD,  # mailbox disabled
    "5.4.4": HARD,  # no host
    "5.4.310": HARD,  # Exchange Online: the domain does not exist
    "5.1.7": BLOCK,  # the sender's address is malformed
    "5.1.8": BLOCK,  # the sender's domain does not exist
    "5.1.9": BLOCK,
    "5.2.2": SOFT,  # mailbox full
    "5.2.3": SOFT,  # message too large
    "5.2.121": SOFT,  # Exchange Online: the recipient gets too much mail at the moment
    "5.2.122": SOFT,
    "5.3.4": SOFT,
    "5.7.17": HARD,  # the mailbox has another owner now, RFC 7293
}
_SUBJECTS = {3: SOFT, 4: SOFT, 5: SOFT, 6: BLOCK, 7: BLOCK}
_REPLIES = {"552": SOFT, "551": HARD, "556": HARD}
_POLICY = 7


def exactly(status: str) -> BounceVerdict | None:
    """What an enhanced status code says that names its cause; None when it does not."""
    if status in _EXACT:
        return _EXACT[status]
    return BLOCK if is_policy(status) or status.startswith("5.6.") else None


def is_policy(status: str) -> bool:
    """Whether it is about security or policy, for good: 5.7.X."""
    found = ENHANCED.fullmatch(status)
    return found is not None and found.group(1) == "5" and int(found.group(2)) == _POLICY


def roughly(status: str, said: str) -> BounceVerdict | None:
    """What is left to say: by the subject of the status code, or by the first reply code in a text."""
    found = ENHANCED.fullmatch(status)
    if found is not None:
        kind, subject = found.group(1), int(found.group(2))
        verdict = SOFT if kind == "4" and subject != _POLICY else _SUBJECTS.get(subject)
        if verdict is not None:
            return verdict
    found = REPLY.search(said)
    if found is None:
        return None
    code = found.group(1)
    return SOFT if code.startswith("4") else _REPLIES.get(code)


def is_temporary(status: str, said: str) -> bool:
    """Nothing here says that it is for good."""
    if status.startswith("5") or any(found.group(1) == "5" for found in ENHANCED.finditer(said)):
        return False
    if status.startswith("4"):
        return True
    found = REPLY.search(said)
    return found is not None and found.group(1).startswith("4")


def has_failure(said: str) -> bool:
    """Whether a reply or status code of a failure stands in a text."""
    return place_of_failure(said) >= 0


def place_of_failure(said: str) -> int:
    """Where the first of them stands; -1 when there is none."""
    statuses = (found.start() for found in ENHANCED.finditer(said) if found.group(1) != "2")
    reply = REPLY.search(said)
    places = [*([reply.start()] if reply is not None else []), *islice(statuses, 1)]
    return min(places, default=-1)


def first_status(said: str) -> str:
    """The first enhanced status code of a failure in a text."""
    for found in ENHANCED.finditer(said):
        if found.group(1) != "2":
            return found.group(0)
    return ""
