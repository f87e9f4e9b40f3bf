"""Many rows as two parameters: JSON for numbers and text, one run of bytes for the rest.

Binding a value costs Python about 0.1 us under the interpreter lock, so 256 rows of 20 columns hold up the
event loop for half a millisecond. Encoded to JSON by msgspec and taken apart by SQLite, which runs without
the lock, they cost a tenth of that, and any number of rows is one statement and one step.

In SQL the rows are `json_each(?1)`: `key` is the row's index, `value ->> n` its n-th field. Ids have a fixed
width, so the i-th id is found in `?2` by its index; other bytes follow at the offsets the row names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from clarion.adapters.ledgers.joined_ids import ID_BYTES

_encode = msgspec.json.Encoder().encode


def encoded(rows: Sequence[Any]) -> str:
    """Rows as the JSON parameter."""
    try:
        return _encode(rows).decode()
    except UnicodeEncodeError:  # half a surrogate pair in somebody else's error text
        return _encode([[_whole(field) for field in row] for row in rows]).decode()


def _whole(field: Any) -> Any:
    return field.encode("utf-8", "replace").decode() if isinstance(field, str) else field


def keys(ids: Iterable[bytes]) -> tuple[str, bytes]:
    """Ids alone: rows without fields, and the ids."""
    joined = b"".join(ids)
    count = len(joined) // ID_BYTES
    return ("[" + "0," * (count - 1) + "0]") if count else "[]", joined


class BlobTail:
    """Bytes of any length that travel behind the ids."""

    def __init__(self, ids: Iterable[bytes] = ()) -> None:
        self._parts = list(ids)
        self._end = 1 + sum(map(len, self._parts))  # SQLite counts from 1

    def add(self, part: bytes) -> int:
        """Takes `part` along; where it will lie."""
        at = self._end
        self._parts.append(part)
        self._end = at + len(part)
        return at

    def joined(self) -> bytes:
        """Everything, as the parameter."""
        return b"".join(self._parts)


def field(index: int) -> str:
    """SQL for the row's `index`-th field."""
    return f"value ->> {index}"


def id_at(place: int, per_row: int) -> str:
    """SQL for the `place`-th of `per_row` ids of a row."""
    return f"substr(?2, key * {per_row * ID_BYTES} + {place * ID_BYTES + 1}, {ID_BYTES})"


def bytes_at(offset: int, length: int | None = None) -> str:
    """SQL for the bytes whose offset and length are the row's fields; an offset of null gives null."""
    return f"substr(?2, value ->> {offset}, {ID_BYTES if length is None else f'value ->> {length}'})"


def unhex(text: str | None) -> bytes | None:
    """Bytes that came out of SQLite as hex digits."""
    return None if text is None else bytes.fromhex(text)


def insert(table: str, values: dict[str, str], *, source: str = "json_each(?1)", end: str = "") -> str:
    """SQL that adds a row to `table` for each row of the parameter, with these values by column."""
    return (
        f"INSERT INTO {table} ({', '.join(values)}) SELECT {', '.join(values.values())} FROM {source} {end}"
    )


def array(columns: str) -> str:
    """SQL for all rows found as one JSON array, which `files.rows` reads."""
    return f"json_group_array(json_array({columns}))"


IDS = f"(SELECT {id_at(0, 1)} FROM json_each(?1))"
"""SQL for the ids of a parameter of `keys`."""
