"""The revision of the set-up: one number that grows with every change, and what each change was about.

Whoever changes the set-up holds the number until the change is committed: so revisions are seen in order, and what
is compared before a change is still so when it is made.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from clarion.adapters.ledgers.postgresql.database import Database

T = TypeVar("T")

CHANNEL = "clarion_setup"
"""Whoever listens there is told of every new revision."""

NEWEST = "SELECT coalesce((SELECT value FROM meta WHERE key = 'setup_revision'), 0)"
NEXT = """
    INSERT INTO meta (key, value) VALUES ('setup_revision', 1)
    ON CONFLICT (key) DO UPDATE SET value = meta.value + 1 RETURNING value
"""
NOTE = """
    INSERT INTO setup_changes (shelf, tenant, key, revision) VALUES ($1, $2, $3, $4)
    ON CONFLICT (shelf, tenant, key) DO UPDATE SET revision = excluded.revision
"""
TELL = f"SELECT pg_notify('{CHANNEL}', $1::text)"


class SetupChange:
    """One change of the set-up, in its transaction."""

    def __init__(self, connection: Any, revision: int) -> None:
        self.connection = connection
        self.revision = revision

    async def note(self, shelf: str, tenant: int, key: str) -> None:
        """It is about this document."""
        await self.connection.execute(NOTE, shelf, tenant, key, self.revision)


class SetupRevisions:
    """Counts changes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, change: Callable[[SetupChange], Awaitable[T]]) -> T:
        """Make a change in one transaction, and count it."""

        async def counted(connection: Any) -> T:
            revision = await connection.fetchval(NEXT)
            made = await change(SetupChange(connection, revision))
            await connection.execute(TELL, str(revision))
            return made

        return await self._database.write(counted)
