"""Report queues: where a provider leaves its reports for us to fetch, instead of calling us."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class QueuedReport(NamedTuple):
    """One report, and by what name to say that it is done."""

    key: str
    body: bytes
    """What `Callbacks.read` reads. Only the provider can have put it there, so nobody verifies it."""


class ReportQueue(Protocol):
    """A queue of one integration. What was fetched and not done comes again."""

    async def fetch(self) -> Sequence[QueuedReport]:
        """Some reports; waits for the first one, but not longer than half a minute. Raises Unavailable or ConfigError saying
        what to do."""

    async def done(self, keys: Sequence[str]) -> None:
        """They are taken care of and need not come again. Raises Unavailable; then some come again."""

    async def close(self) -> None:
        """Let go of connections; called once."""
