"""Addresses that must not be used again, by keyed hash."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from clarion.adapters.ledgers.sqlite import device_statements
from clarion.adapters.ledgers.sqlite import user_statements as sql
from clarion.adapters.ledgers.sqlite.files import rows
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.row_encoding import encoded
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.adapters.ledgers.suppression_rows import page_values, suppression_of
from clarion.adapters.ledgers.user_cache import UserCache
from clarion.model.channel import Channel
from clarion.model.ids import Instant, TenantId, UserNo
from clarion.model.suppression import Suppression, SuppressionFilter

Owned = list[tuple[Suppression, Sequence[UserNo]]]
"""Suppressions, each with the users who have the contact."""


class SqliteSuppressions:
    """Implements `ports.ledger.Suppressions`."""

    def __init__(self, writer: Writer, readers: Readers, user_cache: UserCache) -> None:
        self._writer = writer
        self._readers = readers
        self._user_cache = user_cache

    async def add(self, rows: Sequence[Suppression]) -> None:
        if rows:
            await self._writer.call(
                lambda connection: self.store(connection, rows), rows=len(rows), after=self.stored
            )

    async def remove(self, tenant: TenantId, channel: Channel, hash: bytes) -> bool:
        def remove(connection: sqlite3.Connection) -> tuple[bool, Owned]:
            suppression = self.of(connection, tenant, hash)
            if suppression is None or suppression.channel is not channel:
                return False, []
            return True, self.lift(connection, suppression)

        return (await self._writer.call(remove, after=lambda removed: self.lifted(removed[1])))[0]

    async def find(self, tenant: TenantId, hash: bytes) -> Suppression | None:
        found = await self._readers.rows(sql.SUPPRESSION, (tenant, hash))
        return _suppression(tenant, found[0]) if found else None

    async def page(
        self, tenant: TenantId, where: SuppressionFilter, before: tuple[Instant, bytes] | None, limit: int
    ) -> Sequence[Suppression]:
        found = await self._readers.rows(sql.SUPPRESSIONS_PAGE, page_values(tenant, where, before, limit))
        return [_suppression(tenant, row) for row in found]

    async def expire(self, now: Instant, limit: int) -> int:
        def expire(connection: sqlite3.Connection) -> Owned:
            over = [
                _suppression(TenantId(row[0]), row[1:])
                for row in rows(connection, sql.SUPPRESSIONS_OVER, (now, limit))
            ]
            return [owned for one in over for owned in self.lift(connection, one)]

        lifted: Owned = await self._writer.call(expire, after=self.lifted)
        return len(lifted)

    def of(self, connection: sqlite3.Connection, tenant: TenantId, hash: bytes) -> Suppression | None:
        """That of one address, in a transaction of the writer."""
        found = rows(connection, sql.SUPPRESSION, (tenant, hash))
        return _suppression(tenant, found[0]) if found else None

    def lift(self, connection: sqlite3.Connection, gone: Suppression) -> Owned:
        """Removes one, in a transaction of the writer. Hand what it returns to `lifted` after the commit."""
        connection.execute(sql.ALLOW, (gone.tenant, gone.hash, gone.channel.value))
        return [(gone, [user for _, user in owners(connection, [(gone.tenant, gone.channel, gone.hash)])])]

    def lifted(self, owned: Owned) -> None:
        """On the event loop, after the commit: whoever has the contact may be contacted there."""
        for suppression, users in owned:
            for user in users:
                self._user_cache.allow(user, suppression.hash)

    def store(self, connection: sqlite3.Connection, gone: Sequence[Suppression]) -> Owned:
        """Writes them, in a transaction of the writer. Hand what it returns to `stored` after the commit."""
        gone = _meant(connection, gone)
        rows_ = encoded([(s.tenant, s.channel, s.reason, s.at, s.source, s.expires_at) for s in gone])
        connection.execute(sql.SUPPRESS, (rows_, b"".join(s.hash for s in gone)))
        users: dict[int, list[UserNo]] = {}
        for place, user in owners(connection, [(s.tenant, s.channel, s.hash) for s in gone]):
            users.setdefault(place, []).append(user)
        return [(s, users.get(place, ())) for place, s in enumerate(gone)]

    def stored(self, owned: Owned) -> None:
        """On the event loop, after the commit: whoever has the contact is known to have lost it."""
        for suppression, users in owned:
            for user in users:
                self._user_cache.suppress(user, suppression.hash)


def _suppression(tenant: TenantId, row: list[Any]) -> Suppression:
    return suppression_of(tenant, bytes.fromhex(row[0]), row[1:])


def _meant(connection: sqlite3.Connection, gone: Sequence[Suppression]) -> Sequence[Suppression]:
    """Without tokens that a device has registered again since they were gone."""
    tokens = [s for s in gone if s.registered_before is not None]
    if not tokens:
        return gone
    wanted = encoded([(s.tenant, s.registered_before) for s in tokens])
    hashes = b"".join(s.hash for s in tokens)
    registered = [
        tokens[place] for (place,) in rows(connection, device_statements.REGISTERED_SINCE, (wanted, hashes))
    ]
    return [s for s in gone if s not in registered] if registered else gone


def owners(
    connection: sqlite3.Connection, contacts: Sequence[tuple[TenantId, Channel, bytes]]
) -> list[tuple[int, Any]]:
    """Who has each of these addresses: its place, and the number of a user."""
    wanted = encoded([(tenant, channel) for tenant, channel, _ in contacts])
    found = rows(connection, sql.OWNERS, (wanted, b"".join(contact[2] for contact in contacts)))
    return [(place, user) for place, user in found]
