"""Positions of sources from the time when one process read all partitions: each partition goes on where it stood."""

import os
import sqlite3
from contextlib import closing

import asyncpg

from clarion.adapters.ledgers.migrate import migrate
from clarion.adapters.ledgers.postgresql import revision

OLDER = """
    INSERT INTO readings (tenant, kind, "key", position, fence, repeat, trouble) VALUES
    (1, 'source', 'orders', '{"0":"41","1":"7"}', 3, 1, ''), (1, 'source', 'stream', '{"":"12-0"}', 2, 0, ''),
    (1, 'source', 'queue', '{}', 1, 0, 'the server is away'), (2, 'sink', 'out', '{"journal":"99"}', 5, 0, '')
"""
SPLIT = [
    ("orders", "0", '{"0":"41"}', 3, 1, ""),
    ("orders", "1", '{"1":"7"}', 3, 1, ""),
    ("out", "", '{"journal":"99"}', 5, 0, ""),
    ("queue", "", "{}", 1, 0, "the server is away"),
    ("stream", "", '{"":"12-0"}', 2, 0, ""),
]
READ = """SELECT "key", partition, position, fence, repeat, trouble FROM readings ORDER BY "key", partition"""


def test_positions_in_a_file_are_split_by_partition(tmp_path):
    """Streams, queues and sinks have one part."""
    path = tmp_path / "clarion.db"
    migrate(path, to="0043")
    with closing(sqlite3.connect(path)) as file:
        file.execute(OLDER)
        file.commit()
    migrate(path)
    with closing(sqlite3.connect(path)) as file:
        assert file.execute(READ).fetchall() == SPLIT


async def test_positions_on_a_server_are_split_by_partition(postgresql):
    """The same, by the same step; the partition is part of the key."""
    name = f"positions_{os.getpid()}"
    connection = await asyncpg.connect(postgresql.url())
    await connection.execute(f"CREATE DATABASE {name}")
    older = await asyncpg.connect(postgresql.url(name))
    try:
        await older.execute(
            """CREATE TABLE readings (
                tenant bigint NOT NULL, kind text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL,
                position text COLLATE "C" DEFAULT '{}' NOT NULL, fence bigint DEFAULT 0 NOT NULL,
                repeat bigint DEFAULT 0 NOT NULL, worker bigint, lag bigint, trouble text COLLATE "C" DEFAULT '' NOT NULL,
                at bigint, PRIMARY KEY (tenant, kind, key)
            )"""
        )
        await older.execute(OLDER)
        (step,) = (one for one in revision.steps_between("0043", "0044"))
        await older.execute(step.sql)
        found = [tuple(row) for row in await older.fetch(READ)]
        assert [(*row[:2], row[2].replace(" ", ""), *row[3:]) for row in found] == SPLIT
        there = await older.fetchval(
            "SELECT count(*) FROM pg_index WHERE indrelid = 'readings'::regclass AND indisprimary AND indnatts = 4"
        )
        assert there == 1
    finally:
        await older.close()
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()
