"""Up to where everything is done of what is done in any order."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush


class Unfinished:
    """Numbers that are begun, and finished in any order."""

    __slots__ = ("_begun", "_finished")

    def __init__(self) -> None:
        self._begun: list[int] = []
        """A heap: the first one that is not finished is on top."""
        self._finished: set[int] = set()

    @property
    def ahead(self) -> int:
        """How many are finished behind the first that is not."""
        return len(self._finished)

    def begin(self, number: int) -> None:
        """It was not begun before."""
        heappush(self._begun, number)

    def finish(self, numbers: Iterable[int]) -> None:
        """These were begun and not finished yet."""
        begun, finished = self._begun, self._finished
        finished.update(numbers)
        while begun and begun[0] in finished:
            finished.remove(heappop(begun))

    def first(self) -> int | None:
        """The first that is not finished."""
        return self._begun[0] if self._begun else None
