"""The ledger a check runs on: one tenant, two users, one worker, and short ways to make messages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence, Set
from typing import Any, TypeVar

from msgspec.structs import replace

from clarion.flow.ledger import Ledger
from clarion.model.channel import Channel, Lane
from clarion.model.event import Consumed, Continuation, Entry
from clarion.model.ids import (
    EventId,
    Instant,
    MessageId,
    TenantId,
    UserNo,
    WorkerId,
    message_id,
    new_event_id,
    part_id,
    run_id,
)
from clarion.model.inbox import Captured, InboxItem
from clarion.model.message import ChannelDecision, Message, Run, StepTrace
from clarion.model.plan import CapCharge, Collapse, DedupeClaim, PlanCommit, PlanResult, ThreadSlot
from clarion.model.run import RunRow, RunStatus
from clarion.model.settlement import Settlement, SettleResult
from clarion.model.setup import StepType, Tenant
from clarion.model.status import Reason, Status
from clarion.model.suppression import Suppression
from clarion.model.user import Contact, Profile, User, UserPut
from clarion.model.worker import Process
from clarion.ports.ledger import Store
from clarion.testing.ports import ManualClock, SeededRandom

T = TypeVar("T")

LEASE_MS = 60_000
"""How long the lease of a worker lasts here."""


class LedgerSubject:
    """A ledger under test. Call `create_setup` before the check."""

    def __init__(self, store: Store, clock: ManualClock, random: SeededRandom) -> None:
        self.ledger = Ledger(store)
        self.clock = clock
        self.random = random
        self.tenant = TenantId(0)
        self.worker = WorkerId(0)
        """Who plans, claims and settles."""
        self.ada: User
        self.bob: User

    async def create_setup(self) -> LedgerSubject:
        """Create the tenant, the users and the worker."""
        self.tenant = (await self.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="acme"))).id
        self.ada = await self.put_user("ada", "ada@example.org")
        self.bob = await self.put_user("bob", "bob@example.org")
        self.worker = await self.open_worker()
        return self

    async def open_worker(self, process: Process | None = None) -> WorkerId:
        """Another worker, with a lease of a minute."""
        until = Instant(self.now + LEASE_MS)
        return await self.ledger.leases.open(process or Process(), self.now, until)

    async def replace_worker(self) -> int:
        """A minute passes, so that the worker is given up, and another one works; how many messages it had."""
        self.clock.advance(LEASE_MS / 1_000 + 1)
        self.worker = await self.open_worker()
        return await self.reap()

    async def reap(self) -> int:
        """Give up the workers whose lease ran out; how many messages are due by that."""
        messages = 0
        while (reaped := await self.ledger.leases.reap(self.now)).more:
            messages += reaped.messages
        return messages

    async def reread(self, user: User) -> User | None:
        """The user as of the last committed write; None: they are gone."""
        changed = await self.ledger.users.changed([user.seen])
        return changed.get(user.no, user)

    async def put_user(self, user_id: str, email: str = "", tenant: TenantId | None = None) -> User:
        """A user with an email address."""
        contacts = (Contact(channel=Channel.EMAIL, address=email),) if email else ()
        put = UserPut(id=user_id, profile=Profile(contacts=contacts))
        (user,) = await self.ledger.users.put(tenant or self.tenant, [put])
        return user

    @property
    def now(self) -> Instant:
        """The clock's time."""
        return self.clock.now()

    def event(self) -> EventId:
        """A new event's id."""
        return new_event_id(self.now, self.random.bytes(10))

    def entry(self, workflow: str = "news", lane: Lane = Lane.NORMAL, sealed: bytes = b"sealed") -> Entry:
        """An event as it lies in the log."""
        return Entry(
            event_id=self.event(),
            tenant=self.tenant,
            lane=lane,
            workflow=workflow,
            sealed=sealed,
            sealed_for=self.ada.no,
        )

    def left(self, entry: Entry, after: int = 1, **fields: Any) -> Continuation:
        """What is left of an event to a topic."""
        given: dict[str, Any] = {"tenant": entry.tenant, "lane": entry.lane, "due_at": self.now}
        given |= {"topic": "all"} | fields
        return Continuation(
            event_id=entry.event_id,
            workflow=entry.workflow,
            after=UserNo(after),
            setup_revision=3,
            **given,
        )

    def planned(self, user: User | None = None, *, event_id: EventId | None = None, **fields: Any) -> Message:
        """A message as the planner makes it: held by the worker unless `fence=0` is given."""
        event_id = event_id or self.event()
        user = user or self.ada
        workflow = fields.pop("workflow", "news")
        channel = fields.pop("channel", Channel.EMAIL)
        step = fields.pop("step", "send")
        status = fields.setdefault("status", Status.QUEUED)
        fence = fields.setdefault("fence", int(status is Status.QUEUED))
        if status in (Status.QUEUED, Status.DEFERRED):
            fields.setdefault("due_at", None if fence else self.now)
        return Message(
            id=message_id(run_id(event_id, workflow, user.no), step, channel),
            tenant=user.tenant,
            user=user.no,
            event_id=event_id,
            workflow=workflow,
            workflow_version=1,
            category=fields.pop("category", "updates"),
            step=step,
            template="note",
            channel=channel,
            lane=fields.pop("lane", Lane.NORMAL),
            created_at=self.now,
            updated_at=self.now,
            **fields,
        )

    def run(self, *messages: Message) -> Run:
        """The run that made these messages."""
        first = messages[0]
        return Run(
            id=run_id(first.event_id, first.workflow, first.user),
            tenant=first.tenant,
            user=first.user,
            event_id=first.event_id,
            lane=first.lane,
            workflow=first.workflow,
            workflow_version=first.workflow_version,
            at=first.created_at,
            channels=tuple(
                ChannelDecision(
                    step=m.step,
                    channel=m.channel,
                    status=m.status,
                    reason=m.reason,
                    due_at=m.due_at,
                    message_id=m.id,
                )
                for m in messages
            ),
        )

    def waiting(self, message: Message, **fields: Any) -> RunRow:
        """The row of this message's run, which waits behind it."""
        given: dict[str, Any] = {"due_at": self.now, "status": RunStatus.WAITING, "part": 1} | fields
        return RunRow(
            id=run_id(message.event_id, message.workflow, message.user),
            tenant=message.tenant,
            user=message.user,
            event_id=message.event_id,
            workflow=message.workflow,
            version=given.pop("version", 1),
            lane=message.lane,
            step=given.pop("step", "pause"),
            started_at=self.now,
            updated_at=self.now,
            sealed=given.pop("sealed", b"state"),
            **given,
        )

    def over(self, claimed: RunRow, status: RunStatus = RunStatus.FINISHED) -> RunRow:
        """The row of a claimed run that comes to its end."""
        return replace(claimed, status=status, due_at=None, sealed=None, updated_at=self.now)

    def going_on(self, claimed: RunRow, *messages: Message) -> Run:
        """What a claimed run planned when it went on."""
        run = self.run(*messages) if messages else None
        return Run(
            id=part_id(claimed.id, claimed.part),
            tenant=claimed.tenant,
            user=claimed.user,
            event_id=claimed.event_id,
            lane=claimed.lane,
            workflow=claimed.workflow,
            workflow_version=claimed.version,
            at=self.now,
            channels=() if run is None else run.channels,
            part=claimed.part,
            steps=(
                StepTrace(
                    step=claimed.step, type=StepType.WAIT, result="over", at=self.now, inputs={"late_ms": 3}
                ),
            ),
        )

    def plan_of(self, *messages: Message, **more: Any) -> PlanCommit:
        """A plan of these messages; those of one run are told by event, workflow and user."""
        runs: dict[bytes, list[Message]] = {}
        for m in messages:
            runs.setdefault(run_id(m.event_id, m.workflow, m.user), []).append(m)
        planned = tuple(self.run(*of_run) for of_run in runs.values())
        given: dict[str, Any] = {"worker": self.worker, "runs": planned} | more
        return PlanCommit(messages=messages, **given)

    async def plan(self, *messages: Message, **more: Any) -> PlanResult:
        """Commits `plan_of` these."""
        return await self.ledger.plans.commit(self.plan_of(*messages, **more))

    async def consume(self, *entries: Entry) -> PlanResult:
        """Entries of one lane are planned, and reach nobody."""
        consumed = Consumed(entries[0].lane, tuple(entry.seq for entry in entries))
        return await self.plan(consumed=consumed)

    def charge(self, message: Message, limit: int, **fields: Any) -> CapCharge:
        """Counts a message against the tenant's cap of `limit` an hour."""
        cap: dict[str, Any] = {"category": "", "channel": None, "scope": "tenant/*"}
        cap |= {"window_s": 3600, "at": self.now} | fields
        return CapCharge(message_id=message.id, user=message.user, limit=limit, **cap)

    def dedupe(self, message: Message, key: bytes = b"d" * 16, window_s: int = 3600) -> DedupeClaim:
        """Claims a dedupe key for the message's run."""
        return DedupeClaim(
            run_id=run_id(message.event_id, message.workflow, message.user),
            key=key,
            expires_at=Instant(self.now + window_s * 1000),
            at=self.now,
        )

    def collapse(self, message: Message, key: bytes = b"c" * 16) -> Collapse:
        """Collapses on a key."""
        return Collapse(message_id=message.id, key=key)

    def turn(self, message: Message, key: bytes = b"t" * 16) -> ThreadSlot:
        """Queues in a thread."""
        return ThreadSlot(message_id=message.id, key=key)

    def settlement(self, message: Message, status: Status = Status.SENT, **fields: Any) -> Settlement:
        """What became of a message."""
        said: dict[str, Any] = {
            "at": self.now,
            "attempt": message.attempt + 1,
            "integration": "main",
        } | fields
        return Settlement(message=message, status=status, **said)

    async def settle(self, message: Message, status: Status = Status.SENT, **fields: Any) -> SettleResult:
        """Settles one message."""
        return await self.ledger.messages.settle(self.worker, [self.settlement(message, status, **fields)])

    def gone(self, hash: bytes, channel: Channel = Channel.EMAIL) -> tuple[Suppression, ...]:
        """What a settlement says of an address that is no longer there."""
        return (
            Suppression(
                tenant=self.tenant, channel=channel, hash=hash, reason=Reason.ADDRESS_GONE.value, at=self.now
            ),
        )

    async def claim(
        self,
        lane: Lane = Lane.NORMAL,
        channel: Channel = Channel.EMAIL,
        limit: int = 100,
        *,
        but: Set[TenantId] = frozenset(),
    ) -> Sequence[Message]:
        """Claims what is due now."""
        return await self.ledger.messages.claim(self.worker, lane, channel, limit, self.now, but=but)

    async def call(self, *messages: Message) -> frozenset[MessageId]:
        """Notes that a call of these begins."""
        return await self.ledger.messages.begin_calls(self.worker, {"main": messages}, self.now)

    def item(self, message: Message, sealed: bytes = b"content") -> InboxItem:
        """What the in-app provider would have stored for a message."""
        return InboxItem(
            tenant=message.tenant,
            user=message.user,
            message_id=message.id,
            sealed=sealed,
            at=self.now,
            workflow=message.workflow,
            category=message.category,
        )

    def in_inbox(self, message: Message) -> Settlement:
        """What became of a message that the in-app provider took."""
        return self.settlement(
            message, Status.DELIVERED, outcome="accepted", record=self.item(message), content=b"content"
        )

    def captured(self, message: Message, sealed: bytes = b"content") -> Captured:
        """What the capture provider would have stored for a message."""
        return Captured(
            tenant=message.tenant,
            user=message.user,
            message_id=message.id,
            channel=message.channel,
            integration="main",
            sealed=sealed,
            at=self.now,
        )

    async def delivered(self, user: User | None = None, **fields: Any) -> Message:
        """A message in somebody's inbox."""
        message = self.planned(user, channel=Channel.IN_APP, **fields)
        await self.plan(message)
        await self.settle(message, Status.DELIVERED, record=self.item(message))
        return message

    async def stored(self, message: Message) -> Message:
        """The message as the ledger has it."""
        found = await self.ledger.records.get(message.tenant, message.id)
        assert found is not None, "the message is not stored"
        return found

    async def state(self, message: Message) -> tuple[Status, Reason | None]:
        """Where the message is, and why."""
        now = await self.stored(message)
        return now.status, now.reason

    async def timeline(self, message: Message) -> list[tuple[Status, Reason | None]]:
        """Where it has been."""
        changes = await self.ledger.records.changes(message.tenant, message.id)
        return [(change.status, change.reason) for change in changes]


async def together(*waiting: Awaitable[T]) -> list[T]:
    """All at once, so that a ledger that groups commits groups these."""
    return list(await asyncio.gather(*waiting))


def later(message: Message, seconds: float) -> Message:
    """The message as one that waits that long."""
    due = Instant(message.created_at + round(seconds * 1000))
    return replace(message, status=Status.DEFERRED, reason=Reason.QUIET_HOURS, due_at=due, fence=0)


def rungs(subject: LedgerSubject, *channels: Channel, until: str) -> list[Message]:
    """A ladder's messages: the first goes now, the others wait for their rung."""
    event_id = subject.event()
    messages = [subject.planned(event_id=event_id, channel=channel, until=until) for channel in channels]
    ids: list[MessageId] = [m.id for m in messages]
    return [
        replace(m, later_rungs=tuple(ids[place + 1 :]))
        if place == 0
        else replace(
            later(m, 30 * place),
            reason=Reason.WAITING_FOR_EARLIER_CHANNEL,
            later_rungs=tuple(ids[place + 1 :]),
        )
        for place, m in enumerate(messages)
    ]
