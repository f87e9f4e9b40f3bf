"""Services that reach phone numbers by text, WhatsApp or call: what an error means, when a message is sent and when it is
reported later."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from msgspec.structs import replace

from clarion.model.outcome import Gone, Misconfigured, Outcome, Rejected, Retry
from clarion.model.receipt import ReceiptKind
from clarion.model.status import Reason
from clarion.ports.callback import ReportedReceipt


class PhoneErrorEffect(Enum):
    """What follows from an error."""

    GONE = "gone"
    """The number never gets such messages: it is suppressed."""
    OPTED_OUT = "opted_out"
    """The person answered STOP: the number is suppressed until they answer START."""
    UNREACHABLE = "unreachable"
    """The phone was off or out of reach; the number may work another time."""
    BLOCKED = "blocked"
    """A carrier or the service refused the sender or the content. The number is fine."""
    REFUSED = "refused"
    """This message, never. The number is fine."""
    LATER = "later"
    """Too much at once."""
    WINDOW_CLOSED = "window_closed"
    """WhatsApp: it is no template, and the person has not written within a day."""
    TEMPLATE = "template"
    """WhatsApp: the template is not approved, or no longer."""
    EXPIRED = "expired"
    """It waited longer than it was of use."""
    SET_UP = "set_up"
    """The account, the sender or their registration is wrong."""
    UNCLEAR = "unclear"
    """Nobody says why."""


class PhoneError(NamedTuple):
    """One error of a service."""

    words: str
    effect: PhoneErrorEffect


class Reported(NamedTuple):
    """What an error means when it is reported after the message was taken."""

    kind: ReceiptKind
    permanent: bool = False
    reason: Reason | None = None


REPORTED: dict[PhoneErrorEffect, Reported] = {
    PhoneErrorEffect.GONE: Reported(ReceiptKind.BOUNCED, permanent=True),
    PhoneErrorEffect.OPTED_OUT: Reported(ReceiptKind.BOUNCED, permanent=True, reason=Reason.OPTED_OUT),
    PhoneErrorEffect.UNREACHABLE: Reported(ReceiptKind.BOUNCED),
    PhoneErrorEffect.BLOCKED: Reported(ReceiptKind.BLOCKED),
    PhoneErrorEffect.REFUSED: Reported(ReceiptKind.FAILED, reason=Reason.PROVIDER_REJECTED),
    PhoneErrorEffect.LATER: Reported(ReceiptKind.FAILED, reason=Reason.RATE_LIMITED),
    PhoneErrorEffect.WINDOW_CLOSED: Reported(ReceiptKind.FAILED, reason=Reason.WINDOW_CLOSED),
    PhoneErrorEffect.TEMPLATE: Reported(ReceiptKind.FAILED, reason=Reason.TEMPLATE_NOT_APPROVED),
    PhoneErrorEffect.EXPIRED: Reported(ReceiptKind.FAILED, reason=Reason.EXPIRED),
    PhoneErrorEffect.SET_UP: Reported(ReceiptKind.FAILED, reason=Reason.MISCONFIGURED),
    PhoneErrorEffect.UNCLEAR: Reported(ReceiptKind.FAILED, reason=Reason.PROVIDER_ERROR),
}


def outcome_of_effect(effect: PhoneErrorEffect, detail: str, after_s: float | None = None) -> Outcome:
    """What an error means when a message is sent."""
    match effect:
        case PhoneErrorEffect.GONE:
            return Gone(detail=detail)
        case PhoneErrorEffect.OPTED_OUT:
            return Gone(reason=Reason.OPTED_OUT, detail=detail)
        case PhoneErrorEffect.SET_UP:
            return Misconfigured(detail=detail)
        case PhoneErrorEffect.LATER:
            return Retry(reason=Reason.RATE_LIMITED, after_s=after_s, detail=detail)
        case PhoneErrorEffect.UNREACHABLE | PhoneErrorEffect.UNCLEAR:
            return Retry(detail=detail)
        case PhoneErrorEffect.BLOCKED:
            return Rejected(reason=Reason.BLOCKED, detail=detail)
        case PhoneErrorEffect.WINDOW_CLOSED:
            return Rejected(reason=Reason.WINDOW_CLOSED, detail=detail)
        case PhoneErrorEffect.TEMPLATE:
            return Rejected(reason=Reason.TEMPLATE_NOT_APPROVED, detail=detail)
        case PhoneErrorEffect.REFUSED | PhoneErrorEffect.EXPIRED:
            return Rejected(detail=detail)


class PhoneErrors:
    """The error codes of one service."""

    def __init__(self, service: str, codes: Mapping[str, PhoneError]) -> None:
        self.service = service
        self.codes = codes

    def said(self, code: str) -> str:
        """The error in words of ours: a service may quote the number. A code that is not known is not repeated."""
        known = self.codes.get(code)
        return (
            f"{self.service} {code}: {known.words}"
            if known is not None
            else f"{self.service}: an unknown error"
        )

    def outcome(self, code: str, after_s: float | None = None) -> Outcome | None:
        """What a code means when a message is sent; None: it is not known."""
        known = self.codes.get(code)
        return None if known is None else outcome_of_effect(known.effect, self.said(code), after_s)

    def reported(self, code: str) -> Reported:
        """What a code means when it is reported later."""
        known = self.codes.get(code)
        return REPORTED[PhoneErrorEffect.UNCLEAR if known is None else known.effect]

    def failed(self, receipt: ReportedReceipt, code: str) -> ReportedReceipt:
        """The receipt, saying that the message failed with this code."""
        kind, permanent, reason = self.reported(code)
        return replace(receipt, kind=kind, permanent=permanent, reason=reason, detail=self.said(code))

    @property
    def kinds(self) -> frozenset[ReceiptKind]:
        """What can be reported."""
        return frozenset({self.reported(code).kind for code in self.codes})


def with_plus(digits: str) -> str:
    """A number of a service that writes them without a plus; names and short codes have none."""
    return f"+{digits}" if digits.isdecimal() and len(digits) > 6 else digits
