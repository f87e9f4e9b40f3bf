"""How many parts a text message is cut into, and so what it costs (GSM 03.38, 3GPP TS 23.038)."""

from __future__ import annotations

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
