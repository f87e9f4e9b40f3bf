"""One thread writes, and one commit takes along everything that is pending: a disk sync costs the same for
one row and for a thousand.

Jobs of the same kind are done together. When that fails, the transaction is rolled back and every job is done
again alone, inside its own savepoint and with `careful=True`, so that only the one at fault fails.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from clarion.adapters.ledgers.sqlite.checkpoints import Checkpoints
from clarion.adapters.ledgers.sqlite.commit_scheduler import ROWS_PER_COMMIT, CommitScheduler, Job
from clarion.adapters.ledgers.sqlite.files import open_writer, refusal
from clarion.adapters.ledgers.sqlite.states import tag_of
from clarion.errors import Unavailable
from clarion.ports import terms
from clarion.ports.clock import Clock
from clarion.ports.terms import Terms

T = TypeVar("T")

STUCK_S = 15.0
"""A commit that takes longer is no longer just slow."""
ROWS_QUEUED = 20_000
"""More than this waits: memory stays bounded however slow the disk."""

Work = Callable[[sqlite3.Connection, Sequence[Any], bool], Sequence[Any]]
"""One kind of job, `(connection, items, careful)`: does many at once and returns one result per item.

A result that is an exception is raised to the item's caller. `careful`: it is done again, alone.
"""


class Writer:
    """The only thing that writes to the file. Called from the event loop; works in its own thread."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._connection = open_writer(path)
        self._checkpoints = Checkpoints(path)
        self._scheduler = CommitScheduler(clock)
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._forget: list[Callable[[], None]] = []
        self._on_commit: list[Callable[[], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed: asyncio.Future[None] | None = None
        self._queued = 0
        self._closing = False
        self._truncate = False
        self.commits = self.jobs = self.rows = self.failures = self.redone = 0
        self.last_ms = 0.0
        self._began_s: float | None = None
        """When the commit under way began."""
        self.trouble = ""
        """Why the last commit could not be written; empty when it was."""
        self._probing: asyncio.Future[None] | None = None
        self._thread = threading.Thread(target=self._run, name="clarion-writer", daemon=True)
        self._thread.start()

    @property
    def state(self) -> str:
        """What keeps it from writing; empty when nothing does."""
        if not self._thread.is_alive() and not self._closing:
            return "the thread that writes has ended: restart the process"
        began_s = self._began_s
        if began_s is not None and (took_s := self._clock.monotonic() - began_s) >= STUCK_S:
            return f"a commit has not come back for {took_s:.0f} s: look at the disk"
        return self.trouble

    @property
    def queued(self) -> int:
        """Rows not yet committed."""
        return self._queued

    def on_rollback(self, forget: Callable[[], None]) -> None:
        """Call `forget` in the writer's thread after every rollback: what it remembers may not be so."""
        self._forget.append(forget)

    def on_commit(self, committed: Callable[[], None]) -> None:
        """Call `committed` in the writer's thread after every commit, before anybody is told."""
        self._on_commit.append(committed)

    # -- the event loop's side ------------------------------------------------------------------------------

    async def do(
        self,
        work: Work,
        item: Any,
        *,
        rows: int = 1,
        urgent: bool = False,
        leave: Callable[[], None] | None = None,
        after: Callable[[Any], None] | None = None,
    ) -> Any:
        """The item's result, once it is on disk. Cancelling the caller does not undo the job.

        `after` runs on the event loop with the result, in order of commits, even if nobody waits any more.
        A full queue makes the caller wait, unless somebody else bounds how much that is: their `leave` is called
        when the job is done, however it ended. What the terms of the request ask (`ports.terms`) holds for it.
        """
        asked = terms.current()
        if asked is None or work == self._rehearsals:
            return await self._put(work, item, rows, urgent, leave, after)
        function = _on_terms(asked, work, item)
        if asked.dry:
            result, asked.tag = await self._put(self._rehearsals, function, rows, urgent, leave, None)
        else:
            kept = None if after is None else lambda pair: after(pair[0])
            result, asked.tag = await self._put(self._calls, function, rows, urgent, leave, kept)
        asked.wrote = True
        return result

    async def _put(
        self,
        work: Work,
        item: Any,
        rows: int,
        urgent: bool,
        leave: Callable[[], None] | None,
        after: Callable[[Any], None] | None,
    ) -> Any:
        room = ROWS_QUEUED * 2 if urgent else ROWS_QUEUED
        while leave is None and self._queued and self._queued + rows > room and not self._closing:
            await self._room()
        if self._closing:
            if leave is not None:
                leave()
            raise Unavailable("the database is closing: nothing was stored")
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queued += rows
        flush = urgent or self._queued >= ROWS_PER_COMMIT
        self._scheduler.put(Job(work, item, rows, urgent, future, after, leave), flush=flush)
        return await future

    async def call(
        self,
        function: Callable[[sqlite3.Connection], T],
        *,
        rows: int = 1,
        after: Callable[[T], None] | None = None,
    ) -> T:
        """What `function` returns, in a savepoint of its own; whatever it raises undoes it and nothing else."""
        result: T = await self.do(self._calls, function, rows=rows, after=after)
        return result

    async def read(
        self, function: Callable[[sqlite3.Connection], T], after: Callable[[T], None] | None = None
    ) -> T:
        """What `function` reads between two changes, whatever the terms: it writes nothing."""
        result: T = await self._put(self._calls, function, 1, False, None, after)
        return result

    async def dry_run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """What `function` returns; everything it wrote is undone."""
        result: T = await self.do(self._rehearsals, function)
        return result

    async def close(self) -> None:
        """Commit what is pending, copy the log home, and close the file."""
        if self._closed is None:
            self._loop = asyncio.get_running_loop()
            self._closed = self._loop.create_future()
            self._closing = True  # last: the thread may see it at once, and then tells the two above
            self._scheduler.put(None, flush=True)
        await asyncio.shield(self._closed)

    def probe(self) -> None:
        """Find out whether writing works again, without waiting for the answer."""
        if self._probing is None or self._probing.done():
            self._probing = asyncio.ensure_future(self._probe())

    async def _probe(self) -> None:
        try:
            await self.call(lambda connection: connection.execute("UPDATE meta SET value = value"))
        except Unavailable:
            pass  # still not

    def scrub(self) -> None:
        """Empty the write-ahead log soon: it may still hold what was just destroyed."""
        self._truncate = True
        self._scheduler.put(None, flush=False)

    async def _room(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    def _settle(self, outcomes: Sequence[tuple[Job, Any]]) -> None:
        for job, outcome in outcomes:
            self._queued -= job.rows
            if job.leave is not None:
                job.leave()
            failed = isinstance(outcome, BaseException)
            if job.after is not None and not failed:
                job.after(outcome)
            if job.future.done():
                continue
            if failed:
                job.future.set_exception(outcome)
            else:
                job.future.set_result(outcome)
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)

    # -- the thread's side ----------------------------------------------------------------------------------

    def _run(self) -> None:
        scheduler = self._scheduler
        while not (self._closing and scheduler.idle):
            if jobs := scheduler.next():
                self._began_s = self._clock.monotonic()
                outcomes = self._transact(jobs)
                self._began_s = None
                self._report(self._settle, outcomes)
                scheduler.committed(jobs, self.last_ms / 1000)
                busy = self._queued > ROWS_PER_COMMIT
                self._checkpoints.committed(sum(job.rows for job in jobs), self._connection, busy=busy)
            if self._truncate and scheduler.idle:
                self._scrub()
        self._finish()

    def _report(self, function: Callable[..., None], *values: Any) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(function, *values)
        except RuntimeError:  # the event loop is gone, and everybody who waited with it
            self._closing = True

    def _transact(self, jobs: Sequence[Job]) -> list[tuple[Job, Any]]:
        started = self._clock.monotonic()
        try:
            outcomes = self._attempt(self._together, jobs)
        except Exception as error:  # noqa: BLE001 - belongs to one of the jobs: each finds out alone
            self.redone += 1
            outcomes = self._failed(jobs, error) or self._alone(jobs)
        self.last_ms = (self._clock.monotonic() - started) * 1000
        self.jobs += len(jobs)
        return outcomes

    def _alone(self, jobs: Sequence[Job]) -> list[tuple[Job, Any]]:
        try:
            return self._attempt(self._one_by_one, jobs)
        except Exception as error:  # noqa: BLE001 - the callers are told
            return self._failed(jobs, error) or [(job, error) for job in jobs]

    def _failed(self, jobs: Sequence[Job], error: Exception) -> list[tuple[Job, Any]]:
        told = refusal(error)
        if told is None:
            return []
        self.failures += 1
        self.trouble = told.detail
        return [(job, told) for job in jobs]

    def _attempt(
        self, way: Callable[[Sequence[Job]], list[tuple[Job, Any]]], jobs: Sequence[Job]
    ) -> list[tuple[Job, Any]]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            outcomes = way(jobs)
            self._connection.execute("COMMIT")
        except BaseException:
            self._rollback()
            raise
        for committed in self._on_commit:
            committed()
        self.commits += 1
        self.trouble = ""
        self.rows += sum(job.rows for job in jobs)
        return outcomes

    def _together(self, jobs: Sequence[Job]) -> list[tuple[Job, Any]]:
        kinds: dict[Work, list[Job]] = {}
        for job in jobs:
            kinds.setdefault(job.work, []).append(job)
        outcomes: list[tuple[Job, Any]] = []
        for work, alike in kinds.items():
            results = work(self._connection, [job.item for job in alike], False)
            outcomes += zip(alike, results, strict=True)
        return outcomes

    def _one_by_one(self, jobs: Sequence[Job]) -> list[tuple[Job, Any]]:
        outcomes: list[tuple[Job, Any]] = []
        for job in jobs:
            try:
                (result,) = _guarded(
                    self._connection,
                    lambda job=job: job.work(self._connection, [job.item], True),  # type: ignore[misc]
                )
            except Exception as error:  # told to whoever waits for this job
                if refusal(error):
                    raise
                self._forget_all()
                result = error
            outcomes.append((job, result))
        return outcomes

    def _calls(self, connection: sqlite3.Connection, items: Sequence[Any], careful: bool) -> Sequence[Any]:
        results: list[Any] = []
        for function in items:
            try:
                results.append(_guarded(connection, lambda function=function: function(connection)))  # type: ignore[misc]
            except Exception as error:
                if refusal(error):
                    raise
                self._forget_all()
                results.append(error)
        return results

    def _rehearsals(
        self, connection: sqlite3.Connection, items: Sequence[Any], careful: bool
    ) -> Sequence[Any]:
        results = []
        for function in items:
            connection.execute("SAVEPOINT rehearsal")
            try:
                results.append(function(connection))
            finally:
                connection.execute("ROLLBACK TO rehearsal")
                connection.execute("RELEASE rehearsal")
                self._forget_all()
        return results

    def _rollback(self) -> None:
        self._forget_all()
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:  # not to be trusted any more
            self._connection.close()
            self._connection = open_writer(self._path)

    def _forget_all(self) -> None:
        for forget in self._forget:
            forget()

    def _scrub(self) -> None:
        try:
            self._truncate = not self._checkpoints.empty(self._connection)
        except sqlite3.Error:  # tried again after the next commit
            pass

    def _finish(self) -> None:
        self._checkpoints.close()
        self._scrub()  # if that fails nothing is lost: the next opening reads the log
        self._connection.close()

        def closed() -> None:
            assert self._closed is not None
            if not self._closed.done():
                self._closed.set_result(None)

        self._report(closed)


def _on_terms(asked: Terms, work: Work, item: Any) -> Callable[[sqlite3.Connection], tuple[Any, str | None]]:
    """The item done alone, if the resource still is as the request wants it; with its new tag."""
    subject, first = asked.subject, not asked.wrote

    def function(connection: sqlite3.Connection) -> tuple[Any, str | None]:
        if subject is not None and first:
            asked.require(tag_of(connection, subject))
        (result,) = work(connection, [item], True)
        if isinstance(result, BaseException):
            raise result
        return result, None if subject is None else tag_of(connection, subject)

    return function


def _guarded(connection: sqlite3.Connection, function: Callable[[], T]) -> T:
    connection.execute("SAVEPOINT job")
    try:
        result = function()
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK TO job")
            connection.execute("RELEASE job")
        raise
    connection.execute("RELEASE job")
    return result
