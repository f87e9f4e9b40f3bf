"""How far `clarion migrate` is, on standard error: a bar on a terminal, lines in a log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clarion.adapters.ledgers.migrate import Progress

PARTS = 10
"""Lines in a log for a phase that converts rows."""


class _Bars:
    """A line for each phase, and below the last one its bar with the time that is left."""

    def __init__(self, shown: Any) -> None:
        self._shown = shown
        self._task = shown.add_task("", total=None)

    def phase(self, sentence: str) -> None:
        self._shown.console.print(sentence, markup=False)
        self._shown.remove_task(self._task)
        self._task = self._shown.add_task("", total=None)

    def rows(self, done: int, total: int) -> None:
        self._shown.update(self._task, completed=done, total=total)


class _Lines:
    """A line for each phase and each tenth of it."""

    def __init__(self, console: Any) -> None:
        self._console = console
        self._part = 0

    def phase(self, sentence: str) -> None:
        self._part = 0
        self._console.print(sentence, markup=False)

    def rows(self, done: int, total: int) -> None:
        part = done * PARTS // max(total, 1)
        if part > self._part:
            self._part = part
            self._console.print(f"  {done:,} of {total:,}")


@contextmanager
def watched() -> Iterator[Progress]:
    """Whoever shows what is told."""
    from clarion.cli import output

    console = output.err()
    if not console.is_terminal:
        yield _Lines(console)
        return
    with output.progress(quiet=False) as shown:
        yield _Bars(shown)
