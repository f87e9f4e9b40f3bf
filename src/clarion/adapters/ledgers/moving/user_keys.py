"""Rows as the other side has them: in the file the keyring wraps the keys of users, on the server the installation's key does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from clarion.adapters.ledgers.moving.tables import Moved
from clarion.adapters.ledgers.sqlite.keyring import Keyring
from clarion.ports.vault import Vault

Row = tuple[Any, ...]


class UserKeys:
    """See the module. Rows of other tables stay as they are, but for what no server can store."""

    def __init__(self, keyring: Keyring, vault: Vault) -> None:
        self._keyring = keyring
        self._vault = vault

    def for_server(self, table: Moved, rows: Iterable[Row]) -> list[Row]:
        """Rows of the file, as they are stored on the server."""
        return _with_keys(table, self.in_file(table, rows), lambda _, key: self._vault.wrap(key))

    def in_file(self, table: Moved, rows: Iterable[Row]) -> list[Row]:
        """Rows of the file, with keys in plain: to compare them. Without users who are being erased."""
        return [tuple(map(_storable, row)) for row in _with_keys(table, rows, self._keyring.unwrap)]

    def on_server(self, table: Moved, rows: Iterable[Row]) -> list[Row]:
        """Rows of the server, likewise."""
        return _with_keys(table, rows, lambda _, wrapped: self._vault.unwrap(wrapped))


def _with_keys(table: Moved, rows: Iterable[Row], key: Callable[[int, bytes], bytes | None]) -> list[Row]:
    if table.name != "users":
        return list(rows)
    number, wrapped = (table.columns.index(name) for name in ("no", "wrapped_key"))
    keyed = ((row, key(row[number], row[wrapped])) for row in rows)
    return [(*row[:wrapped], its, *row[wrapped + 1 :]) for row, its in keyed if its is not None]


def _storable(part: Any) -> Any:
    """Text without NUL, which PostgreSQL has no place for."""
    return part.replace("\0", "\N{REPLACEMENT CHARACTER}") if type(part) is str and "\0" in part else part
