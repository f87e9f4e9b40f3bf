"""`/v1/cluster`: the processes of this installation, for operators."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from litestar import Router, get, post

from clarion.api.guards import OPERATOR, Parts
from clarion.model.channel import Channel, Lane
from clarion.model.user import Value
from clarion.model.worker import Role
from clarion.rules.time_format import rfc3339
from clarion.services.cluster import ClusterLane, ClusterProcess

LONGEST_NODE = 300


class ProcessView(msgspec.Struct, frozen=True, kw_only=True):
    """A process that works on the database."""

    node: str | None
    """Host and process id. Null: it did not say so, nor its version, as earlier versions."""
    version: str | None
    roles: list[Role]
    lanes: list[Lane]
    """Those that it plans and sends, as a worker."""
    channels: list[Channel]
    """Those on which it sends, as a worker."""
    status: Literal["working", "draining", "lost"]
    """`draining`: it stops, or was asked to. `lost`: its lease ran out, and others are about to take over."""
    started_at: str
    renewed_at: str
    """When it last said that it lives."""
    lease_until: str
    """When others take over unless it says so again."""
    plans: list[Lane]
    """Lanes that it alone plans now."""
    timers: bool
    """It does what only one process may do at a time: operations, retention, mailboxes."""
    held: int
    """Messages it had in memory when it last said that it lives."""


class LaneView(msgspec.Struct, frozen=True, kw_only=True):
    """What waits in a lane."""

    lane: Lane
    events: int
    """Accepted and not planned."""
    oldest_at: str | None
    """When the oldest of them was accepted; null when none waits, or when the broker cannot tell."""
    messages: int
    """Planned, and held by no process: they wait for their time, or for a worker."""


class ClusterView(msgspec.Struct, frozen=True, kw_only=True):
    """The processes, and what waits for them."""

    processes: list[ProcessView]
    """In the order in which they started."""
    lanes: list[LaneView]
    versions: list[str]
    """Of all processes: more than one while an update is under way."""
    warnings: dict[str, str]
    """Lanes, channels and timers that no process takes, and what to start."""


class DrainBody(Value, frozen=True, kw_only=True):
    """Which process is to stop."""

    node: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NODE)]
    """As `processes` names it."""


@get("/", opt=OPERATOR)
async def get_cluster(parts: Parts) -> ClusterView:
    """Every process that works on the database: what it does, how long its lease lasts, and what waits in each lane."""
    state = await parts.services.cluster.state()
    return ClusterView(
        processes=list(map(_process, state.processes)),
        lanes=list(map(_lane, state.lanes)),
        versions=sorted({version for one in state.processes if (version := one.worker.process.version)}),
        warnings=dict(state.warnings),
    )


@post("/drain", opt=OPERATOR, status_code=202)
async def drain_process(data: DrainBody, parts: Parts) -> DrainBody:
    """Ask a process to stop as on SIGTERM: it finishes what is under way and leaves the rest to others.

    It hears of it within 3 seconds. Whether it is started again is up to whatever started it.
    """
    await parts.services.cluster.drain(data.node)
    return data


def _process(one: ClusterProcess) -> ProcessView:
    worker, process = one.worker, one.worker.process
    return ProcessView(
        node=process.node or None,
        version=process.version or None,
        roles=list(process.roles),
        lanes=list(process.lanes),
        channels=list(process.channels),
        status="lost" if one.lost else "draining" if worker.draining else "working",
        started_at=rfc3339(worker.started_at),
        renewed_at=rfc3339(one.renewed_at),
        lease_until=rfc3339(worker.lease_until),
        plans=list(worker.plans),
        timers=one.timers,
        held=worker.held,
    )


def _lane(one: ClusterLane) -> LaneView:
    oldest_at = None if one.oldest_at is None else rfc3339(one.oldest_at)
    return LaneView(lane=one.lane, events=one.events, oldest_at=oldest_at, messages=one.messages)


router = Router("/v1/cluster", route_handlers=[get_cluster, drain_process], tags=["Cluster"])
