"""Mailboxes from which returned email is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Fetched(NamedTuple):
    """One mail, and by what name to say that it is done."""

    key: str
    raw: bytes


class Mailbox(Protocol):
    """A place where mail arrives. What was fetched and not done is there again after a restart."""

    async def fetch(self, limit: int) -> Sequence[Fetched]:
        """At most `limit` mails nobody has fetched before, oldest first. Raises Unavailable saying what to do."""

    async def done(self, key: str) -> None:
        """The mail is taken care of: it stays where it is, marked as seen, and is never fetched again."""

    async def close(self) -> None:
        """Let go of connections. `fetch` may be called again."""
