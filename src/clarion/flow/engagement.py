"""What people do with their inbox items, stored and told to all their devices: the one way to do both."""

from __future__ import annotations

from collections.abc import Sequence

from clarion.model.ids import MessageId, TenantId, UserNo
from clarion.model.inbox import InboxChange
from clarion.ports.clock import Clock
from clarion.ports.fanout import Fanout
from clarion.ports.ledger import InboxAction, Inboxes


class Engagement:
    """Used by the HTTP API and by the gateway alike, so that no device ever misses what another one did."""

    def __init__(self, inboxes: Inboxes, fanout: Fanout, clock: Clock) -> None:
        self._inboxes = inboxes
        self._fanout = fanout
        self._clock = clock

    async def mark(
        self, user: UserNo, action: InboxAction, ids: Sequence[MessageId] | None
    ) -> InboxChange | None:
        """Mark items of `user` (None: all that are not archived), durably; None when nothing changed."""
        change = await self._inboxes.mark(user, action, ids, self._clock.now())
        if change is not None:
            self._fanout.publish((change,))
        return change

    def forget(self, tenant: TenantId, user: UserNo) -> None:
        """Call after a user was deleted: every device of theirs is told so and disconnected at once."""
        self._fanout.publish((InboxChange(tenant=tenant, user=user, items=()),))
