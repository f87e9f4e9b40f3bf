"""Twilio's error codes: what each means for the message, the address and the set-up.

https://www.twilio.com/docs/api/errors
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from clarion.model.outcome import Gone, Misconfigured, Outcome, Rejected, Retry
from clarion.model.receipt import ReceiptKind
from clarion.model.status import Reason


class Effect(Enum):
    """What follows from an error."""

    GONE = "gone"
    """The number never gets text messages: it is suppressed."""
    OPTED_OUT = "opted_out"
    """The person answered STOP: the number is suppressed until they answer START."""
    UNREACHABLE = "unreachable"
    """The phone was off or out of reach; the number may work another time."""
    BLOCKED = "blocked"
    """A carrier or Twilio refused the sender or the content. The number is fine."""
    REFUSED = "refused"
    """This message, never. The number is fine."""
    LATER = "later"
    """Too much at once."""
    EXPIRED = "expired"
    """It waited longer than it was of use."""
    SET_UP = "set_up"
    """The account, the sender or their registration is wrong."""
    UNCLEAR = "unclear"
    """Nobody says why."""


class TwilioError(NamedTuple):
    """One error."""

    words: str
    effect: Effect


CODES: dict[int, TwilioError] = {
    20003: TwilioError("the account SID, the token or the API key is wrong", Effect.SET_UP),
    20005: TwilioError("the account is not active", Effect.SET_UP),
    20404: TwilioError("the account does not exist", Effect.SET_UP),
    20429: TwilioError("too many requests at once", Effect.LATER),
    21211: TwilioError("the number is not valid", Effect.GONE),
    21212: TwilioError("the sender is not valid", Effect.SET_UP),
    21408: TwilioError("sending to this country is not enabled for the account", Effect.REFUSED),
    21602: TwilioError("the message is empty", Effect.REFUSED),
    21603: TwilioError("the sender is missing", Effect.SET_UP),
    21606: TwilioError("the sender is not a number of this account that sends texts", Effect.SET_UP),
    21609: TwilioError("Twilio does not accept the callback URL: check `public_url`", Effect.SET_UP),
    21610: TwilioError("the recipient answered STOP", Effect.OPTED_OUT),
    21611: TwilioError("the queue of this sender is full", Effect.LATER),
    21612: TwilioError("this sender cannot reach this number", Effect.REFUSED),
    21614: TwilioError("the number is not a mobile number", Effect.GONE),
    21617: TwilioError("the message is too long", Effect.REFUSED),
    21635: TwilioError("the number is a landline", Effect.GONE),
    21659: TwilioError("the sender is not a number of this account", Effect.SET_UP),
    21660: TwilioError("the sender and the account do not match", Effect.SET_UP),
    21703: TwilioError("the messaging service has no sender", Effect.SET_UP),
    21705: TwilioError("the messaging service does not exist", Effect.SET_UP),
    30001: TwilioError("the queue of this sender is full", Effect.LATER),
    30002: TwilioError("the account is suspended", Effect.SET_UP),
    30003: TwilioError("the phone is off or out of reach", Effect.UNREACHABLE),
    30004: TwilioError("the recipient or their carrier blocks messages", Effect.BLOCKED),
    30005: TwilioError("the number is unknown or no longer in use", Effect.GONE),
    30006: TwilioError("the number is a landline, or its carrier takes no texts", Effect.GONE),
    30007: TwilioError("a carrier filtered the message as spam", Effect.BLOCKED),
    30008: TwilioError("the carrier gave no reason", Effect.UNCLEAR),
    30034: TwilioError("the sender is not registered for A2P 10DLC", Effect.SET_UP),
    30036: TwilioError("the validity period of the message is over", Effect.EXPIRED),
    30450: TwilioError("Twilio takes the request for SMS pumping", Effect.BLOCKED),
}

_RECEIPTS: dict[Effect, tuple[ReceiptKind, bool, Reason | None]] = {
    Effect.GONE: (ReceiptKind.BOUNCED, True, None),
    Effect.OPTED_OUT: (ReceiptKind.BOUNCED, True, Reason.OPTED_OUT),
    Effect.UNREACHABLE: (ReceiptKind.BOUNCED, False, None),
    Effect.BLOCKED: (ReceiptKind.BLOCKED, False, None),
    Effect.REFUSED: (ReceiptKind.FAILED, False, Reason.PROVIDER_REJECTED),
    Effect.LATER: (ReceiptKind.FAILED, False, Reason.RATE_LIMITED),
    Effect.EXPIRED: (ReceiptKind.FAILED, False, Reason.EXPIRED),
    Effect.SET_UP: (ReceiptKind.FAILED, False, Reason.MISCONFIGURED),
    Effect.UNCLEAR: (ReceiptKind.FAILED, False, Reason.PROVIDER_ERROR),
}


def said(code: int) -> str:
    """The error in words of ours; Twilio's own may quote the number."""
    known = CODES.get(code)
    return f"Twilio {code}: {known.words}" if known is not None else f"Twilio {code}"


def outcome_of_code(code: int, after_s: float | None) -> Outcome | None:
    """What an error means when a message is sent; None: the code is not known."""
    known = CODES.get(code)
    if known is None:
        return None
    detail = said(code)
    match known.effect:
        case Effect.GONE:
            return Gone(detail=detail)
        case Effect.OPTED_OUT:
            return Gone(reason=Reason.OPTED_OUT, detail=detail)
        case Effect.SET_UP:
            return Misconfigured(detail=detail)
        case Effect.LATER:
            return Retry(reason=Reason.RATE_LIMITED, after_s=after_s, detail=detail)
        case Effect.UNREACHABLE | Effect.UNCLEAR:
            return Retry(detail=detail)
        case Effect.BLOCKED:
            return Rejected(reason=Reason.BLOCKED, detail=detail)
        case Effect.REFUSED | Effect.EXPIRED:
            return Rejected(detail=detail)


def receipt_of_code(code: int) -> tuple[ReceiptKind, bool, Reason | None]:
    """What an error means when it is reported later: the kind, whether the number is gone for good, and why."""
    known = CODES.get(code)
    return _RECEIPTS[Effect.UNCLEAR if known is None else known.effect]
