"""Messages that are out and are to be withdrawn or edited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from clarion.model.ids import Instant, MessageId
from clarion.model.inbox import InboxChange, InboxReplacement
from clarion.model.withdrawal import Withdrawal


class Withdrawals(Protocol):
    """What is asked and not done yet, at most one for each message."""

    async def ask(self, withdrawals: Sequence[Withdrawal]) -> None:
        """Durable when this returns. The latest that is asked of a message counts."""

    async def waiting(self, ids: Sequence[MessageId]) -> Sequence[Withdrawal]:
        """What is asked of these messages and not done yet."""

    async def claim(self, now: Instant, until: Instant, limit: int) -> Sequence[Withdrawal]:
        """What is due, the oldest first. Nobody else is given it before `until`."""

    async def put_off(self, withdrawals: Sequence[Withdrawal]) -> None:
        """They are due again when they say so, unless something else was asked of their message meanwhile."""

    async def end(
        self, withdrawals: Sequence[Withdrawal], items: Sequence[InboxReplacement], at: Instant
    ) -> Sequence[InboxChange]:
        """Nothing is left to do, unless something else was asked of their message meanwhile. In the same transaction
        `items` hold something else from now on; what to fan out. An item that is not there, or is withdrawn, stays so."""
