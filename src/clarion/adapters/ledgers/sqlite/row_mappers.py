"""Makes values of the model from rows of the hot statements, whose bytes come as hex digits."""

from __future__ import annotations

from typing import Any

from clarion.adapters.ledgers import row_mappers
from clarion.adapters.ledgers.message_kinds import MessageKinds
from clarion.adapters.ledgers.sqlite.row_encoding import unhex
from clarion.model.channel import Lane
from clarion.model.event import Entry
from clarion.model.inbox import InboxItem
from clarion.model.message import Message


def entry(lane: Lane, row: list[Any]) -> Entry:
    """A row of `log_statements.READ` or `log_statements.BODIES`."""
    return row_mappers.entry(lane, _with_bytes(row, 1, 5))


def message(routes: MessageKinds, row: list[Any]) -> Message:
    """A row of `message_statements.MESSAGE`."""
    return row_mappers.message(routes, _with_bytes(row, 0, 2, 12, 13))


def item(routes: MessageKinds, row: list[Any]) -> InboxItem:
    """A row of `inbox_statements.ITEM`."""
    return row_mappers.item(routes, _with_bytes(row, 2, 8))


def _with_bytes(row: list[Any], *places: int) -> list[Any]:
    found = list(row)
    for place in places:
        found[place] = unhex(row[place])
    return found
