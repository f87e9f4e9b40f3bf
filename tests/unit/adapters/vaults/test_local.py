"""The local vault beyond the contract: its format, its caches, and how its key file is guarded."""

import os
import stat
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.adapters.system import SystemRandom
from clarion.adapters.vaults import local
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError, SealBroken
from clarion.model.ids import TenantId

KEYS = st.binary(min_size=32, max_size=32)


class Dice:
    """Real randomness, as the port gives it."""

    def bytes(self, n: int) -> bytes:
        return os.urandom(n)

    def uniform(self) -> float:
        return 0.5


@pytest.fixture
def vault() -> LocalVault:
    return LocalVault(bytes(range(32)), Dice())


@given(master=KEYS, key=KEYS, plain=st.binary(max_size=2000))
def test_what_was_sealed_opens_with_the_same_key(master, key, plain):
    """Any bytes under any key come back as they were, 29 bytes longer in between."""
    vault = LocalVault(master, Dice())
    sealed = vault.seal(key, plain)
    assert vault.open(key, sealed) == plain
    assert len(sealed) == len(plain) + 29


@given(key=KEYS, plain=st.binary(max_size=100), where=st.integers(min_value=0), bit=st.integers(0, 7))
def test_one_changed_bit_breaks_the_seal(key, plain, where, bit):
    """Version, nonce, text and tag are all authenticated."""
    vault = LocalVault(bytes(32), Dice())
    sealed = bytearray(vault.seal(key, plain))
    sealed[where % len(sealed)] ^= 1 << bit
    with pytest.raises(SealBroken):
        vault.open(key, bytes(sealed))


@given(key=KEYS, junk=st.binary(max_size=80))
def test_junk_is_a_broken_seal_and_nothing_else(key, junk):
    """Whatever lies in the store, the only failure is SealBroken."""
    with pytest.raises(SealBroken):
        LocalVault(bytes(32), Dice()).open(key, junk)


def test_a_sealed_text_shows_its_version_first(vault):
    """The layout is version, nonce, ciphertext, tag."""
    key = os.urandom(32)
    assert vault.seal(key, b"")[0] == 1


def test_a_key_of_the_wrong_length_is_a_broken_seal(vault):
    """An emptied key column reads as a destroyed key, not as a crash."""
    sealed = vault.seal(os.urandom(32), b"x")
    with pytest.raises(SealBroken, match="destroyed or mixed up"):
        vault.open(b"", sealed)


def test_memory_stays_bounded_however_many_people_there_are(monkeypatch):
    """The caches of ciphers and purposes never grow past their limits."""
    monkeypatch.setattr(local, "CACHED_CIPHERS", 10)
    monkeypatch.setattr(local, "CACHED_PURPOSES", 10)
    vault = LocalVault(bytes(32), SystemRandom())
    for n in range(35):
        vault.seal(os.urandom(32), b"x")
        vault.hash(f"purpose-{n}", b"x")
        assert vault._cipher.cache_info().currsize <= 10
        assert len(vault._purposes) <= 10


def test_a_vault_does_not_show_its_key(vault):
    """No key material in a repr, where a log might pick it up."""
    assert bytes(range(32)).hex() not in repr(vault)
    assert "object at" in repr(vault)


# ── the key file ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "clarion.key"


def test_the_first_start_creates_a_key_that_only_its_owner_can_read(path):
    """Mode 0600, a recognisable prefix, and nothing left beside it."""
    LocalVault.from_file(path, Dice())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("clarion-key-v1:")
    assert list(path.parent.iterdir()) == [path]


def test_the_next_start_opens_what_the_last_one_sealed(path):
    """The key is read back, not made anew."""
    key = os.urandom(32)
    wrapped = LocalVault.from_file(path, Dice()).wrap(key)
    assert LocalVault.from_file(path, Dice()).unwrap(wrapped) == key


def test_a_key_that_others_can_read_is_refused(path):
    """The error says the command that repairs it."""
    LocalVault.from_file(path, Dice())
    for mode in (0o640, 0o604, 0o660):
        path.chmod(mode)
        with pytest.raises(ConfigError, match=f"chmod 600 {path}"):
            LocalVault.from_file(path, Dice())


@pytest.mark.parametrize(
    "text", ["", "clarion-key-v1:", "clarion-key-v1:AAAA", "not a key", "clarion-key-v1:" + "é" * 43]
)
def test_a_damaged_key_is_refused_and_never_replaced(path, text):
    """Overwriting a key would lose everything sealed with it."""
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="not an installation key"):
        LocalVault.from_file(path, Dice())
    assert path.read_text() == text


def test_a_lost_key_is_not_replaced_where_data_exist(path):
    """With `create=False` a missing file stops the start instead of making everything unreadable."""
    with pytest.raises(ConfigError, match="restore the file from your backup"):
        LocalVault.from_file(path, Dice(), create=False)
    assert not path.exists()


def test_a_directory_that_cannot_be_written_is_named(tmp_path):
    """The error names the file and the cause."""
    missing = tmp_path / "nowhere" / "clarion.key"
    with pytest.raises(ConfigError, match="nowhere"):
        LocalVault.from_file(missing, Dice())


def test_two_processes_starting_together_end_up_with_one_key(path):
    """Whoever comes second uses the key of the first."""
    vaults: list[LocalVault] = []
    starts = [Thread(target=lambda: vaults.append(LocalVault.from_file(path, Dice()))) for _ in range(8)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert len({vault.tenant_key(TenantId(1)) for vault in vaults}) == 1
    assert len(vaults) == 8
    assert list(path.parent.iterdir()) == [path]


def test_a_key_of_the_wrong_size_cannot_make_a_vault():
    """AES-256 or nothing."""
    with pytest.raises(ConfigError, match="32 bytes"):
        LocalVault(b"short", Dice())
