"""The other one of two regions, as far as events of users at home there go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from clarion.errors import ClarionError
from clarion.model.submission import Acceptance, Submission


class OtherRegion(Protocol):
    """Takes events for its users."""

    async def submit(
        self, tenant: str, submissions: Sequence[Submission]
    ) -> Sequence[Acceptance | ClarionError]:
        """One result per submission, durable there when this returns; `tenant` by its key. Each submission tells a repeat of
        itself. Raises Unavailable when nobody there answers: then some may have been accepted."""

    async def close(self) -> None:
        """Close the connections."""
