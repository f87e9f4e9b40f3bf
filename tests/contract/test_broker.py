"""Every broker keeps the contract, and the contract finds one that does not."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace

from clarion.adapters.brokers.sql import SqlBroker
from clarion.adapters.ledgers.memory import MemoryLedger
from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.sqlite import SqliteLedger
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import Busy
from clarion.model.channel import Lane
from clarion.model.event import Consumed, IdempotencyResult
from clarion.model.ids import Instant
from clarion.model.plan import PlanCommit
from clarion.model.worker import Process
from clarion.ports.broker import Batch, Broker
from clarion.ports.ledger import Store
from clarion.testing.broker_contract import BROKER_CONTRACT, BrokerSubject
from clarion.testing.memory_broker import MemoryBroker, MemoryLanes
from clarion.testing.ports import ManualClock, SeededRandom
from tests.ledger_files import new_ledger

CLOCK = ManualClock()
CHECKS = {check.__name__: check for check in BROKER_CONTRACT}
Connect = Callable[[], Awaitable[Broker]]


class Planning(SqlBroker):
    """The embedded broker with its planner, which stores an empty plan of every batch right before it acknowledges it."""

    def __init__(self, ledger: Store) -> None:
        super().__init__(ledger.log, CLOCK)
        self._ledger = ledger

    async def ack(self, batch: Batch) -> None:
        worker = await self._ledger.leases.open(Process(), CLOCK.now(), Instant(CLOCK.now() + 60_000))
        consumed = Consumed(batch.lane, tuple(entry.seq for entry in batch.entries))
        await self._ledger.plans.commit(PlanCommit(worker=worker, runs=(), messages=(), consumed=consumed))
        await super().ack(batch)


def in_memory(directory: Path, ends: AsyncExitStack) -> Connect:
    """The referee: what it does is what the promise says."""
    lanes = MemoryLanes()

    async def connect() -> Broker:
        return MemoryBroker(lanes, CLOCK)

    return connect


def in_sqlite(directory: Path, ends: AsyncExitStack) -> Connect:
    """The embedded broker; each start opens the file anew."""
    path = new_ledger(directory / "clarion.db")

    async def connect() -> Broker:
        await ends.aclose()
        random = SeededRandom()
        vault = LocalVault(random.bytes(32), random)
        ledger = SqliteLedger.open(path, vault=vault, clock=CLOCK, random=random)
        ends.push_async_callback(ledger.close)
        return Planning(ledger)

    return connect


def in_memory_ledger(directory: Path, ends: AsyncExitStack) -> Connect:
    """The embedded broker on the other ledger, whose tables live through the starts."""
    tables = Tables()

    async def connect() -> Broker:
        random = SeededRandom()
        vault = LocalVault(random.bytes(32), random)
        ledger = MemoryLedger(vault=vault, clock=CLOCK, random=random, tables=tables)
        ends.push_async_callback(ledger.close)
        return Planning(ledger)

    return connect


BROKERS: dict[str, Callable[[Path, AsyncExitStack], Connect]] = {
    "memory": in_memory,
    "database": in_sqlite,
    "database in memory": in_memory_ledger,
}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("name", BROKERS)
async def test_every_broker_keeps_the_contract(name, check, tmp_path):
    """On new and empty lanes for every check."""
    async with (
        AsyncExitStack() as ends,
        BrokerSubject(BROKERS[name](tmp_path, ends), CLOCK, SeededRandom()) as subject,
    ):
        await check(subject)


class ForgetsAcks(MemoryBroker):
    async def ack(self, batch: Batch) -> None:
        self._taken[batch.lane].difference_update(entry.seq for entry in batch.entries)


class AcksOnTaking(MemoryBroker):
    async def consume(self, lane, limit):
        async for batch in super().consume(lane, limit):
            await self.ack(batch)
            yield batch


class MixesLanes(MemoryBroker):
    async def publish(self, entries, claims):
        return await super().publish([replace(entry, lane=Lane.NORMAL) for entry in entries], claims)


class Reverses(MemoryBroker):
    def _next(self, lane, limit):
        return super()._next(lane, limit)[::-1]


class OverTheLimit(MemoryBroker):
    def _next(self, lane, limit):
        return super()._next(lane, limit + 1)


class WaitsForAcks(MemoryBroker):
    def _next(self, lane, limit):
        return [] if self._taken[lane] else super()._next(lane, limit)


class FirstComeFirstServed(MemoryBroker):
    def _next(self, lane, limit):
        left = [e for seq, e in self._lanes.entries[lane].items() if seq not in self._taken[lane]]
        return left[:limit]


class RefusesTooLate(MemoryBroker):
    async def publish(self, entries, claims):
        results = await super().publish(entries, claims)
        if len(self._lanes.entries[Lane.BULK]) > 20_000:
            raise Busy("the lane is full")
        return results


class StoresOnTheWay(MemoryBroker):
    async def publish(self, entries, claims):
        results: list[IdempotencyResult | None] = []
        for entry, claim in zip(entries, claims, strict=True):
            results += await super().publish([entry], [claim])
            await CLOCK.sleep(0)
        return results


class NeverClosed(MemoryBroker):
    async def close(self) -> None:
        for published in self._published.values():
            published.set()


class ForgetsClaims(MemoryBroker):
    def _judged(self, claim, ours):
        self._lanes.claims.clear()
        return super()._judged(claim, ours)


class DropsDetails(MemoryBroker):
    async def publish(self, entries, claims):
        return await super().publish(
            [replace(e, sealed=e.sealed.partition(b"\0")[0]) for e in entries], claims
        )


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (ForgetsAcks, "what_was_not_acknowledged_comes_again_after_a_crash"),
        (AcksOnTaking, "what_was_not_acknowledged_comes_again_after_a_crash"),
        (AcksOnTaking, "what_was_not_acknowledged_comes_to_the_next_consumer"),
        (AcksOnTaking, "an_entry_that_is_never_acknowledged_holds_up_no_other"),
        (AcksOnTaking, "what_was_left_at_closing_comes_after_the_next_start"),
        (MixesLanes, "lanes_do_not_mix"),
        (Reverses, "a_tenants_entries_arrive_in_the_order_of_publication"),
        (Reverses, "publishers_at_once_lose_and_double_nothing"),
        (OverTheLimit, "a_batch_has_at_least_one_entry_and_at_most_the_limit"),
        (WaitsForAcks, "the_next_batch_may_be_taken_before_the_last_is_acknowledged"),
        (WaitsForAcks, "an_entry_that_is_never_acknowledged_holds_up_no_other"),
        (FirstComeFirstServed, "tenants_take_turns"),
        (RefusesTooLate, "what_is_refused_is_not_published"),
        (StoresOnTheWay, "a_call_is_published_as_a_whole_or_not_at_all"),
        (NeverClosed, "closing_ends_every_consumer"),
        (ForgetsClaims, "a_repeat_of_a_claim_is_not_published"),
        (ForgetsClaims, "of_claims_at_once_one_is_published"),
        (DropsDetails, "entries_arrive_unchanged"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
async def test_a_broker_that_breaks_a_promise_is_found(kind, check, monkeypatch):
    """Each check finds the fault it is there for."""
    monkeypatch.setattr("clarion.testing.broker_contract.PATIENCE_S", 0.2)
    lanes = MemoryLanes()

    async def connect() -> Broker:
        return kind(lanes, CLOCK)

    async with BrokerSubject(connect, CLOCK, SeededRandom()) as subject:
        with pytest.raises((AssertionError, TimeoutError)):
            await CHECKS[check](subject)
