"""Reads and writes the rows of the exact checks (`rules.exact`), inside the transaction that stores the plans.

Every key of a check has its user in it. So a transaction locks its users before it reads, in order of their numbers,
and nobody else decides about the same keys until it has ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

from asyncpg import Record

from clarion.adapters.ledgers.postgresql import digests
from clarion.adapters.ledgers.postgresql.database import Connection
from clarion.adapters.ledgers.postgresql.locks import USERS
from clarion.adapters.ledgers.postgresql.lookups import is_each
from clarion.adapters.ledgers.postgresql.message_kinds import PostgresMessageKinds
from clarion.adapters.ledgers.postgresql.terminations import PostgresTerminations
from clarion.adapters.ledgers.schema import coded
from clarion.model.ids import EventId, MessageId, RunId, UserNo
from clarion.model.plan import CapCharge, PlanCommit
from clarion.model.region import Share
from clarion.model.status import ACTIVE, Reason, Status
from clarion.rules.exact import (
    ON_ITS_WAY,
    Counted,
    Counts,
    Decisions,
    DedupeHolder,
    KeyHolder,
    Stored,
    Waiting,
    recount,
)

_STATUS = tuple(Status)

USES = """
    SELECT "user", route, counted_at FROM user_messages WHERE "user" = ANY($1::bigint[]) AND counted_at > $2
"""

DEDUPES = "SELECT key, run_id, expires_at FROM dedupes WHERE key = ANY($1::bytea[])"
DEDUPES_ADD = """
    INSERT INTO dedupes (key, run_id, expires_at) SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[])
    ON CONFLICT (key) DO UPDATE SET run_id = excluded.run_id, expires_at = excluded.expires_at
"""
DEDUPES_PURGE = """
    DELETE FROM dedupes WHERE key = ANY(ARRAY(
        SELECT key FROM dedupes WHERE expires_at <= $1 ORDER BY expires_at LIMIT 500 FOR UPDATE SKIP LOCKED
    ))
"""

_HOLDER = """holders.key, messages.id, messages.status, messages."user", messages.route, its.counted_at, messages.waits_for"""
_ITS = 'LEFT JOIN user_messages AS its ON its."user" = messages."user" AND its.id = messages.id'

COLLAPSES = f"""
    SELECT {_HOLDER} FROM collapses AS holders JOIN messages ON messages.id = holders.message_id {_ITS}
    WHERE holders.key = ANY($1::bytea[]) ORDER BY messages.id FOR NO KEY UPDATE OF messages
"""
COLLAPSES_ADD = """
    INSERT INTO collapses (key, message_id) SELECT * FROM unnest($1::bytea[], $2::bytea[])
    ON CONFLICT (key) DO UPDATE SET message_id = excluded.message_id
"""

THREADS = f"""
    WITH RECURSIVE holders (key, message_id) AS (
        SELECT key, message_id FROM threads WHERE key = ANY($1::bytea[])
        UNION ALL
        SELECT holders.key, ended.waits_for FROM holders JOIN messages AS ended ON ended.id = holders.message_id
        WHERE ended.waits_for IS NOT NULL AND ended.status NOT IN ({coded(ACTIVE)})
    )
    SELECT {_HOLDER} FROM holders JOIN messages ON messages.id = holders.message_id {_ITS}
    WHERE messages.waits_for IS NULL OR messages.status IN ({coded(ACTIVE)})
    ORDER BY messages.id FOR NO KEY UPDATE OF messages
"""
"""What ended while it waited left its place to what it waited for."""
THREADS_ADD = """
    INSERT INTO threads (key, message_id) SELECT * FROM unnest($1::bytea[], $2::bytea[])
    ON CONFLICT (key) DO UPDATE SET message_id = excluded.message_id
"""
THREADED = "UPDATE messages SET threaded = 1 WHERE id = ANY($1::bytea[])"

CHARGEABLE = f"""
    SELECT messages.id, messages."user", messages.route, its.counted_at FROM messages {_ITS}
    WHERE messages.id = ANY($1::bytea[]) AND messages.charged = 0 AND messages.status IN ({coded(ACTIVE)})
    ORDER BY messages.id FOR NO KEY UPDATE OF messages
"""
"""What is neither counted as on its way nor over."""
CHARGED = "UPDATE messages SET charged = 1 WHERE id = ANY($1::bytea[])"
COUNTED = f"""
    UPDATE user_messages SET counted_at = new.at FROM unnest($1::bigint[], $2::bytea[], $3::bigint[]) AS new ("user", id, at)
    WHERE {is_each('user_messages."user"', 'new."user"')} AND {is_each("user_messages.id", "new.id")}
"""


async def lock(connection: Connection, plans: Sequence[PlanCommit]) -> None:
    """The users of these plans are locked from now on."""
    users = {m.user for plan in plans for m in plan.messages}
    users.update(row.user for plan in plans for row in plan.run_rows)
    users.update(item.opens.user for plan in plans for item in plan.items)
    await connection.execute(USERS, sorted(users))


async def load(
    connection: Connection,
    plans: Sequence[PlanCommit],
    known: Set[bytes],
    canceled: Set[EventId],
    kinds: PostgresMessageKinds,
    share: Share,
) -> Stored:
    """What is stored about the keys of these plans, whose users are locked from now on. `share`: of each cap."""
    await lock(connection, plans)
    charges = [charge for plan in plans for charge in plan.charges]
    dedupes = await _of_keys(connection, DEDUPES, (c.key for plan in plans for c in plan.dedupes))
    collapses = await _of_keys(connection, COLLAPSES, (c.key for plan in plans for c in plan.collapses))
    threads = await _of_keys(connection, THREADS, (t.key for plan in plans for t in plan.turns))
    return Stored(
        counts=await _counts(connection, charges, kinds, share),
        known=known,
        canceled=canceled,
        dedupes={key: DedupeHolder(RunId(run), expires_at) for key, run, expires_at in dedupes},
        collapses=await _holders(connection, collapses, kinds),
        threads=await _holders(connection, threads, kinds),
        digests=await digests.latest(connection, [*{item.slot for plan in plans for item in plan.items}]),
    )


async def store(connection: Connection, decisions: Decisions, terminations: PostgresTerminations) -> None:
    """Everything that was decided but runs and messages."""
    await digests.store(connection, decisions.digests)
    if claims := decisions.dedupes:
        columns = ([c.run_id for c in claims.values()], [c.expires_at for c in claims.values()])
        await connection.execute(DEDUPES_ADD, list(claims), *columns)
        await connection.execute(DEDUPES_PURGE, max(claim.at for claim in claims.values()))
    for statement, holders in ((COLLAPSES_ADD, decisions.collapses), (THREADS_ADD, decisions.threads)):
        if holders:
            await connection.execute(statement, list(holders), list(holders.values()))
    if decisions.threaded:
        await connection.execute(THREADED, sorted(decisions.threaded))
    for at in set(decisions.superseded.values()):
        those = [message for message, when in decisions.superseded.items() if when == at]
        await terminations.stop(connection, those, Status.MERGED, Reason.SUPERSEDED, at)


async def charge(
    connection: Connection, charges: Sequence[CapCharge], kinds: PostgresMessageKinds, share: Share
) -> frozenset[MessageId]:
    """Messages that waited go on now, if they may; those that are over a cap."""
    await connection.execute(USERS, sorted({charge.user for charge in charges}))
    counts = await _counts(connection, charges, kinds, share)
    found = await connection.fetch(CHARGEABLE, list(dict.fromkeys(c.message_id for c in charges)))
    await kinds.load(connection, [route for _, _, route, _ in found])
    waiting = [Waiting(MessageId(one), _counted(kinds, user, route), at) for one, user, route, at in found]
    going, over = recount(counts, waiting, charges)
    if going:
        users = {one: user for one, user, *_ in found}
        await connection.execute(CHARGED, going)
        await connection.execute(COUNTED, [users[one] for one in going], going, [ON_ITS_WAY] * len(going))
    return over


async def _counts(
    connection: Connection, charges: Sequence[CapCharge], kinds: PostgresMessageKinds, share: Share
) -> Counts:
    counts = Counts(share)
    missing = counts.missing(charges)
    if missing is not None:
        found = await connection.fetch(USES, list(missing.users), missing.since)
        await kinds.load(connection, {route for _, route, _ in found})
        counts.learn(missing, [(_counted(kinds, user, route), at) for user, route, at in found])
    return counts


async def _of_keys(connection: Connection, statement: str, wanted: Iterable[bytes]) -> Sequence[Record]:
    keys = list(dict.fromkeys(wanted))
    return await connection.fetch(statement, keys) if keys else ()


async def _holders(
    connection: Connection, found: Sequence[Record], kinds: PostgresMessageKinds
) -> Mapping[bytes, KeyHolder]:
    await kinds.load(connection, {route for _, _, _, _, route, *_ in found})
    return {
        key: KeyHolder(
            MessageId(message),
            _STATUS[status],
            _counted(kinds, user, route),
            counted_at,
            None if ahead is None else MessageId(ahead),
        )
        for key, message, status, user, route, counted_at, ahead in found
    }


def _counted(kinds: PostgresMessageKinds, user: UserNo, route: int) -> Counted:
    """What caps look at in a message of this user and kind."""
    kind = kinds[route]
    return Counted(user, kind.category, kind.channel)
