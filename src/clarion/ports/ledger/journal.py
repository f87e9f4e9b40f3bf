"""What became of messages and users."""

from __future__ import annotations

from typing import Protocol

from clarion.model.ids import TenantId
from clarion.model.user_change import JournalPage


class Journal(Protocol):
    """All records of a tenant in the order in which they were stored. What becomes of users is recorded from when a sink
    has `users` in its position (`model.reading.USERS`), in the transaction of the change."""

    async def page(self, tenant: TenantId, after: int, limit: int) -> JournalPage:
        """The records behind position `after`."""
