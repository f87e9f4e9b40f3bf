"""Changes inbox items for their user, stores the change, and publishes it to all devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clarion.model.ids import MessageId, TenantId, UserNo
from clarion.model.inbox import InboxAction, InboxChange, InboxFilter
from clarion.ports import terms
from clarion.ports.clock import Clock
from clarion.ports.fanout import Fanout
from clarion.ports.ledger import Inboxes

SLICE = 100
"""Items marked in one transaction: whoever else wants to write waits no longer than for these."""


class InboxActions:
    """Changes inbox items for the HTTP API and the gateway, so that every device gets every change."""

    def __init__(
        self,
        inboxes: Inboxes,
        fanout: Fanout,
        clock: Clock,
        is_told: Callable[[TenantId, InboxAction], bool],
    ) -> None:
        """`is_told`: whether a sink of the tenant gets an event for it."""
        self._inboxes = inboxes
        self._fanout = fanout
        self._clock = clock
        self._is_told = is_told

    async def mark(
        self,
        tenant: TenantId,
        user: UserNo,
        action: InboxAction,
        which: Sequence[MessageId] | InboxFilter,
    ) -> int:
        """Mark items of `user`, durably; how many changed.

        Those that match a filter are marked as they are now, slice by slice: each is told to the devices with exact
        counters, and what arrives meanwhile is left alone.
        """
        if isinstance(which, InboxFilter):
            which = await self._inboxes.matching(user, archived=which.archived, unread=which.unread)
        changed = 0
        recorded = self._is_told(tenant, action)
        for start in range(0, len(which), SLICE):
            change = await self._inboxes.mark(
                user, action, which[start : start + SLICE], self._clock.now(), recorded=recorded
            )
            if change is not None:
                changed += len(change.items)
                if terms.dry_running():
                    continue
                self._fanout.publish((change,))
        return changed

    def forget(self, tenant: TenantId, user: UserNo) -> None:
        """Call after a user was deleted: every device of theirs is told so and disconnected at once."""
        if not terms.dry_running():
            self._fanout.publish((InboxChange(tenant=tenant, user=user, items=()),))
