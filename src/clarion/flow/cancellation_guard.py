"""Keeps a message from being both canceled and sent: knows which messages are canceled and which are being sent."""

from __future__ import annotations

from collections.abc import Container, Iterable

from clarion.flow.lanes import HELD_MS, InFlight
from clarion.model.ids import EventId, Instant, MessageId
from clarion.ports.clock import Clock


class CancellationGuard:
    """Asked when a call begins. It never awaits, so nothing can happen in between.

    The ledger alone cannot tell: it notes the start of a call only for providers that cannot deduplicate, and what
    lies in memory is canceled in the ledger without being told.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begun: dict[MessageId, EventId] = {}
        self._stopped: dict[bytes, Instant] = {}
        """Messages and events, until nothing that was in memory before can be there any more."""

    def begin(self, batch: Iterable[InFlight]) -> set[InFlight]:
        """Return the messages whose call may begin now. They count as begun until `end`."""
        going = {in_flight for in_flight in batch if not self._is_stopped(in_flight)}
        self._begun.update((in_flight.message.id, in_flight.message.event_id) for in_flight in going)
        return going

    def end(self, messages: Iterable[MessageId]) -> None:
        """Forget these messages: their results are stored, or their calls never began."""
        for message in messages:
            self._begun.pop(message, None)

    def stop(self, ids: Iterable[bytes]) -> frozenset[MessageId]:
        """Let no call for these messages and events begin. Returns those that have begun already."""
        now = self._clock.now()
        self._forget(Instant(now - 2 * HELD_MS))
        wanted = dict.fromkeys(ids, now)
        self.undo(wanted)  # what is stopped again goes to the end
        self._stopped.update(wanted)
        return self._begun_of(wanted)

    def stoppable(self, rungs: Iterable[MessageId]) -> frozenset[MessageId]:
        """Let no call for these begin, because their ladder succeeded. Returns those that had not begun."""
        wanted = frozenset(rungs)
        return wanted - self.stop(wanted) if wanted else wanted

    def begun(self, ids: Iterable[bytes]) -> frozenset[MessageId]:
        """Return which of these messages and events have begun. Stops nothing."""
        return self._begun_of(frozenset(ids))

    def remembered(self) -> int:
        """The number of stopped messages and events."""
        self._forget(Instant(self._clock.now() - 2 * HELD_MS))
        return len(self._stopped)

    def undo(self, ids: Iterable[bytes]) -> None:
        """Allow these again: they could not be canceled."""
        for one in ids:
            self._stopped.pop(one, None)

    def _begun_of(self, wanted: Container[bytes]) -> frozenset[MessageId]:
        return frozenset(
            message for message, event in self._begun.items() if message in wanted or event in wanted
        )

    def _forget(self, before: Instant) -> None:
        """They stand in the order in which they were stopped."""
        while self._stopped and self._stopped[one := next(iter(self._stopped))] < before:
            del self._stopped[one]

    def _is_stopped(self, in_flight: InFlight) -> bool:
        """What was moved since then, by a retry, is another matter."""
        message = in_flight.message
        return any(
            message.updated_at <= self._stopped[one]
            for one in (message.id, message.event_id)
            if one in self._stopped
        )
