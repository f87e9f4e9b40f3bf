"""The file the users' keys are wrapped with: durable, guarded, and exact in what it destroys."""

import os
import sqlite3
import stat
from pathlib import Path
from threading import Thread

import pytest

from clarion.adapters.ledgers.sqlite import keyring as module
from clarion.adapters.ledgers.sqlite.keyring import Keyring
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError, SealBroken, Unavailable
from clarion.testing.ports import SeededRandom

KEY = bytes(range(32))


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "clarion.keys"


@pytest.fixture
def opened(path):
    """Opens the keyring as often as the test wants; it is made by the first."""
    random = SeededRandom()
    every: list[Keyring] = []

    def open_it(*, create: bool = True, master: bytes = b"k" * 32) -> Keyring:
        every.append(Keyring.open(path, LocalVault(master, random), random, create=create))
        return every[-1]

    yield open_it
    for keyring in every:
        keyring.close()


def everything(path: Path) -> bytes:
    """All bytes of the keyring on disk."""
    return b"".join(file.read_bytes() for file in path.parent.iterdir())


def test_a_key_comes_back_as_it_was_wrapped_by_another_opening(opened):
    """For any number, near or far; and no two are wrapped alike."""
    first = opened()
    wrapped = {number: first.wrap(number, KEY) for number in (1, 2, 255, 256, 10**9)}
    first.close()
    second = opened(create=False)
    assert {number: second.unwrap(number, key) for number, key in wrapped.items()} == dict.fromkeys(
        wrapped, KEY
    )
    assert len({KEY, *wrapped.values()}) == 6


def test_what_was_destroyed_is_gone_and_nobody_else(opened):
    """At once, after the next start, and however often it is repeated."""
    first = opened()
    wrapped = {number: first.wrap(number, KEY) for number in range(1, 600)}
    gone = {7, 8, 300}
    first.destroy(gone)
    first.destroy({7})
    for keyring in (first, opened(create=False)):
        assert {number for number, key in wrapped.items() if keyring.unwrap(number, key) is None} == gone
        assert keyring.wrap(7, KEY) is None
        assert keyring.destroyed() == gone


def test_nothing_that_could_derive_a_destroyed_pad_stays_on_the_disk(path, opened):
    """Every sealed secret above it is overwritten, in the file and in its log."""
    keyring = opened()
    for number in range(1, 2_000, 13):
        before = sqlite3.connect(path)
        ((above,),) = before.execute(
            "SELECT sealed FROM nodes JOIN secrets USING (slot) WHERE first <= ? AND first + size > ?",
            (number, number),
        ).fetchall()
        before.close()
        assert above in everything(path)
        keyring.destroy({number})
        assert above not in everything(path)


def test_a_number_is_given_out_once_whatever_became_of_the_ledger(opened):
    """Not again after a crash, not by a second opening, and never one the ledger already has."""
    first, second = opened(), opened()
    assert first.take(3, above=0) == 1
    assert first.take(1, above=3) == 4
    taken = second.take(10_000, above=2)
    assert taken > 4
    assert second.take(1, above=0) >= taken + 10_000
    third = opened()
    assert third.take(1, above=0) > taken + 10_000
    assert third.take(5, above=10**6) == 10**6 + 1


def test_numbers_are_set_aside_in_large_steps(opened):
    """A new user costs no commit here, most of the time."""
    keyring = opened()
    keyring.take(1, above=0)
    before = keyring._connection.total_changes
    for _ in range(1_000):
        keyring.take(1, above=0)
    assert keyring._connection.total_changes == before


def test_only_its_owner_can_read_it(path, opened):
    """And one that others can read is refused with the command that mends it."""
    opened().close()
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    path.chmod(0o640)
    with pytest.raises(ConfigError, match=f"chmod 600 {path}"):
        opened()


def test_a_missing_one_is_not_made_where_it_must_exist(path, opened):
    """The operator is told what to put back, and that any copy will do."""
    with pytest.raises(ConfigError, match=r"is missing.*a copy of any age will do"):
        opened(create=False)
    assert not path.exists()


@pytest.mark.parametrize("found", [b"", b"something else entirely" * 300])
def test_a_damaged_one_is_refused(path, opened, found):
    """Cut off or something else: never replaced, never taken for empty."""
    path.write_bytes(found)
    path.chmod(0o600)
    for _ in range(2):
        with pytest.raises(ConfigError, match="cannot be read as a keyring"):
            opened(create=False)


def test_it_belongs_to_an_installation_key(opened):
    """A stolen keyring is useless without the key file, and a wrong key file is named as what is wrong."""
    opened().close()
    with pytest.raises(ConfigError, match="another installation key"):
        opened(master=b"x" * 32)


def test_a_crash_while_it_was_made_is_made_good(path, opened):
    """An empty file is what is left of it."""
    path.touch(mode=0o600)
    assert opened().wrap(1, KEY)


def test_a_damaged_wrapped_key_is_a_broken_seal(opened):
    """Not somebody else's key."""
    with pytest.raises(SealBroken, match="32 bytes, this one 1"):
        opened().unwrap(1, b"x")


def test_a_reader_in_the_way_is_told_and_the_destruction_repeated(path, opened, monkeypatch):
    """A backup program holds the file: no answer that says it is gone before it is."""
    monkeypatch.setattr(module, "PATIENCE_MS", 50)
    keyring = opened()
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM nodes").fetchone()
    with pytest.raises(Unavailable, match="another program is reading"):
        keyring.destroy({5})
    assert keyring.wrap(5, KEY) is None
    reader.close()
    keyring.destroy({5})
    assert os.path.getsize(f"{path}-wal") == 0


def test_keys_are_unwrapped_in_any_thread_while_others_are_destroyed(opened, monkeypatch):
    """Nobody who lives is ever missed, and what is remembered stays bounded."""
    monkeypatch.setattr(module, "BLOCKS", 4)
    keyring = opened()
    living = {number: keyring.wrap(number, KEY) for number in range(2, 4_000, 2)}
    wrong: list[int] = []

    def read() -> None:
        wrong.extend(number for number, key in living.items() if keyring.unwrap(number, key) != KEY)

    threads = [Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(1, 400, 8):
        keyring.destroy({number})
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(keyring._blocks) <= 4
