"""What the laws of a country ask before a marketing message, by channel. Data with sources; no legal advice.

A country that is not listed, or not known, asks for consent: that is right nearly everywhere, and never too little. Messages inside
an app, on the user's own device, in a chat or to a webhook are no electronic mail: nobody has to be asked before, everybody may refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from clarion.model.channel import Channel
from clarion.model.setup import ConsentRule

MAIL = frozenset({Channel.EMAIL, Channel.SMS, Channel.WHATSAPP, Channel.VOICE})
"""What the laws call electronic mail, text messages and automated calls."""


class ConsentLaw(NamedTuple):
    """What has to be asked, and where that stands."""

    rule: ConsentRule
    source: str


OPT_OUT, REQUIRED = ConsentRule.OPT_OUT, ConsentRule.REQUIRED
_EU = [
    "AT",
    "BE",
    "BG",
    "CY",
    "CZ",
    "DE",
    "DK",
    "EE",
    "ES",
    "FI",
    "FR",
    "GR",
    "HR",
    "HU",
    "IE",
    "IS",
    "IT",
    "LI",
    "LT",
    "LU",
    "LV",
    "MT",
    "NL",
    "NO",
    "PL",
    "PT",
    "RO",
    "SE",
    "SI",
    "SK",
]
_EPRIVACY = ConsentLaw(REQUIRED, "Directive 2002/58/EC art. 13(1)")

LAWS: Mapping[str, Mapping[Channel, ConsentLaw]] = {
    **{country: dict.fromkeys(MAIL, _EPRIVACY) for country in _EU},
    "GB": {
        **dict.fromkeys(MAIL, ConsentLaw(REQUIRED, "PECR 2003 reg. 22")),
        Channel.VOICE: ConsentLaw(REQUIRED, "PECR 2003 reg. 19"),
    },
    "CH": dict.fromkeys(MAIL, ConsentLaw(REQUIRED, "UWG art. 3(1)(o)")),
    "US": {
        **dict.fromkeys(MAIL, ConsentLaw(REQUIRED, "47 CFR 64.1200(a)(2)")),
        Channel.EMAIL: ConsentLaw(OPT_OUT, "15 U.S.C. 7704(a)"),
    },
    "CA": dict.fromkeys(MAIL, ConsentLaw(REQUIRED, "CASL, S.C. 2010, c. 23, s. 6")),
    "AU": dict.fromkeys(MAIL, ConsentLaw(REQUIRED, "Spam Act 2003, s. 16")),
    "NZ": dict.fromkeys(MAIL, ConsentLaw(REQUIRED, "Unsolicited Electronic Messages Act 2007, s. 9")),
    "JP": dict.fromkeys(
        MAIL, ConsentLaw(REQUIRED, "Act on Regulation of Transmission of Specified Electronic Mail, art. 3")
    ),
    "KR": dict.fromkeys(MAIL, ConsentLaw(REQUIRED, "Network Act, art. 50(1)")),
}
"""By country (ISO 3166) and channel."""

UNLISTED = ConsentLaw(REQUIRED, "no rule is listed for this country")
NO_MAIL = ConsentLaw(OPT_OUT, "no electronic mail")


def law_of(country: str, channel: Channel) -> ConsentLaw:
    """What applies to a marketing message; `country` is empty when nobody knows it."""
    return LAWS.get(country, {}).get(channel, UNLISTED) if channel in MAIL else NO_MAIL
