"""Does in one transaction what several callers want at once: a commit waits for the disk once for all of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Any, Generic, NamedTuple, TypeVar

from clarion.adapters.ledgers.postgresql.database import Connection, Database
from clarion.errors import Unavailable
from clarion.ports import terms

I = TypeVar("I")  # noqa: E741
R = TypeVar("R")

ROWS = 2_000
"""Of one transaction, roughly: what comes on top is done in the next one."""

Work = Callable[[Connection, Sequence[I], bool], Awaitable[Sequence[R]]]
"""Does several items, `(connection, items, careful)`, and returns one result per item. `careful`: it is done again, alone."""


class _Asked(NamedTuple):
    """What somebody waits for."""

    item: Any
    rows: int
    done: asyncio.Future[Any]


class Combined(Generic[I, R]):
    """One kind of work. While a transaction is under way, what else is asked for collects for the next one. When several fail
    together, each is done again alone, so that only the one at fault fails."""

    def __init__(self, database: Database, work: Work[I, R], *, first: str = "") -> None:
        """`first`: as `Database.write`."""
        self._database = database
        self._work = work
        self._first = first
        self._waiting: dict[bool, deque[_Asked]] = {False: deque(), True: deque()}
        """By whether it is urgent."""
        self._tasks: dict[bool, asyncio.Task[None]] = {}

    async def do(
        self, item: I, *, rows: int = 1, urgent: bool = False, leave: Callable[[], None] | None = None
    ) -> R:
        """The item's result, once it is committed. Cancelling the caller does not undo it. `leave` is called when it is done,
        however it ended."""
        if terms.current() is not None:
            try:
                return await self._alone(item)
            finally:
                if leave is not None:
                    leave()
        done = asyncio.get_running_loop().create_future()
        done.add_done_callback(asyncio.Future.exception)  # Nobody may be waiting for it any more.
        if leave is not None:
            done.add_done_callback(lambda _: leave())
        self._waiting[urgent].append(_Asked(item, rows, done))
        if urgent not in self._tasks:
            # Without the terms of whoever happens to come first.
            self._tasks[urgent] = asyncio.get_running_loop().create_task(self._run(urgent), context=Context())
        result: R = await asyncio.shield(done)
        return result

    async def _run(self, urgent: bool) -> None:
        waiting = self._waiting[urgent]
        try:
            while waiting:
                together = [waiting.popleft()]
                rows = together[0].rows
                while waiting and rows + waiting[0].rows <= ROWS:
                    together.append(waiting.popleft())
                    rows += together[-1].rows
                await self._do(together)
        finally:
            del self._tasks[urgent]

    async def _do(self, together: Sequence[_Asked]) -> None:
        try:
            results = await self._database.write(
                lambda connection: self._work(connection, [one.item for one in together], False),
                first=self._first,
            )
        except Unavailable as error:
            for one in together:
                one.done.set_exception(error)
            return
        except Exception:  # noqa: BLE001  # whosever it is, it is found by doing each again
            for one in together:
                await self._again(one)
            return
        for one, result in zip(together, results, strict=True):
            one.done.set_result(result)

    async def _again(self, one: _Asked) -> None:
        try:
            result = await self._alone(one.item)
        except Exception as error:  # noqa: BLE001  # whoever asked gets it
            one.done.set_exception(error)
        else:
            one.done.set_result(result)

    async def _alone(self, item: I) -> R:
        (result,) = await self._database.write(
            lambda connection: self._work(connection, [item], True), first=self._first
        )
        return result
