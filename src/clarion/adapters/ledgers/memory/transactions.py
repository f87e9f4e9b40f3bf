"""Transactions on the tables: all changes or none. A change never awaits, so nothing runs in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from clarion.adapters.ledgers.memory.states import tag_of
from clarion.adapters.ledgers.memory.tables import Tables
from clarion.errors import Unavailable
from clarion.ports import terms

T = TypeVar("T")


class Transactions:
    """Of one process: once closed, it writes nothing more."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.closed = False
        self.commits = 0

    async def write(self, change: Callable[[], T]) -> T:
        """What `change` returns, on the terms of the request (`ports.terms`). What it raises undoes it."""
        if self.closed:
            raise Unavailable("the database is closing: nothing was stored")
        tables, asked = self._tables, terms.current()
        try:
            if asked is not None and asked.subject is not None and not asked.wrote:
                asked.require(tag_of(tables, asked.subject))
            result = change()
            if asked is not None:
                asked.tag = None if asked.subject is None else tag_of(tables, asked.subject)
        except BaseException:
            tables.roll_back()
            raise
        if asked is not None:
            asked.wrote = True
        if asked is not None and asked.dry:
            tables.roll_back()
        else:
            tables.keep()
            self.commits += 1
        await asyncio.sleep(0)  # As with a store that is further away, others have their turn.
        return result

    async def dry_run(self, change: Callable[[], T]) -> T:
        """What `change` returns; everything it wrote is undone."""
        try:
            return change()
        finally:
            self._tables.roll_back()
