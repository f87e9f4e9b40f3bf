"""The write-ahead log is copied home beside the writer, and does not grow for ever under load that never pauses."""

import asyncio
import sqlite3

import pytest

from clarion.adapters.ledgers.sqlite import checkpoints
from clarion.adapters.ledgers.sqlite.files import open_writer
from clarion.adapters.ledgers.sqlite.writer import Writer

PAGES = 200
PAGE = 4096
"""Not that of the file: a measure."""


@pytest.fixture
async def writer(path, clock, monkeypatch):
    monkeypatch.setattr(checkpoints, "ROWS_BETWEEN", 20)
    monkeypatch.setattr(checkpoints, "LONG_BYTES", PAGES * PAGE)
    writer = Writer(path, clock)
    await writer.call(lambda c: c.execute("CREATE TABLE notes (text TEXT)"))
    yield writer
    await writer.close()


def wal_pages(path) -> int:
    """Length of the log's file."""
    return path.with_name(path.name + "-wal").stat().st_size // PAGE


async def test_the_log_starts_anew_under_steady_load(path, writer):
    """Ten times its bound goes through it."""
    for _ in range(PAGES * 2):
        await writer.call(lambda c: c.execute("INSERT INTO notes VALUES (?)", ("x" * 20_000,)), rows=5)
    assert path.stat().st_size > PAGES * 10 * PAGE / 2
    assert wal_pages(path) < PAGES * 5


async def test_a_reader_that_does_not_let_go_only_delays_it(path, writer):
    """Nothing is lost, and the log is short again when the reader is gone."""
    reader = sqlite3.connect(path)
    reader.execute("BEGIN").execute("SELECT count(*) FROM notes").fetchone()
    for _ in range(PAGES):
        await writer.call(lambda c: c.execute("INSERT INTO notes VALUES (?)", ("x" * 8_000,)), rows=5)
    assert wal_pages(path) > PAGES
    assert reader.execute("SELECT count(*) FROM notes").fetchone() == (0,)
    reader.close()
    writer.scrub()
    await writer.call(lambda c: None)
    await writer.close()
    fresh = sqlite3.connect(path)
    assert fresh.execute("SELECT count(*) FROM notes").fetchone() == (PAGES,)
    fresh.close()


async def test_a_busy_writer_is_interrupted_less_often(path, monkeypatch):
    """What is written over and over is copied once; whoever waits for single commits gets short copies."""
    monkeypatch.setattr(checkpoints, "ROWS_BETWEEN", 20)
    connection = open_writer(path)
    beside = checkpoints.Checkpoints(path)
    connection.execute("CREATE TABLE notes (text TEXT)")
    connection.execute("INSERT INTO notes VALUES (?)", ("x" * 500_000,))
    before = path.stat().st_size
    beside.committed(20, connection, busy=True)
    beside.close()
    assert path.stat().st_size == before
    beside = checkpoints.Checkpoints(path)
    beside.committed(20, connection, busy=False)
    for _ in range(500):
        if path.stat().st_size > before:
            break
        await asyncio.sleep(0.01)
    assert path.stat().st_size > before
    beside.close()
    connection.close()
