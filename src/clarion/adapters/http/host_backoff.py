"""Skips servers that hang for a while, so that other calls do not wait for them."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from clarion.model.outcome import Retry
from clarion.model.status import Reason

HUNG = 3
"""So many calls in a row without an answer, and the server gets a rest."""
HANGS_SHARE = 0.25
"""Who has not answered after this part of the time hangs; who refuses at once costs nobody anything."""
FIRST_REST_S = 15.0
LONGEST_REST_S = 300.0
REMEMBERED = 4_096


class _Trouble(msgspec.Struct):
    """What is remembered of a server since its last answer."""

    hung: int = 0
    backoffs: int = 0
    rested_s: float = float("-inf")
    """When the last rest was given: what was under way then says nothing new."""
    until_s: float = 0.0


class HostBackoff:
    """Who rests, by a key of the caller's; times are monotonic. Only servers in trouble are remembered."""

    def __init__(self, longest_s: float = LONGEST_REST_S) -> None:
        """Rests grow up to `longest_s`."""
        self._longest_s = longest_s
        self._troubles: OrderedDict[str | bytes, _Trouble] = OrderedDict()

    def wait_s(self, server: str | bytes, now_s: float, call_s: float) -> float:
        """How long not to call it; 0: call it now. After a rest one call of at most `call_s` finds out for all."""
        trouble = self._troubles.get(server)
        if trouble is None or trouble.hung < HUNG:
            return 0.0
        if now_s < trouble.until_s:
            return trouble.until_s - now_s
        trouble.until_s = now_s + call_s
        return 0.0

    def ended(
        self, server: str | bytes, *, answered: bool, began_s: float, now_s: float, call_s: float
    ) -> None:
        """A call of at most `call_s` came to its end, with an answer or without."""
        if answered:
            self._troubles.pop(server, None)
        elif now_s - began_s >= HANGS_SHARE * call_s:
            self._hung(server, began_s, now_s)

    def _hung(self, server: str | bytes, began_s: float, now_s: float) -> None:
        trouble = self._troubles.setdefault(server, _Trouble())
        self._troubles.move_to_end(server)
        trouble.hung += 1
        if trouble.hung >= HUNG and began_s >= trouble.rested_s:
            rest_s = min(self._longest_s, FIRST_REST_S * 2.0 ** min(trouble.backoffs, 10))
            trouble.backoffs += 1
            trouble.rested_s, trouble.until_s = now_s, now_s + rest_s
        if len(self._troubles) > REMEMBERED:
            self._troubles.popitem(last=False)


def put_off(wait_s: float) -> Retry:
    """What becomes of a message whose server rests: nothing was tried."""
    return Retry(
        reason=Reason.CIRCUIT_OPEN,
        after_s=wait_s,
        called=False,
        of_address=True,
        detail="its server has not answered several times in a row and gets a rest",
    )
