"""Chooses one of several integrations by weight, and always the same one for the same seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b

_SCALE = 2.0**64


def choose(candidates: Sequence[tuple[str, float]], seed: bytes, exclude: frozenset[str]) -> str | None:
    """The key among `(key, weight)` that `seed` prefers and `exclude` does not name; None when none is left.

    Weighted rendezvous hashing: shares follow the weights exactly, and when a candidate drops out only its own
    messages move. Weight 0 is a standby: chosen only when no candidate with weight is left.
    """
    open_to = [(key, weight) for key, weight in candidates if key not in exclude]
    if len(open_to) < 2:
        return open_to[0][0] if open_to else None
    return max(open_to, key=lambda candidate: (_score(candidate, seed), candidate[0]))[0]


def _score(candidate: tuple[str, float], seed: bytes) -> float:
    """The larger, the more wanted. -weight/ln(u) with u uniform in (0, 1) makes the maximum fall by weight."""
    key, weight = candidate
    drawn = int.from_bytes(blake2b(key.encode(), key=seed[:64], digest_size=8).digest(), "big")
    uniform = (drawn + 0.5) / _SCALE
    if weight <= 0:
        return uniform - 1.0
    return -weight / math.log(uniform) if uniform < 1.0 else math.inf
