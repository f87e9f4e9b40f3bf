"""How far all users were gone through: rows of `refreshes`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from clarion.model.audience import Refresh
from clarion.model.ids import Instant, UserNo


class RefreshRow(NamedTuple):
    """A row behind its key."""

    definition: str
    position: int | None
    """The last user who was gone through; None: it is not running."""
    done: int
    total: int
    refreshed_at: int | None

    @property
    def refresh(self) -> Refresh:
        """As it is told."""
        return Refresh(
            definition=self.definition,
            running=self.position is not None,
            done=self.done,
            total=self.total,
            refreshed_at=None if self.refreshed_at is None else Instant(self.refreshed_at),
        )

    def behind(self, people: Sequence[UserNo], limit: int, now: Instant) -> RefreshRow:
        """When these were gone through too: fewer than `limit` are the last ones."""
        if self.position is None:
            return self
        done = self.done + len(people)
        if len(people) < limit:
            return self._replace(position=None, done=done, refreshed_at=now)
        return self._replace(position=people[-1], done=done)


def continued(found: Sequence[object] | None, definition: str, count: Callable[[], int]) -> RefreshRow:
    """The row that was found, or one that begins because there is none of this definition."""
    state = None if found is None else RefreshRow(*found)  # type: ignore[arg-type]
    if state is not None and state.definition == definition:
        return state
    if state is None and not definition:
        return RefreshRow("", None, 0, 0, None)  # nothing was ever open
    return RefreshRow(definition, 0, 0, count(), None if state is None else state.refreshed_at)
