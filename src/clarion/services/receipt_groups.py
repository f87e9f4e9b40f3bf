"""Receipts of many requests, stored in one transaction: what comes in while one is under way shares the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from clarion.errors import Busy
from clarion.model.receipt import Receipt

TOGETHER = 500
"""Receipts of one transaction."""
MOST_WAITING = 50_000
"""More are refused: the provider reports them again."""


class _Waiting(NamedTuple):
    receipts: Sequence[Receipt]
    stored: asyncio.Future[Sequence[bool]]


class ReceiptGroups:
    """Stores one group at a time."""

    def __init__(self, receive: Callable[[Sequence[Receipt]], Awaitable[Sequence[bool]]]) -> None:
        """`receive` is the receipt tracker's."""
        self._receive = receive
        self._waiting: list[_Waiting] = []
        self._count = 0
        self._storing: asyncio.Task[None] | None = None

    async def store(self, receipts: Sequence[Receipt]) -> Sequence[bool]:
        """Durable when this returns; for each whether it changed anything. Raises Busy when too many wait."""
        if self._count and self._count + len(receipts) > MOST_WAITING:
            raise Busy("too many receipts wait to be stored", retry_after_s=5)
        stored: asyncio.Future[Sequence[bool]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(receipts, stored))
        self._count += len(receipts)
        if self._storing is None:
            self._storing = asyncio.ensure_future(self._store_all())
        return await stored

    async def _store_all(self) -> None:
        try:
            while self._waiting:
                await self._store(self._next())
        finally:
            self._storing = None
            while self._waiting:  # Only when the process ends.
                self._next()[0].stored.cancel()

    def _next(self) -> list[_Waiting]:
        """Whole requests, in order, until the transaction is full."""
        count, size = 0, 0
        for one in self._waiting:
            if count and size + len(one.receipts) > TOGETHER:
                break
            count, size = count + 1, size + len(one.receipts)
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        self._count -= size
        return group

    async def _store(self, group: Sequence[_Waiting]) -> None:
        """Each request gets its own answer; one that cannot be stored takes no other along."""
        try:
            taken = await self._receive([receipt for one in group for receipt in one.receipts])
        except Exception as fault:  # noqa: BLE001 (told to whoever waits)
            if len(group) > 1:
                for one in group:
                    await self._store([one])
            elif not group[0].stored.done():
                group[0].stored.set_exception(fault)
            return
        at = 0
        for one in group:
            end = at + len(one.receipts)
            if not one.stored.done():  # Whoever asked may have gone.
                one.stored.set_result(taken[at:end])
            at = end
