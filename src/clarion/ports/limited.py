"""Work on content of outsiders, done in a process with limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Exceeded(msgspec.Struct, frozen=True):
    """A task took more memory or time than it may, and was ended."""

    detail: str


class Limited(Protocol):
    """Does tasks one after the other, each within limits of memory and time."""

    async def run(self, tasks: Sequence[bytes]) -> Sequence[bytes | Exceeded]:
        """What came of each task, in order. One that is ended takes none of the others with it."""

    async def close(self) -> None:
        """End what is running."""
