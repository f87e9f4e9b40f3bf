"""Whatever is planned, claimed, settled, reported and moved by hand: the ledgers answer alike, and store the same."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from clarion.adapters.ledgers.memory import MemoryLedger
from clarion.adapters.ledgers.postgresql.ledger import PostgresLedger
from clarion.adapters.ledgers.sqlite import SqliteLedger
from clarion.adapters.vaults.local import LocalVault
from clarion.model.channel import Channel, Lane
from clarion.model.ids import Instant, MessageId
from clarion.model.inbox import CaptureFilter
from clarion.model.message import Message, MessageFilter
from clarion.model.plan import PlanCommit
from clarion.model.receipt import ReceiptKind
from clarion.model.settlement import ReceiptEffect
from clarion.model.status import Reason, Status
from clarion.model.suppression import SuppressionFilter
from clarion.ports.ledger import Store
from clarion.testing.ledger_contract import LedgerSubject
from clarion.testing.ledger_contract.spending import charge as payment
from clarion.testing.ledger_contract.subject import later, rungs
from clarion.testing.ports import ManualClock, SeededRandom
from tests.ledger_files import new_ledger
from tests.needs import examples
from tests.postgresql_ledgers import new_database

KEYS = [bytes([n]) * 16 for n in range(2)]
CHANNELS = (Channel.EMAIL, Channel.IN_APP)
PLACES = st.integers(0, 11)
ENDS = ("sent", "failed", "retry", "unknown", "in doubt later", "gone")
MARKS = ("seen", "read", "unread", "archived", "unarchived")
RECEIPTS = (ReceiptKind.DELIVERED, ReceiptKind.BOUNCED, ReceiptKind.OPENED, ReceiptKind.COMPLAINED)

WISH = st.tuples(
    st.booleans(),
    st.sampled_from(CHANNELS),
    st.none() | st.integers(1, 3),
    st.none() | st.sampled_from(KEYS),
    st.none() | st.sampled_from(KEYS),
    st.none() | st.sampled_from(KEYS),
    st.sampled_from([None, None, 0, 40]),
)
"""Whether it is for Bob, its channel, limit of its cap, keys of dedupe, collapse and thread, and how long it waits."""
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("plan"), st.lists(WISH, min_size=1, max_size=3)),
        st.tuples(st.just("plan"), st.lists(WISH, min_size=1, max_size=3)),
        st.tuples(st.just("ladder"), st.sampled_from(("sent", "delivered", "seen"))),
        st.tuples(st.just("plan_again"), PLACES),
        st.tuples(st.just("claim"), st.sampled_from(CHANNELS), st.integers(1, 3)),
        st.tuples(st.just("settle"), st.lists(st.tuples(PLACES, st.sampled_from(ENDS)), max_size=3)),
        st.tuples(st.just("settle"), st.lists(st.tuples(PLACES, st.sampled_from(ENDS)), max_size=3)),
        st.tuples(st.just("call"), st.lists(PLACES, min_size=1, max_size=3)),
        st.tuples(st.just("charge"), PLACES),
        st.tuples(st.just("pay"), st.lists(PLACES, min_size=1, max_size=3)),
        st.tuples(st.just("receive"), st.lists(st.tuples(PLACES, st.sampled_from(RECEIPTS)), max_size=3)),
        st.tuples(st.just("cancel"), PLACES),
        st.tuples(st.just("cancel_event"), PLACES),
        st.tuples(st.just("requeue"), st.none() | st.lists(PLACES, max_size=3)),
        st.tuples(st.just("mark"), st.booleans(), st.sampled_from(MARKS), st.lists(PLACES, max_size=3)),
        st.tuples(st.just("erase")),
        st.tuples(st.just("crash")),
        st.tuples(st.just("give_back"), PLACES),
        st.tuples(st.just("wait"), st.sampled_from((1, 30, 3_700))),
    ),
    min_size=3,
    max_size=25,
)


class Story:
    """What happens to one ledger. Everything that is made here is the same for every ledger."""

    def __init__(self, subject: LedgerSubject) -> None:
        self.subject = subject
        self.ledger = subject.ledger
        self.plans: list[PlanCommit] = []
        self.messages: list[MessageId] = []
        self.held: list[Message] = []

    async def tell(self, step: tuple[Any, ...]) -> object:
        """One step; what the ledger answers. Nothing happens to what is not there."""
        what, *given = step
        return await getattr(self, what)(*given)

    async def plan(self, wishes: Sequence[tuple[Any, ...]]) -> object:
        return await self._plan(self._planned(wishes))

    async def ladder(self, until: str) -> object:
        channels = Channel.IN_APP, Channel.EMAIL
        return await self._plan(self.subject.plan_of(*rungs(self.subject, *channels, until=until)))

    async def plan_again(self, place: int) -> object:
        return await self.ledger.plans.commit(self.plans[place % len(self.plans)]) if self.plans else None

    async def claim(self, channel: Channel, limit: int) -> object:
        claimed = await self.subject.claim(Lane.NORMAL, channel, limit)
        self.held += claimed
        return list(claimed)

    async def settle(self, ends: Sequence[tuple[int, str]]) -> object:
        batch = [self._settlement(self._held(place), end) for place, end in ends if self.held]
        return await self.ledger.messages.settle(self.subject.worker, batch)

    async def call(self, places: Sequence[int]) -> object:
        batch = {m.id: m for m in [self._held(place) for place in places if self.held]}
        return await self.subject.call(*batch.values())

    async def give_back(self, place: int) -> object:
        if self.held:
            await self.ledger.leases.give_back(self.subject.worker, [self._held(place)], self.subject.now)
        return None

    async def crash(self) -> object:
        """What the dead worker held is due, and it goes on believing that it holds it."""
        return await self.subject.replace_worker()

    async def charge(self, place: int) -> object:
        """As for what was claimed: what goes on is held as counted; nothing is counted for the erased."""
        if not self.held:
            return None
        message = self._held(place)
        if not await self.ledger.users.get([message.user]):
            return None
        over = await self.ledger.plans.charge([self.subject.charge(message, 2)])
        self.held = [replace(m, charged=True) if m is message and not over else m for m in self.held]
        return over

    async def pay(self, places: Sequence[int]) -> object:
        """For the next calls of these, out of a budget for three."""
        held = [self._held(place) for place in places if self.held]
        return await self.ledger.spending.charge([payment(self.subject, m, attempt=m.attempt) for m in held])

    async def receive(self, reports: Sequence[tuple[int, ReceiptKind]]) -> object:
        found = await self.ledger.receipts.messages(self.messages)
        effects = [self._effect(found[self._id(place)], kind) for place, kind in reports if found]
        return list(await self.ledger.receipts.receive(effects))

    async def cancel(self, place: int) -> object:
        if not self.messages:
            return None
        return await self.ledger.records.cancel(
            self.subject.tenant, self._id(place), self.subject.now, frozenset()
        )

    async def cancel_event(self, place: int) -> object:
        found = await self.ledger.receipts.messages([self._id(place)] if self.messages else [])
        return [
            await self.ledger.events.cancel(m.event_id, self.subject.now, frozenset()) for m in found.values()
        ]

    async def requeue(self, places: Sequence[int] | None) -> object:
        ids = None if places is None else [self._id(place) for place in places if self.messages]
        where, subject = MessageFilter(), self.subject
        return await self.ledger.records.requeue(subject.tenant, where, ids, subject.now, 100, {})

    async def mark(self, is_bob: bool, action: Any, places: Sequence[int]) -> object:
        user = self.subject.bob if is_bob else self.subject.ada
        ids = [self._id(place) for place in places if self.messages]
        return await self.ledger.inboxes.mark(user.no, action, ids, self.subject.now)

    async def erase(self) -> object:
        return await self.ledger.users.delete(self.subject.tenant, "bob")

    async def wait(self, seconds: int) -> object:
        self.subject.clock.advance(seconds)
        return None

    def _planned(self, wishes: Sequence[tuple[Any, ...]]) -> PlanCommit:
        subject = self.subject
        messages = []
        for is_bob, channel, *_, waits_s in wishes:
            message = subject.planned(subject.bob if is_bob else subject.ada, channel=channel)
            messages.append(message if waits_s is None else later(message, waits_s))
        wished = list(zip(messages, wishes, strict=True))
        return subject.plan_of(
            *messages,
            charges=tuple(subject.charge(m, w[2]) for m, w in wished if w[2] and m.status is Status.QUEUED),
            dedupes=tuple(subject.dedupe(m, w[3]) for m, w in wished if w[3]),
            collapses=tuple(subject.collapse(m, w[4]) for m, w in wished if w[4]),
            turns=tuple(subject.turn(m, w[5]) for m, w in wished if w[5]),
        )

    async def _plan(self, plan: PlanCommit) -> object:
        result = await self.subject.ledger.plans.commit(plan)
        self.plans.append(plan)
        self.messages += [m.id for m in plan.messages]
        charged = {charge.message_id for charge in plan.charges}
        self.held += [
            replace(m, charged=m.id in charged)
            for m in plan.messages
            if m.fence and m.id not in result.changed
        ]
        return result

    def _held(self, place: int) -> Message:
        return self.held[-1 - place % len(self.held)]

    def _id(self, place: int) -> MessageId:
        return self.messages[-1 - place % len(self.messages)]

    def _settlement(self, message: Message, end: str) -> Any:
        subject = self.subject
        due = Instant(subject.now + 5_000)
        record = subject.item(message) if message.channel is Channel.IN_APP else subject.captured(message)
        said: dict[str, dict[str, Any]] = {
            "sent": {
                "status": Status.DELIVERED if message.channel is Channel.IN_APP else Status.SENT,
                "outcome": "accepted",
                "provider_id": "p",
                "record": record,
                "cancels": message.later_rungs if message.until else (),
            },
            "failed": {
                "status": Status.FAILED,
                "reason": Reason.TEMPLATE_ERROR,
                "detail": "why",
                "advances": message.later_rungs[0] if message.later_rungs else None,
            },
            "retry": {
                "status": Status.DEFERRED,
                "reason": Reason.RETRY,
                "due_at": due,
                "outcome": "retry",
            },
            "unknown": {"status": Status.FAILED, "reason": Reason.OUTCOME_UNKNOWN, "outcome": "unknown"},
            "in doubt later": {
                "status": Status.DEFERRED,
                "reason": Reason.RETRY,
                "due_at": due,
                "outcome": "unknown",
                "unknowns": message.unknowns + 1,
            },
            "gone": {
                "status": Status.BOUNCED,
                "reason": Reason.ADDRESS_GONE,
                "outcome": "gone",
                "suppressions": subject.gone(subject.ada.profile.contacts[0].hash),
            },
        }
        fields = said[end]
        return subject.settlement(message, fields.pop("status"), paid=True, **fields)

    def _effect(self, message: Message, kind: ReceiptKind) -> ReceiptEffect:
        status = {ReceiptKind.DELIVERED: Status.DELIVERED, ReceiptKind.BOUNCED: Status.BOUNCED}.get(kind)
        return ReceiptEffect(
            message=message,
            kind=kind,
            at=self.subject.now,
            status=status,
            reason=Reason.ADDRESS_GONE if status is Status.BOUNCED else None,
            cancels=message.later_rungs if message.until == "delivered" else (),
        )

    async def state(self) -> object:
        """Everything that can be read."""
        subject, ledger = self.subject, self.subject.ledger
        messages, _ = await ledger.records.page(subject.tenant, MessageFilter(), None, 1_000)
        events = {m.event_id for m in messages}
        return {
            "messages": list(messages),
            "timelines": [
                [replace(change, seq=0) for change in await ledger.records.changes(subject.tenant, m.id)]
                for m in messages
            ],
            "inboxes": [
                (list(await ledger.inboxes.since(user.no, 0, 1_000)), await ledger.inboxes.head(user.no))
                for user in (subject.ada, subject.bob)
            ],
            "captures": [
                replace(one, seq=0)
                for one in await ledger.captures.page(subject.tenant, CaptureFilter(), None, 1_000)
            ],
            "spending": list(await ledger.spending.spent(subject.tenant, "0000", "9999")),
            "costs": sorted(
                await ledger.spending.costs([m.id for m in messages]), key=lambda one: one.message_id
            ),
            "suppressions": list(
                await ledger.suppressions.page(subject.tenant, SuppressionFilter(), None, 1_000)
            ),
            "users": [
                (user.id, user.no, user.revision, user.suppressed)
                for user in await ledger.users.page(subject.tenant, None, 10)
            ],
            "sending": await ledger.records.page(
                subject.tenant, MessageFilter(statuses=frozenset({Status.SENDING})), None, 1_000
            ),
            "due": set(await ledger.messages.due(subject.now)),
            "depth": await ledger.messages.depth(),
            "events": await ledger.events.page(subject.tenant, None, b"\xff" * 17, 1_000),
            "found": {
                one: await ledger.events.found(subject.tenant, one, None, 1_000, 1_000) for one in events
            },
            "runs": {one: list(await ledger.plans.runs_of(subject.tenant, one, None)) for one in events},
            "soft bounces": list(
                await ledger.receipts.soft_bounces([subject.ada.no], Channel.EMAIL, Instant(0))
            ),
        }


async def _agree(
    ledgers: Sequence[Callable[[Tools], Awaitable[Store]]], steps: list[tuple[Any, ...]]
) -> None:
    stories = []
    for opened in ledgers:
        clock, random = ManualClock(), SeededRandom()
        ledger = await opened(Tools(LocalVault(b"k" * 32, random), clock, random))
        stories.append(Story(await LedgerSubject(ledger, clock, SeededRandom(7)).create_setup()))
    ours, referee = stories
    try:
        for step in steps:
            assert await ours.tell(step) == await referee.tell(step), step
            assert await ours.state() == await referee.state(), step
    finally:
        await ours.subject.ledger.close()


class Tools(NamedTuple):
    """What a ledger is opened with."""

    vault: LocalVault
    clock: ManualClock
    random: SeededRandom


async def in_memory(tools: Tools) -> Store:
    """The referee."""
    return MemoryLedger(**tools._asdict())


@given(STEPS)
@example(
    [
        ("plan", [(False, Channel.EMAIL, None, None, None, None, None)]),
        ("ladder", "delivered"),
        ("receive", [(1, ReceiptKind.DELIVERED), (0, ReceiptKind.OPENED)]),
    ]
)  # The first receipt cancels the message of the second.
@settings(max_examples=examples(120), suppress_health_check=[HealthCheck.too_slow])
def test_ledgers_agree(steps):
    """After every step, in everything that can be asked."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:

        async def in_sqlite(tools: Tools) -> Store:
            return SqliteLedger.open(new_ledger(Path(folder) / "clarion.db"), **tools._asdict())

        asyncio.run(_agree([in_sqlite, in_memory], steps))


@given(steps=STEPS)
@settings(
    max_examples=examples(8),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_postgresql_agrees(postgresql, steps):
    """Just so, on a server."""

    async def in_postgresql(tools: Tools) -> Store:
        return await PostgresLedger.open(await new_database(postgresql), **tools._asdict())

    asyncio.run(_agree([in_postgresql, in_memory], steps))
