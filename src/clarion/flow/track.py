"""Stage 4, track: store what became of attempts and tell whoever watches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from clarion.flow.patience import until_stored
from clarion.model.ids import MessageId
from clarion.ports.clock import Clock
from clarion.ports.fanout import Fanout
from clarion.ports.ledger import Messages, Settlement


class Tracker:
    """Stores settlements, however long the store is unavailable, and publishes what they changed."""

    def __init__(self, messages: Messages, fanout: Fanout, clock: Clock) -> None:
        self._messages = messages
        self._fanout = fanout
        self._clock = clock
        self.settled: Counter[tuple[str, str, str]] = Counter()
        """(channel, status, reason) to how many; read by metrics."""
        self.refused = 0
        """Settlements that came too late: somebody else holds the message now."""

    async def settle(self, settlements: Sequence[Settlement]) -> frozenset[MessageId]:
        """Returns when stored; the ids that were refused."""
        if not settlements:
            return frozenset()
        result = await until_stored("settle", lambda: self._messages.settle(settlements), self._clock)
        if result.inbox:
            self._fanout.publish(result.inbox)
        self.refused += len(result.refused)
        count = self.settled
        for s in settlements:
            count[s.message.channel._value_, s.status._value_, s.reason._value_ if s.reason else ""] += 1
        return result.refused
