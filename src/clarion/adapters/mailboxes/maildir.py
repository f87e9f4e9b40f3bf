"""A Maildir (https://cr.yp.to/proto/maildir.html): a mail is claimed by moving it from `new` to `cur`.

The move is atomic, so of several readers one gets the mail. What was claimed and not marked as seen is fetched
again by the next reader that starts.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from clarion.errors import Unavailable
from clarion.ports.mailbox import Fetched

MOST_BYTES = 4 * 1024 * 1024
"""Read of one mail; nobody returns more."""
_INFO = ":2,"
_SEEN = "S"


class Maildir:
    """Implements `ports.mailbox.Mailbox`."""

    def __init__(self, path: Path) -> None:
        self._new = path / "new"
        self._cur = path / "cur"
        self._left_over: list[str] | None = None
        """Names in `cur` that an earlier reader did not finish; None before the first look."""

    async def fetch(self, limit: int) -> Sequence[Fetched]:
        return await asyncio.to_thread(self._fetch, limit)

    async def done(self, key: str) -> None:
        await asyncio.to_thread(self._mark, key)

    async def close(self) -> None:
        self._left_over = None

    def _fetch(self, limit: int) -> list[Fetched]:
        try:
            if self._left_over is None:
                self._left_over = sorted(_unseen(self._cur))
            names, self._left_over = self._left_over[:limit], self._left_over[limit:]
            names += self._claimed(limit - len(names))
        except OSError as error:
            raise Unavailable(
                f"{error.filename} cannot be read ({error.strerror}): check `inbound.maildir` and its permissions"
            ) from None
        return [Fetched(name, raw) for name in names if (raw := self._read(name)) is not None]

    def _claimed(self, limit: int) -> Iterator[str]:
        for name in sorted(name for name in os.listdir(self._new) if not name.startswith("."))[:limit]:
            claimed = name if _INFO in name else name + _INFO
            try:
                os.rename(self._new / name, self._cur / claimed)
            except FileNotFoundError:  # another reader was quicker
                continue
            yield claimed

    def _read(self, name: str) -> bytes | None:
        """The mail; None when it is gone, or no file: links and pipes are not followed."""
        try:
            descriptor = os.open(self._cur / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            return None
        with os.fdopen(descriptor, "rb") as file:
            return file.read(MOST_BYTES)

    def _mark(self, name: str) -> None:
        base, _, flags = name.partition(_INFO)
        seen = f"{base}{_INFO}{''.join(sorted({*flags, _SEEN}))}"
        try:
            os.rename(self._cur / name, self._cur / seen)
        except FileNotFoundError:  # somebody has tidied up
            return


def _unseen(folder: Path) -> Iterator[str]:
    for name in os.listdir(folder):
        if not name.startswith(".") and _SEEN not in name.rpartition(_INFO)[2]:
            yield name
