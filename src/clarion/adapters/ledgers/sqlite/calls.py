"""Calls under way: one row for each batch, instead of a note on each of its messages.

The row has the ids of the messages, and the position of the record in the journal that the first of them is called; the
others follow it in their order. A message is in the call while it is queued, held by the call's worker, and nothing newer
is recorded about it. So whoever writes about a message takes it out of its call, and the row goes when none is in it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import NamedTuple

from clarion.adapters.ledgers.joined_ids import ID_BYTES
from clarion.adapters.ledgers.journal import RECORDS
from clarion.adapters.ledgers.sqlite import call_statements as sql
from clarion.adapters.ledgers.sqlite import journal
from clarion.adapters.ledgers.sqlite.files import one
from clarion.adapters.ledgers.sqlite.row_encoding import encoded
from clarion.model.ids import Instant, TenantId, WorkerId
from clarion.model.message import Change, Message
from clarion.model.status import Status


class CallRow(NamedTuple):
    """One row, as it is read."""

    worker: WorkerId
    position: int
    ids: bytes

    def begun(self) -> Iterator[tuple[bytes, int]]:
        """Its messages, and the positions of the records that they are called."""
        for place in range(len(self.ids) // ID_BYTES):
            yield self.ids[place * ID_BYTES : (place + 1) * ID_BYTES], self.position + place


def begin(
    connection: sqlite3.Connection,
    worker: WorkerId,
    integration: str,
    at: Instant,
    messages: Iterable[tuple[Message, int]],
) -> None:
    """The worker calls these, each with the position of the newest record about it so far."""
    by_tenant: dict[TenantId, list[tuple[Message, int]]] = {}
    for message, before in messages:
        by_tenant.setdefault(message.tenant, []).append((message, before))
    for its in by_tenant.values():
        for start in range(0, len(its), RECORDS):
            part = its[start : start + RECORDS]
            said = [
                Change(message_id=m.id, tenant=m.tenant, at=at, status=Status.SENDING, attempt=m.attempt)
                for m, _ in part
            ]
            position = journal.add(connection, said, [before for _, before in part])[0]
            ids = [message.id for message, _ in part]
            row = (worker, position, integration, at, min(ids), max(ids), b"".join(ids))
            connection.execute(sql.CALLS_ADD, row)


def under_way(connection: sqlite3.Connection) -> Sequence[CallRow]:
    """All rows: a few for every integration that is being called."""
    return [CallRow(*row) for row in connection.execute(sql.CALLS_UNDER_WAY).fetchall()]


def positions(rows: Iterable[CallRow]) -> Mapping[tuple[WorkerId, bytes], int]:
    """Where it is recorded that a message is called, by the worker that calls it."""
    return {(row.worker, message): position for row in rows for message, position in row.begun()}


def drop_ended(
    connection: sqlite3.Connection,
    rows: Iterable[CallRow],
    told: Set[bytes],
    over: Set[bytes] = frozenset(),
) -> None:
    """Their worker told of these, and those that are `over` are in no call any more: rows that have none left go."""
    for row in rows:
        if _is_about(row, told) and not _is_used(connection, row, over):
            connection.execute(sql.CALL_DROP, (row.worker, row.position))


def _is_about(row: CallRow, told: Set[bytes]) -> bool:
    return any(message in told for message, _ in row.begun())


def _is_used(connection: sqlite3.Connection, row: CallRow, over: Set[bytes]) -> bool:
    left = [(message, position) for message, position in row.begun() if message not in over]
    if not left:
        return False
    begun = encoded([position for _, position in left]), b"".join([message for message, _ in left])
    return one(connection, sql.STILL_CALLED, (*begun, row.worker)) is not None
