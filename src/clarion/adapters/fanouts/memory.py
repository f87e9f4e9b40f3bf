"""The fan-out inside one process: publishing calls the subscribers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

import structlog

from clarion.model.ids import UserNo
from clarion.model.inbox import InboxChange
from clarion.ports.backend import BackendTools
from clarion.ports.fanout import Fanout, FanoutState

log = structlog.get_logger(__name__)

Receive = Callable[[Sequence[InboxChange]], None]
Missed = Callable[[], None]


class MemoryFanout:
    """Implements `ports.fanout.Fanout` for publishers and gateways that share an event loop."""

    def __init__(self) -> None:
        self._receivers: dict[object, Receive] = {}
        """By subscription, as the next."""
        self._missed: dict[object, Missed] = {}

    def publish(self, changes: Sequence[InboxChange]) -> None:
        """Calls every receiver before it returns. Call it on the event loop."""
        for receive in tuple(self._receivers.values()):
            try:
                receive(changes)
            except Exception:
                log.exception("fanout_receiver_failed", changes=len(changes))

    def missed(self) -> None:
        """Some changes did not come here; who published them may be gone."""
        for missed in tuple(self._missed.values()):
            missed()

    def subscribe(self, receive: Receive, missed: Missed = lambda: None) -> Callable[[], None]:
        """`receive` gets every publication from now on, until the returned function is called."""
        subscription = object()
        self._receivers[subscription] = receive
        self._missed[subscription] = missed

        def unsubscribe() -> None:
            self._receivers.pop(subscription, None)
            self._missed.pop(subscription, None)

        return unsubscribe

    def follow(self, user: UserNo) -> asyncio.Future[None] | None:
        """Everything comes here anyway."""
        return None

    def unfollow(self, user: UserNo) -> None:
        """Everything comes here anyway."""

    def state(self) -> FanoutState:
        """There is nothing between publishers and gateways."""
        return FanoutState()


@contextlib.asynccontextmanager
async def opened(url: str, tools: BackendTools) -> AsyncIterator[Fanout]:
    """A fan-out of this process. See `ports.backend.OpenFanout`."""
    yield MemoryFanout()
