"""What the processes on the store do, and asking one to stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from clarion.errors import NotFound
from clarion.flow.ledger import Ledger
from clarion.model.channel import LANES, Channel, Lane
from clarion.model.ids import Instant
from clarion.model.worker import Role, Worker
from clarion.ports import terms
from clarion.ports.broker import Broker
from clarion.ports.clock import Clock
from clarion.rules.cluster import uncovered
from clarion.rules.match import closest


class ClusterProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A process, as it is by its lease."""

    worker: Worker
    renewed_at: Instant
    lost: bool
    """Its lease ran out: somebody takes over in a moment."""
    timers: bool
    """It does what only one process may do at a time."""


class ClusterLane(msgspec.Struct, frozen=True, kw_only=True):
    """What waits in a lane."""

    lane: Lane
    events: int
    """Accepted and not planned."""
    oldest_at: Instant | None
    """When the oldest of them was accepted, as far as the broker can tell."""
    messages: int
    """Planned, and held by no process: they wait for their time, or for a worker."""


class ClusterState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything at a moment."""

    processes: Sequence[ClusterProcess]
    lanes: Sequence[ClusterLane]
    warnings: Mapping[str, str]


class ClusterService:
    """Reads the leases: every process says there what it does."""

    def __init__(self, ledger: Ledger, broker: Broker, clock: Clock) -> None:
        self._leases = ledger.leases
        self._messages = ledger.messages
        self._broker = broker
        self._clock = clock

    async def state(self) -> ClusterState:
        """Who works, and what waits."""
        workers, now = await self._leases.workers(), self._clock.now()
        timers = next((one.id for one in workers if Role.TIMERS in one.process.roles), None)
        waiting = await self._messages.depth()
        return ClusterState(
            processes=[
                ClusterProcess(
                    worker=one,
                    renewed_at=Instant(one.lease_until - one.process.lease_ms),
                    lost=one.lease_until < now,
                    timers=one.id == timers,
                )
                for one in workers
            ],
            lanes=[await self._lane(lane, waiting) for lane in LANES],
            warnings=uncovered(workers),
        )

    async def _lane(self, lane: Lane, waiting: Mapping[tuple[Lane, Channel], int]) -> ClusterLane:
        backlog = await self._broker.backlog(lane)
        return ClusterLane(
            lane=lane,
            events=backlog.entries,
            oldest_at=backlog.oldest_at,
            messages=sum(count for (its, _), count in waiting.items() if its is lane),
        )

    async def drain(self, node: str) -> None:
        """Ask a process to stop, as a SIGTERM does. Raises NotFound when there is none of that name."""
        nodes = [one.process.node for one in await self._leases.workers()]
        if node not in nodes or not (terms.dry_running() or await self._leases.drain(node)):
            near = closest(node, nodes)
            meant = f" Did you mean {near!r}?" if near else ""
            raise NotFound(f"No process {node!r} works on this database.{meant}")
