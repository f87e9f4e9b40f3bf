"""The numbers of the advisory locks, which end with their transaction. A lock is a pair: one of these, and what it is of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

APPEND = 0x436C0001
"""The log of a lane: entries are appended in the order they are committed in."""
PLAN = 0x436C0002
"""The planning of a lane."""
JOURNAL = 0x436C0003
"""A place in the journal: see `journal`."""
CANCEL = 0x436C0004
"""Which events are canceled: shared by those who plan, exclusive for whoever cancels one."""
SPENDING = 0x436C0011
"""Budgets and ranges of numbers of a tenant."""
VERIFICATIONS = 0x436C0012
"""The codes of an address."""
SEGMENTS = 0x436C0014
"""The members of the segments of a tenant."""
SENDER = 0x436C0013
"""What somebody wrote to us."""
SIGNALS = 0x436C0014
"""What runs listen for, and what comes; what throttles count together."""

USERS = "SELECT 1 FROM users WHERE no = ANY($1::bigint[]) ORDER BY no FOR NO KEY UPDATE"
"""What is decided exactly about a user is decided by one transaction at a time. In order, so that nobody waits for one another."""
LOCK = "SELECT pg_advisory_xact_lock($1, of) FROM unnest($2::int[]) AS of"


async def lock(connection: Any, kind: int, of: Iterable[int]) -> None:
    """Until the transaction ends nobody else has any of these. In order, so that nobody waits for one another."""
    await connection.execute(LOCK, kind, sorted(set(of)))


def of_hash(hash: bytes) -> int:
    """A hash as the second number of a lock. Two hashes seldom share one, and then wait for one another."""
    return int.from_bytes(hash[:4], "big", signed=True)
