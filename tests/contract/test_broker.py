"""Every broker keeps the contract, and the contract finds one that does not."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

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
from clarion.model.ids import Instant, time_of
from clarion.model.plan import PlanCommit
from clarion.model.worker import Process
from clarion.ports.broker import Backlog, Batch, Broker
from clarion.ports.ledger import Store
from clarion.testing.broker_contract import BROKER_CONTRACT, LOG_BROKER_CONTRACT, BrokerServer, BrokerSubject
from clarion.testing.memory_broker import MemoryBroker, MemoryLanes
from clarion.testing.ports import ManualClock, SeededRandom
from tests.ledger_files import new_ledger

CLOCK = ManualClock()
CHECKS = {check.__name__: check for check in LOG_BROKER_CONTRACT}


class InMemory(BrokerServer):
    """The referee: what it does is what the promise says."""

    def __init__(self, kind: type[MemoryBroker] = MemoryBroker) -> None:
        self._lanes = MemoryLanes()
        self._kind = kind

    async def connect(self) -> Broker:
        return self._kind(self._lanes)

    async def crash(self, broker: Broker) -> None:
        assert isinstance(broker, MemoryBroker)
        self._lanes.crash(broker)

    async def put(self, lane: Lane, raw: bytes) -> bool:
        self._lanes.put(lane, raw)
        return True

    async def dead_letters(self, lane: Lane) -> Sequence[tuple[bytes, str]]:
        return self._lanes.dead[lane]


class InLedger(BrokerServer):
    """The embedded broker; each start opens the ledger anew."""

    def __init__(self, open_ledger: Callable[[], Store], ends: AsyncExitStack) -> None:
        self._open = open_ledger
        self._ends = ends
        self._ledger: Store

    async def connect(self) -> Broker:
        self._ledger = self._open()
        self._ends.push_async_callback(self._ledger.close)
        return SqlBroker(self._ledger.log, CLOCK)

    async def crash(self, broker: Broker) -> None:
        await self._ends.aclose()

    async def plan(self, broker: Broker, batch: Batch) -> None:
        worker = await self._ledger.leases.open(Process(), CLOCK.now(), Instant(CLOCK.now() + 60_000))
        consumed = Consumed(batch.lane, tuple(entry.seq for entry in batch.entries))
        await self._ledger.plans.commit(PlanCommit(worker=worker, runs=(), messages=(), consumed=consumed))


def in_memory(directory: Path, ends: AsyncExitStack) -> BrokerServer:
    """Nothing is kept."""
    return InMemory()


def in_sqlite(directory: Path, ends: AsyncExitStack) -> BrokerServer:
    """In the default ledger."""
    path, random = new_ledger(directory / "clarion.db"), SeededRandom()
    vault = LocalVault(random.bytes(32), random)
    return InLedger(lambda: SqliteLedger.open(path, vault=vault, clock=CLOCK, random=random), ends)


def in_memory_ledger(directory: Path, ends: AsyncExitStack) -> BrokerServer:
    """In the other ledger, whose tables live through the starts."""
    tables, random = Tables(), SeededRandom()
    vault = LocalVault(random.bytes(32), random)
    return InLedger(lambda: MemoryLedger(vault=vault, clock=CLOCK, random=random, tables=tables), ends)


BROKERS: dict[str, Callable[[Path, AsyncExitStack], BrokerServer]] = {
    "memory": in_memory,
    "database": in_sqlite,
    "database in memory": in_memory_ledger,
}
IN_LEDGER = ("database", "database in memory")


@pytest.mark.parametrize(
    ("name", "check"),
    [
        (name, check)
        for name in BROKERS
        for check in (LOG_BROKER_CONTRACT if name in IN_LEDGER else BROKER_CONTRACT)
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
async def test_every_broker_keeps_the_contract(name, check, tmp_path):
    """On new and empty lanes for every check."""
    async with (
        AsyncExitStack() as ends,
        BrokerSubject(BROKERS[name](tmp_path, ends), CLOCK, SeededRandom()) as subject,
    ):
        await check(subject)


class ForgetsAcks(MemoryBroker):
    async def ack(self, batch):
        pass


class AcksOnTaking(MemoryBroker):
    async def consume(self, lane, limit):
        async for batch in super().consume(lane, limit):
            await self.ack(batch)
            yield batch


class MixesLanes(MemoryBroker):
    async def publish(self, entries):
        await super().publish([replace(entry, lane=Lane.NORMAL) for entry in entries])


class Reverses(MemoryBroker):
    def _next(self, lane, limit):
        return super()._next(lane, limit)[::-1]


class OverTheLimit(MemoryBroker):
    def _next(self, lane, limit):
        return super()._next(lane, limit + 1)


class WaitsForAcks(MemoryBroker):
    def _next(self, lane, limit):
        mine = any(self._lanes.taken.get(seq) is self for seq in self._lanes.entries[lane])
        return [] if mine else super()._next(lane, limit)


class FirstComeFirstServed(MemoryBroker):
    def _next(self, lane, limit):
        left = [e for seq, e in self._lanes.entries[lane].items() if seq not in self._lanes.taken]
        return left[:limit]


class RefusesTooLate(MemoryBroker):
    async def publish(self, entries):
        await super().publish(entries)
        if len(self._lanes.entries[Lane.BULK]) > 20_000:
            raise Busy("the lane is full")


class NeverClosed(MemoryBroker):
    async def close(self):
        self._lanes.tell()


class DropsDetails(MemoryBroker):
    async def publish(self, entries):
        await super().publish([replace(e, sealed=e.sealed.partition(b"\0")[0]) for e in entries])


class KeepsForItself(MemoryBroker):
    """What a dead process had comes to nobody."""

    def _next(self, lane, limit):
        owned = self._lanes.__dict__.setdefault("owned", {})
        mine = [e for e in super()._next(lane, limit) if owned.setdefault(e.seq, self) is self]
        self._lanes.taken.update((entry.seq, self) for entry in mine)
        return mine


class DropsWhatItCannotRead(MemoryBroker):
    def _next(self, lane, limit):
        found = super()._next(lane, limit)
        self._lanes.dead[lane].clear()
        return found


class TellsTheNewest(MemoryBroker):
    async def backlog(self, lane):
        entries: Any = self._lanes.entries[lane].values()
        times = [time_of(entry.event_id) for entry in entries]
        return Backlog(entries=len(times), oldest_at=max(times, default=None))


class StoresOnTheWay(SqlBroker):
    async def publish_claimed(self, entries, claims):
        results: list[IdempotencyResult | None] = []
        for entry, claim in zip(entries, claims, strict=True):
            results += await super().publish_claimed([entry], [claim])
        return results


class ForgetsClaims(SqlBroker):
    async def publish_claimed(self, entries, claims):
        await super().publish_claimed(entries, [None] * len(entries))
        return [IdempotencyResult(fresh=True, fingerprint=c.fingerprint, answer=c.answer) for c in claims]


BREACHES = [
    (ForgetsAcks, "what_was_not_acknowledged_comes_again_after_a_crash"),
    (AcksOnTaking, "what_was_not_acknowledged_comes_again_after_a_crash"),
    (AcksOnTaking, "what_was_not_acknowledged_comes_to_the_next_consumer"),
    (AcksOnTaking, "an_entry_that_is_never_acknowledged_holds_up_no_other"),
    (AcksOnTaking, "what_was_left_at_closing_comes_after_the_next_start"),
    (AcksOnTaking, "processes_share_a_lane"),
    (KeepsForItself, "processes_share_a_lane"),
    (MixesLanes, "lanes_do_not_mix"),
    (Reverses, "a_persons_entries_arrive_in_the_order_of_publication"),
    (Reverses, "publishers_at_once_lose_and_double_nothing"),
    (OverTheLimit, "a_batch_has_at_least_one_entry_and_at_most_the_limit"),
    (WaitsForAcks, "the_next_batch_may_be_taken_before_the_last_is_acknowledged"),
    (WaitsForAcks, "an_entry_that_is_never_acknowledged_holds_up_no_other"),
    (FirstComeFirstServed, "tenants_take_turns"),
    (FirstComeFirstServed, "what_cannot_be_read_is_a_dead_letter"),
    (DropsWhatItCannotRead, "what_cannot_be_read_is_a_dead_letter"),
    (TellsTheNewest, "a_backlog_says_how_much_waits_and_since_when"),
    (RefusesTooLate, "what_is_refused_is_not_published"),
    (NeverClosed, "closing_ends_every_consumer"),
    (DropsDetails, "entries_arrive_unchanged"),
    (StoresOnTheWay, "a_call_is_published_as_a_whole_or_not_at_all"),
    (ForgetsClaims, "a_repeat_of_a_claim_is_not_published"),
    (ForgetsClaims, "of_claims_at_once_one_is_published"),
]


@pytest.mark.parametrize(("kind", "check"), BREACHES, ids=lambda value: getattr(value, "__name__", value))
async def test_a_broker_that_breaks_a_promise_is_found(kind, check, tmp_path, monkeypatch):
    """Each check finds the fault it is there for."""
    monkeypatch.setattr("clarion.testing.broker_contract.PATIENCE_S", 0.2)
    async with AsyncExitStack() as ends:
        server: BrokerServer = in_sqlite(tmp_path, ends)
        if issubclass(kind, MemoryBroker):
            server = InMemory(kind)
        else:
            monkeypatch.setattr("tests.contract.test_broker.SqlBroker", kind)
        async with BrokerSubject(server, CLOCK, SeededRandom()) as subject:
            with pytest.raises((AssertionError, TimeoutError, AttributeError)):
                await CHECKS[check](subject)
