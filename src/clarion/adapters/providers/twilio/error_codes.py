"""Twilio's error codes: what each means for the message, the address and the set-up.

https://www.twilio.com/docs/api/errors
"""

from __future__ import annotations

from clarion.adapters.phone_errors import REPORTED, PhoneError, PhoneErrorEffect, Reported, outcome_of_effect
from clarion.model.outcome import Outcome

CODES: dict[int, PhoneError] = {
    10004: PhoneError("too many calls at once", PhoneErrorEffect.LATER),
    12300: PhoneError("the type of a file is not one that Twilio takes", PhoneErrorEffect.REFUSED),
    13224: PhoneError("the number cannot be called", PhoneErrorEffect.REFUSED),
    13227: PhoneError("calling this country is not enabled for the account", PhoneErrorEffect.REFUSED),
    19023: PhoneError("the content template has no `twilio/text` to fall back to", PhoneErrorEffect.REFUSED),
    20003: PhoneError("the account SID, the token or the API key is wrong", PhoneErrorEffect.SET_UP),
    20005: PhoneError("the account is not active", PhoneErrorEffect.SET_UP),
    20404: PhoneError("the account does not exist", PhoneErrorEffect.SET_UP),
    20429: PhoneError("too many requests at once", PhoneErrorEffect.LATER),
    21210: PhoneError("the number that calls is not one of this account", PhoneErrorEffect.SET_UP),
    21211: PhoneError("the number is not valid", PhoneErrorEffect.GONE),
    21212: PhoneError("the sender is not valid", PhoneErrorEffect.SET_UP),
    21215: PhoneError("the account may not call this number", PhoneErrorEffect.REFUSED),
    21408: PhoneError("sending to this country is not enabled for the account", PhoneErrorEffect.REFUSED),
    21602: PhoneError("the message is empty", PhoneErrorEffect.REFUSED),
    21603: PhoneError("the sender is missing", PhoneErrorEffect.SET_UP),
    21606: PhoneError("the sender is not a number of this account that sends texts", PhoneErrorEffect.SET_UP),
    21609: PhoneError("Twilio does not accept the callback URL: check `public_url`", PhoneErrorEffect.SET_UP),
    21610: PhoneError("the recipient answered STOP", PhoneErrorEffect.OPTED_OUT),
    21611: PhoneError("the queue of this sender is full", PhoneErrorEffect.LATER),
    21612: PhoneError("this sender cannot reach this number", PhoneErrorEffect.REFUSED),
    21614: PhoneError("the number is not a mobile number", PhoneErrorEffect.GONE),
    21617: PhoneError("the message is too long", PhoneErrorEffect.REFUSED),
    21620: PhoneError("a link to media is not valid", PhoneErrorEffect.REFUSED),
    21623: PhoneError("there are too many media files", PhoneErrorEffect.REFUSED),
    21635: PhoneError("the number is a landline", PhoneErrorEffect.GONE),
    21655: PhoneError("the account has no content template with this SID", PhoneErrorEffect.REFUSED),
    21656: PhoneError("the parameters do not fit the content template", PhoneErrorEffect.REFUSED),
    21659: PhoneError("the sender is not a number of this account", PhoneErrorEffect.SET_UP),
    21660: PhoneError("the sender and the account do not match", PhoneErrorEffect.SET_UP),
    21703: PhoneError("the messaging service has no sender", PhoneErrorEffect.SET_UP),
    21705: PhoneError("the messaging service does not exist", PhoneErrorEffect.SET_UP),
    30001: PhoneError("the queue of this sender is full", PhoneErrorEffect.LATER),
    30002: PhoneError("the account is suspended", PhoneErrorEffect.SET_UP),
    30003: PhoneError("the phone is off or out of reach", PhoneErrorEffect.UNREACHABLE),
    30004: PhoneError("the recipient or their carrier blocks messages", PhoneErrorEffect.BLOCKED),
    30005: PhoneError("the number is unknown or no longer in use", PhoneErrorEffect.GONE),
    30006: PhoneError("the number is a landline, or its carrier takes no texts", PhoneErrorEffect.GONE),
    30007: PhoneError("a carrier filtered the message as spam", PhoneErrorEffect.BLOCKED),
    30008: PhoneError("the carrier gave no reason", PhoneErrorEffect.UNCLEAR),
    30011: PhoneError("the phone or its country takes no MMS", PhoneErrorEffect.REFUSED),
    30019: PhoneError("the message is too big for the carrier", PhoneErrorEffect.REFUSED),
    30032: PhoneError("the toll-free sender is not verified", PhoneErrorEffect.SET_UP),
    30034: PhoneError(
        "the sender is not registered for A2P 10DLC: add it to a campaign", PhoneErrorEffect.SET_UP
    ),
    30035: PhoneError(
        "the registration of the sender for A2P 10DLC is not finished", PhoneErrorEffect.SET_UP
    ),
    30036: PhoneError("the validity period of the message is over", PhoneErrorEffect.EXPIRED),
    30450: PhoneError("Twilio takes the request for SMS pumping", PhoneErrorEffect.BLOCKED),
    63016: PhoneError(
        "the person has not written on WhatsApp within 24 hours", PhoneErrorEffect.WINDOW_CLOSED
    ),
    63018: PhoneError("the WhatsApp number sends too much at once", PhoneErrorEffect.LATER),
    63019: PhoneError("Twilio could not fetch the media", PhoneErrorEffect.REFUSED),
    63021: PhoneError("the content is not one that the person's channel takes", PhoneErrorEffect.REFUSED),
    63024: PhoneError("the number has no WhatsApp", PhoneErrorEffect.UNREACHABLE),
    63040: PhoneError("WhatsApp has rejected the template", PhoneErrorEffect.TEMPLATE),
    63041: PhoneError("WhatsApp has paused the template", PhoneErrorEffect.TEMPLATE),
    63042: PhoneError("WhatsApp has disabled the template", PhoneErrorEffect.TEMPLATE),
}


def said(code: int) -> str:
    """The error in words of ours; Twilio's own may quote the number."""
    known = CODES.get(code)
    return f"Twilio {code}: {known.words}" if known is not None else f"Twilio {code}"


def outcome_of_code(code: int, after_s: float | None) -> Outcome | None:
    """What an error means when a message is sent; None: the code is not known."""
    known = CODES.get(code)
    return None if known is None else outcome_of_effect(known.effect, said(code), after_s)


def receipt_of_code(code: int) -> Reported:
    """What an error means when it is reported later."""
    known = CODES.get(code)
    return REPORTED[PhoneErrorEffect.UNCLEAR if known is None else known.effect]
