"""How the state of a resource becomes its tag: what is the same for every engine."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import msgspec

from clarion.model.ids import parse_id


def text_key(key: str) -> str | None:
    """No engine stores a NUL: SQLite would end the text there and find somebody else."""
    return None if "\0" in key else key


def id_key(key: str) -> bytes | None:
    """Of a resource that has an id."""
    try:
        return parse_id(key)
    except ValueError:
        return None


def hash_key(key: str) -> bytes | None:
    """Of a resource that is named by a hash."""
    try:
        return bytes.fromhex(key)
    except ValueError:
        return None


def digest(row: tuple[Any, ...]) -> str:
    """Another one for every other row."""
    return "x" + blake2b(msgspec.msgpack.encode(row), digest_size=8).hexdigest()


class ResourceKind(msgspec.Struct, frozen=True):
    """How the state of one kind of resource is found, and told."""

    statement: str
    """By tenant and key."""
    key: Callable[[str], str | bytes | None] = text_key
    tag: Callable[[tuple[Any, ...]], str] = digest
