"""What waits to be sent to other processes: together what came together, announced what was dropped."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from msgspec.structs import replace

from clarion.adapters.fanouts import outbox
from clarion.adapters.fanouts.outbox import Outbox
from clarion.model.inbox import InboxChange
from clarion.testing.fanout_contract import change
from clarion.testing.ports import ManualClock
from tests.gateway import settled

CLOCK = ManualClock()


class Others:
    """Other processes, which may be out of reach."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.away = False
        self.during: Callable[[], None] = lambda: None

    async def send(self, changes: Sequence[InboxChange]) -> None:
        during, self.during = self.during, lambda: None
        during()
        await self._hear([one.offset for one in changes])

    async def announce(self) -> None:
        await self._hear("missed")

    async def _hear(self, what: object) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise ConnectionError("away")
        self.heard.append(what)


@asynccontextmanager
async def sending(others: Others) -> AsyncIterator[Outbox]:
    """An outbox that runs."""
    one = Outbox(others.send, others.announce, (ConnectionError,), CLOCK)
    running = asyncio.ensure_future(one.run())
    await settled()
    yield one
    running.cancel()
    await asyncio.wait([running])


async def test_what_is_published_during_a_call_goes_together_in_the_next(monkeypatch):
    """At most so many at once, in order; it begins with an announcement, for what an earlier process may have lost."""
    monkeypatch.setattr(outbox, "AT_ONCE", 3)
    others = Others()
    async with sending(others) as one:

        def during() -> None:
            for offset in range(2, 7):
                one.put([change(offset)])

        others.during = during
        one.put([change(1)])
        await settled()
    assert others.heard == ["missed", [1], [2, 3, 4], [5, 6]]


async def test_content_stays_here():
    """What leaves the process is sealed."""
    sent: list[InboxChange] = []
    others = Others()

    async def send(changes: Sequence[InboxChange]) -> None:
        sent.extend(changes)

    others.send = send  # type: ignore[method-assign]
    async with sending(others) as one:
        one.put([replace(change(1), content=(b"secret",))])
        await settled()
    assert sent == [change(1)]


async def test_what_cannot_be_sent_is_announced_when_others_are_back():
    """It is not kept; what is published afterwards comes behind the announcement."""
    others = Others()
    async with sending(others) as one:
        others.away = True
        one.put([change(1), change(2)])
        await settled()
        assert "away" in one.fault
        CLOCK.advance(outbox.RETRY_S)
        await settled()
        one.put([change(3)])
        others.away = False
        CLOCK.advance(outbox.RETRY_S)
        await settled()
        assert one.fault == ""
        assert one.counted == {"published": 1, "dropped": 2}
    assert others.heard == ["missed", "missed", [3]]


async def test_more_than_may_wait_is_dropped(monkeypatch):
    """All gateways look into the ledger instead."""
    monkeypatch.setattr(outbox, "WAITING", 2)
    others = Others()
    async with sending(others) as one:
        one.put([change(1), change(2)])
        one.put([change(3)])
        await settled()
        assert one.counted == {"published": 2, "dropped": 1}
    assert others.heard == ["missed", "missed", [1, 2]]
