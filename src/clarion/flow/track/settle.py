"""Stage 4, track: store the results of attempts and publish the changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain

import structlog
from msgspec.structs import replace

from clarion.errors import ClarionError
from clarion.flow.cancellation_guard import CancellationGuard
from clarion.flow.lease import WorkerLease
from clarion.flow.ledger import Ledger
from clarion.flow.waiting import retry_until_stored
from clarion.model.ids import MessageId
from clarion.model.inbox import InboxChange
from clarion.model.settlement import Settlement, SettleResult
from clarion.ports.clock import Clock
from clarion.ports.fanout import Fanout
from clarion.rules.outcomes import without_extras

log = structlog.get_logger(__name__)


class Settler:
    """Stores settlements, however long the store is unavailable, and publishes what they changed."""

    def __init__(
        self, ledger: Ledger, lease: WorkerLease, guard: CancellationGuard, fanout: Fanout, clock: Clock
    ) -> None:
        self._messages = ledger.messages
        self._guard = guard
        self._lease = lease
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
        if any(s.cancels for s in settlements):
            settlements = self._without_begun(settlements)
        result = await self._stored(settlements)
        self.stored(settlements, result.inbox)
        if result.refused:
            self.refused += len(result.refused)
            self._lease.refused()
            self._guard.undo(
                [rung for s in settlements if s.message.id in result.refused for rung in s.cancels]
            )
        return result.refused

    def _without_begun(self, settlements: Sequence[Settlement]) -> Sequence[Settlement]:
        """The same, canceling only rungs whose call has not begun; from now on none of these can begin."""
        going = self._guard.stoppable([rung for s in settlements for rung in s.cancels])
        return [
            replace(s, cancels=tuple([rung for rung in s.cancels if rung in going])) if s.cancels else s
            for s in settlements
        ]

    def stored(self, settlements: Sequence[Settlement], inbox: Sequence[InboxChange]) -> None:
        """Publish what these changed. At once when they are stored, so that it goes out in the order of the commits."""
        if inbox:
            content = {s.message.id: s.content for s in settlements if s.content}
            self._fanout.publish([_with_content(change, content) for change in inbox])
        count = self.settled
        for s in settlements:
            count[s.message.channel._value_, s.status._value_, s.reason._value_ if s.reason else ""] += 1

    async def _stored(self, settlements: Sequence[Settlement]) -> SettleResult:
        """All together; where that fails one by one, so that only the one at fault is not stored as it is."""
        try:
            return await self._stored_as(settlements)
        except ClarionError:
            raise
        except Exception as fault:
            log.exception("settlements_not_stored", messages=len(settlements), error=type(fault).__name__)
        stored = [await self._stored_alone(one) for one in settlements]
        return SettleResult(
            refused=frozenset().union(*(one.refused for one in stored)),
            inbox=tuple(chain.from_iterable(one.inbox for one in stored)),
        )

    async def _stored_alone(self, settlement: Settlement) -> SettleResult:
        """In doubt without what it brought along: what became of a message counts for more."""
        for one in (settlement, without_extras(settlement)):
            try:
                return await self._stored_as([one])
            except ClarionError:
                raise
            except Exception as fault:
                log.exception("settlement_not_stored", error=type(fault).__name__)
        self._lease.drop([settlement.message])
        return SettleResult()

    async def _stored_as(self, settlements: Sequence[Settlement]) -> SettleResult:
        """As the worker that this process is when they can be stored at last."""
        settle = self._messages.settle
        return await retry_until_stored(
            "settle", lambda: settle(self._lease.worker, settlements), self._clock
        )


def _with_content(change: InboxChange, content: Mapping[MessageId, bytes]) -> InboxChange:
    """The content goes along as it was sealed a moment ago, so that no device waits for it to be opened."""
    known = [content.get(item.message_id, b"") for item in change.items]
    return replace(change, content=tuple(known)) if all(known) else change
