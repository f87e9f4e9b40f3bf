"""Feedback reports (RFC 5965): somebody called a mail spam. And the two large receivers who report it their own way."""

from __future__ import annotations

import re

from clarion.content.returns.opened import Opened
from clarion.content.returns.verdict import Verdict

_TYPE = re.compile(r"^feedback-type[ \t]*:[ \t]*([\w-]{1,40})", re.IGNORECASE | re.MULTILINE)
_NO_COMPLAINT = frozenset({"not-spam", "auth-failure", "dmarc", "dkim"})
"""The first takes one back; the others are about forgeries (RFC 6591): no person has complained."""
_OLD = re.compile(
    r"complaint about message from|email feedback report for ip|\babuse report\b", re.IGNORECASE
)


def complaint(mail: Opened) -> Verdict | None:
    """COMPLAINT, UNKNOWN for a report that is none, None when it is no feedback report."""
    report = mail.text("message/feedback-report")
    if report or "feedback-report" in str(mail.headers.get_param("report-type")):
        found = _TYPE.search(report or mail.text("text/plain"))
        return (
            Verdict.UNKNOWN
            if found is not None and found.group(1).lower() in _NO_COMPLAINT
            else Verdict.COMPLAINT
        )
    if mail.header("x-hmxmroriginalrecipient") or _OLD.search(mail.header("subject")) is not None:
        return Verdict.COMPLAINT
    return None
