"""Which sender a text message has in the country it goes to, and what keeps it from being delivered there."""

from __future__ import annotations

import re
from enum import StrEnum

from clarion.model.setup import Integration

ANYWHERE = "*"
_SHORT_CODE = re.compile(r"[0-9]{3,7}", re.ASCII)
_TOLL_FREE = re.compile(r"\+1(?:800|833|844|855|866|877|888)[0-9]{7}", re.ASCII)
_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 &_.+-]{1,11}", re.ASCII)
_UNITED_STATES = frozenset({"US", "PR", "VI", "GU", "AS", "MP"})
_NO_NAMES = _UNITED_STATES | {"CA"}
"""Carriers there deliver nothing from a name."""


class SenderKind(StrEnum):
    """What a sender is, as far as its text says."""

    NAME = "name"
    """Letters and digits, at most eleven: an alphanumeric sender id. Nobody can answer it."""
    SHORT_CODE = "short_code"
    """It works in the country where it is leased."""
    TOLL_FREE = "toll_free"
    """A North American number that begins with 800 and the like."""
    OTHER = "other"
    """A number, such as one of a 10DLC campaign, or the id of a pool or a messaging service, which chooses itself."""


def kind_of(sender: str) -> SenderKind:
    """What it is."""
    if _SHORT_CODE.fullmatch(sender):
        return SenderKind.SHORT_CODE
    if _TOLL_FREE.fullmatch(sender):
        return SenderKind.TOLL_FREE
    return SenderKind.NAME if _NAME.fullmatch(sender) else SenderKind.OTHER


def sender_for(integration: Integration, country: str) -> str | None:
    """The sender for this country: the country's own, else that for everywhere, else the one of the settings. Empty: the
    integration has no senders. None: nothing is sent to this country."""
    for place in (country, ANYWHERE):
        if place in integration.senders:
            return integration.senders[place]
    return str(integration.config.get("sender") or "")


def obstacle(sender: str | None, country: str) -> str:
    """Why a message with this sender cannot arrive there; empty: nothing is known against it."""
    where = country or "an unknown country"
    if sender is None:
        return f"the integration has no sender for {where}"
    kind = kind_of(sender)
    if kind is SenderKind.NAME and country in _NO_NAMES:
        return (
            f"carriers in {where} deliver no text messages from a name: set `senders.{country}` to a number of a "
            "registered 10DLC campaign, a verified toll-free number or a short code"
        )
    if kind is SenderKind.TOLL_FREE and country and country not in _NO_NAMES:
        return f"a toll-free number reaches the United States and Canada only: set `senders.{country}`"
    return ""
