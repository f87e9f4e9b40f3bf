"""Whatever happens to connections, publications and buffers: no device ever shows anything but a true state.

The reference is the history of the inbox itself. After every step each device must show exactly what the inbox was at
the offset the device believes to be at, with the counters of that offset; and when the dust settles, all devices that
come back show the present.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from clarion.gateway import SSE_PATH, WS_PATH, GatewayLimits, Rules
from clarion.model.ids import MessageId, UserNo, id_text
from clarion.model.inbox import InboxChange, InboxCounts, InboxItem
from clarion.model.user import User
from tests.gateway import GatewayServer, InboxClient, Screen, screen, screen_of, settled, truth
from tests.inboxes import MemoryInboxes

PHONES = st.integers(0, 2)
ACTIONS = ("seen", "read", "unread", "archived", "unarchived")
LIMITS = GatewayLimits(session=Rules(replay=4, snapshot=1000, pending_frames=3))


class RememberingInboxes(MemoryInboxes):
    """Knows what every inbox was at every offset, and lets things happen while a page is read."""

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[tuple[UserNo, int], tuple[Screen, InboxCounts]] = {}
        self.meanwhile: list[Callable[[], object]] = []
        self.overtake: Callable[[], object] | None = None
        """Happens between the next two reads, as commits of another thread do."""

    def remember(self, user: UserNo) -> None:
        offset, counts = self.now(user)
        self.history[user, offset] = (screen(self.everything(user).values()), counts)

    def _store(self, user, items, content=()) -> InboxChange:
        change = super()._store(user, items, content)
        self.remember(user)
        return change

    async def page(self, user, before, limit, *, archived=False, unread=False) -> list[InboxItem]:
        self._happen()
        items = await super().page(user, before, limit, archived=archived, unread=unread)
        await asyncio.sleep(0)
        self._happen()
        return list(items)

    async def head(self, user) -> tuple[int, InboxCounts]:
        self._happen()
        found = await super().head(user)
        await asyncio.sleep(0)
        self._happen()
        return found

    async def since(self, user, offset, limit) -> Sequence[InboxItem]:
        overtake, self.overtake = self.overtake, None
        if overtake is not None:
            overtake()
        found = await super().since(user, offset, limit)
        await asyncio.sleep(0)
        self._happen()
        return found

    def _happen(self) -> None:
        if self.meanwhile:
            self.meanwhile.pop()()


class Devices(RuleBasedStateMachine):
    """Two users, their devices, and everything that may go wrong between an inbox and a screen."""

    @initialize()
    def start(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.inboxes = RememberingInboxes()
        self.server = GatewayServer(LIMITS, inboxes=self.inboxes)
        self.people = [self.server.users.add(name) for name in ("anna", "bob")]
        for user in self.people:
            self.inboxes.remember(user.no)
        anna, bob = self.people
        self.owner: dict[InboxClient, User] = {InboxClient(): anna, InboxClient(): anna, InboxClient(): bob}
        self.held_back: list[InboxChange] = []
        self.run(self._start)

    async def _start(self) -> None:
        self.server.gateway.start()

    def run(self, do, *args) -> None:
        """One step, until nothing more happens; then every screen must be true."""

        async def step() -> None:
            await do(*args)
            await settled()

        self.loop.run_until_complete(step())
        for inbox_client, user in self.owner.items():
            if inbox_client.connection is not None:
                inbox_client.listen()
            if inbox_client.offset is not None:
                screen, counts = self.inboxes.history[user.no, inbox_client.offset]
                assert screen_of(inbox_client) == screen
                assert inbox_client.counts == {
                    "unseen": counts.unseen,
                    "unread": counts.unread,
                    "total": counts.total,
                }

    # ── what happens to the inbox ─────────────────────────────────────────────────────────────────────────

    def store(self, who: int, number: int) -> InboxChange:
        return self.server.store(self.people[who], *[f"item {n}" for n in range(number)])

    @rule(who=st.integers(0, 1), number=st.integers(1, 3))
    def deliver(self, who: int, number: int) -> None:
        async def do() -> None:
            self.deliver_now(who, number)

        self.run(do)

    def deliver_now(self, who: int, number: int = 1) -> None:
        self.server.fanout.publish([self.store(who, number)])

    @rule(who=st.integers(0, 1))
    def deliver_but_publish_later(self, who: int) -> None:
        self.held_back.append(self.store(who, 1))

    @rule(who=st.integers(0, 1))
    def commit_between_the_next_two_reads(self, who: int) -> None:
        self.inboxes.overtake = partial(self.deliver_but_publish_later, who)

    @precondition(lambda self: self.held_back)
    @rule(data=st.data(), forget=st.booleans(), bare=st.booleans(), announced=st.booleans())
    def publish_late(self, data: st.DataObject, forget: bool, bare: bool, announced: bool) -> None:
        change = self.held_back.pop(data.draw(st.integers(0, len(self.held_back) - 1)))
        if bare:
            change = InboxChange(tenant=change.tenant, user=change.user, items=change.items)
        if announced:
            change = InboxChange(tenant=change.tenant, user=change.user, items=(), upto=change.offset)

        async def do() -> None:
            self.server.fanout.publish([] if forget else [change, change])

        self.run(do)

    @rule(who=st.integers(0, 1), action=st.sampled_from(ACTIONS), data=st.data())
    def mark_over_the_api(self, who: int, action, data: st.DataObject) -> None:
        user = self.people[who]
        ids = self._some_ids(user, data)

        async def do() -> None:
            change = await self.inboxes.mark(user.no, action, ids, self.server.clock.now())
            if change is not None:
                self.server.fanout.publish([change])

        self.run(do)

    @rule(n=PHONES, action=st.sampled_from(ACTIONS), data=st.data())
    def mark_on_a_device(self, n: int, action, data: st.DataObject) -> None:
        inbox_client = self.inbox_client(n)
        user = self.owner[inbox_client]
        ids = self._some_ids(user, data)

        async def do() -> None:
            connection = inbox_client.connection
            if connection is not None and connection.is_ws and not connection.over:
                connection.say(type="mark", action=action, ids=[id_text(i) for i in ids])
                await settled()

        self.run(do)

    def inbox_client(self, n: int) -> InboxClient:
        return list(self.owner)[n]

    def _some_ids(self, user: User, data: st.DataObject) -> list[MessageId]:
        known = sorted(self.inboxes.everything(user.no))
        return data.draw(st.lists(st.sampled_from(known), max_size=4, unique=True)) if known else []

    # ── what happens to connections ───────────────────────────────────────────────────────────────────────

    @rule(
        n=PHONES,
        path=st.sampled_from([WS_PATH, SSE_PATH]),
        meanwhile=st.lists(st.booleans(), max_size=2),
    )
    def connect(self, n: int, path: str, meanwhile: list[bool]) -> None:
        """With what the phone remembers, while things happen to the inbox."""
        inbox_client = self.inbox_client(n)
        who = self.people.index(self.owner[inbox_client])
        happen = {True: partial(self.deliver_now, who), False: partial(self.deliver_but_publish_later, who)}
        self.inboxes.meanwhile.extend(happen[published] for published in meanwhile)
        asked = (
            {}
            if inbox_client.offset is None
            else {"epoch": inbox_client.epoch, "offset": inbox_client.offset}
        )
        self.run(self._connect, inbox_client, path, asked)
        self.inboxes.meanwhile.clear()

    @rule(n=PHONES, offset=st.integers(0, 60), epoch=st.sampled_from(["epoch-1", "epoch-2", "epoch-3", ""]))
    def connect_confused(self, n: int, offset: int, epoch: str) -> None:
        """With somebody else's memory, or the memory of another life."""
        inbox_client = self.inbox_client(n)
        if epoch != self.owner[inbox_client].inbox_epoch:
            self.run(self._connect, inbox_client, WS_PATH, {"epoch": epoch, "offset": offset})
            assert inbox_client.recovered[-1] is False

    async def _connect(self, inbox_client: InboxClient, path: str, asked: dict) -> None:
        if inbox_client.connection is not None:
            inbox_client.connection.hang_up()
            await settled()
        inbox_client.attach(await self.server.connect(self.owner[inbox_client], path, **asked))

    @rule(n=PHONES)
    def lose_the_network(self, n: int) -> None:
        inbox_client = self.inbox_client(n)

        async def do() -> None:
            if inbox_client.connection is not None:
                inbox_client.connection.hang_up()

        self.run(do)

    @rule(n=PHONES)
    def stop_reading(self, n: int) -> None:
        inbox_client = self.inbox_client(n)
        if inbox_client.connection is not None:
            inbox_client.connection.stop_reading()

    @rule(n=PHONES)
    def read_on(self, n: int) -> None:
        inbox_client = self.inbox_client(n)

        async def do() -> None:
            if inbox_client.connection is not None:
                inbox_client.connection.read_on()

        self.run(do)

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────────

    @rule()
    def settle_down(self) -> None:
        """The last publications arrive, everybody reads on or comes back: all screens show the present."""
        self.held_back.clear()
        self.inboxes.overtake = None
        for who in range(len(self.people)):
            self.deliver(who, 1)
        for inbox_client, user in self.owner.items():
            if inbox_client.connection is not None:
                inbox_client.connection.read_on()
                self.run(settled)
            if inbox_client.connection is None or inbox_client.connection.over:
                asked = (
                    {}
                    if inbox_client.offset is None
                    else {"epoch": inbox_client.epoch, "offset": inbox_client.offset}
                )
                self.run(self._connect, inbox_client, WS_PATH, asked)
            assert screen_of(inbox_client) == truth(self.inboxes, user)

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            try:
                self.settle_down()
            finally:
                self.loop.run_until_complete(self.server.close())
                self.loop.close()


TestDevices = Devices.TestCase
TestDevices.settings = settings(stateful_step_count=30)
