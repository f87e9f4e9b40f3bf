"""Answers that are given again to whoever repeats a call under the same key.

Keys come in no order. An index of them would have one page written to the log and one to the file for each, so new ones
are found in a table in memory at first. It is emptied into `claim_keys` one range of keys after the other, each with all
that came in a whole round: a page is written once for many of them. Whatever is in memory is in `claims` as well, and is
read again when the file is opened.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from clarion.adapters.ledgers.claims import Claimed, reserve
from clarion.adapters.ledgers.sqlite.files import one, rows
from clarion.adapters.ledgers.sqlite.row_encoding import BlobTail, bytes_at, encoded, field, id_at
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.event import IdempotencyRecord, IdempotencyResult, Reserved
from clarion.model.ids import BEHIND_ALL, Instant, TenantId
from clarion.ports.clock import Clock

RANGES = 1_024
"""Into which all keys are divided."""
CLAIMS_A_RANGE = 128
"""So many new ones, and the keys of the next range are stored: memory has 131,072 at most, of about 40 bytes each."""
IN_MEMORY = """CREATE TEMP TABLE IF NOT EXISTS new_keys (
    key BLOB NOT NULL, tenant INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (key, tenant)
) WITHOUT ROWID"""
ROUND = "CREATE TEMP TABLE IF NOT EXISTS key_round (next_range INTEGER NOT NULL, newest INTEGER NOT NULL)"
"""Which range is stored next, and the newest claim when the round began."""

LOAD = """
    INSERT OR REPLACE INTO new_keys (key, tenant, seq) SELECT key, tenant, seq FROM claims
    WHERE seq > coalesce((SELECT value FROM meta WHERE key = 'claim_keys'), 0) ORDER BY seq
"""
ROUND_BEGIN = "INSERT INTO key_round (next_range, newest) SELECT 0, coalesce(max(seq), 0) FROM claims"
ROUND_NOW = "SELECT next_range, newest FROM key_round"
ROUND_ON = "UPDATE key_round SET next_range = next_range + 1"
ROUND_AGAIN = """
    UPDATE key_round SET next_range = 0, newest = max(newest, coalesce((SELECT max(seq) FROM claims), 0))
"""
ROUND_DONE = "INSERT OR REPLACE INTO meta (key, value) SELECT 'claim_keys', newest FROM key_round"
"""Whatever was claimed before the round has its key in the file."""

_KEY = id_at(0, 1).replace("key", "wanted.key")
_OF = f"WHERE key = {_KEY} AND tenant = wanted.value ->> 0"
_SEQ = f"coalesce((SELECT seq FROM new_keys {_OF}), (SELECT seq FROM claim_keys {_OF}))"
FIND = f"""
    SELECT json_group_array(json_array(
        claims.tenant, hex(claims.key), hex(fingerprint), hex(answer),
        reservation IS NULL OR NOT EXISTS (SELECT 1 FROM reservations WHERE no = reservation)
    ))
    FROM json_each(?1) AS wanted CROSS JOIN claims WHERE claims.seq = {_SEQ} AND expires_at > ?3
"""
ADD = f"""
    INSERT INTO claims (tenant, key, fingerprint, answer, expires_at, reservation)
    SELECT {field(0)}, {id_at(0, 1)}, {bytes_at(1, 2)}, {bytes_at(3, 4)}, {field(5)}, ?3 FROM json_each(?1)
"""
RESERVE = "INSERT INTO reservations (expires_at) VALUES (?)"
RESERVE_AGAIN = f"""
    UPDATE claims SET reservation = ?3 WHERE seq IN (SELECT {_SEQ} FROM json_each(?1) AS wanted)
"""
CONFIRM = """
    DELETE FROM reservations WHERE no IN (SELECT value FROM json_each(?1))
        OR no < (SELECT min(no) FROM reservations) + 64 AND expires_at <= ?2
"""
"""Those that are known to be published, and a few of the oldest that nobody asks for any more."""
ADD_KEYS = f"""
    INSERT OR REPLACE INTO new_keys (key, tenant, seq) SELECT {id_at(0, 1)}, {field(0)}, ?3 + key FROM json_each(?1)
"""
PURGE = "DELETE FROM claims WHERE seq < (SELECT min(seq) FROM claims) + ?2 AND expires_at <= ?1"
STORE_KEYS = """
    INSERT OR REPLACE INTO claim_keys (key, tenant, seq) SELECT key, tenant, seq FROM new_keys WHERE key >= ?1 AND key < ?2
"""
DROP_STORED = "DELETE FROM new_keys WHERE key >= ?1 AND key < ?2"
PURGE_KEYS = "DELETE FROM claim_keys WHERE key >= ?1 AND key < ?2 AND seq < (SELECT min(seq) FROM claims)"


class SqliteClaims:
    """Implements `ports.ledger.IdempotencyStore`."""

    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self._ready = False
        """Whether the writer's connection has its tables in memory."""
        self._since = 0
        """Claims since a range was stored."""
        writer.on_rollback(self._forget)

    async def claimed(
        self, tenant: TenantId, keys: Sequence[bytes], now: Instant
    ) -> Mapping[bytes, IdempotencyResult]:
        if not keys:
            return {}
        wanted = [(tenant, key) for key in keys]
        found = await self._writer.read(lambda connection: self._found(connection, wanted, now))
        return {key: result for (_, key), result in found.items() if result.confirmed}

    async def hold(self, claim: IdempotencyRecord) -> IdempotencyResult:
        held = await self._writer.call(lambda connection: self.claim(connection, [claim]))
        fresh = IdempotencyResult(fresh=True, fingerprint=claim.fingerprint, answer=claim.answer)
        return held.get((claim.tenant, claim.key), fresh)

    async def reserve(self, claims: Sequence[IdempotencyRecord], published: Sequence[int]) -> Reserved:
        return await self._writer.call(
            lambda connection: self._reserve(connection, claims, published), rows=len(claims)
        )

    # -- in the writer's thread -------------------------------------------------------------------------------

    def claim(self, connection: sqlite3.Connection, claims: Sequence[IdempotencyRecord]) -> Claimed:
        """Claims what is free or not confirmed, each key once; what somebody else holds."""
        now = self._clock.now()
        held = self._found(connection, [(c.tenant, c.key) for c in claims], now)
        held = {key: result for key, result in held.items() if result.confirmed}
        free = [c for c in claims if (c.tenant, c.key) not in held] if held else claims
        if free:
            self._claim(connection, free, now, None)
        return held

    def _reserve(
        self, connection: sqlite3.Connection, claims: Sequence[IdempotencyRecord], published: Sequence[int]
    ) -> Reserved:
        now = self._clock.now()
        connection.execute(CONFIRM, (encoded(published), now))
        if not claims:
            return Reserved(number=0, results=())
        held = self._found(connection, [(c.tenant, c.key) for c in claims], now)
        results, new, again = reserve(claims, held)
        if not new and not again:
            return Reserved(number=0, results=results)
        number = connection.execute(RESERVE, (max(c.expires_at for c in claims),)).lastrowid
        assert number is not None
        if again:
            named = encoded([(c.tenant,) for c in again]), b"".join([c.key for c in again])
            connection.execute(RESERVE_AGAIN, (*named, number))
        if new:
            self._claim(connection, new, now, number)
        return Reserved(number=number, results=results)

    def _claim(
        self,
        connection: sqlite3.Connection,
        claims: Sequence[IdempotencyRecord],
        now: Instant,
        reservation: int | None,
    ) -> None:
        _add(connection, claims, reservation)
        self._since += len(claims)
        while self._since >= CLAIMS_A_RANGE:
            self._since -= CLAIMS_A_RANGE
            connection.execute(PURGE, (now, 2 * CLAIMS_A_RANGE))
            _store_range(connection)

    def _found(
        self, connection: sqlite3.Connection, wanted: Sequence[tuple[TenantId, bytes]], now: Instant
    ) -> Claimed:
        if not self._ready:
            prepare(connection)
            self._ready = True
        named = encoded([(tenant,) for tenant, _ in wanted]), b"".join([key for _, key in wanted])
        return {
            (tenant, bytes.fromhex(key)): IdempotencyResult(
                fresh=False,
                fingerprint=bytes.fromhex(fingerprint),
                answer=bytes.fromhex(answer),
                confirmed=bool(confirmed),
            )
            for tenant, key, fingerprint, answer, confirmed in rows(connection, FIND, (*named, now))
        }

    def _forget(self) -> None:
        self._ready = False


def prepare(connection: sqlite3.Connection) -> None:
    """The tables in memory, unless the connection has them."""
    connection.execute(IN_MEMORY)
    connection.execute(ROUND)
    if one(connection, ROUND_NOW) is None:
        connection.execute(LOAD)
        connection.execute(ROUND_BEGIN)


def _add(
    connection: sqlite3.Connection, claims: Sequence[IdempotencyRecord], reservation: int | None
) -> None:
    tail = BlobTail([c.key for c in claims])
    packed = encoded(
        [
            (
                c.tenant,
                tail.add(c.fingerprint),
                len(c.fingerprint),
                tail.add(c.answer),
                len(c.answer),
                c.expires_at,
            )
            for c in claims
        ]
    )
    joined = tail.joined()
    last = connection.execute(ADD, (packed, joined, reservation)).lastrowid
    assert last is not None
    connection.execute(ADD_KEYS, (packed, joined, last - len(claims) + 1))


def _store_range(connection: sqlite3.Connection) -> None:
    """The keys of the next range go to the file, and those of purged claims leave it."""
    ((place, _),) = connection.execute(ROUND_NOW).fetchall()
    ends = _first(place), _first(place + 1)
    for statement in (STORE_KEYS, DROP_STORED, PURGE_KEYS):
        connection.execute(statement, ends)
    if place + 1 < RANGES:
        connection.execute(ROUND_ON)
    else:
        connection.execute(ROUND_DONE)
        connection.execute(ROUND_AGAIN)


def _first(place: int) -> bytes:
    """The lowest key of a range."""
    return (place * (1 << 16) // RANGES).to_bytes(2, "big") if place < RANGES else BEHIND_ALL
