"""When the devices of a gateway that stops come back: each has a moment of its own, so that nobody meets all of them at once."""

from __future__ import annotations


def after_ms(number: int, per_s: int, uniform: float) -> int:
    """How long the device of this number, from 1, waits until it connects again: so many come in each second, and
    `uniform`, from 0 to 1, is where in its share of the second."""
    return 1 + int((number - uniform) * 1_000 / per_s)
