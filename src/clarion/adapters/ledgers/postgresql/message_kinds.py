"""Finds and adds the kinds of messages (`adapters.ledgers.message_kinds`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clarion.adapters.ledgers.message_kinds import COLUMNS, MessageKind, MessageKinds
from clarion.adapters.ledgers.postgresql.database import Connection

LOAD = f"SELECT no, {COLUMNS} FROM routes WHERE no = ANY($1::bigint[])"
LOAD_NEW = f"SELECT no, {COLUMNS} FROM routes WHERE NOT no = ANY($1::bigint[])"
_WANTED = f"""
    unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::text[],
        $10::text[]) AS wanted ({COLUMNS})
"""
FIND = f"SELECT no, {COLUMNS} FROM {_WANTED} JOIN routes USING ({COLUMNS})"
ADD = f"INSERT INTO routes ({COLUMNS}) SELECT {COLUMNS} FROM {_WANTED} ON CONFLICT DO NOTHING"


class PostgresMessageKinds(MessageKinds):
    """Those in memory are committed; other processes add more."""

    async def load(self, connection: Connection, numbers: Iterable[int]) -> None:
        """Knows these from now on."""
        unknown = {no for no in numbers if no not in self._by_number}
        if unknown:
            for no, *columns in await connection.fetch(LOAD, unknown):
                self.keep(no, columns)

    async def load_all(self, connection: Connection) -> None:
        """Knows all of them from now on: before `matching`."""
        for no, *columns in await connection.fetch(LOAD_NEW, list(self._by_number)):
            self.keep(no, columns)

    async def numbers(
        self, connection: Connection, kinds: Iterable[MessageKind]
    ) -> Mapping[MessageKind, int]:
        """The numbers of these, new or old. In a transaction: what is new is not remembered before it is committed."""
        known = self._numbers
        unknown = sorted({kind for kind in kinds if kind not in known})
        if not unknown:
            return known
        columns = list(zip(*unknown, strict=True))
        for no, *found in await connection.fetch(FIND, *columns):
            self.keep(no, found)
        if all(kind in known for kind in unknown):
            return known
        await connection.execute(ADD, *columns)
        added = {MessageKind(*found): no for no, *found in await connection.fetch(FIND, *columns)}
        return {**known, **added}
