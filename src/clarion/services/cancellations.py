"""Cancels one message that is not being sent yet, or all messages of an event."""

from __future__ import annotations

from clarion.flow.cancellation_guard import CancellationGuard
from clarion.flow.ledger import Ledger
from clarion.model.ids import EventId, TenantId
from clarion.model.message import Message
from clarion.model.status import Reason, Status
from clarion.ports import terms
from clarion.ports.clock import Clock
from clarion.rules import ladder


class Cancellations:
    """Cancels messages. It stops calls before it changes the ledger, so a canceled message is never sent."""

    def __init__(self, ledger: Ledger, guard: CancellationGuard, clock: Clock) -> None:
        self._records = ledger.records
        self._events = ledger.events
        self._guard = guard
        self._clock = clock

    async def message(self, message: Message, reason: Reason = Reason.CANCELED_BY_CALLER) -> Status:
        """The status it has now: `canceled`, unless it had begun, or was over. A ladder's message takes the later
        ones with it."""
        ids = (message.id, *ladder.behind([message]))
        if terms.dry_running():
            begun = self._guard.begun(ids)
            status = await self._records.cancel(message.tenant, message.id, self._clock.now(), begun, reason)
            return Status.SENDING if message.id in begun else status or message.status
        begun = self._guard.stop(ids)
        try:
            status = await self._records.cancel(message.tenant, message.id, self._clock.now(), begun, reason)
        except BaseException:
            self._guard.undo(ids)
            raise
        if status is not Status.CANCELED:
            self._guard.undo(ids)
        return Status.SENDING if message.id in begun else status or message.status

    async def event(self, tenant: TenantId, event_id: EventId) -> int | None:
        """Cancel every message that has not begun, also those that are not planned yet; how many were canceled now.
        None: there is no such event. Repeating it is harmless."""
        if not await self._events.known(tenant, event_id):
            return None
        begun = self._guard.stop([event_id])
        try:
            return await self._events.cancel(event_id, self._clock.now(), begun)
        except BaseException:
            self._guard.undo([event_id])
            raise
