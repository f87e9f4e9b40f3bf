"""The verdict of a returned email about the email that was sent."""

from __future__ import annotations

from enum import StrEnum


class BounceVerdict(StrEnum):
    """The classes of returned mail."""

    HARD = "hard"
    SOFT = "soft"
    BLOCK = "block"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"
    AUTO_REPLY = "auto_reply"
    DELIVERED = "delivered"
    UNKNOWN = "unknown"


VERDICT_DOC: dict[BounceVerdict, str] = {
    BounceVerdict.HARD: "The address does not exist, was closed, or its domain takes no mail: never use it again.",
    BounceVerdict.SOFT: "It did not arrive this time: mailbox full, server out of reach, message too large.",
    BounceVerdict.BLOCK: "The receiver refused the sender or the content: reputation, authentication, policy, spam, virus.",
    BounceVerdict.COMPLAINT: "The person pressed the spam button (a feedback report).",
    BounceVerdict.UNSUBSCRIBE: "The person left: by a mail to the way out, or their mail service said so (an opt-out report).",
    BounceVerdict.AUTO_REPLY: "A machine answered: vacation, acknowledgement, read receipt, proof-of-sender challenge.",
    BounceVerdict.DELIVERED: "A report that it arrived.",
    BounceVerdict.UNKNOWN: "Nothing that can be told with certainty: kept for a person to look at.",
}
