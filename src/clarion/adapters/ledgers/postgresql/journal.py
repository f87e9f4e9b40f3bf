"""Stores and reads the rows of the journal (`adapters.ledgers.journal`), inside transactions.

Several processes write at once, so a row may be committed behind one with a higher number. Whoever reads on from a position
must not miss it: every writer holds a lock on the number its rows lie behind, and readers stop at the lowest one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence

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
from clarion.adapters.ledgers.postgresql.database import Connection, Database
from clarion.adapters.ledgers.postgresql.locks import JOURNAL
from clarion.model.ids import MessageId, TenantId
from clarion.model.message import Change, Message, Run
from clarion.model.reading import FOLLOWED, USERS, ReadingKind
from clarion.model.settlement import Settlement
from clarion.model.user_change import JournalPage, UserChange

PAGE = 200
"""Rows read at once; each has up to a thousand records."""

ADD = f"""
    WITH behind AS MATERIALIZED (
        SELECT pg_advisory_xact_lock_shared({JOURNAL}, (last_value % 2147483648)::int) FROM journal_seq_seq
    )
    INSERT INTO journal (tenant, at, body)
    SELECT tenant, at, body FROM behind CROSS JOIN unnest($1::bigint[], $2::bigint[], $3::bytea[]) AS new (tenant, at, body)
    RETURNING seq
"""
USERS_FOLLOWED = f"""
    SELECT 1 FROM readings WHERE tenant = $1 AND kind = '{ReadingKind.SINK.value}' AND position::json ->> '{USERS}' = '{FOLLOWED}' LIMIT 1
"""
"""Whether what becomes of users is recorded."""
ROW = "SELECT tenant, body FROM journal WHERE seq = $1"
ROWS = "SELECT seq, tenant, body FROM journal WHERE seq = ANY($1::bigint[]) ORDER BY seq"
NEWEST_OF = "SELECT journal FROM messages WHERE id = $1"
LAST = "SELECT last_value FROM journal_seq_seq"
OPEN = f"""
    SELECT min(objid::bigint) FROM pg_locks
    WHERE locktype = 'advisory' AND classid = {JOURNAL} AND objsubid = 2
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
"""The lowest number that rows of an unfinished transaction may lie behind."""
BEHIND = """
    SELECT seq, body FROM journal WHERE seq BETWEEN $2 AND $3 AND tenant = $1 ORDER BY seq LIMIT $4
"""
NEWEST = """
    SELECT seq, body FROM journal WHERE seq BETWEEN $2 AND $3 AND tenant = $1 ORDER BY seq DESC LIMIT $4
"""
NEWEST_ROWS = 100_000


async def add(connection: Connection, said: Sequence[Change], before: Sequence[int]) -> list[int]:
    """A record of each change; the position of each. `before`: that of the newest record about its message so far."""
    rows = packed_changes(said, before)
    return positions(rows, await _store(connection, rows))


async def add_settled(connection: Connection, said: Sequence[Settlement], before: Sequence[int]) -> list[int]:
    """As `add`, of settlements."""
    rows = packed_settlements(said, before)
    return positions(rows, await _store(connection, rows))


async def add_planned(
    connection: Connection, runs: Sequence[Run], messages: Sequence[Message]
) -> tuple[list[int], list[int]]:
    """The first record of each message, with the explanations of the runs they are of.

    The position of each message's record, and the number of the row of each run.
    """
    rows = packed_plans(runs, messages)
    seqs = await _store(connection, rows)
    return positions(rows, seqs), rows_of_runs(rows, seqs)


async def _store(connection: Connection, rows: Sequence[PackedRow]) -> list[int]:
    """The numbers of the rows."""
    columns = ([row.tenant for row in rows], [row.at for row in rows], [row.body for row in rows])
    return [seq for (seq,) in await connection.fetch(ADD, *columns)]


async def timeline(connection: Connection, tenant: TenantId, message_id: MessageId) -> list[Change]:
    """Everything about one message, oldest first."""
    position: int = await connection.fetchval(NEWEST_OF, message_id) or 0
    changes: list[Change] = []
    row: JournalRow | None = None
    while position:
        seq, place = divmod(position, PLACES)
        if row is None or row.seq != seq:
            found = await connection.fetchrow(ROW, seq)
            row = JournalRow(seq, *found) if found else None
        if row is None or row.tenant != tenant:  # What came before is not kept any more, or is not theirs.
            break
        changes.append(row.change(place))
        position = row.before(place)
    return changes[::-1]


async def tail(
    database: Database, tenant: TenantId, after: int, limit: int, integration: str | None
) -> list[Change]:
    """The records of a tenant behind a position, in order; -1: the newest ones."""
    if after < 0:
        return await _newest(database, tenant, limit)
    return (await _behind(database, tenant, JournalTail(after, limit, integration), after)).changes()


async def follows_users(connection: Connection, tenant: TenantId) -> bool:
    """Whether what becomes of users is recorded."""
    return await connection.fetchval(USERS_FOLLOWED, tenant) is not None


async def add_user_changes(connection: Connection, said: Sequence[UserChange]) -> None:
    """A record of each."""
    if said:
        await _store(connection, packed_user_changes(said))


async def _last(database: Database) -> int:
    """Up to which row everything is committed."""
    ((last,),) = await database.rows(LAST)
    # Whoever is not there any more is seen by the statements that follow.
    ((unfinished,),) = await database.rows(OPEN)
    return int(last) if unfinished is None else min(last, unfinished)


async def _behind(database: Database, tenant: TenantId, found: JournalTail, after: int) -> JournalTail:
    last, first = await _last(database), after // PLACES
    while not found.is_full:
        rows = await database.rows(BEHIND, tenant, first, last, found.rows_wanted(PAGE))
        for seq, body in rows:
            if not found.is_full:
                found.add(JournalRow(seq, tenant, body))
            first = seq + 1
        if not rows:
            break
    return found


async def _newest(database: Database, tenant: TenantId, limit: int) -> list[Change]:
    changes: list[Change] = []
    last = await _last(database)
    first = max(0, last - NEWEST_ROWS)
    while len(changes) < limit:
        rows = await database.rows(NEWEST, tenant, first, last, min(PAGE, limit))
        for seq, body in rows:
            row = JournalRow(seq, tenant, body)
            changes += [row.change(place) for place in reversed(row.places())]
            last = seq - 1
        if not rows:
            break
    return changes[:limit][::-1]


async def rows_of(connection: Connection, seqs: Iterable[int]) -> AsyncIterator[JournalRow]:
    """The rows with these numbers, once each, that are still kept."""
    wanted = list(dict.fromkeys(seqs))
    for start in range(0, len(wanted), PAGE):
        for row in await connection.fetch(ROWS, wanted[start : start + PAGE]):
            yield JournalRow(*row)


class PostgresJournal:
    """Implements `ports.ledger.Journal`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, tenant: TenantId, after: int, limit: int) -> JournalPage:
        return (await _behind(self._database, tenant, JournalTail(after, limit, users=True), after)).page()
