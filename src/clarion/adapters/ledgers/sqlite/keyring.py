"""What the data keys of users are wrapped with, in a file of its own beside the ledger.

A user's row holds their key wrapped, and the pad that unwraps it grows from this file (see `key_tree`). So a
copy of the ledger opens nobody, and who was destroyed here is beyond reach in every copy of the ledger there is.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path

from clarion.adapters.ledgers.sqlite.files import one, open_reader, open_writer, refusal
from clarion.adapters.ledgers.sqlite.puncturable_prf import NUMBERS, SECRET_BYTES, Node, within, without
from clarion.errors import ConfigError, SealBroken, Unavailable
from clarion.model.lru import Lru
from clarion.ports.clock import Random
from clarion.ports.vault import Vault

RESERVED = 4_096
"""Numbers set aside at a time, so that new users seldom cost a commit here; a start wastes what is left of them."""
BLOCK = 256
"""Numbers whose nodes are remembered together."""
BLOCKS = 4_096
"""How many blocks are remembered: the way to a million keys is four hashes and no look-up."""
PATIENCE_MS = 1_000
CACHE_KIB = 1_024

_TABLES = (
    "CREATE TABLE numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE nodes (first INTEGER PRIMARY KEY, size INTEGER NOT NULL, slot INTEGER NOT NULL)",
    # Appended and written over in place, never moved or dropped: SQLite leaves no second copy on another page.
    "CREATE TABLE secrets (slot INTEGER PRIMARY KEY AUTOINCREMENT, sealed BLOB NOT NULL)",
)
_NUMBER = "SELECT value FROM numbers WHERE name = ?"
_NODES = """
    SELECT first, size, sealed FROM nodes JOIN secrets USING (slot)
    WHERE first >= coalesce((SELECT max(first) FROM nodes WHERE first <= ?1), 0) AND first < ?1 + ?2
"""
_GAPS = """
    SELECT ending, coalesce(following, :numbers)
    FROM (
        SELECT first + size AS ending, lead(first) OVER (ORDER BY first) AS following FROM nodes
        UNION ALL SELECT 0, min(first) FROM nodes
    )
    WHERE ending < coalesce(following, :numbers)
"""


class Keyring:
    """Keys are wrapped and unwrapped in any thread, everything else is done by the one that writes the ledger."""

    @classmethod
    def open(cls, path: Path, vault: Vault, random: Random, *, create: bool) -> Keyring:
        """The keyring at `path`; with `create` a missing one is made, durably.

        Raises ConfigError saying what to do when it is missing, damaged, readable by others, or sealed with
        another installation key.
        """
        _require_file(path, create)
        try:
            return cls(path, vault, random, create)
        except sqlite3.Error as error:
            raise ConfigError(f"{path} cannot be read as a keyring ({error}): {_RESTORE}") from None
        except SealBroken:
            raise ConfigError(
                f"the keyring {path} was written with another installation key: restore the key file "
                "from your backup, or set `key_file` to the right one"
            ) from None

    def __init__(self, path: Path, vault: Vault, random: Random, create: bool) -> None:
        self._path = path
        self._vault = vault
        self._connection = open_writer(path, CACHE_KIB)
        try:
            if not self._connection.execute("SELECT 1 FROM sqlite_master").fetchone() and create:
                self._make(random)
            self._connection.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")
            self.id = int(one(self._connection, _NUMBER, ("id",)))
            """Tells keyrings apart: a ledger remembers the one it belongs to."""
            self._empty_log()  # a crash may have come between a destruction and this
            self._reader = open_reader(path)
        except BaseException:
            self._connection.close()
            raise
        self._blocks: Lru[int, tuple[Node, ...]] = Lru(BLOCKS)
        self._looking = threading.Lock()
        self._next = self._limit = 0
        self._pad(1)

    def wrap(self, number: int, key: bytes) -> bytes | None:
        """A user's data key as it may be stored; None when it was destroyed. A number wraps one key ever."""
        pad = self._pad(number)
        return None if pad is None else _xor(pad, key)

    def unwrap(self, number: int, wrapped: bytes) -> bytes | None:
        """A user's data key; None when it was destroyed. Raises SealBroken when `wrapped` is damaged."""
        pad = self._pad(number)
        if pad is None:
            return None
        if len(wrapped) != SECRET_BYTES:
            raise SealBroken(f"the wrapped key of a user has {SECRET_BYTES} bytes, this one {len(wrapped)}")
        return _xor(pad, wrapped)

    def take(self, count: int, above: int) -> int:
        """The first of `count` numbers in a row, greater than `above`, that were never given out.

        Not even to users of a ledger that an older copy has since replaced: a number stands for one person.
        """
        first = max(self._next, above + 1)
        if first + count > self._limit:
            first = self._reserve(first, count)
        self._next = first + count
        return first

    def destroy(self, numbers: Iterable[int]) -> None:
        """On return nothing on disk unwraps the keys of these users any more. Repeating it changes nothing.

        Raises Unavailable when the file cannot be written.
        """
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                for number in numbers:
                    self._puncture(number)
            with self._looking:
                self._blocks.clear()
            emptied = self._empty_log()
        except sqlite3.Error as error:
            raise refusal(error) or error from error
        if not emptied:
            raise Unavailable(f"another program is reading {self._path}: try again when it has finished")

    def destroyed(self) -> set[int]:
        """The numbers whose keys are no more."""
        gaps = self._connection.execute(_GAPS, {"numbers": NUMBERS})
        return {number for first, end in gaps for number in range(first, end)}

    def close(self) -> None:
        """Nothing is pending, ever."""
        self._reader.close()
        self._connection.close()

    def _pad(self, number: int) -> bytes | None:
        block = number - number % BLOCK
        with self._looking:
            nodes = self._blocks.get(block)
            if nodes is None:
                nodes = self._blocks.put(block, tuple(self._nodes(block)))
        for node in nodes:
            if node.first <= number < node.first + node.size:
                return within(node, number).secret
        return None

    def _nodes(self, block: int) -> list[Node]:
        """What the pads of a block grow from."""
        found = self._reader.execute(_NODES, (block, BLOCK)).fetchall()
        nodes = [Node(first, size, self._vault.unwrap(sealed)) for first, size, sealed in found]
        return [within(node, block, BLOCK) for node in nodes if node.first + node.size > block]

    def _puncture(self, number: int) -> None:
        row = self._connection.execute(
            """SELECT first, size, slot, sealed FROM nodes JOIN secrets USING (slot)
            WHERE first = (SELECT max(first) FROM nodes WHERE first <= ?1) AND first + size > ?1""",
            (number,),
        ).fetchone()
        if row is None:
            return
        first, size, slot, sealed = row
        self._connection.execute(
            "UPDATE secrets SET sealed = zeroblob(length(sealed)) WHERE slot = ?", (slot,)
        )
        self._connection.execute("DELETE FROM nodes WHERE first = ?", (first,))
        for node in without(Node(first, size, self._vault.unwrap(sealed)), number):
            self._keep(node)

    def _keep(self, node: Node) -> None:
        sealed = self._vault.wrap(node.secret)
        slot = self._connection.execute("INSERT INTO secrets (sealed) VALUES (?)", (sealed,)).lastrowid
        self._connection.execute("INSERT INTO nodes VALUES (?, ?, ?)", (node.first, node.size, slot))

    def _reserve(self, first: int, count: int) -> int:
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                first = max(first, one(self._connection, _NUMBER, ("next",)))
                self._limit = first + count + RESERVED
                self._connection.execute("UPDATE numbers SET value = ? WHERE name = 'next'", (self._limit,))
        except sqlite3.Error as error:
            raise refusal(error) or error from error
        return first

    def _make(self, random: Random) -> None:
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            for table in _TABLES:
                self._connection.execute(table)
            name = int.from_bytes(random.bytes(7), "big")
            self._connection.execute("INSERT INTO numbers VALUES ('id', ?), ('next', 1)", (name,))
            self._keep(Node(0, NUMBERS, random.bytes(SECRET_BYTES)))

    def _empty_log(self) -> bool:
        """Into the file with everything, so that nothing of before is left in either; whether nobody was in the way."""
        return not self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]


_RESTORE = "restore a copy from your backup (a copy of any age will do), then start again"


def _require_file(path: Path, create: bool) -> None:
    if create and not path.exists():
        path.touch(mode=0o600)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise ConfigError(
            f"the keyring {path} is missing, and no user can be read without it: {_RESTORE}"
        ) from None
    if mode & 0o077:
        raise ConfigError(f"the keyring {path} can be read by other users: run `chmod 600 {path}`")


def _xor(pad: bytes, key: bytes) -> bytes:
    return (int.from_bytes(pad, "big") ^ int.from_bytes(key, "big")).to_bytes(SECRET_BYTES, "big")
