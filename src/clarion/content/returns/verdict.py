"""What a returned mail says about the mail that was sent."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """The classes of returned mail."""

    HARD = "hard"
    SOFT = "soft"
    BLOCK = "block"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"
    AUTO_REPLY = "auto_reply"
    DELIVERED = "delivered"
    UNKNOWN = "unknown"


VERDICT_DOC: dict[Verdict, str] = {
    Verdict.HARD: "The address does not exist, was closed, or its domain takes no mail: never use it again.",
    Verdict.SOFT: "It did not arrive this time: mailbox full, server out of reach, message too large.",
    Verdict.BLOCK: "The receiver refused the sender or the content: reputation, authentication, policy, spam, virus.",
    Verdict.COMPLAINT: "The person pressed the spam button (a feedback report).",
    Verdict.UNSUBSCRIBE: "The person left: by a mail to the way out, or their mail service said so (an opt-out report).",
    Verdict.AUTO_REPLY: "A machine answered: vacation, acknowledgement, read receipt, proof-of-sender challenge.",
    Verdict.DELIVERED: "A report that it arrived.",
    Verdict.UNKNOWN: "Nothing that can be told with certainty: kept for a person to look at.",
}
