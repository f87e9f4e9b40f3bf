"""Twilio's error codes: what each means for the message, the address and the set-up.

https://www.twilio.com/docs/api/errors
"""

from __future__ import annotations

from clarion.adapters.sms import REPORTED, Reported, SmsEffect, SmsError, outcome_of_effect
from clarion.model.outcome import Outcome

CODES: dict[int, SmsError] = {
    10004: SmsError("too many calls at once", SmsEffect.LATER),
    12300: SmsError("the type of a file is not one that Twilio takes", SmsEffect.REFUSED),
    13224: SmsError("the number cannot be called", SmsEffect.REFUSED),
    13227: SmsError("calling this country is not enabled for the account", SmsEffect.REFUSED),
    19023: SmsError("the content template has no `twilio/text` to fall back to", SmsEffect.REFUSED),
    20003: SmsError("the account SID, the token or the API key is wrong", SmsEffect.SET_UP),
    20005: SmsError("the account is not active", SmsEffect.SET_UP),
    20404: SmsError("the account does not exist", SmsEffect.SET_UP),
    20429: SmsError("too many requests at once", SmsEffect.LATER),
    21210: SmsError("the number that calls is not one of this account", SmsEffect.SET_UP),
    21211: SmsError("the number is not valid", SmsEffect.GONE),
    21212: SmsError("the sender is not valid", SmsEffect.SET_UP),
    21215: SmsError("the account may not call this number", SmsEffect.REFUSED),
    21408: SmsError("sending to this country is not enabled for the account", SmsEffect.REFUSED),
    21602: SmsError("the message is empty", SmsEffect.REFUSED),
    21603: SmsError("the sender is missing", SmsEffect.SET_UP),
    21606: SmsError("the sender is not a number of this account that sends texts", SmsEffect.SET_UP),
    21609: SmsError("Twilio does not accept the callback URL: check `public_url`", SmsEffect.SET_UP),
    21610: SmsError("the recipient answered STOP", SmsEffect.OPTED_OUT),
    21611: SmsError("the queue of this sender is full", SmsEffect.LATER),
    21612: SmsError("this sender cannot reach this number", SmsEffect.REFUSED),
    21614: SmsError("the number is not a mobile number", SmsEffect.GONE),
    21617: SmsError("the message is too long", SmsEffect.REFUSED),
    21620: SmsError("a link to media is not valid", SmsEffect.REFUSED),
    21623: SmsError("there are too many media files", SmsEffect.REFUSED),
    21635: SmsError("the number is a landline", SmsEffect.GONE),
    21655: SmsError("the account has no content template with this SID", SmsEffect.REFUSED),
    21656: SmsError("the parameters do not fit the content template", SmsEffect.REFUSED),
    21659: SmsError("the sender is not a number of this account", SmsEffect.SET_UP),
    21660: SmsError("the sender and the account do not match", SmsEffect.SET_UP),
    21703: SmsError("the messaging service has no sender", SmsEffect.SET_UP),
    21705: SmsError("the messaging service does not exist", SmsEffect.SET_UP),
    30001: SmsError("the queue of this sender is full", SmsEffect.LATER),
    30002: SmsError("the account is suspended", SmsEffect.SET_UP),
    30003: SmsError("the phone is off or out of reach", SmsEffect.UNREACHABLE),
    30004: SmsError("the recipient or their carrier blocks messages", SmsEffect.BLOCKED),
    30005: SmsError("the number is unknown or no longer in use", SmsEffect.GONE),
    30006: SmsError("the number is a landline, or its carrier takes no texts", SmsEffect.GONE),
    30007: SmsError("a carrier filtered the message as spam", SmsEffect.BLOCKED),
    30008: SmsError("the carrier gave no reason", SmsEffect.UNCLEAR),
    30011: SmsError("the phone or its country takes no MMS", SmsEffect.REFUSED),
    30019: SmsError("the message is too big for the carrier", SmsEffect.REFUSED),
    30032: SmsError("the toll-free sender is not verified", SmsEffect.SET_UP),
    30034: SmsError("the sender is not registered for A2P 10DLC: add it to a campaign", SmsEffect.SET_UP),
    30035: SmsError("the registration of the sender for A2P 10DLC is not finished", SmsEffect.SET_UP),
    30036: SmsError("the validity period of the message is over", SmsEffect.EXPIRED),
    30450: SmsError("Twilio takes the request for SMS pumping", SmsEffect.BLOCKED),
    63016: SmsError("the person has not written on WhatsApp within 24 hours", SmsEffect.WINDOW_CLOSED),
    63018: SmsError("the WhatsApp number sends too much at once", SmsEffect.LATER),
    63019: SmsError("Twilio could not fetch the media", SmsEffect.REFUSED),
    63021: SmsError("the content is not one that the person's channel takes", SmsEffect.REFUSED),
    63024: SmsError("the number has no WhatsApp", SmsEffect.UNREACHABLE),
    63040: SmsError("WhatsApp has rejected the template", SmsEffect.TEMPLATE),
    63041: SmsError("WhatsApp has paused the template", SmsEffect.TEMPLATE),
    63042: SmsError("WhatsApp has disabled the template", SmsEffect.TEMPLATE),
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
    return REPORTED[SmsEffect.UNCLEAR if known is None else known.effect]
