"""Counts the segments of an SMS (GSM 03.38, 3GPP TS 23.038)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Literal

import msgspec

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENDED = frozenset("\f^{}\\[~]|€")
"""Written as an escape and a character: two septets that stay together."""
GSM = BASIC | EXTENDED

GSM_SINGLE, GSM_PART = 160, 153
UCS2_SINGLE, UCS2_PART = 70, 67
"""A part of several loses six octets to the header that joins them."""

UNUSUAL = 0.3
"""A text of which more than this share is outside GSM-7 is simply written in another script."""
LETTERS_OF_A_SCRIPT = 3
"""So many different letters are no slip: one or two may be look-alikes in a Latin text."""
_SPACES = str.maketrans({"\u00a0": " ", "\u202f": " "})
# fmt: off
SMART = str.maketrans({
    "\u00ab": '"', "\u00bb": '"', "\u2018": "'", "\u2019": "'", "\u201a": "'", "\u201b": "'", "\u201c": '"',
    "\u201d": '"', "\u201e": '"', "\u201f": '"', "\u2039": "<", "\u203a": ">", "\u2032": "'", "\u2033": '"',
    "\u02ba": '"', "\u02bb": "'", "\u02bc": "'", "\u00b4": "'", "\u0060": "'",
    "\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2014": "-", "\u2015": "-", "\u2212": "-",
    "\u2026": "...", "\u2022": "-", "\u00d7": "x", "\u2044": "/", "\u00a0": " ", "\u2000": " ", "\u2001": " ",
    "\u2002": " ", "\u2003": " ", "\u2004": " ", "\u2005": " ", "\u2006": " ", "\u2007": " ", "\u2008": " ",
    "\u2009": " ", "\u200a": " ", "\u202f": " ", "\u205f": " ", "\u3000": " ", "\t": " ", "\u00ad": "", "\u200b": "",
    "\u2060": "", "\ufeff": "", "\u2028": "\n", "\u2029": "\n",
})
# fmt: on
"""What looks the same, or nearly, in GSM-7."""


class Segments(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a text: `units` are septets (GSM-7) or UTF-16 code units (UCS-2)."""

    encoding: Literal["GSM-7", "UCS-2"]
    count: int
    units: int


def segments(text: str) -> Segments:
    """One character outside GSM-7 makes the whole text UCS-2. No character is cut in half."""
    if GSM.issuperset(text):
        widths = [2 if c in EXTENDED else 1 for c in text]
        return Segments(encoding="GSM-7", count=_parts(widths, GSM_SINGLE, GSM_PART), units=sum(widths))
    widths = [2 if c > "\uffff" else 1 for c in text]
    return Segments(encoding="UCS-2", count=_parts(widths, UCS2_SINGLE, UCS2_PART), units=sum(widths))


def _parts(widths: Iterable[int], single: int, part: int) -> int:
    count, used, total = 1, 0, 0
    for width in widths:
        total += width
        used += width
        if used > part:
            count, used = count + 1, width
    return count if total > single else 1


def smart(text: str) -> str:
    """`text` with quotes, dashes and spaces as GSM-7 has them, when it then is all GSM-7; else as it is."""
    if GSM.issuperset(text):
        return text
    written = text.translate(SMART)
    return written if GSM.issuperset(written) else text


def plain_spaces(text: str) -> str:
    """`text` without the no-break spaces that dates and numbers bring along, when it then is all GSM-7."""
    if "\u202f" not in text and "\u00a0" not in text:
        return text
    written = text.translate(_SPACES)
    return written if GSM.issuperset(written) else text


def advice(text: str) -> str:
    """What to say about characters that make a text dearer; empty when there are none, or it is in another script."""
    outside = [c for c in text if c not in GSM]
    if not outside or _is_foreign(outside, text):
        return ""
    shown = ", ".join(f"`{c}` (U+{ord(c):04X})" for c in list(dict.fromkeys(outside))[:8])
    now, without = segments(text).count, segments("".join("?" if c not in GSM else c for c in text)).count
    cost = (
        f"{now} segments instead of {without}" if now > without else "70 characters a segment instead of 160"
    )
    way = "write it in GSM-7"
    if smart(text) != text:
        way += ", or turn on smart encoding (the tenant's `sms_smart`)"
    return f"this text is UCS-2 because of {shown}: {cost}; {way}"


def _is_foreign(outside: list[str], text: str) -> bool:
    """It is written in a script that GSM-7 does not have, even when a long link is Latin."""
    strange = {c for c in outside if c.isalpha() and not unicodedata.name(c, "").startswith("LATIN")}
    return len(strange) >= LETTERS_OF_A_SCRIPT or len(outside) > UNUSUAL * len(text)
