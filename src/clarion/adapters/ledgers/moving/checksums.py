"""Sums up rows, in whatever order, so that two databases can be compared without sorting either."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

DIGEST_BYTES = 8
_MODULUS = 1 << (8 * DIGEST_BYTES)

_pack = msgspec.msgpack.Encoder().encode


class Checksum(msgspec.Struct):
    """Of the rows that were added."""

    rows: int = 0
    total: int = 0

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """These too."""
        for row in rows:
            self.rows += 1
            self.total += int.from_bytes(blake2b(_pack(row), digest_size=DIGEST_BYTES).digest(), "big")
        self.total %= _MODULUS
