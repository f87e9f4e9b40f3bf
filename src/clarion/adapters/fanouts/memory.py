"""Fan-out inside one process: publishing is calling."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from clarion.model.inbox import InboxChange

log = structlog.get_logger(__name__)

Receive = Callable[[Sequence[InboxChange]], None]


class MemoryFanout:
    """Implements `ports.fanout.Fanout` for publishers and gateways that share an event loop."""

    def __init__(self) -> None:
        self._receivers: tuple[Receive, ...] = ()

    def publish(self, changes: Sequence[InboxChange]) -> None:
        """Calls every receiver before it returns. Call it on the event loop."""
        for receive in self._receivers:
            try:
                receive(changes)
            except Exception:
                log.exception("fanout_receiver_failed", changes=len(changes))

    def subscribe(self, receive: Receive) -> Callable[[], None]:
        """`receive` gets every publication from now on, until the returned function is called."""
        self._receivers = (*self._receivers, receive)

        def unsubscribe() -> None:
            self._receivers = tuple(other for other in self._receivers if other is not receive)

        return unsubscribe
