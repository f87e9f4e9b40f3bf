"""Workers: the processes that hold messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from clarion.model.ids import Instant, MessageId, WorkerId
from clarion.model.message import Message
from clarion.model.worker import Process, Reaped, Worker


class Leases(Protocol):
    """What a worker holds is its own until it is given up, because its lease ran out; from then on everything it still
    writes is refused, and others claim what it held."""

    async def open(self, process: Process, now: Instant, until: Instant) -> WorkerId:
        """A new worker, which starts now and whose lease lasts until then."""

    async def beat(self, worker: WorkerId, until: Instant, oldest: MessageId | None, held: int = 0) -> bool:
        """The lease lasts until then. False: it has been given up. `oldest`: the lowest id among the messages that
        are held since they were planned, as of now; None: there are none. `held`: how many messages are in memory.
        Never two beats of a worker at once."""

    async def reap(self, now: Instant) -> Reaped:
        """Give up every worker whose lease ran out, and make a part of what the dead held due, with a higher
        fence."""

    async def give_back(self, worker: WorkerId, messages: Sequence[Message], at: Instant) -> None:
        """Make those that the worker still holds, with the same fence, due at that time with a higher one."""

    async def workers(self) -> Sequence[Worker]:
        """Every worker that has not been given up, in the order in which they started."""

    async def drain(self, node: str) -> int:
        """Note that these workers stop, or are asked to; how many there are of that node."""
