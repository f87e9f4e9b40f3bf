"""What every fan-out must do, as checks to run over yours.

import pytest
from clarion.testing.fanout_contract import FANOUT_CONTRACT, FanoutSubject

@pytest.mark.parametrize("check", FANOUT_CONTRACT, ids=lambda check: check.__name__)
async def test_my_fanout_keeps_the_contract(check, my_fanout, my_fanout_in_another_process):
    await check(FanoutSubject(my_fanout, my_fanout_in_another_process))
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from clarion.model.ids import Instant, MessageId, TenantId, UserNo
from clarion.model.inbox import InboxChange, InboxCounts, InboxItem
from clarion.ports.fanout import Fanout

PATIENCE_S: Final = 30.0
"""How long a check waits for what must come, on however slow a machine."""


class FanoutSubject:
    """The fan-outs of one or several processes; each process's receivers hear what any of them publishes."""

    def __init__(self, *processes: Fanout, complete: bool = True) -> None:
        """`complete`: changes come with their items also to other processes, and each of them comes; else only where an
        inbox stands by now."""
        self.processes = processes
        self.fanout = processes[0]
        self.complete = complete

    async def follow(self, *users: int) -> None:
        """Every process wants to hear of them."""
        waiting = [fanout.follow(UserNo(user)) for fanout in self.processes for user in users]
        if unfinished := [one for one in waiting if one is not None]:
            async with asyncio.timeout(PATIENCE_S):  # noqa: TID251 - see below
                await asyncio.wait(unfinished)


class Receiver:
    """Subscribed until told to stop; keeps the changes that came."""

    def __init__(self, fanout: Fanout) -> None:
        self.changes: list[InboxChange] = []
        self._came = asyncio.Event()
        self.stop = fanout.subscribe(self.receive)

    def receive(self, changes: Sequence[InboxChange]) -> None:
        self.changes += changes
        self._came.set()

    async def got(self, count: int) -> list[InboxChange]:
        """The changes so far, as soon as there are `count`."""
        async with asyncio.timeout(PATIENCE_S):  # noqa: TID251 - a fan-out may run over another machine
            while len(self.changes) < count:
                self._came.clear()
                await self._came.wait()
        return self.changes

    async def heard(self, count: int) -> list[int]:
        """The same as offsets."""
        return [change.offset for change in await self.got(count)]

    async def heard_upto(self, offset: int) -> list[int]:
        """The offsets so far, as soon as this one is among them."""
        async with asyncio.timeout(PATIENCE_S):  # noqa: TID251
            while offset not in (heard := [change.offset for change in self.changes]):
                self._came.clear()
                await self._came.wait()
        return heard


def change(offset: int, user: int = 1) -> InboxChange:
    """A new item in a user's inbox."""
    item = InboxItem(
        tenant=TenantId(1),
        user=UserNo(user),
        message_id=MessageId(offset.to_bytes(16, "big")),
        sealed=bytes(range(256)),
        at=Instant(offset),
        offset=offset,
        workflow="news",
        category="updates",
    )
    return InboxChange(
        tenant=item.tenant,
        user=item.user,
        items=(item,),
        counts=InboxCounts(unseen=offset, unread=offset, total=offset),
    )


def _user(change: InboxChange) -> int:
    return change.user


def failing(changes: Sequence[InboxChange]) -> None:
    """A receiver that always fails."""
    raise ValueError(len(changes))


async def every_receiver_gets_what_is_published_after_it_joined(subject: FanoutSubject) -> None:
    """In each process, and nothing from before."""
    await subject.follow(1)
    first = [Receiver(fanout) for fanout in subject.processes]
    subject.fanout.publish([change(1)])
    for receiver in first:
        assert await receiver.heard(1) == [1]
    second = [Receiver(fanout) for fanout in subject.processes]
    subject.fanout.publish([change(2)])
    assert [await receiver.heard(2) for receiver in first] == [[1, 2]] * len(first)
    assert [await receiver.heard(1) for receiver in second] == [[2]] * len(second)


async def whoever_publishes_is_heard_everywhere(subject: FanoutSubject) -> None:
    """Also by receivers of the own process, once each."""
    await subject.follow(1)
    receivers = [Receiver(fanout) for fanout in subject.processes]
    for place, fanout in enumerate(subject.processes, 1):
        fanout.publish([change(place)])
    expected = list(range(1, len(receivers) + 1))
    assert [sorted(await receiver.heard(len(expected))) for receiver in receivers] == [expected] * len(
        receivers
    )


async def changes_arrive_in_the_order_of_publication(subject: FanoutSubject) -> None:
    """One by one and many at a time, for every receiver."""
    await subject.follow(1)
    receivers = [Receiver(fanout) for fanout in subject.processes]
    offsets = list(range(1, 1_001))
    for start in range(0, 1_000, 40):
        first, *others = map(change, offsets[start : start + 40])
        subject.fanout.publish([first])
        subject.fanout.publish(others)
    for receiver, fanout in zip(receivers, subject.processes, strict=True):
        heard = await receiver.heard_upto(1_000)
        assert heard == sorted(heard)
        if subject.complete or fanout is subject.fanout:
            assert heard == offsets


async def a_change_arrives_complete(subject: FanoutSubject) -> None:
    """Whose inbox it is, its items as they were stored, and the counters; also of an inbox that is gone. If the items are
    left out, it says how far to read."""
    gone = InboxChange(tenant=TenantId(2), user=UserNo(3), items=())
    sent = [gone, change(1), change(2, user=2)]
    await subject.follow(1, 2, 3)
    receivers = [Receiver(fanout) for fanout in subject.processes]
    subject.fanout.publish(sent)
    for receiver, fanout in zip(receivers, subject.processes, strict=True):
        came = await receiver.got(3)
        if subject.complete or fanout is subject.fanout:
            assert sorted(came, key=_user) == sorted(sent, key=_user)
        else:
            assert {(one.user, one.offset) for one in came} == {(3, 0), (1, 1), (2, 2)}
            assert not any(one.items for one in came)


async def publishing_to_nobody_is_no_trouble(subject: FanoutSubject) -> None:
    """And publishing nothing is none either. Whoever joins meanwhile may hear what is still on its way."""
    await subject.follow(1)
    subject.fanout.publish([change(1)])
    receiver = Receiver(subject.fanout)
    subject.fanout.publish([])
    subject.fanout.publish([change(2)])
    heard = await receiver.heard(1)
    assert heard == [2] or await receiver.heard(2) == [1, 2]


async def a_receiver_that_fails_stops_no_other(subject: FanoutSubject) -> None:
    """Whoever publishes does not learn of it, however often it fails; those before and behind it get everything."""
    await subject.follow(1)
    before = Receiver(subject.fanout)
    subject.fanout.subscribe(failing)
    behind = Receiver(subject.fanout)
    for offset in range(1, 51):
        subject.fanout.publish([change(offset)])
    for receiver in (before, behind):
        assert await receiver.heard(50) == list(range(1, 51))


async def whoever_has_unsubscribed_gets_nothing_more(subject: FanoutSubject) -> None:
    """The others do; unsubscribing again changes nothing."""
    await subject.follow(1)
    leaving, staying = Receiver(subject.fanout), Receiver(subject.fanout)
    subject.fanout.publish([change(1)])
    await leaving.heard(1)
    leaving.stop()
    leaving.stop()
    subject.fanout.publish([change(2)])
    assert await staying.heard(2) == [1, 2]
    assert await leaving.heard(1) == [1]


async def a_receiver_may_unsubscribe_while_it_receives(subject: FanoutSubject) -> None:
    """And another may subscribe: each hears the next publication, or not, as it asked."""
    await subject.follow(1)
    heard: list[int] = []
    joined: list[Receiver] = []

    def receive(changes: Sequence[InboxChange]) -> None:
        heard.append(len(changes))
        stop()
        joined.append(Receiver(subject.fanout))

    stop = subject.fanout.subscribe(receive)
    staying = Receiver(subject.fanout)
    subject.fanout.publish([change(1)])
    await staying.heard(1)
    subject.fanout.publish([change(2)])
    assert await staying.heard(2) == [1, 2]
    assert heard == [1]
    assert (await joined[0].heard(1))[-1] == 2


async def each_subscription_ends_alone(subject: FanoutSubject) -> None:
    """One receiver that subscribed twice is called twice, and once when one of its subscriptions has ended."""
    await subject.follow(1)
    receiver = Receiver(subject.fanout)
    second = subject.fanout.subscribe(receiver.receive)
    subject.fanout.publish([change(1)])
    assert await receiver.heard(2) == [1, 1]
    second()
    last = Receiver(subject.fanout)
    subject.fanout.publish([change(2)])
    await last.heard(1)
    assert await receiver.heard(3) == [1, 1, 2]


async def what_may_never_have_been_published_is_announced_everywhere(subject: FanoutSubject) -> None:
    """Whoever says so; what is published afterwards comes behind it."""
    await subject.follow(1)
    missed = [asyncio.Event() for _ in subject.processes]
    receivers = []
    for fanout, event in zip(subject.processes, missed, strict=True):
        fanout.subscribe(lambda changes: None, event.set)
        receivers.append(Receiver(fanout))
    for announcing in subject.processes:
        for event in missed:
            event.clear()
        announcing.missed()
        for event in missed:
            async with asyncio.timeout(PATIENCE_S):  # noqa: TID251
                await event.wait()
    subject.fanout.publish([change(1)])
    for receiver in receivers:
        assert await receiver.heard(1) == [1]


async def whom_nobody_follows_may_be_left_out(subject: FanoutSubject) -> None:
    """Following again brings back what is published from then on; nobody else's changes stop coming."""
    await subject.follow(1, 2)
    receivers = [Receiver(fanout) for fanout in subject.processes]
    for fanout in subject.processes:
        fanout.unfollow(UserNo(2))
        fanout.unfollow(UserNo(2))
    subject.fanout.publish([change(1)])
    for receiver in receivers:
        await receiver.heard_upto(1)
    await subject.follow(2)
    subject.fanout.publish([change(2, user=2)])
    for receiver in receivers:
        await receiver.heard_upto(2)


Check = Callable[[FanoutSubject], Awaitable[None]]

FANOUT_CONTRACT: Final[Sequence[Check]] = (
    every_receiver_gets_what_is_published_after_it_joined,
    whoever_publishes_is_heard_everywhere,
    changes_arrive_in_the_order_of_publication,
    a_change_arrives_complete,
    publishing_to_nobody_is_no_trouble,
    a_receiver_that_fails_stops_no_other,
    whoever_has_unsubscribed_gets_nothing_more,
    a_receiver_may_unsubscribe_while_it_receives,
    each_subscription_ends_alone,
    what_may_never_have_been_published_is_announced_everywhere,
    whom_nobody_follows_may_be_left_out,
)
