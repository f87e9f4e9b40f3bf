"""Whoever logs in and out, reinstalls and gets new tokens in whatever order: nobody gets another person's message, and
nobody gets one twice."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from clarion.adapters.ledgers.memory import Tables
from clarion.errors import NotFound
from clarion.model.channel import Channel
from clarion.model.device import Platform
from clarion.model.ids import Instant, MessageId
from clarion.model.outcome import Accepted, Gone, Outcome, Retry
from clarion.model.setup import Category
from clarion.model.user import UserPut
from clarion.services.devices import Registration
from clarion.testing.ports import ManualClock
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine, Store, workflow
from tests.needs import examples
from tests.postgresql_ledgers import new_database

pytestmark = pytest.mark.timeout(600)
"""Hundreds of histories are one test; the machine may have much else to do."""

USERS = ("ada", "bob", "cyd")
PING = workflow("ping", channel=Channel.PUSH)

who, phone, yes = st.sampled_from(USERS), st.integers(0, 1), st.booleans()
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("log in"), phone, who),
        st.tuples(st.just("log out"), phone),
        st.tuples(st.just("late log-out"), phone, who),
        st.tuples(st.just("uninstall"), phone),
        st.tuples(st.just("install"), phone, yes),
        st.tuples(st.just("new token"), phone, yes),
        st.tuples(st.just("stale report"), phone),
        st.tuples(st.just("send"), who),
        st.tuples(st.just("busy"), yes),
        st.tuples(st.just("pass"), st.sampled_from((1, 70, 700))),
        st.tuples(st.just("crash")),
    ),
    min_size=4,
    max_size=30,
)


class Phone:
    """A phone with one app. `person` is who logged in on it, until they log out."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.person: str | None = None
        self.installs = self.tokens = 1
        self.installed = True
        self.working = {self.token}
        """The tokens that reach it: an old one may, beside a new one."""
        self.told = ""
        """The token that this installation has registered for `person`."""

    @property
    def install(self) -> str:
        return f"install-{self.number}-{self.installs}"

    @property
    def token(self) -> str:
        return f"token-of-phone-{self.number}-{self.tokens}"


class PushService(RecordingProvider):
    """Knows which phone a token reaches, and when the others were lost."""

    def __init__(self, clock: ManualClock, phones: Sequence[Phone]) -> None:
        super().__init__(batch=20)
        self.clock = clock
        self.phones = phones
        self.busy = False
        self.lost: dict[str, Instant] = {}
        self.stale: set[str] = set()
        """Tokens that it reports as lost once more, although they work again."""
        self.got: Counter[tuple[MessageId, int]] = Counter()
        """How often a phone got a message."""
        self.broken: list[str] = []

    async def send(self, batch: Any) -> list[Outcome]:
        return [self._sent(outgoing) for outgoing in batch]

    def _sent(self, outgoing: Any) -> Outcome:
        token = outgoing.contact.address.removeprefix("fcm:")
        if self.busy:
            return Retry(after_s=30)
        if token in self.stale:
            self.stale.discard(token)
            return Gone(since=self.lost[token])
        reached = [one for one in self.phones if token in one.working]
        if not reached:
            return Gone(since=self.lost[token])
        (phone,) = reached
        if phone.person != outgoing.user.id:
            self.broken.append(f"a message to {outgoing.user.id} is shown to {phone.person}")
        place = outgoing.message.id, phone.number
        self.got[place] += 1
        if self.got[place] > 1:
            self.broken.append(f"phone {phone.number} shows a message to {outgoing.user.id} twice")
        return Accepted()


class History:
    """One engine, two phones, and what is done with them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = ManualClock()
        self.phones = (Phone(0), Phone(1))
        self.service = PushService(self.clock, self.phones)

    async def begin(self) -> None:
        self.engine = await Engine(self.store, self.clock, self.service, 1).open()
        await self.engine.create_setup(PING, categories=(Category(key="news"),))
        await self.engine.ledger.users.put(self.engine.tenant, [UserPut(id=name) for name in USERS])

    async def do(self, step: Any) -> None:
        self.clock.advance(0.5)
        match step:
            case ("send", user):
                await self.engine.trigger("ping", user)
                await self.engine.until_idle()
            case ("busy", busy):
                self.service.busy = busy
            case ("pass", seconds):
                await self.engine.pass_time(seconds)
            case ("crash",):
                await self.engine.crash()
                await self.begin()
            case (what, number, *more):
                await self.on_phone(what, self.phones[number], *more)

    async def on_phone(self, what: str, phone: Phone, *more: Any) -> None:
        match (what, *more):
            case ("log in", user):
                await self.log_in(phone, user)
            case ("log out",):
                if phone.person and phone.installed:
                    await self.log_out(phone, phone.person)
            case ("late log-out", user):
                await self.log_out(phone, user)
            case ("uninstall",):
                self.uninstall(phone)
            case ("install", new):
                self.install(phone, new=new)
            case ("new token", told):
                await self.renew(phone, told=told)
            case ("stale report",):
                if phone.token in self.service.lost:
                    self.service.stale.add(phone.token)

    async def log_in(self, phone: Phone, user: str) -> None:
        """The app registers: from the answer on the phone is theirs, and until then it is as it was."""
        if not phone.installed:
            return
        person = (await self.engine.ledger.users.find(self.engine.tenant, [user]))[user]
        said = Registration(platform=Platform.ANDROID, token=phone.token)
        await self.engine.services.devices.log_in(person, phone.install, said)
        phone.person, phone.told = user, phone.token

    async def log_out(self, phone: Phone, user: str) -> None:
        person = (await self.engine.ledger.users.find(self.engine.tenant, [user]))[user]
        try:
            await self.engine.services.devices.log_out(person, phone.install)
        except NotFound:
            return
        phone.person = None

    def uninstall(self, phone: Phone) -> None:
        for token in phone.working:
            self.service.lost[token] = self.clock.now()
        phone.installed, phone.working = False, set()

    def install(self, phone: Phone, *, new: bool) -> None:
        """The app is new and knows nobody; its token may be the one that it had before."""
        if phone.installed:
            self.uninstall(phone)
        phone.installs += 1
        phone.tokens += new
        phone.installed, phone.working, phone.told = True, {phone.token}, ""

    async def renew(self, phone: Phone, *, told: bool) -> None:
        """The token before still works. The app says so at once, or was killed before it could."""
        if phone.installed:
            phone.tokens += 1
            phone.working.add(phone.token)
            if told and phone.person and phone.told:
                await self.log_in(phone, phone.person)

    async def end(self) -> None:
        """Whoever's app has told its token is reached, once on each phone."""
        self.service.busy = False
        self.service.stale.clear()
        await self.engine.pass_time(700)
        self.service.got.clear()
        for user in USERS:
            await self.engine.trigger("ping", user)
        await self.engine.pass_time(10)
        for phone in self.phones:
            shown = sum(count for (_, number), count in self.service.got.items() if number == phone.number)
            reachable = phone.installed and phone.person is not None and phone.told in phone.working
            if reachable and not shown:
                self.service.broken.append(f"phone {phone.number} of {phone.person} is not reached")
        await self.engine.stop()


async def _live_through(store: Store, steps: Sequence[Any]) -> None:
    history = History(store)
    await history.begin()
    for step in steps:
        await history.do(step)
    await history.end()
    assert history.service.broken == []


MOVES_WHILE_BUSY = [("log in", 0, "ada"), ("busy", True), ("send", "ada"), ("log in", 0, "bob")]
COMES_BACK = [
    ("log in", 0, "ada"),
    ("uninstall", 0),
    ("send", "ada"),
    ("install", 0, False),
    ("log in", 0, "ada"),
    ("stale report", 0),
    ("send", "ada"),
]


@example(steps=MOVES_WHILE_BUSY)
@example(steps=COMES_BACK)
@given(steps=STEPS)
@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow])
def test_a_phone_shows_its_own_persons_messages_and_each_once(steps):
    """On a ledger in one file, with crashes."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        asyncio.run(_live_through(Path(folder), steps))


@example(steps=MOVES_WHILE_BUSY)
@example(steps=COMES_BACK)
@given(steps=STEPS)
@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow])
def test_the_same_on_a_ledger_that_outlives_its_engines(steps):
    """As behind a network."""
    asyncio.run(_live_through(Tables(), steps))


@given(steps=STEPS)
@settings(
    max_examples=examples(3),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_the_same_on_a_server(postgresql, steps):
    """A few times: each step is many transactions."""

    async def live_through() -> None:
        await _live_through(await new_database(postgresql), steps)

    asyncio.run(live_through())


def test_the_history_would_see_a_message_of_somebody_else():
    """A phone that changes hands without a log-in is noticed: the test can fail."""

    async def swapped() -> list[str]:
        history = History(Tables())
        await history.begin()
        await history.do(("log in", 0, "ada"))
        history.phones[0].person = "bob"
        await history.do(("send", "ada"))
        await history.engine.stop()
        return history.service.broken

    assert asyncio.run(swapped()) == ["a message to ada is shown to bob"]
