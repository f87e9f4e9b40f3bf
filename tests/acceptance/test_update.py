"""A data directory of an earlier version is updated: nothing is lost, nothing is sent twice, whenever it is interrupted.

The profile `deep` takes one with 200,000 messages.
"""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from clarion.adapters.ledgers.migrate import migrate
from clarion.adapters.ledgers.revision import require_finished, revision
from clarion.adapters.ledgers.schema import REVISION
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError
from clarion.model.status import Status
from clarion.testing.ports import ManualClock
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine
from tests.needs import DEEP
from tests.older_installation import TENANT, UNPLANNED, Older

EVENTS = 200_000 if DEEP else 2_000
pytestmark = pytest.mark.timeout(3_600 if DEEP else 300)
LOOKED_AT = 2_000
"""Of so many events everything is compared; of all of them the numbers."""
CUT_OFF = """
import os, signal, sys
from sqlalchemy import Engine, event
from clarion.cli.main import program

left = int(sys.argv[1])

@event.listens_for(Engine, "before_cursor_execute")
def look(*_):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

program(["migrate", "--data-dir", sys.argv[2]])
"""
"""`clarion migrate`, killed before one of its statements."""


@pytest.fixture(scope="module")
def older(tmp_path_factory) -> tuple[Older, Path]:
    """What is in it, and where it is."""
    directory = tmp_path_factory.mktemp("older")
    told = Older(EVENTS)
    told.make(directory)
    return told, directory


@pytest.fixture
def directory(older, tmp_path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(older[1], tmp_path / "data"))


async def opened(directory: Path) -> tuple[Engine, RecordingProvider]:
    provider = RecordingProvider()
    engine = Engine(directory, ManualClock(), provider, 1)
    engine.vault = LocalVault.from_file(directory / "installation.key", engine.random, create=False)
    return await engine.open(), provider


async def test_everything_is_as_it_was_and_what_waited_is_sent_once(older, directory):
    """Timelines, explanations, inboxes and counters are those of before; then the engine goes on with the rest."""
    told, _ = older
    done = migrate(directory / "clarion.db")
    assert done is not None
    assert done.counts["explanations"] == EVENTS
    engine, provider = await opened(directory)
    try:
        for n in range(0, EVENTS, max(1, EVENTS // LOOKED_AT)):
            if told.fate(n) in ("mail retrying", "ladder", "text scheduled", "text held"):
                continue  # it may go on already
            run = told.run(n)
            assert list(await engine.ledger.plans.runs_of(TENANT, run.event_id, run.user)) == [run]
            for one, changes in told.changes(n).items():
                found = await engine.ledger.records.changes(TENANT, one)
                assert [msgspec.structs.replace(change, seq=0) for change in found] == changes
        for user, box in list(told.inboxes.items())[:LOOKED_AT]:
            items = await engine.ledger.inboxes.page(user, None, 10_000)
            items = [*items, *await engine.ledger.inboxes.page(user, None, 10_000, archived=True)]
            assert {i.message_id: (i.offset, i.at, i.seen_at, i.read_at, i.archived_at) for i in items} == {
                one: (i.offset, i.at, i.seen_at, i.read_at, i.archived_at) for one, i in box.items()
            }
            offset, counts = await engine.ledger.inboxes.head(user)
            there = [i for i in box.values() if i.archived_at is None]
            assert offset == max(i.offset for i in box.values())
            assert counts.total == len(there)
            assert counts.unread == sum(i.read_at is None for i in there)
            assert counts.unseen == sum(i.seen_at is None for i in there)
        await engine.pass_time(7_200)
        await engine.pass_time(7_200)
        sent = [outgoing.message.id for outgoing in provider.effects]
        accepted = [n for n in range(EVENTS, EVENTS + UNPLANNED) if not told.erased(told.user(n))]
        new = {told.mail_id(n) for n in accepted}
        assert len(sent) == len(set(sent))
        assert set(sent) == told.waiting | new
        for one in told.waiting:
            message = await engine.ledger.records.get(TENANT, one)
            assert message is not None
            assert message.status is Status.SENT
    finally:
        await engine.stop()


def test_an_update_that_is_killed_again_and_again_ends_as_one_that_was_not(directory, tmp_path):
    """With the numbers of before, whichever statement it had come to, and with one copy of the database as it was."""
    whole = tmp_path / "whole.db"
    shutil.copy(directory / "clarion.db", whole)
    before = migrate(whole)
    assert before is not None
    for statement in (1, 12, 40, 700, 1_300):
        killed = subprocess.run(
            [sys.executable, "-c", CUT_OFF, str(statement), str(directory)], capture_output=True, check=False
        )
        assert killed.returncode == -9, killed.stderr.decode()
        assert revision(directory / "clarion.db") != REVISION
        with pytest.raises(ConfigError, match="run `clarion migrate`, which goes on"):
            require_finished(directory / "clarion.db")
    done = subprocess.run(
        [sys.executable, "-m", "clarion", "migrate", "--data-dir", str(directory), "--json"],
        capture_output=True,
        check=True,
    )
    assert msgspec.json.decode(done.stdout)["counts"] == before.counts
    assert revision(directory / "clarion-0021.db") == "0021"
    with closing(sqlite3.connect(directory / "clarion.db")) as one, closing(sqlite3.connect(whole)) as other:
        for table in ("messages", "user_messages", "inbox_moves", "events", "journal", "log_normal"):
            rows = f"SELECT * FROM {table} ORDER BY 1, 2"
            assert one.execute(rows).fetchall() == other.execute(rows).fetchall()
