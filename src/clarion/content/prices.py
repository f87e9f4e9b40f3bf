"""What a text message is expected to cost."""

from __future__ import annotations

from collections.abc import Mapping

import phonenumbers

from clarion.content.sms import segments


def country(phone: str) -> str:
    """The ISO 3166 country of an E.164 number (`+4915...`: `DE`); empty when it belongs to none."""
    try:
        number = phonenumbers.parse(phone)
    except phonenumbers.NumberParseException:
        return ""
    code = phonenumbers.region_code_for_number(number) or ""
    return code if len(code) == 2 and code.isalpha() and code != "ZZ" else ""


def cost(text: str, phone: str, prices: Mapping[str, float]) -> float | None:
    """Segments times the price of one in the country of `phone`; None where there is no price for it."""
    price = prices.get(country(phone))
    return None if price is None else round(price * segments(text).count, 6)
