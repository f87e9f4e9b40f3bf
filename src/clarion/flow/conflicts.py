"""Changes on top of what is stored: read, change and store again when somebody else was faster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from clarion.errors import Conflict

T = TypeVar("T")


async def repeat_on_conflict(change: Callable[[], Awaitable[T]], tries: int) -> T:
    """The result of `change()`, which reads what is stored first: called again while it raises Conflict, so many times in all."""
    for left in reversed(range(tries)):
        try:
            return await change()
        except Conflict:
            if not left:
                raise
    raise ValueError("tries must be positive")
