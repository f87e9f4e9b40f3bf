"""What a test of one stage needs: a ledger and a broker in memory, and a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from clarion.adapters.ledgers.memory import MemoryLedger
from clarion.adapters.vaults.local import LocalVault
from clarion.flow.cancellation_guard import CancellationGuard
from clarion.flow.coverage import Coverage
from clarion.flow.groups import Groups
from clarion.flow.intake.intake import Intake
from clarion.flow.intake.schemas import Schemas
from clarion.flow.lanes import InFlight, Queues
from clarion.flow.lease import WorkerLease
from clarion.flow.ledger import Ledger
from clarion.flow.plan.continuations import ContinuationClaimer
from clarion.flow.plan.planner import Planner
from clarion.flow.priority import PriorityGate
from clarion.flow.sealing import sealed_entry
from clarion.flow.timers.claims import Claimer
from clarion.model.channel import Channel, Lane
from clarion.model.event import Entry, Event
from clarion.model.ids import MessageId, TenantId, new_event_id
from clarion.model.inbox import InboxChange
from clarion.model.message import Message, MessageFilter
from clarion.model.settlement import Settlement
from clarion.model.setup import Category, Integration, Tenant, Workflow
from clarion.model.user import Contact, Preferences, Profile, User, UserPut
from clarion.testing.memory_broker import MemoryBroker, MemoryLanes
from clarion.testing.ports import ManualClock, SeededRandom
from tests.engine import ALL_CHANNELS, workflow

TENANT = TenantId(1)


class NoDelivery:
    """Implements `flow.lanes.StoredDelivery`: everything goes through the queues."""

    async def settle(self, lane: Lane, batch: Sequence[InFlight]) -> list[Settlement]:
        """Nothing is delivered."""
        return []

    def stored(self, settlements: Sequence[Settlement], inbox: Sequence[InboxChange]) -> None:
        """Nothing was."""


class Stages:
    """Intake, planner and claimer over one ledger and broker. A test calls each; nothing runs in the background."""

    def __init__(self, beside: Stages | None = None) -> None:
        """`beside`: another process on the same store and broker."""
        self.clock: ManualClock = beside.clock if beside else ManualClock()
        self.random: SeededRandom = beside.random if beside else SeededRandom()
        clock, random = self.clock, self.random
        self.vault = vault = LocalVault(b"k" * 32, random)
        store = beside.ledger.store if beside else MemoryLedger(vault=vault, clock=clock, random=random)
        self.ledger: Ledger = Ledger(store)
        self.lanes: MemoryLanes = beside.lanes if beside else MemoryLanes()
        ledger = self.ledger
        self.broker = broker = MemoryBroker(self.lanes)
        self.queues = Queues()
        self.lease = WorkerLease(ledger.leases, clock)
        self.settled: list[Settlement] = []
        """What the claimer settles without a call."""
        priority, coverage = PriorityGate(clock), Coverage(ledger.setup)
        self.intake = Intake(ledger, broker, Schemas(ledger.setup), coverage, priority, vault, clock, random)
        self.groups = Groups(ledger, clock)
        self.planner = Planner(
            ledger,
            self.lease,
            broker,
            self.queues,
            self.groups,
            coverage,
            NoDelivery(),
            CancellationGuard(clock),
            priority,
            vault,
            clock,
        )
        self.continuations = ContinuationClaimer(ledger, self.lease, self.planner, priority, clock)
        self.claimer = Claimer(ledger, self.lease, self.queues, self._settle, priority, vault, clock)

    async def open(self, *workflows: Workflow, category: Category | None = None) -> Stages:
        """A tenant with a template, an integration for texts, the workflow `hello`, and a lease."""
        setup = self.ledger.setup
        await setup.tenants.put(Tenant(id=TenantId(0), key="acme"))
        await setup.templates.put(TENANT, ALL_CHANNELS)
        await setup.integrations.put(
            TENANT, Integration(key="main", channel=Channel.SMS, provider="recording")
        )
        await setup.categories.put(TENANT, category or Category(key="news"))
        for one in workflows or (workflow("hello"),):
            await setup.workflows.put(TENANT, one)
        await self.lease.open()
        return self

    async def put_user(self, user_id: str, preferences: Preferences | None = None) -> User:
        """Create a user with a phone number."""
        profile = Profile(
            contacts=(Contact(channel=Channel.SMS, address="+4915112345678"),),
            timezone="UTC",
            preferences=preferences or Preferences(),
        )
        (user,) = await self.ledger.users.put(TENANT, [UserPut(id=user_id, profile=profile)])
        return user

    def entry(self, *users: User, workflow: str = "hello", **fields: Any) -> Entry:
        """An event for these people, as intake publishes it."""
        event = Event(
            id=new_event_id(self.clock.now(), self.random.bytes(10)),
            tenant=TENANT,
            lane=Lane.NORMAL,
            workflow=workflow,
            at=self.clock.now(),
            users=tuple(user.no for user in users),
            **fields,
        )
        sole = users[0] if len(users) == 1 and not event.topics else None
        return sealed_entry(event, sole, self.vault, self.ledger.setup.revision)

    async def wait(self, seconds: float) -> None:
        """Time passes, and the process goes on keeping its lease."""
        self.clock.advance(seconds)
        keeping = asyncio.ensure_future(self.lease.run())
        await self.lease.lasting()
        keeping.cancel()
        await asyncio.wait([keeping])

    async def plan(self, *entries: Entry) -> None:
        """Publish these, and plan until nothing waits."""
        await self.broker.publish(entries)
        await self.plan_what_waits()

    async def plan_what_waits(self) -> None:
        """Plan until nothing waits; the broker is another one afterwards, as after a restart."""
        planning = asyncio.ensure_future(self.planner.run(Lane.NORMAL))
        for _ in range(1_000):
            if planning.done() or not (await self.broker.backlog(Lane.NORMAL)).entries:
                break
            await asyncio.sleep(0)
        planning.cancel()
        await asyncio.wait([planning])

    async def messages(self) -> Sequence[Message]:
        """All that is stored, oldest first."""
        found, _ = await self.ledger.records.page(TENANT, MessageFilter(), None, 1_000)
        return found[::-1]

    async def _settle(self, settlements: Sequence[Settlement]) -> frozenset[MessageId]:
        self.settled += settlements
        return (await self.ledger.messages.settle(self.lease.worker, settlements)).refused
