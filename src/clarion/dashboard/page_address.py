"""What the addresses of pages name: records by their ids, and where a list goes on."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from clarion.dashboard.request import PageRequest
from clarion.errors import InvalidInput, NotFound
from clarion.model.ids import parse_id

E = TypeVar("E", bound=StrEnum)


def record_id(text: str, noun: str) -> bytes:
    """The id in an address. Raises NotFound: what is no id names nothing."""
    try:
        return parse_id(text)
    except ValueError:
        raise NotFound(f"There is no such {noun}.") from None


def cursor(request: PageRequest, things: str) -> bytes | None:
    """Before what a list goes on; None: it begins. Raises InvalidInput."""
    text = request.query.get("before", "")
    try:
        return bytes.fromhex(text) or None
    except ValueError:
        raise strange(things) from None


def chosen(request: PageRequest, name: str, kind: type[E], things: str) -> E | None:
    """What a filter asks for; None: everything. Raises InvalidInput."""
    text = request.query.get(name, "")
    try:
        return kind(text) if text else None
    except ValueError:
        raise strange(things) from None


def strange(things: str) -> InvalidInput:
    """An address that no page of ours links to."""
    return InvalidInput(f"This address asks for {things} in a way that does not exist.")
