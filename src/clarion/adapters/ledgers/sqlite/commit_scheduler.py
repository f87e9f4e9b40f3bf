"""Which jobs share the writer's next commit, and when it starts.

A commit costs the same for one row and for a thousand, so under load jobs wait for each other a little; what is
urgent waits for nobody, and a moment is kept free for what usually follows it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any

from clarion.ports.clock import Clock

ROWS_PER_COMMIT = 1_500
"""Keeps a commit near 10 ms."""
ROWS_BESIDE_URGENT = 300
URGENT_S = 1.0
"""For this long after an urgent job commits stay small: the next one may come while one is being written."""
ROWS_WITH_URGENT = 60
"""What an urgent commit takes along, so that nothing starves."""
FOLLOWED_S = 0.002
"""After an urgent commit the next step of the same message is near: nothing long is begun before it."""
LONGEST_REST_S = 0.005


class Job:
    """One item of work and whoever waits for it."""

    __slots__ = ("after", "future", "item", "leave", "rows", "urgent", "work")

    def __init__(
        self,
        work: Callable[..., Sequence[Any]],
        item: Any,
        rows: int,
        urgent: bool,
        future: asyncio.Future[Any],
        after: Callable[[Any], None] | None,
        leave: Callable[[], None] | None = None,
    ) -> None:
        self.work = work
        self.item = item
        self.rows = rows
        self.urgent = urgent
        self.future = future
        self.after = after
        self.leave = leave


class CommitScheduler:
    """`put` is the event loop's; all else is the writer thread's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._come: SimpleQueue[Job | None] = SimpleQueue()
        self._urgent: deque[Job] = deque()
        self._ordinary: deque[Job] = deque()
        self._hurry = threading.Event()
        self._small_until = self._rests_until = self._followed_until = 0.0

    def put(self, job: Job | None, *, flush: bool) -> None:
        """A job, or None: look around. `flush` ends a rest."""
        self._come.put(job)
        if flush:
            self._hurry.set()

    @property
    def idle(self) -> bool:
        """Nothing waits."""
        return not (self._urgent or self._ordinary) and self._come.empty()

    def next(self) -> list[Job]:
        """The jobs of the next commit, waiting for them; none when there is only something to look at."""
        if not (self._urgent or self._ordinary):
            self._sort(self._come.get())
            self._rest()
        while not self._come.empty():
            self._sort(self._come.get())
        self._await_what_follows()
        if self._urgent:
            self._small_until = self._clock.monotonic() + URGENT_S
            return self._take(ROWS_WITH_URGENT)
        small = self._clock.monotonic() < self._small_until
        return self._take(ROWS_BESIDE_URGENT if small else ROWS_PER_COMMIT)

    def committed(self, jobs: Sequence[Job], took_s: float) -> None:
        """They are done."""
        now = self._clock.monotonic()
        self._rests_until = now + min(took_s, LONGEST_REST_S)
        self._followed_until = now + FOLLOWED_S if jobs[0].urgent else 0.0

    def _sort(self, job: Job | None) -> None:
        if job is not None:
            (self._urgent if job.urgent else self._ordinary).append(job)

    def _rest(self) -> None:
        """As long as the last commit took, unless something urgent or much has come: what arrives meanwhile shares
        the next commit. After a longer pause there is no rest."""
        if (left := self._rests_until - self._clock.monotonic()) > 0:
            self._hurry.wait(left)
        self._hurry.clear()

    def _await_what_follows(self) -> None:
        while not self._urgent and (left := self._followed_until - self._clock.monotonic()) > 0:
            try:
                self._sort(self._come.get(timeout=left))
            except Empty:
                return

    def _take(self, most: int) -> list[Job]:
        """Urgent ones first: at least one, and no more than `most` rows."""
        jobs: list[Job] = []
        rows = 0
        for queue in (self._urgent, self._ordinary):
            while queue and (not jobs or rows + queue[0].rows <= most):
                jobs.append(queue.popleft())
                rows += jobs[-1].rows
        return jobs
