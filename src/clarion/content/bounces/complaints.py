"""Feedback reports (RFC 5965): somebody called a mail spam. And the two large receivers who report it their own way."""

from __future__ import annotations

import re

from clarion.content.bounces.safe_mime import ParsedMail
from clarion.content.bounces.verdict import BounceVerdict

_TYPE = re.compile(r"^feedback-type[ \t]*:[ \t]*([\w-]{1,40})", re.IGNORECASE | re.MULTILINE)
_AGENT = re.compile(r"^user-agent[ \t]*:", re.IGNORECASE | re.MULTILINE)
_NO_COMPLAINT = frozenset({"not-spam", "auth-failure", "dmarc", "dkim"})
"""The first takes one back; the others are about forgeries (RFC 6591): no person has complained."""
_OPT_OUT = frozenset({"opt-out", "opt-out-list", "unsubscribe"})
"""From the drafts before RFC 5965, and still sent: the person only wants no more of it."""
_OLD = re.compile(
    r"complaint about message from|email feedback report for ip|\babuse report\b", re.IGNORECASE
)


def complaint(mail: ParsedMail) -> BounceVerdict | None:
    """COMPLAINT, UNSUBSCRIBE, UNKNOWN for a report that is neither, None when it is no feedback report."""
    kind = _kind(mail)
    if kind in _NO_COMPLAINT:
        return BounceVerdict.UNKNOWN
    if kind in _OPT_OUT or mail.header("x-apple-unsubscribe").lower() == "true":
        return BounceVerdict.UNSUBSCRIBE
    if kind or mail.header("x-hmxmroriginalrecipient") or _OLD.search(mail.header("subject")) is not None:
        return BounceVerdict.COMPLAINT
    return None


def _kind(mail: ParsedMail) -> str:
    """The type of a feedback report, wherever its fields stand; empty when it is none."""
    report = mail.text("message/feedback-report")
    declared = bool(report) or "feedback-report" in str(mail.headers.get_param("report-type"))
    fields = report or mail.text("text/plain")
    found = _TYPE.search(fields)
    if not declared and (found is None or _AGENT.search(fields) is None):
        return ""
    return found.group(1).lower() if found is not None else "abuse"
