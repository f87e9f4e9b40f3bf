"""An update of a ledger file: what is kept, what is compared, what is refused, and that it goes on where it was cut off."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from clarion.adapters.ledgers.counts import count
from clarion.adapters.ledgers.migrate import migrate
from clarion.adapters.ledgers.revision import require_finished, revision, unfinished
from clarion.adapters.ledgers.schema import CODES, REVISION
from clarion.errors import ConfigError
from clarion.model.status import Status

COUNT = 2_300
"""More than two slices of the history."""


class Heard:
    """What was told, in its order."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.parts: list[tuple[int, int]] = []

    def phase(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def rows(self, done: int, total: int) -> None:
        self.parts.append((done, total))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Made once, copied for every test."""
    path = tmp_path_factory.mktemp("made") / "older.db"
    migrate(path, to="0021")
    with closing(sqlite3.connect(path)) as file:
        for n in range(COUNT):
            number = n.to_bytes(16, "big")
            file.execute(
                """INSERT INTO messages (id, user, event_id, event_seq, route, queue, status, created_at, fence, tenant)
                VALUES (?, ?, ?, ?, 1, 1, ?, ?, 1, 1)""",
                (number, n % 50, number, n, CODES[Status.SENT], n),
            )
            file.executemany(
                "INSERT INTO changes (message_id, at, status) VALUES (?, ?, ?)",
                [(number, n, CODES[Status.QUEUED]), (number, n, CODES[Status.SENT])],
            )
        file.commit()
    return path


@pytest.fixture
def older(tmp_path, made) -> Path:
    """A file at revision 0021 with messages that have a history."""
    return Path(shutil.copy(made, tmp_path / "older.db"))


def counts(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as file:
        return count(file)


@contextmanager
def before(beginning: str, what: Callable[[Any], None], time: int = 1) -> Iterator[None]:
    """Does something right before a statement that begins like this, the nth time it is run."""
    seen = 0

    def look(connection, cursor, statement, *rest):
        nonlocal seen
        seen += statement.startswith(beginning)
        if seen == time and statement.startswith(beginning):
            what(cursor)

    event.listen(Engine, "before_cursor_execute", look)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", look)
    assert seen >= time


def fail(error: Exception) -> Callable[[Any], None]:
    def it(cursor: Any) -> None:
        raise error

    return it


def test_as_much_is_in_the_file_as_before(older):
    """It is counted before the first step and behind the last, whatever the tables are called; new ones are empty."""
    before = counts(older)
    done = migrate(older)
    assert done is not None
    assert (done.since, done.copy, done.counts) == ("0021", None, before)
    after = counts(older)
    assert after == {**dict.fromkeys(after, 0), **before}
    assert (before["messages sent"], before["timeline entries"]) == (COUNT, 2 * COUNT)
    assert migrate(older) is None


def test_the_file_as_it_was_is_kept_beside_it(older):
    """Whole, at its old schema, readable by nobody else; the update says where."""
    before = counts(older)
    done = migrate(older, copy=True)
    kept = older.with_name("older-0021.db")
    assert done is not None
    assert done.copy == str(kept)
    assert (revision(kept), counts(kept)) == ("0021", before)
    assert kept.stat().st_mode & 0o077 == 0
    assert sorted(file.name for file in older.parent.glob("older-*")) == ["older-0021.db"]


def test_a_copy_that_was_cut_off_is_made_again(older):
    """Half of one never has the name of a whole one, and no step was begun."""

    class Cut(Heard):
        def rows(self, done: int, total: int) -> None:
            raise OSError("no power")

    with pytest.raises(OSError, match="no power"):
        migrate(older, copy=True, progress=Cut())
    kept = older.with_name("older-0021.db")
    assert not kept.exists()
    assert (revision(older), unfinished(older)) == ("0021", False)
    migrate(older, copy=True)
    assert revision(kept) == "0021"


def test_nothing_is_kept_of_a_new_file(tmp_path):
    """There was none."""
    done = migrate(tmp_path / "new.db", copy=True)
    assert done is not None
    assert (done.since, done.copy) == (None, None)
    assert [file.name for file in tmp_path.glob("*-*.db")] == []


def test_an_update_says_how_far_it_is(older):
    """Each step with its number and its sentence, and the rows of those that convert rows."""
    heard = Heard()
    migrate(older, copy=True, progress=heard)
    steps = [sentence for sentence in heard.sentences if sentence.startswith("Step")]
    assert steps[0].startswith(f"Step 1 of {len(steps)}, schema 0022: The messages of a user")
    assert steps[-1].startswith(f"Step {len(steps)} of {len(steps)}, schema {REVISION}: ")
    assert heard.sentences[0].startswith("Copying")
    assert heard.sentences[1] == "Counting"
    assert heard.sentences[-1] == "Counting again"
    assert (COUNT, COUNT) in heard.parts
    assert (1_000, 2 * COUNT) in heard.parts
    assert (2 * COUNT, 2 * COUNT) in heard.parts
    assert all(done <= total for done, total in heard.parts)


@pytest.mark.parametrize(
    ("statement", "time", "at"),
    [
        ("CREATE TABLE IF NOT EXISTS user_messages", 1, "0021"),
        ("ALTER TABLE messages DROP COLUMN counted_at", 1, "0021"),
        ("DELETE FROM changes", 3, "0022"),
        ("DROP TABLE changes", 1, "0022"),
        ("CREATE TABLE workers", 1, "0023"),
        ("UPDATE alembic_version", 3, "0023"),
    ],
)
def test_an_update_goes_on_at_the_step_that_was_cut_off(older, tmp_path, statement, time, at):
    """The steps before it are stored; until the last is, no server starts, and it is told what to do."""
    whole = tmp_path / "whole.db"
    shutil.copy(older, whole)
    migrate(whole)
    with before(statement, fail(OSError("no power")), time), pytest.raises(OSError, match="no power"):
        migrate(older, copy=True)
    assert (revision(older), unfinished(older)) == (at, True)
    with pytest.raises(ConfigError, match=rf"cut off at {at}: run `clarion migrate`, which goes on"):
        require_finished(older)
    again = migrate(older, copy=True)
    assert again is not None
    assert again.since == "0021"
    assert revision(older.with_name("older-0021.db")) == "0021"
    with closing(sqlite3.connect(older)) as one, closing(sqlite3.connect(whole)) as other:
        assert list(one.iterdump()) == list(other.iterdump())


def test_a_file_of_a_newer_version_is_refused(older):
    """By the update and by the server, and it stays as it is."""
    with closing(sqlite3.connect(older)) as file:
        file.execute("UPDATE alembic_version SET version_num = '9021'")
        file.commit()
    for refused in (migrate, require_finished):
        with pytest.raises(ConfigError, match=rf"newer version.*9021.*{REVISION}.*Install the newer version"):
            refused(older)
    assert revision(older) == "9021"


def test_a_database_of_another_program_is_refused(tmp_path):
    """Nothing is added to it."""
    path = tmp_path / "clarion.db"
    with closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE songs (name TEXT)")
    with pytest.raises(ConfigError, match="none of Clarion"):
        migrate(path)
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT name FROM sqlite_master").fetchall() == [("songs",)]


def test_a_file_that_is_no_database_is_refused(tmp_path):
    """And named."""
    path = tmp_path / "clarion.db"
    path.write_text("Dear diary, " * 100)
    with pytest.raises(ConfigError, match=r"clarion\.db cannot be read as a database"):
        migrate(path)
    assert path.read_text().startswith("Dear diary")


def test_a_file_that_cannot_be_written_is_refused(older, monkeypatch):
    """Before anything else is tried."""
    monkeypatch.setattr("os.access", lambda path, mode: path != older)
    with pytest.raises(ConfigError, match=r"older\.db cannot be written: it must belong to the user"):
        migrate(older)
    assert (revision(older), unfinished(older)) == ("0021", False)


def test_a_disk_with_too_little_space_is_refused(older, monkeypatch):
    """With how much is needed, and how it would be less; nothing was begun."""
    size = older.stat().st_size
    usage = shutil.disk_usage(older.parent)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=int(size * 1.2)))
    with pytest.raises(ConfigError, match=r"needs about \d+ MiB .* has \d+ MiB.*--no-backup"):
        migrate(older, copy=True)
    assert (revision(older), unfinished(older)) == ("0021", False)
    migrate(older)
    assert revision(older) == REVISION


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("SQLITE_FULL", "the disk became full.*free some space and run `clarion migrate` again"),
        ("SQLITE_BUSY", "another program uses .*stop it"),
        ("SQLITE_READONLY", "cannot be written"),
        ("SQLITE_IOERR", "the disk failed"),
    ],
)
def test_a_disk_that_fails_in_between_is_named(older, name, said):
    """With what to do; afterwards the update goes on."""
    error = sqlite3.OperationalError("it did not work")
    error.sqlite_errorcode = getattr(sqlite3, name)
    with before("DROP TABLE inbox", fail(error)), pytest.raises(ConfigError, match=said):
        migrate(older)
    migrate(older)
    assert counts(older)["messages sent"] == COUNT


def test_an_update_that_lost_something_is_not_finished(older):
    """It says what and how much, where the old file is, and no server starts with the new one."""
    now = COUNT - COUNT // 50
    with (
        before("CREATE TABLE workers", lambda cursor: cursor.execute("DELETE FROM messages WHERE user = 7")),
        pytest.raises(ConfigError, match=rf"messages sent: {COUNT:,} before, {now:,} now.*older-0021\.db"),
    ):
        migrate(older, copy=True)
    with pytest.raises(ConfigError, match="cut off"):
        require_finished(older)
    with pytest.raises(ConfigError, match="changed how much is in it"):
        migrate(older)
