"""The fan-out: carries committed inbox changes to the gateways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from clarion.model.inbox import InboxChange


class Fanout(Protocol):
    """Publish to every gateway. Best effort: a device that misses a change replays it from the ledger."""

    def publish(self, changes: Sequence[InboxChange]) -> None:
        """Hand over changes in commit order; never blocks and never raises."""

    def subscribe(
        self,
        receive: Callable[[Sequence[InboxChange]], None],
        missed: Callable[[], None] = lambda: None,
    ) -> Callable[[], None]:
        """Call `receive` on the event loop for every publication, and `missed` when some may have been lost on the way;
        returns the unsubscribe function."""
