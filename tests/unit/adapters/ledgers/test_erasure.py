"""Who was erased stays erased: in older copies of the ledger, of the keyring, and after a crash between the two."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from clarion.adapters.ledgers.sqlite import SqliteLedger
from clarion.adapters.ledgers.sqlite.keyring import Keyring
from clarion.adapters.ledgers.sqlite.keyring_binding import keyring_path, open_keyring
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.status import Reason, Status
from clarion.model.user import Contact, Profile, User, UserPut
from clarion.testing.ledger_contract import LedgerSubject
from clarion.testing.ports import SeededRandom
from tests.ledger_files import new_ledger

ADDRESS = "findme@example.org"
PROFILE = Profile(contacts=(Contact(channel=Channel.EMAIL, address=ADDRESS),))
IDS = ("u1", "u2", "u3")


@pytest.fixture
async def user_cache(opened, clock, random):
    """A closed ledger with three people, and what a copy of it is."""
    subject = await LedgerSubject(opened(), clock, random).create_setup()
    await subject.ledger.users.put(subject.tenant, [UserPut(id=user_id, profile=PROFILE) for user_id in IDS])
    await subject.ledger.close()
    return subject


def copied(path: Path) -> Path:
    """A copy beside it, as a backup makes it when Clarion stands still."""
    return Path(shutil.copy2(path, path.with_suffix(f"{path.suffix}.copy")))


async def found(ledger: SqliteLedger, tenant: TenantId) -> list[str]:
    """Which of the three are there, and can be read."""
    users = await ledger.users.find(tenant, IDS)
    assert {user.profile.contacts[0].address for user in users.values()} <= {ADDRESS}
    return sorted(users)


async def erase(ledger: SqliteLedger, tenant: TenantId, *ids: str) -> None:
    for user_id in ids:
        assert await ledger.users.delete(tenant, user_id)
    await ledger.close()


async def test_an_older_copy_of_the_ledger_has_nobody_back(path, opened, user_cache):
    """The rows of the erased are taken out when it is opened, everybody else is there, and the next start is quiet."""
    backup = copied(path)
    await erase(opened(), user_cache.tenant, "u1", "u3")
    shutil.copy2(backup, path)
    again = opened()
    assert again.erased_on_opening == 2
    assert await found(again, user_cache.tenant) == ["u2"]
    assert await again.users.put(user_cache.tenant, [UserPut(id="u1", profile=PROFILE)])
    await again.close()
    quiet = opened()
    assert quiet.erased_on_opening == 0
    assert await found(quiet, user_cache.tenant) == ["u1", "u2"]
    await quiet.close()


async def test_an_older_copy_opens_for_nobody_who_was_erased(path, opened, user_cache, random):
    """With every key there is: the row is there, and no pad grows for it any more."""
    backup = copied(path)
    ledger = opened()
    (user,) = (await ledger.users.find(user_cache.tenant, ["u1"])).values()
    await erase(ledger, user_cache.tenant, "u1")
    keyring = keyring_of(path, random)
    with closing(sqlite3.connect(backup)) as raw:
        (wrapped,) = raw.execute("SELECT wrapped_key FROM users WHERE no = ?", (user.no,)).fetchone()
    assert keyring.unwrap(user.no, wrapped) is None
    keyring.close()


def keyring_of(path: Path, random: SeededRandom) -> Keyring:
    return open_keyring(path, LocalVault(b"k" * 32, random), random)


async def test_messages_that_a_restored_ledger_still_had_for_them_end(path, opened, user_cache):
    """What was queued in the copy is suppressed with the reason, as it was by the deletion."""
    user_cache.ledger = opened()
    message = user_cache.planned(channel=Channel.IN_APP)
    await user_cache.plan(message)
    await user_cache.ledger.close()
    backup = copied(path)
    await erase(opened(), user_cache.tenant, "ada")
    shutil.copy2(backup, path)
    again = opened()
    kept = await again.records.get(user_cache.tenant, message.id)
    assert kept is not None
    assert (kept.status, kept.reason) == (Status.SUPPRESSED, Reason.USER_DELETED)
    await again.close()


async def test_an_older_copy_of_the_keyring_learns_who_was_erased(path, opened, user_cache, random):
    """Nobody who lives is lost with it, not even who came after it was made, and their numbers are not used again."""
    backup = copied(keyring_path(path))
    ledger = opened()
    late: list[User] = []
    for batch in range(3):  # more than were set aside when the copy was made
        puts = [UserPut(id=f"late-{batch}-{i}", profile=PROFILE) for i in range(2_000)]
        late += await ledger.users.put(user_cache.tenant, puts)
    await erase(ledger, user_cache.tenant, "u1", "late-2-1999")
    shutil.copy2(backup, keyring_path(path))
    again = opened()
    assert await found(again, user_cache.tenant) == ["u2", "u3"]
    assert len(await again.users.find(user_cache.tenant, [user.id for user in late])) == 5_999
    (new,) = await again.users.put(user_cache.tenant, [UserPut(id="new", profile=PROFILE)])
    assert new.no > late[-1].no
    await again.close()
    keyring = keyring_of(path, random)
    assert late[-1].no in keyring.destroyed()
    keyring.close()


async def test_a_number_is_never_given_to_somebody_else(path, opened, user_cache):
    """Who came after the copy was made is unknown to it, and may be erased in the newer one without harm here."""
    backup = copied(path)
    ledger = opened()
    (bob,) = await ledger.users.put(user_cache.tenant, [UserPut(id="bob", profile=PROFILE)])
    await erase(ledger, user_cache.tenant, "bob")
    shutil.copy2(backup, path)
    again = opened()
    (carol,) = await again.users.put(user_cache.tenant, [UserPut(id="carol", profile=PROFILE)])
    assert carol.no > bob.no
    await again.close()
    last = opened()
    assert set(await last.users.find(user_cache.tenant, ["carol", "bob"])) == {"carol"}
    await last.close()


async def test_a_full_disk_after_the_key_is_gone_leaves_nobody_half_erased(opened, user_cache, monkeypatch):
    """The deletion is refused and can be repeated; the person is gone already, and may come back as somebody new."""
    ledger = opened()
    drop = type(ledger.users._user_rows.erase)._drop

    def full(*_):
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    cached = await ledger.users.find(user_cache.tenant, ["u1"])
    monkeypatch.setattr(type(ledger.users._user_rows.erase), "_drop", full)
    for user_id in ("u1", "u2"):
        with pytest.raises(Unavailable):
            await ledger.users.delete(user_cache.tenant, user_id)
    monkeypatch.setattr(type(ledger.users._user_rows.erase), "_drop", drop)
    assert await found(ledger, user_cache.tenant) == ["u1", "u3"]  # u1 was in memory
    (new,) = await ledger.users.put(user_cache.tenant, [UserPut(id="u1", profile=PROFILE)])
    assert new.key != cached["u1"].key
    assert await found(ledger, user_cache.tenant) == ["u1", "u3"]
    assert await ledger.users.delete(user_cache.tenant, "u2")
    assert not await ledger.users.delete(user_cache.tenant, "u2")
    await ledger.close()


async def test_many_are_erased_in_one_go(opened, user_cache):
    """Deletions that come together share the sync of the keyring; asked twice at once, one is told yes."""
    ledger = opened()
    wanted = (*IDS, "u1", "nobody")
    answers = await asyncio.gather(*(ledger.users.delete(user_cache.tenant, user_id) for user_id in wanted))
    assert answers == [True, True, True, False, False]
    assert await found(ledger, user_cache.tenant) == []
    await ledger.close()


async def test_a_ledger_whose_keyring_is_missing_is_not_opened(path, opened, user_cache):
    """Nobody is taken for erased because a file was forgotten: it is named, and putting it back is all."""
    away = keyring_path(path).rename(path.with_suffix(".away"))
    with pytest.raises(ConfigError, match=r"clarion\.keys is missing"):
        opened()
    assert not keyring_path(path).exists()
    away.rename(keyring_path(path))
    ledger = opened()
    assert await found(ledger, user_cache.tenant) == list(IDS)
    await ledger.close()


async def test_a_keyring_of_another_ledger_is_refused(path, opened, user_cache, tmp_path, clock, random):
    """Same installation key or not: its holes are not ours."""
    other = new_ledger(tmp_path / "other" / "clarion.db")
    vault = LocalVault(b"k" * 32, random)
    await SqliteLedger.open(other, vault=vault, clock=clock, random=random).close()
    shutil.copy2(keyring_path(other), keyring_path(path))
    with pytest.raises(ConfigError, match="belongs to another database"):
        opened()


# ── ledgers from before there were keyrings ───────────────────────────────────────────────────────────────


def as_before(path: Path, random: SeededRandom) -> list[bytes]:
    """The ledger as the version before left it: every key wrapped by the installation key, no keyring."""
    vault = LocalVault(b"k" * 32, random)
    keyring = keyring_of(path, random)
    wrapped = []
    with closing(sqlite3.connect(path)) as raw, raw:
        for no, key in raw.execute("SELECT no, wrapped_key FROM users").fetchall():
            opened = keyring.unwrap(no, key)
            assert opened is not None
            wrapped.append(vault.wrap(opened))
            raw.execute("UPDATE users SET wrapped_key = ? WHERE no = ?", (wrapped[-1], no))
        raw.execute("DELETE FROM meta WHERE key = 'keyring'")
    keyring.close()
    keyring_path(path).unlink()
    return wrapped


def everything(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.iterdir() if file.is_file())


async def test_keys_move_to_the_keyring_and_nothing_of_the_old_stays(path, opened, user_cache, random):
    """All people are there as before, and no byte of what the installation key alone could open."""
    old = as_before(path, random)
    assert all(key in everything(path) for key in old)
    ledger = opened()
    assert await found(ledger, user_cache.tenant) == list(IDS)
    await ledger.close()
    assert not any(key in everything(path) for key in old)


async def test_a_crash_while_keys_move_is_made_good(path, opened, user_cache, random):
    """The keyring was made and the keys were not moved: the next start moves them."""
    as_before(path, random)
    untouched = copied(path)
    await opened().close()
    shutil.copy2(untouched, path)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    ledger = opened()
    assert await found(ledger, user_cache.tenant) == list(IDS)
    await ledger.close()


async def test_a_copy_from_before_the_keyring_forgets_whom_it_has_to(path, opened, user_cache, random):
    """Restored beside the keyring, it is moved like any other, without the erased."""
    as_before(path, random)
    backup = copied(path)
    await erase(opened(), user_cache.tenant, "u2")
    shutil.copy2(backup, path)
    ledger = opened()
    assert ledger.erased_on_opening == 1
    assert await found(ledger, user_cache.tenant) == ["u1", "u3"]
    await ledger.close()


async def test_keys_do_not_move_under_a_wrong_installation_key(path, opened, user_cache, clock, random):
    """Refused before anything is made or changed."""
    as_before(path, random)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="another installation key"):
        SqliteLedger.open(path, vault=LocalVault(b"x" * 32, random), clock=clock, random=random)
    assert path.read_bytes() == before
    assert not keyring_path(path).exists()
