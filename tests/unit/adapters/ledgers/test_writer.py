"""One thread, one commit for what is pending, and nobody pays for somebody else's mistake."""

import asyncio
import sqlite3
import threading

import pytest

from clarion.adapters.ledgers.sqlite import commit_scheduler as turns_module
from clarion.adapters.ledgers.sqlite import writer as writer_module
from clarion.adapters.ledgers.sqlite.writer import STUCK_S, Writer
from clarion.errors import Conflict, Unavailable


@pytest.fixture
async def writer(path, clock):
    writer = Writer(path, clock)
    await writer.call(lambda c: c.execute("CREATE TABLE notes (text TEXT NOT NULL, PRIMARY KEY (text))"))
    yield writer
    await writer.close()


def stored(path) -> list[str]:
    """What another connection sees."""
    connection = sqlite3.connect(path)
    try:
        return [text for (text,) in connection.execute("SELECT text FROM notes ORDER BY rowid")]
    finally:
        connection.close()


def note(connection: sqlite3.Connection, items, careful: bool):
    """Writes all notes; the sour ones make trouble."""
    for item in items:
        connection.execute("INSERT INTO notes VALUES (?)", (item,))
        if item == "sour":
            raise ValueError("sour")
        if item == "unusual" and not careful:
            raise ValueError("not together")
    return [f"{item}!" for item in items]


class Gate:
    """Work that keeps the writer busy until it is let go, so that more piles up behind it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.reached = asyncio.Event()
        self.open = threading.Event()

    def __call__(self, connection: sqlite3.Connection) -> None:
        self.loop.call_soon_threadsafe(self.reached.set)
        self.open.wait(5)

    async def close(self, writer: Writer) -> "asyncio.Task[None]":
        task = asyncio.ensure_future(writer.call(self))
        await self.reached.wait()
        return task


async def test_what_is_pending_shares_a_commit(writer, path):
    """A hundred jobs that wait together are one transaction."""
    gate = Gate()
    held = await gate.close(writer)
    before = writer.commits
    waiting = [asyncio.ensure_future(writer.do(note, f"n{n}")) for n in range(100)]
    await asyncio.sleep(0)
    gate.open.set()
    assert await asyncio.gather(*waiting) == [f"n{n}!" for n in range(100)]
    await held
    assert writer.commits - before == 2  # the gate's own, and one for all
    assert stored(path) == [f"n{n}" for n in range(100)]


async def test_only_the_one_at_fault_fails(writer, path):
    """The others are done again alone, and succeed."""
    gate = Gate()
    held = await gate.close(writer)
    waiting = [
        asyncio.ensure_future(writer.do(note, text)) for text in ("a", "sour", "b", "unusual", "a", "c")
    ]
    await asyncio.sleep(0)
    gate.open.set()
    await held
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(r).__name__ for r in results] == ["str", "ValueError", "str", "str", "IntegrityError", "str"]
    assert stored(path) == ["a", "b", "unusual", "c"]


async def test_a_refusal_undoes_its_own_call_and_nothing_else(writer, path):
    """Also without the others being done again."""

    def refuse(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO notes VALUES ('half')")
        raise Conflict("not like this")

    results = await asyncio.gather(writer.do(note, "whole"), writer.call(refuse), return_exceptions=True)
    assert results[0] == "whole!"
    assert isinstance(results[1], Conflict)
    assert stored(path) == ["whole"]
    assert writer.redone == 0


async def test_a_rehearsal_leaves_no_trace(writer, path):
    """It sees its own writes; nobody else ever does."""

    def dry_run(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO notes VALUES ('only a try')")
        return connection.execute("SELECT count(*) FROM notes").fetchone()[0]

    assert await writer.dry_run(dry_run) == 1
    assert stored(path) == []


async def test_urgent_jobs_go_first(writer, path, monkeypatch):
    """However much is pending, they are in the next commit."""
    monkeypatch.setattr(turns_module, "ROWS_PER_COMMIT", 10)
    gate = Gate()
    held = await gate.close(writer)
    ordinary = [asyncio.ensure_future(writer.do(note, f"n{n}", rows=5)) for n in range(10)]
    urgent = asyncio.ensure_future(writer.do(note, "urgent", rows=5, urgent=True))
    await asyncio.sleep(0)
    gate.open.set()
    await asyncio.gather(held, urgent, *ordinary)
    assert stored(path)[0] == "urgent"
    assert stored(path)[1:] == [f"n{n}" for n in range(10)]


async def test_a_full_queue_makes_wait(writer, path, monkeypatch):
    """Everybody gets their turn; urgent ones still find room, and so does what is bounded elsewhere."""
    monkeypatch.setattr(writer_module, "ROWS_QUEUED", 10)
    left: list[str] = []
    gate = Gate()
    held = await gate.close(writer)
    first = asyncio.ensure_future(writer.do(note, "first", rows=9))
    await asyncio.sleep(0)
    patient = asyncio.ensure_future(writer.do(note, "patient", rows=5))
    urgent = asyncio.ensure_future(writer.do(note, "urgent", rows=5, urgent=True))
    let_in = asyncio.ensure_future(writer.do(note, "let in", rows=50, leave=lambda: left.append("let in")))
    cancelled = asyncio.ensure_future(writer.do(note, "cancelled", leave=lambda: left.append("cancelled")))
    sour = asyncio.ensure_future(writer.do(note, "sour", leave=lambda: left.append("sour")))
    await asyncio.sleep(0)
    assert (writer.queued, left) == (1 + 9 + 5 + 50 + 1 + 1, [])
    cancelled.cancel()
    gate.open.set()
    await asyncio.gather(held, first, patient, urgent, let_in)
    with pytest.raises(ValueError, match="sour"):
        await sour
    assert sorted(stored(path)) == ["cancelled", "first", "let in", "patient", "urgent"]
    assert (writer.queued, sorted(left)) == (0, ["cancelled", "let in", "sour"])


async def test_one_job_may_be_larger_than_the_queue(writer, path, monkeypatch):
    """It waits until it is alone instead of for ever."""
    monkeypatch.setattr(writer_module, "ROWS_QUEUED", 10)
    await asyncio.gather(writer.do(note, "small"), writer.do(note, "huge", rows=500))
    assert sorted(stored(path)) == ["huge", "small"]


async def test_a_cancelled_caller_does_not_undo_its_job(writer, path):
    """And what has to follow the commit follows it."""
    followed: list[str] = []
    gate = Gate()
    held = await gate.close(writer)
    task = asyncio.ensure_future(writer.do(note, "orphan", after=followed.append))
    await asyncio.sleep(0)
    task.cancel()
    gate.open.set()
    await held
    await writer.do(note, "last")
    assert stored(path) == ["orphan", "last"]
    assert followed == ["orphan!"]


async def test_what_follows_a_commit_has_happened_when_the_caller_goes_on(writer):
    """So a cache is true before anybody hears of the change; a failed job is not followed."""
    seen: list[str] = []
    result = await writer.do(note, "x", after=seen.append)
    assert seen == [result]
    with pytest.raises(ValueError, match="sour"):
        await writer.do(note, "sour", after=seen.append)
    assert seen == [result]


async def test_a_full_disk_is_told_and_survived(writer, path):
    """Nobody is promised anything; when there is room again, everything goes on."""
    connection = writer._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 3}")
    results = await asyncio.gather(
        *(writer.do(note, f"{n}" + "x" * 4000) for n in range(20)), return_exceptions=True
    )
    assert any(isinstance(result, Unavailable) for result in results)
    assert all(isinstance(result, Unavailable | str) for result in results)
    kept = sum(isinstance(result, str) for result in results)
    assert len(stored(path)) == kept
    with pytest.raises(Unavailable, match="disk is full"):
        await writer.do(note, "y" * 40_000)
    connection.execute("PRAGMA max_page_count = 100000")
    assert await writer.do(note, "room again") == "room again!"
    assert len(stored(path)) == kept + 1
    assert writer.failures >= 1


async def test_closing_commits_what_is_pending(path, clock):
    """And refuses what comes later; closing twice is closing once."""
    writer = Writer(path, clock)
    await writer.call(lambda c: c.execute("CREATE TABLE notes (text TEXT PRIMARY KEY)"))
    pending = [asyncio.ensure_future(writer.do(note, f"n{n}")) for n in range(50)]
    await asyncio.sleep(0)
    await asyncio.gather(writer.close(), writer.close())
    await asyncio.gather(*pending)
    with pytest.raises(Unavailable, match="closing"):
        await writer.do(note, "too late")
    assert len(stored(path)) == 50
    assert not path.with_name(path.name + "-wal").exists()


async def test_a_commit_that_does_not_come_back_is_told(writer, clock):
    """A disk that hangs raises nothing; the state says it, and is well again afterwards."""
    go_on, begun = threading.Event(), threading.Event()

    def hang(connection):
        begun.set()
        assert go_on.wait(30)

    call = asyncio.ensure_future(writer.call(hang))
    await asyncio.to_thread(begun.wait, 30)
    assert writer.state == ""
    clock.advance(STUCK_S)
    assert "has not come back for 15 s" in writer.state
    go_on.set()
    await call
    assert writer.state == ""


async def test_a_thread_that_ends_is_told(writer, monkeypatch):
    """Nothing is written any more, and nobody who waits would ever hear of it."""
    monkeypatch.setattr(writer._thread, "is_alive", lambda: False)
    assert "has ended" in writer.state
