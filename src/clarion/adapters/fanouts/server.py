"""What fan-outs through a server share: this process hears at once, the others soon; the way to the server is opened again
whenever it was cut, and whatever may have been lost on it, gateways find in the ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import structlog

from clarion.adapters.fanouts.memory import MemoryFanout
from clarion.adapters.fanouts.outbox import RETRY_S, Outbox
from clarion.model.inbox import InboxChange
from clarion.ports.clock import Clock
from clarion.ports.fanout import FanoutState

log = structlog.get_logger(__name__)

NAME_BYTES = 8
"""Of the random name by which a process knows what it published itself."""


class ServerFanout(ABC):
    """Implements `ports.fanout.Fanout` for publishers and gateways of any number of machines. A kind of server says how
    to send, how to hear, and what it takes to follow a user."""

    def __init__(self, clock: Clock, faults: tuple[type[Exception], ...], trouble: str) -> None:
        """`faults`: what is raised when the server is away. `trouble`: why it is away now; empty: it is not."""
        self._clock = clock
        self._faults = faults
        self._here = MemoryFanout()
        self._outbox = Outbox(self._send, self._announce, faults, clock)
        self._counted = Counter(received=0, missed=0)
        self._trouble = trouble
        self.subscribe = self._here.subscribe

    def publish(self, changes: Sequence[InboxChange]) -> None:
        """To this process at once, to the others soon."""
        self._here.publish(changes)
        self._outbox.put(changes)

    def missed(self) -> None:
        """As `publish`."""
        self._missed()
        self._outbox.announce()

    def state(self) -> FanoutState:
        """Both ways."""
        counted = {**self._outbox.counted, **self._counted}
        return FanoutState(self._trouble or self._outbox.fault, counted)

    async def run(self) -> None:
        """Send and hear, connecting again whenever the server was away, until cancelled."""
        sending = asyncio.ensure_future(self._outbox.run())
        try:
            while True:
                try:
                    await self._hear()
                except* self._faults as faults:
                    said = self._said(_first(faults))
                    if not self._trouble:
                        log.warning("fanout_away", error=said)
                    self._trouble = said
                await self._clock.sleep(RETRY_S)
        finally:
            sending.cancel()
            await asyncio.wait([sending])

    # -- what a kind of server does ------------------------------------------------------------------------------------

    @abstractmethod
    async def _send(self, changes: Sequence[InboxChange]) -> None:
        """To the other processes. Raises a fault."""

    @abstractmethod
    async def _announce(self) -> None:
        """Tell the other processes that they missed something. Raises a fault."""

    @abstractmethod
    async def _hear(self) -> None:
        """Call `_whole` when everything comes through, and then `_received` or `_missed`, until the way is cut. Raises a
        fault, or a group of faults."""

    @abstractmethod
    def _said(self, fault: BaseException) -> str:
        """Why nothing comes through, for people."""

    # -- what it calls -------------------------------------------------------------------------------------------------

    def _whole(self) -> None:
        """Everything comes through from here on."""
        self._trouble = ""
        self._missed()

    def _received(self, changes: Sequence[InboxChange]) -> None:
        """Another process published these."""
        self._counted["received"] += len(changes)
        self._here.publish(changes)

    def _missed(self) -> None:
        """Something may have been lost."""
        self._counted["missed"] += 1
        self._here.missed()

    def _not_understood(self) -> None:
        """What came says nothing to this version."""
        log.warning("fanout_not_understood")
        self._missed()


def _first(fault: BaseException) -> BaseException:
    """Why the first of several connections was cut."""
    return _first(fault.exceptions[0]) if isinstance(fault, BaseExceptionGroup) else fault


@contextlib.asynccontextmanager
async def running(fanout: ServerFanout) -> AsyncIterator[ServerFanout]:
    """Sends and hears until left."""
    task = asyncio.ensure_future(fanout.run())
    try:
        yield fanout
    finally:
        task.cancel()
        await asyncio.wait([task])
