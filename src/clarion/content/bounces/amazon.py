"""Amazon SES can report by mail in JSON, through SNS: the same document its event destinations carry.

https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from clarion.content.bounces.verdict import BounceVerdict

_KINDS = {"Complaint": BounceVerdict.COMPLAINT, "Delivery": BounceVerdict.DELIVERED}


class SesEvent(NamedTuple):
    """What SES says about one recipient."""

    verdict: BounceVerdict | None
    """None: it bounced, and the diagnostic says how."""
    status: str
    diagnostic: str
    recipient: str


class _Bounced(msgspec.Struct, frozen=True):
    emailAddress: str = ""  # noqa: N815 (their name)
    status: str = ""
    diagnosticCode: str = ""  # noqa: N815


class _Bounce(msgspec.Struct, frozen=True):
    bounceType: str = ""  # noqa: N815
    bounceSubType: str = ""  # noqa: N815
    bouncedRecipients: list[_Bounced] = []  # noqa: N815


class _Notification(msgspec.Struct, frozen=True):
    Message: str = ""
    """SNS without raw delivery: the document is a string in its envelope."""
    notificationType: str = ""  # noqa: N815
    eventType: str = ""  # noqa: N815
    bounce: _Bounce = _Bounce()


_decode = msgspec.json.Decoder(_Notification).decode


def amazon_event(text: str) -> SesEvent | None:
    """The event a text consists of; None when it is something else."""
    text = text.strip().replace("\r\n", "\n")
    if not text.startswith("{"):
        return None
    document = text.partition("\n--\n")[0].replace("\n", "")  # the mail's lines are folded
    try:
        said = _decode(document)
        if said.Message:
            said = _decode(said.Message)
    except (msgspec.DecodeError, RecursionError):
        return None
    kind = said.notificationType or said.eventType
    if kind != "Bounce" and kind not in _KINDS:
        return None
    bounced = said.bounce.bouncedRecipients[0] if said.bounce.bouncedRecipients else _Bounced()
    diagnostic = bounced.diagnosticCode.partition(";")[2] or bounced.diagnosticCode
    verdict = _KINDS.get(kind)
    if kind == "Bounce" and not diagnostic:
        verdict = BounceVerdict.HARD if said.bounce.bounceType == "Permanent" else BounceVerdict.SOFT
    return SesEvent(verdict, bounced.status, diagnostic.strip(), bounced.emailAddress)
