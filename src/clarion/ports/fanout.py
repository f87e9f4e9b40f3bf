"""The fan-out: carries committed inbox changes to the gateways."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from clarion.model.ids import UserNo
from clarion.model.inbox import InboxChange


class FanoutState(NamedTuple):
    """How a fan-out does."""

    trouble: str = ""
    """Why changes come late; empty: they do not."""
    counted: Mapping[str, float] = {}
    """What was sent to other processes and came from them so far, for metrics; empty where there are none."""


class Fanout(Protocol):
    """Publish to every gateway. Best effort: a device that misses a change replays it from the ledger."""

    def publish(self, changes: Sequence[InboxChange]) -> None:
        """Hand over changes in commit order; never blocks and never raises."""

    def missed(self) -> None:
        """Tell every gateway that something may never have been published; as `publish`."""

    def subscribe(
        self,
        receive: Callable[[Sequence[InboxChange]], None],
        missed: Callable[[], None] = lambda: None,
    ) -> Callable[[], None]:
        """Call `receive` on the event loop for every publication about the users who are followed here, and `missed` when
        some may have been lost on the way; returns the unsubscribe function."""

    def follow(self, user: UserNo) -> asyncio.Future[None] | None:
        """Receive what is published about this user. It holds at once, or as soon as what is returned is done; and also
        while nothing comes through, because `missed` is called at the end of that."""

    def unfollow(self, user: UserNo) -> None:
        """What is published about this user is not needed here any more."""

    def state(self) -> FanoutState:
        """For health and metrics."""
