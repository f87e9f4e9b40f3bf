"""Packages that not every installation has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from clarion.errors import MissingPackage


@contextlib.contextmanager
def needs(extra: str, what: str, *, pointer: str | None = None) -> Iterator[None]:
    """What is imported inside comes with an extra. Raises MissingPackage, with the command that installs it.

    `what` is the subject of that sentence: what cannot be used without.
    """
    try:
        yield
    except ModuleNotFoundError:
        raise MissingPackage(what, extra, pointer=pointer) from None
