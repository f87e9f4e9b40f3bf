"""Reads and writes the rows of the exact checks (`rules.exact`), inside the transaction that stores the plans."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from clarion.adapters.ledgers.sqlite import check_statements as sql
from clarion.adapters.ledgers.sqlite import digests
from clarion.adapters.ledgers.sqlite.caps import Caps
from clarion.adapters.ledgers.sqlite.files import rows
from clarion.adapters.ledgers.sqlite.row_encoding import encoded, keys
from clarion.adapters.ledgers.sqlite.terminations import Terminations
from clarion.model.ids import EventId, MessageId, RunId
from clarion.model.plan import PlanCommit
from clarion.model.status import Reason, Status
from clarion.rules.exact import Decisions, DedupeHolder, KeyHolder, Stored

_STATUS = tuple(Status)


def load(
    connection: sqlite3.Connection,
    plans: Sequence[PlanCommit],
    known: Set[bytes],
    canceled: Set[EventId],
    caps: Caps,
) -> Stored:
    """What is stored about the keys of these plans."""
    caps.load(connection, [charge for plan in plans for charge in plan.charges])
    dedupes = _find(connection, sql.DEDUPES_FIND, (c.key for p in plans for c in p.dedupes))
    return Stored(
        counts=caps.counts,
        known=known,
        canceled=canceled,
        dedupes={
            bytes.fromhex(key): DedupeHolder(RunId(bytes.fromhex(run)), expires_at)
            for key, run, expires_at in dedupes
        },
        collapses=_holders(connection, sql.COLLAPSES_FIND, (c.key for p in plans for c in p.collapses), caps),
        threads=_holders(connection, sql.THREADS_FIND, (t.key for p in plans for t in p.turns), caps),
        digests=digests.latest(connection, (item.slot for p in plans for item in p.items)),
    )


def store(
    connection: sqlite3.Connection, decisions: Decisions, caps: Caps, terminations: Terminations
) -> None:
    """Everything that was decided but runs and messages."""
    digests.store(connection, decisions.digests)
    write = connection.execute
    if claims := decisions.dedupes:
        ids = b"".join(key + claim.run_id for key, claim in claims.items())
        write(sql.DEDUPES_ADD, (encoded([(claim.expires_at,) for claim in claims.values()]), ids))
        write(sql.DEDUPES_PURGE, (max(claim.at for claim in claims.values()),))
    for statement, holders in (
        (sql.COLLAPSES_ADD, decisions.collapses),
        (sql.THREADS_ADD, decisions.threads),
    ):
        if holders:
            ids = b"".join(key + message_id for key, message_id in holders.items())
            write(statement, (encoded([0] * len(holders)), ids))
    if decisions.threaded:
        write(sql.THREADED, keys(decisions.threaded))
    if decisions.superseded:
        caps.uncounted(connection, decisions.superseded)
        for at in set(decisions.superseded.values()):
            those = [message for message, when in decisions.superseded.items() if when == at]
            terminations.stop(connection, those, Status.MERGED, Reason.SUPERSEDED, at)
    if decisions.waits:
        terminations.anyone_waits = True


def _find(connection: sqlite3.Connection, statement: str, wanted: Iterable[bytes]) -> list[Any]:
    ids = dict.fromkeys(wanted)
    return rows(connection, statement, keys(ids)) if ids else []


def _holders(
    connection: sqlite3.Connection, statement: str, wanted: Iterable[bytes], caps: Caps
) -> Mapping[bytes, KeyHolder]:
    return {
        bytes.fromhex(key): KeyHolder(
            MessageId(bytes.fromhex(message)),
            _STATUS[status],
            caps.counted(user, route),
            counted_at,
            None if ahead is None else MessageId(bytes.fromhex(ahead)),
        )
        for key, message, status, user, route, counted_at, ahead in _find(connection, statement, wanted)
    }
