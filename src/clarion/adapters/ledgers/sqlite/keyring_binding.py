"""Makes sure that a keyring belongs to its database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from clarion.adapters.ledgers.sqlite.files import one, open_writer
from clarion.adapters.ledgers.sqlite.keyring import Keyring
from clarion.errors import ConfigError, SealBroken
from clarion.ports.clock import Random
from clarion.ports.vault import Vault

AT_ONCE = 10_000

_BOUND = "SELECT value FROM meta WHERE key = 'keyring'"
_BIND = "INSERT INTO meta (key, value) VALUES ('keyring', ?)"
_KEYS = "SELECT no, wrapped_key FROM users WHERE no > ? ORDER BY no LIMIT ?"
_REWRAP = "UPDATE users SET wrapped_key = ? WHERE no = ?"


def keyring_path(ledger: Path) -> Path:
    """Beside the ledger: `clarion.keys`."""
    return ledger.with_suffix(".keys")


def open_keyring(ledger: Path, vault: Vault, random: Random) -> Keyring:
    """The keyring of a ledger. One that has none yet, because it is new or was made before there were keyrings, gets
    it now, and the users' keys are wrapped anew; a crash in between is made good by the next call.

    Raises ConfigError saying what to do when the keyring is missing, not the ledger's, or cannot be opened.
    """
    with closing(open_writer(ledger)) as connection:
        bound = one(connection, _BOUND)
        if bound is None:
            _require_key(connection, ledger, vault)
        keyring = Keyring.open(keyring_path(ledger), vault, random, create=bound is None)
        try:
            if bound is None:
                _adopt(connection, keyring, vault)
            elif bound != keyring.id:
                raise ConfigError(
                    f"the keyring {keyring_path(ledger)} belongs to another database than {ledger}: put the "
                    "database and the keyring of one installation into the same directory"
                )
        except BaseException:
            keyring.close()
            raise
        return keyring


def _adopt(connection: sqlite3.Connection, keyring: Keyring, vault: Vault) -> None:
    """All keys or none; nothing is left of what could be opened without the keyring."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        last = 0
        while found := connection.execute(_KEYS, (last, AT_ONCE)).fetchall():
            last = found[-1][0]
            connection.executemany(_REWRAP, _rewrapped(found, keyring, vault))
        connection.execute(_BIND, (keyring.id,))
    if last:
        connection.execute("PRAGMA temp_store = FILE")  # it may be larger than memory
        connection.execute("VACUUM")  # what SQLite once moved may have left a copy behind on another page
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _rewrapped(found: list[tuple[int, bytes]], keyring: Keyring, vault: Vault) -> list[tuple[bytes, int]]:
    """Under the keyring instead of the installation key; without those that are broken or erased."""
    kept = []
    for no, wrapped in found:
        key = _unwrapped(vault, wrapped)
        if key is not None and (again := keyring.wrap(no, key)) is not None:
            kept.append((again, no))
    return kept


def _require_key(connection: sqlite3.Connection, ledger: Path, vault: Vault) -> None:
    """A broken row among many is no proof of a wrong installation key."""
    wrapped = [row[1] for row in connection.execute(_KEYS, (0, 3))]
    if wrapped and all(_unwrapped(vault, key) is None for key in wrapped):
        raise ConfigError(
            f"the database {ledger} was written with another installation key: restore the key file "
            "from your backup, or set `key_file` to the right one"
        )


def _unwrapped(vault: Vault, wrapped: bytes) -> bytes | None:
    try:
        return vault.unwrap(wrapped)
    except SealBroken:
        return None
