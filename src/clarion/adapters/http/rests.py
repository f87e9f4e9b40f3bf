"""Servers that hang are left alone for a while, so that waiting for them does not hold up the others."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

HUNG = 3
"""So many calls in a row without an answer, and the server gets a rest."""
FIRST_REST_S = 15.0
LONGEST_REST_S = 300.0
REMEMBERED = 4_096


class _Trouble(msgspec.Struct):
    """What is remembered of a server since its last answer."""

    hung: int = 0
    until_s: float = 0.0


class Rests:
    """Who rests, by a key of the caller's; times are monotonic. Only servers in trouble are remembered."""

    def __init__(self) -> None:
        self._troubles: OrderedDict[bytes, _Trouble] = OrderedDict()

    def wait_s(self, server: bytes, now_s: float, call_s: float) -> float:
        """How long not to call it; 0: call it now. After a rest one call of at most `call_s` finds out for all."""
        trouble = self._troubles.get(server)
        if trouble is None or trouble.hung < HUNG:
            return 0.0
        if now_s < trouble.until_s:
            return trouble.until_s - now_s
        trouble.until_s = now_s + call_s
        return 0.0

    def hung(self, server: bytes, now_s: float) -> None:
        """A call to it ended without an answer."""
        trouble = self._troubles.setdefault(server, _Trouble())
        self._troubles.move_to_end(server)
        trouble.hung += 1
        if trouble.hung >= HUNG:
            rest_s = FIRST_REST_S * 2.0 ** min(trouble.hung - HUNG, 10)
            trouble.until_s = now_s + min(LONGEST_REST_S, rest_s)
        if len(self._troubles) > REMEMBERED:
            self._troubles.popitem(last=False)

    def answered(self, server: bytes) -> None:
        """It is there."""
        self._troubles.pop(server, None)
