"""The exact checks keep their promises, whatever is planned and however it is cut into plans and transactions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, NamedTuple, TypeVar

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from clarion.model.channel import Channel, Lane
from clarion.model.ids import (
    EventId,
    Instant,
    MessageId,
    TenantId,
    UserNo,
    WorkerId,
    message_id,
    new_event_id,
    run_id,
)
from clarion.model.message import ChannelDecision, Message, Run
from clarion.model.plan import CapCharge, Collapse, DedupeClaim, PlanCommit, ThreadSlot
from clarion.model.status import ACTIVE, SUCCEEDED, Reason, Status
from clarion.rules.exact import (
    ON_ITS_WAY,
    Counted,
    Counts,
    Decisions,
    DedupeHolder,
    KeyHolder,
    Stored,
    Waiting,
    counts_from,
    decide,
    recount,
)

T = TypeVar("T")

KEYS = [bytes([n]) * 16 for n in range(2)]
WINDOW_S = 60
START = 1_700_000_000_000


class Cap(NamedTuple):
    """A frequency cap of the shop."""

    category: str
    channel: Channel | None
    limit: int

    def counts(self, message: Message) -> bool:
        """Whether it looks at a message."""
        return self.category in ("", message.category) and self.channel in (None, message.channel)


class Wish(NamedTuple):
    """One message and the checks it asks for; a key of None asks for none."""

    user: UserNo
    category: str
    channel: Channel
    capped: bool
    dedupe: bytes | None
    collapse: bytes | None
    thread: bytes | None
    stopped: bool
    canceled: bool


class Pass(NamedTuple):
    """Time goes by."""

    seconds: int


class End(NamedTuple):
    """A message that may be sent, counted from the oldest, ends like this; so does whoever waits for it go on."""

    place: int
    status: Status


class Cancel(NamedTuple):
    """A message that has not ended, counted from the oldest, is canceled, also while it waits for its turn."""

    place: int


WISH = st.builds(
    Wish,
    user=st.sampled_from([UserNo(1), UserNo(1), UserNo(2)]),
    category=st.sampled_from(["news", "offers"]),
    channel=st.sampled_from([Channel.EMAIL, Channel.EMAIL, Channel.SMS]),
    capped=st.sampled_from([True, True, False]),
    dedupe=st.none() | st.sampled_from(KEYS),
    collapse=st.sampled_from([None, *KEYS]),
    thread=st.sampled_from([None, *KEYS]),
    stopped=st.integers(0, 9).map(lambda n: n == 9),
    canceled=st.integers(0, 9).map(lambda n: n == 9),
)
STEPS = st.lists(
    WISH
    | WISH
    | st.builds(Pass, st.integers(1, 50))
    | st.builds(End, st.integers(0, 3), st.sampled_from([Status.SENT, Status.FAILED]))
    | st.builds(Cancel, st.integers(0, 3)),
    min_size=5,
    max_size=30,
)
CAPS = st.lists(
    st.builds(
        Cap,
        category=st.sampled_from(["", "", "news", "offers"]),
        channel=st.sampled_from([None, None, Channel.EMAIL, Channel.SMS]),
        limit=st.integers(1, 3),
    ),
    max_size=3,
    unique_by=lambda cap: cap[:2],
).map(tuple)


class Shop:
    """Everything that is stored, in dicts; it does with decisions what every store does."""

    def __init__(self, caps: tuple[Cap, ...]) -> None:
        self.caps = caps
        self.now = Instant(START)
        self.messages: dict[MessageId, Message] = {}
        self.counted: dict[MessageId, Instant | None] = {}
        self.dedupes: dict[bytes, DedupeHolder] = {}
        self.collapses: dict[bytes, MessageId] = {}
        self.threads: dict[bytes, MessageId] = {}
        self.canceled: set[EventId] = set()
        self.wishes: dict[MessageId, Wish] = {}
        self.memory: Counts | None = None
        """Of what counts, when this store has one."""
        self._numbers = count()

    def message(self, wish: Wish) -> Message:
        """A message as a planner makes it."""
        event = new_event_id(self.now, next(self._numbers).to_bytes(10, "big"))
        if wish.canceled:
            self.canceled.add(event)
        run = run_id(event, "flow", wish.user)
        made = Message(
            id=message_id(run, "send", wish.channel),
            tenant=TenantId(1),
            user=wish.user,
            event_id=event,
            workflow="flow",
            workflow_version=1,
            category=wish.category,
            step="send",
            template="note",
            channel=wish.channel,
            lane=Lane.NORMAL,
            status=Status.SUPPRESSED if wish.stopped else Status.QUEUED,
            reason=Reason.OPTED_OUT if wish.stopped else None,
            due_at=None if wish.stopped else Instant(self.now + 1000),
            created_at=self.now,
            fence=0 if wish.stopped else 1,
        )
        self.wishes[made.id] = wish
        return made

    def charges(self, message: Message) -> tuple[CapCharge, ...]:
        """What the shop's caps say about it."""
        return tuple(
            CapCharge(
                message_id=message.id,
                user=message.user,
                category=cap.category,
                channel=cap.channel,
                scope=f"{cap.category}/{cap.channel}",
                limit=cap.limit,
                window_s=WINDOW_S,
                at=self.now,
            )
            for cap in self.caps
            if cap.counts(message)
        )

    def plan(self, messages: list[tuple[Message, tuple[CapCharge, ...]]]) -> PlanCommit:
        """One plan of these."""
        asked = [(m, self.wishes[m.id], run_id(m.event_id, "flow", m.user)) for m, _ in messages]
        return PlanCommit(
            worker=WorkerId(1),
            runs=tuple(_run(m) for m, _ in messages),
            messages=tuple(m for m, _ in messages),
            charges=tuple(c for m, charges in messages if self.wishes[m.id].capped for c in charges),
            dedupes=tuple(
                DedupeClaim(
                    run_id=run,
                    key=wish.dedupe,
                    expires_at=Instant(m.created_at + WINDOW_S * 1000),
                    at=m.created_at,
                )
                for m, wish, run in asked
                if wish.dedupe
            ),
            collapses=tuple(
                Collapse(message_id=m.id, key=_of_user(m, wish.collapse))
                for m, wish, _ in asked
                if wish.collapse
            ),
            turns=tuple(
                ThreadSlot(message_id=m.id, key=_of_user(m, wish.thread))
                for m, wish, _ in asked
                if wish.thread
            ),
        )

    def commit(self, *plans: PlanCommit) -> Decisions:
        """One transaction."""
        counts = self.memory or Counts()
        missing = counts.missing([charge for plan in plans for charge in plan.charges])
        if missing is not None:
            counts.learn(
                missing,
                [
                    (_counted(self.messages[id_]), at)
                    for id_, at in self.counted.items()
                    if at is not None and at > missing.since and self.messages[id_].user in missing.users
                ],
            )
        runs = {run.id: run for plan in plans for run in plan.runs}
        decisions = decide(
            plans,
            Stored(
                counts=counts,
                known={m.id for plan in plans for m in plan.messages if m.id in self.messages}
                | {id_ for id_, run in runs.items() if run.channels[0].message_id in self.messages},
                canceled=self.canceled,
                dedupes=self.dedupes,
                collapses={key: self.holder(id_) for key, id_ in self.collapses.items()},
                threads={key: self.last(id_) for key, id_ in self.threads.items()},
            ),
        )
        for message in decisions.messages:
            self.messages[message.id] = message
            self.counted[message.id] = ON_ITS_WAY if message.charged else None
        for id_ in decisions.threaded:
            self.messages[id_] = replace(self.messages[id_], threaded=True)
        for id_, at in decisions.superseded.items():
            self.counted[id_] = None
            self.finish(id_, Status.MERGED, Reason.SUPERSEDED, at)
        self.dedupes |= {
            key: DedupeHolder(claim.run_id, claim.expires_at) for key, claim in decisions.dedupes.items()
        }
        self.collapses |= decisions.collapses
        self.threads |= decisions.threads
        return decisions

    def holder(self, id_: MessageId) -> KeyHolder:
        """Of a key."""
        message = self.messages[id_]
        return KeyHolder(id_, message.status, _counted(message), self.counted[id_], message.waits_for)

    def last(self, id_: MessageId) -> KeyHolder:
        """Of a thread: what ended while it waited left its place to what it waited for."""
        holder = self.holder(id_)
        while holder.status not in ACTIVE and holder.waits_for is not None:
            holder = self.holder(holder.waits_for)
        return holder

    def end(self, step: End) -> None:
        """A message is sent, or fails; whoever waited for it goes on if the caps let it."""
        going = [m for m in self.messages.values() if m.status is Status.QUEUED]
        if step.place >= len(going):
            return
        message = going[step.place]
        if message.charged:
            at = counts_from(step.status, None, self.now)
            if self.memory is not None:
                self.memory.move(_counted(message), ON_ITS_WAY, at)
            self.counted[message.id] = at
        self.finish(message.id, step.status, None, self.now)
        self.wake_all()

    def cancel(self, step: Cancel) -> None:
        """It goes no more, and counts no more."""
        active = [m for m in self.messages.values() if m.status in ACTIVE]
        if step.place >= len(active):
            return
        message = active[step.place]
        if self.memory is not None:
            self.memory.move(_counted(message), self.counted[message.id], None)
        self.counted[message.id] = None
        self.finish(message.id, Status.CANCELED, Reason.CANCELED_BY_CALLER, self.now)
        self.wake_all()

    def wake_all(self) -> None:
        """Whoever has its turn starts."""
        for woken in [m for m in self.messages.values() if m.status is Status.DEFERRED and not m.waits_for]:
            self.wake(woken)

    def wake(self, message: Message) -> None:
        """What has its turn starts, unless it is over a cap."""
        charges = self.charges(message) if self.wishes[message.id].capped else ()
        charged, status = False, Status.QUEUED
        if charges:
            counts = self.memory or Counts()
            missing = counts.missing(charges)
            if missing is not None:
                counts.learn(
                    missing,
                    [(_counted(self.messages[i]), at) for i, at in self.counted.items() if at is not None],
                )
            going, over = recount(counts, [Waiting(message.id, _counted(message), None)], charges)
            assert [*going, *over] == [message.id]
            charged, status = bool(going), Status.QUEUED if going else Status.THROTTLED
            self.counted[message.id] = ON_ITS_WAY if going else None
        self.messages[message.id] = replace(message, status=status, charged=charged)
        if status is Status.THROTTLED:
            self.finish(message.id, status, Reason.FREQUENCY_CAP, self.now)

    def finish(self, id_: MessageId, status: Status, reason: Reason | None, at: Instant) -> None:
        """It ended, and whoever waits for it has its turn, or waits for what is in front of it."""
        ahead = self.messages[id_].waits_for
        self.messages[id_] = replace(
            self.messages[id_], status=status, reason=reason, due_at=None, charged=False
        )
        for waiter in [m for m in self.messages.values() if m.waits_for == id_ and m.status in ACTIVE]:
            due_at = at if ahead is None else None
            self.messages[waiter.id] = replace(waiter, waits_for=ahead, due_at=due_at)

    def check_caps(self) -> None:
        """What counts in a window is never more than its cap."""
        for cap in self.caps:
            for user in (UserNo(1), UserNo(2)):
                uses = [
                    id_
                    for id_, at in self.counted.items()
                    if at is not None and at > self.now - WINDOW_S * 1000
                    if self.messages[id_].user == user and cap.counts(self.messages[id_])
                ]
                assert len(uses) <= cap.limit, (cap, user)

    def state(self) -> dict[str, Any]:
        """Everything there is to compare."""
        return {
            "messages": self.messages,
            "counted": self.counted,
            "dedupes": self.dedupes,
            "collapses": self.collapses,
            "threads": self.threads,
        }


def _run(m: Message) -> Run:
    channel = ChannelDecision(
        step="send", channel=m.channel, status=m.status, reason=m.reason, message_id=m.id
    )
    return Run(
        id=run_id(m.event_id, "flow", m.user),
        tenant=m.tenant,
        user=m.user,
        event_id=m.event_id,
        lane=m.lane,
        workflow="flow",
        workflow_version=1,
        at=m.created_at,
        channels=(channel,),
    )


def _of_user(message: Message, key: bytes) -> bytes:
    """Every key contains the user."""
    return bytes([message.user]) + key[1:]


def _counted(message: Message) -> Counted:
    return Counted(message.user, message.category, message.channel)


def cut(some: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Pieces of at most `size`."""
    return (some[at : at + size] for at in range(0, len(some), size))


def played(
    caps: tuple[Cap, ...],
    steps: list[Any],
    *,
    size: int = 1,
    together: int = 1,
    twice: bool = False,
    remembers: bool = False,
) -> Shop:
    """The shop behind these steps: wishes are planned `size` to a plan, and `together` plans to a transaction."""
    shop = Shop(caps)
    shop.memory = Counts() if remembers else None
    waiting: list[tuple[Message, tuple[CapCharge, ...]]] = []

    def flush() -> None:
        plans = [shop.plan(list(some)) for some in cut(waiting, size)]
        for some in cut(plans, together):
            shop.commit(*some)
            if twice:
                before = dict(shop.state())
                assert all(
                    d.known == {m.id for m in p.messages}
                    for d, p in zip(shop.commit(*some).results, some, strict=True)
                )
                assert shop.state() == before
        waiting.clear()
        shop.check_caps()

    for step in steps:
        match step:
            case Wish():
                message = shop.message(step)
                waiting.append((message, shop.charges(message)))
            case Pass():
                shop.now = Instant(shop.now + step.seconds * 1000)
            case End():
                flush()
                shop.end(step)
                shop.check_caps()
            case Cancel():
                flush()
                shop.cancel(step)
                shop.check_caps()
    flush()
    return shop


REPLACED = [
    Wish(UserNo(1), "news", Channel.EMAIL, True, None, KEYS[0], None, stopped=False, canceled=False),
    End(9, Status.SENT),
    Wish(UserNo(1), "news", Channel.EMAIL, True, None, KEYS[0], None, stopped=False, canceled=False),
    Wish(UserNo(1), "news", Channel.EMAIL, True, None, None, None, stopped=False, canceled=False),
]
"""A stored message is replaced, and its place below the cap is free for the next one of the same transaction."""


@given(CAPS, STEPS, st.integers(1, 5), st.integers(1, 5))
@example((Cap("", None, 2),), REPLACED, 1, 2)
def test_however_messages_are_cut_into_plans_and_transactions_all_end_the_same(caps, steps, size, together):
    """As if every message had been planned and stored alone; a store that remembers counts decides the same."""
    alone = played(caps, steps).state()
    assert played(caps, steps, size=size).state() == alone
    assert played(caps, steps, together=together).state() == alone
    assert played(caps, steps, size=size, together=together, remembers=True).state() == alone


@given(CAPS, STEPS, st.integers(1, 25))
def test_a_repeated_plan_changes_nothing(caps, steps, size):
    """All of it is known, and nothing is written."""
    assert played(caps, steps, size=size, twice=True).state() == played(caps, steps, size=size).state()


@given(STEPS)
def test_a_dedupe_key_lets_one_run_through_in_its_window(steps):
    """Whoever comes while the first holds it is merged; afterwards the next one is the first."""
    shop = played((), [step for step in steps if not (isinstance(step, Wish) and step.canceled)])
    held_until: dict[bytes, int] = {}
    for message in shop.messages.values():
        wish = shop.wishes[message.id]
        if wish.dedupe is None:
            continue
        duplicate = message.created_at < held_until.get(wish.dedupe, 0)
        assert (message.reason is Reason.DUPLICATE) == (duplicate and not wish.stopped)
        if not duplicate:
            held_until[wish.dedupe] = message.created_at + WINDOW_S * 1000


@given(CAPS, STEPS)
def test_messages_of_a_thread_go_one_after_the_other(caps, steps):
    """While one may be sent, all behind it wait."""
    for done in range(len(steps) + 1):
        shop = played(caps, steps[:done])
        threads: dict[bytes, list[Message]] = {}
        for message in shop.messages.values():
            key = shop.wishes[message.id].thread
            if key is not None and message.status in ACTIVE:
                threads.setdefault(_of_user(message, key), []).append(message)
        for _, *behind in threads.values():
            assert all(m.status is Status.DEFERRED and m.waits_for is not None for m in behind)


@given(STEPS)
def test_the_newest_message_of_a_collapse_key_replaces_those_that_have_not_started(steps):
    """No two of a key can be sent, and the newest of them is never the one that is replaced."""
    steps = [step for step in steps if not isinstance(step, Cancel)]
    shop = played((), [step._replace(thread=None) if isinstance(step, Wish) else step for step in steps])
    keys: dict[bytes, list[Message]] = {}
    for message in shop.messages.values():
        key = shop.wishes[message.id].collapse
        if key is not None and message.reason not in (
            Reason.OPTED_OUT,
            Reason.DUPLICATE,
            Reason.CANCELED_BY_CALLER,
        ):
            keys.setdefault(_of_user(message, key), []).append(message)
    for *older, newest in keys.values():
        assert newest.reason is not Reason.SUPERSEDED
        assert all(m.status not in ACTIVE for m in older)
        assert all(
            m.reason is Reason.SUPERSEDED for m in older if m.status not in (*SUCCEEDED, Status.FAILED)
        )
