"""Packages that not every installation has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from clarion.errors import ConfigError


@contextlib.contextmanager
def needs(extra: str, what: str, *, pointer: str | None = None) -> Iterator[None]:
    """What is imported inside comes with an extra. Raises ConfigError with the command that installs it, when it is missing.

    `what` is the subject of that sentence: what cannot be used without.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{what} needs a package that is not installed ({error.name}): pip install 'clarion[{extra}]'",
            pointer=pointer,
        ) from None
