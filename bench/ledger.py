"""What the ledger costs per row while a busy Python thread wants the interpreter as much as an event loop would.

    python bench/ledger.py [--batches 60] [--users 2000] [--switch 0.0005] [--dir DIR]

`held` is what counts: how long each row keeps the interpreter lock from the competing thread.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from clarion.adapters.ledgers.migrate import migrate
from clarion.adapters.ledgers.sqlite import SqliteLedger
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.model.channel import Channel, Lane
from clarion.model.event import Entry
from clarion.model.ids import Instant, TenantId, UserNo, WorkerId, message_id, new_event_id, run_id
from clarion.model.inbox import InboxItem
from clarion.model.message import ChannelDecision, Message, Run, Verdict, packed
from clarion.model.plan import PlanCommit
from clarion.model.settlement import Settlement
from clarion.model.setup import Tenant
from clarion.model.status import Status
from clarion.model.user import UserPut

BATCH = 256
TENANT = TenantId(1)
VERDICTS = (
    Verdict(rule="preferences", result="allow", reason="tenant_default"),
    Verdict(rule="contact", result="allow", reason="reachable"),
    Verdict(rule="quiet_hours", result="allow", reason="none_set", inputs={"local": "12:00"}),
)
Step = Callable[[int], Awaitable[None]]


class Rival(threading.Thread):
    """Counts as fast as the interpreter lets it."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.count = 0
        self.stop = False

    def run(self) -> None:
        while not self.stop:
            for _ in range(500):
                pass
            self.count += 1

    def rate(self, seconds: float) -> float:
        """Counts per second while nobody else runs Python."""
        before, started = self.count, time.perf_counter()
        time.sleep(seconds)
        return (self.count - before) / (time.perf_counter() - started)


class Bench:
    """Batches made beforehand, so that only the ledger is timed."""

    def __init__(self, ledger: SqliteLedger, batches: int, users: int) -> None:
        self.ledger = ledger
        random = SystemRandom()
        now = SystemClock().now()
        ids = [
            [new_event_id(Instant(now + 20 * b), random.bytes(10)) for _ in range(BATCH)]
            for b in range(batches)
        ]
        self.entries = [[self._entry(event_id) for event_id in batch] for batch in ids]
        people = [UserNo(1 + int(random.uniform() * users)) for _ in range(batches * BATCH)]
        planned = [
            [self._planned(event_id, people[b * BATCH + i], now) for i, event_id in enumerate(batch)]
            for b, batch in enumerate(ids)
        ]
        self.plans = [
            PlanCommit(
                worker=WorkerId(1), runs=tuple(run for run, _ in batch), messages=tuple(m for _, m in batch)
            )
            for batch in planned
        ]
        self.settlements = [[self._settlement(m) for _, m in batch] for batch in planned]

    def _entry(self, event_id: bytes) -> Entry:
        return Entry(
            event_id=event_id,  # type: ignore[arg-type]
            tenant=TENANT,
            lane=Lane.NORMAL,
            workflow="order-shipped",
            sealed=b"x" * 300,
            sealed_for=UserNo(1),
        )

    def _planned(self, event_id: bytes, user: UserNo, now: Instant) -> tuple[Run, Message]:
        rid = run_id(event_id, "order-shipped", user)  # type: ignore[arg-type]
        mid = message_id(rid, "send", "in_app")
        plan = ChannelDecision(
            step="send", channel=Channel.IN_APP, status=Status.QUEUED, message_id=mid, said=packed(*VERDICTS)
        )
        same = {
            "tenant": TENANT,
            "user": user,
            "event_id": event_id,
            "lane": Lane.NORMAL,
            "workflow": "order-shipped",
            "workflow_version": 3,
        }
        run = Run(id=rid, at=now, channels=(plan,), **same)  # type: ignore[arg-type]
        message = Message(
            id=mid,
            category="orders",
            step="send",
            template="order-shipped",
            channel=Channel.IN_APP,
            status=Status.QUEUED,
            created_at=now,
            fence=1,
            **same,  # type: ignore[arg-type]
        )
        return run, message

    def _settlement(self, message: Message) -> Settlement:
        item = InboxItem(
            tenant=TENANT,
            user=message.user,
            message_id=message.id,
            sealed=b"s" * 200,
            at=message.created_at,
            workflow=message.workflow,
            category=message.category,
        )
        return Settlement(
            message=message,
            status=Status.DELIVERED,
            at=message.created_at,
            attempt=1,
            integration="inbox",
            outcome="accepted",
            took_ms=1,
            record=item,
        )

    async def append(self, batch: int) -> None:
        entries = self.entries[batch]
        await self.ledger.log.append(entries, [None] * len(entries))

    async def plan(self, batch: int) -> None:
        await self.ledger.plans.commit(self.plans[batch])

    async def settle(self, batch: int) -> None:
        await self.ledger.messages.settle(WorkerId(1), self.settlements[batch])


async def measure(name: str, step: Step, batches: int, rival: Rival, writer: int, free: float) -> None:
    """One line of the table."""
    counted, started, cpu = rival.count, time.perf_counter(), time.process_time()
    for batch in range(0, batches, 2):  # two under way, as the engine has them
        await asyncio.gather(step(batch), step(batch + 1))
    wall = time.perf_counter() - started
    rows = batches * BATCH
    rival_cpu = (rival.count - counted) / free
    ours = time.process_time() - cpu - rival_cpu
    held = wall - rival_cpu
    print(
        f"{name:<8} {rows / wall:>10,.0f} rows/s  {ours / rows * 1e6:>7.1f} us cpu/row  "
        f"{held / rows * 1e6:>6.1f} us held/row  {wall / batches * 1e3:>6.1f} ms/batch"
    )


async def run(options: argparse.Namespace, directory: Path) -> None:
    path = directory / "bench.db"
    migrate(path)
    random = SystemRandom()
    ledger = SqliteLedger.open(
        path, vault=LocalVault(random.bytes(32), random), clock=SystemClock(), random=random
    )
    await ledger.setup.tenants.put(Tenant(id=TenantId(0), key="bench"))
    for start in range(0, options.users, 10_000):
        await ledger.users.put(
            TENANT, [UserPut(id=f"u{start + i}") for i in range(10_000)][: options.users - start]
        )
    await ledger.leases.open("here", "bench", Instant(1 << 60))
    bench = Bench(ledger, options.batches, options.users)
    sys.setswitchinterval(options.switch)
    rival = Rival()
    if options.rival:
        rival.start()
    for name, step in (("append", bench.append), ("plan", bench.plan), ("settle", bench.settle)):
        free = rival.rate(0.5) if options.rival else 1.0
        await measure(name, step, options.batches, rival, 0, free)
    rival.stop = True
    stats = await ledger.stats()
    print({key: stats[key] for key in ("commits", "jobs", "redone", "file_bytes", "wal_bytes")})
    await ledger.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--switch", type=float, default=0.0005)
    parser.add_argument("--no-rival", dest="rival", action="store_false")
    parser.add_argument("--dir", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as directory:
        asyncio.run(run(options, Path(directory)))


if __name__ == "__main__":
    main()
