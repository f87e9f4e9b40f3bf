"""Stores and reads the rows of the journal (`adapters.ledgers.journal`), inside transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from clarion.adapters.ledgers.journal import (
    PLACES,
    JournalRow,
    JournalTail,
    PackedRow,
    packed_changes,
    packed_plans,
    packed_settlements,
    packed_user_changes,
    positions,
    rows_of_runs,
)
from clarion.adapters.ledgers.sqlite import journal_statements as sql
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.model.ids import MessageId, TenantId
from clarion.model.message import Change, Message, Run
from clarion.model.settlement import Settlement
from clarion.model.user_change import JournalPage, UserChange


def add(connection: sqlite3.Connection, said: Sequence[Change], before: Sequence[int]) -> list[int]:
    """A record of each change; the position of each. `before`: that of the newest record about its message so far."""
    rows = packed_changes(said, before)
    return positions(rows, _store(connection, rows))


def add_settled(
    connection: sqlite3.Connection, said: Sequence[Settlement], before: Sequence[int]
) -> list[int]:
    """As `add`, of settlements."""
    rows = packed_settlements(said, before)
    return positions(rows, _store(connection, rows))


def add_planned(
    connection: sqlite3.Connection, runs: Sequence[Run], messages: Sequence[Message]
) -> tuple[list[int], list[int]]:
    """The first record of each message, with the explanations of the runs they are of.

    The position of each message's record, and the number of the row of each run.
    """
    rows = packed_plans(runs, messages)
    seqs = _store(connection, rows)
    return positions(rows, seqs), rows_of_runs(rows, seqs)


def _store(connection: sqlite3.Connection, rows: Sequence[PackedRow]) -> list[int]:
    """The numbers of the rows."""
    seqs: list[int] = []
    for row in rows:
        seq = connection.execute(sql.JOURNAL_ADD, (row.tenant, row.at, row.body)).lastrowid
        assert seq is not None
        seqs.append(seq)
    return seqs


def timeline(connection: sqlite3.Connection, tenant: TenantId, message_id: MessageId) -> list[Change]:
    """Everything about one message, oldest first."""
    found = connection.execute(sql.JOURNAL_OF, (message_id,)).fetchone()
    position: int = found[0] if found else 0
    changes: list[Change] = []
    row: JournalRow | None = None
    while position:
        seq, place = divmod(position, PLACES)
        if row is None or row.seq != seq:
            row = _read(connection, seq)
        if row is None or row.tenant != tenant:  # What came before is not kept any more, or is not theirs.
            break
        changes.append(row.change(place))
        position = row.before(place)
    return changes[::-1]


def tail(
    connection: sqlite3.Connection, tenant: TenantId, after: int, limit: int, integration: str | None = None
) -> list[Change]:
    """The records of a tenant behind a position, in order; -1: the newest ones."""
    if after < 0:
        newest = (
            row.change(place)
            for seq, body in connection.execute(sql.JOURNAL_NEWEST, (tenant,))
            for row in (JournalRow(seq, tenant, body),)
            for place in reversed(row.places())
        )
        return list(islice(newest, limit))[::-1]
    return _behind(connection, tenant, JournalTail(after, limit, integration), after).changes()


def _behind(connection: sqlite3.Connection, tenant: TenantId, found: JournalTail, after: int) -> JournalTail:
    for seq, body in connection.execute(sql.JOURNAL_BEHIND, (after // PLACES, tenant)):
        found.add(JournalRow(seq, tenant, body))
        if found.is_full:
            break
    return found


def page(connection: sqlite3.Connection, tenant: TenantId, after: int, limit: int) -> JournalPage:
    """The records of a tenant behind a position, those about users too."""
    return _behind(connection, tenant, JournalTail(after, limit, users=True), after).page()


def follows_users(connection: sqlite3.Connection, tenant: TenantId) -> bool:
    """Whether what becomes of users is recorded."""
    return connection.execute(sql.USERS_FOLLOWED, (tenant,)).fetchone() is not None


def add_user_changes(connection: sqlite3.Connection, said: Sequence[UserChange]) -> None:
    """A record of each."""
    _store(connection, packed_user_changes(said))


def rows_of(connection: sqlite3.Connection, seqs: Iterable[int]) -> Iterator[JournalRow]:
    """The rows with these numbers, once each, that are still kept."""
    for seq in dict.fromkeys(seqs):
        row = _read(connection, seq)
        if row is not None:
            yield row


def _read(connection: sqlite3.Connection, seq: int) -> JournalRow | None:
    found = connection.execute(sql.JOURNAL_ROW, (seq,)).fetchone()
    return JournalRow(seq, *found) if found else None


class SqliteJournal:
    """Implements `ports.ledger.Journal`."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def page(self, tenant: TenantId, after: int, limit: int) -> JournalPage:
        return await self._readers.call(lambda connection: page(connection, tenant, after, limit))
