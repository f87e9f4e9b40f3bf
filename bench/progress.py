"""What a long run is doing now, on standard error: one line that changes on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

TERMINAL_S, FILE_S = 0.5, 15.0
"""Seconds between two messages about the same figure."""


class Progress:
    """Tells which figure is measured, how far it is and how long it took."""

    def __init__(self, stream: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._now = stream, now
        self._terminal = stream.isatty()
        self._title, self._began, self._told = "", now(), now()
        self.phase = ""
        """Part of a long figure; stands before whatever is told."""

    def begin(self, title: str) -> None:
        """A new figure."""
        self._title, self._began, self._told = title, self._now(), self._now()
        self.phase = ""
        self._write("...")

    def tell(self, text: str) -> None:
        """How far it is. Most calls print nothing."""
        now = self._now()
        if now - self._told >= (TERMINAL_S if self._terminal else FILE_S):
            self._told = now
            self._write("; ".join(filter(None, (self.phase, text))))

    def end(self, text: str = "") -> None:
        """The figure is measured."""
        self._write(f"{self._now() - self._began:.0f} s{text}")
        if self._terminal:
            self._stream.write("\n")

    def _write(self, text: str) -> None:
        line = f"{self._title}: {text}"
        self._stream.write(f"\r\033[K{line}" if self._terminal else f"{line}\n")
        self._stream.flush()


def pace(done: int, wanted: int, seconds: float) -> str:
    """How far a count is, how fast it grows and how long the rest takes."""
    told = f"{done:,} of {wanted:,}"
    if not done or seconds <= 0:
        return told
    rate = done / seconds
    return f"{told}, {rate:,.0f}/s, about {(wanted - done) / rate:,.0f} s left"


progress = Progress(sys.stderr)
