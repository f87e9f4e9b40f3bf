"""Processes of the version before share the database of this one."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from clarion.model.ids import Instant
from clarion.model.worker import Process


async def test_a_process_of_the_version_before_is_seen_with_all_it_does(opened, path):
    """Its statement names no column that came later; it counts as having every role, lane and channel, and it can be given up."""
    ledger = opened()
    with closing(sqlite3.connect(path)) as before:
        before.execute(
            "INSERT INTO workers (node, roles, lease_until) VALUES (?, ?, ?)", ("old:1", "all", 5_000)
        )
        before.commit()
    own = await ledger.leases.open(Process(node="new:2", version="9"), Instant(0), Instant(90_000))
    old, new = await ledger.leases.workers()
    assert old.process == Process(node="old:1")
    assert (old.lease_until, old.started_at, old.draining) == (5_000, 0, False)
    assert (new.id, new.process.version) == (own, "9")
    assert (await ledger.leases.reap(Instant(6_000))).workers == 1
    assert [one.id for one in await ledger.leases.workers()] == [own]
    await ledger.close()
