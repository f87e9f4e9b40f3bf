"""Workers: the processes that share a store, and what each of them does."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from clarion.model.channel import CHANNELS, LANES, Channel, Lane
from clarion.model.ids import Instant, WorkerId


class Role(StrEnum):
    """A part of the work that a process may do for all."""

    API = "api"
    """Answers requests, takes callbacks of providers, and shows the pages."""
    WORKER = "worker"
    """Plans events and sends messages."""
    GATEWAY = "gateway"
    """Keeps the connections of the live inboxes."""
    TIMERS = "timers"
    """Does what only one process may do at a time: operations, retention, mailboxes, ..."""


LEASE_MS = 15_000
"""How long a process may be silent before others claim what it holds, unless it says otherwise."""
ROLES: tuple[Role, ...] = tuple(Role)


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """What a process says about itself when it opens its lease."""

    node: str = ""
    """Where it runs: host and process id."""
    version: str = ""
    roles: tuple[Role, ...] = ROLES
    lanes: tuple[Lane, ...] = LANES
    """Those that it plans and sends, if it is a worker."""
    channels: tuple[Channel, ...] = CHANNELS
    """Those on which it sends, if it is a worker."""
    lease_ms: int = LEASE_MS
    """How long it may be silent before others claim what it holds."""


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A process that holds a lease, as all others see it."""

    id: WorkerId
    process: Process
    started_at: Instant
    lease_until: Instant
    held: int = 0
    """Messages that it held in memory when it last renewed its lease."""
    draining: bool = False
    """It stops, or was asked to."""
    plans: tuple[Lane, ...] = ()
    """Lanes that nobody else plans meanwhile."""


class Reaped(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one look at the workers."""

    workers: int = 0
    """How many were given up."""
    messages: int = 0
    """How many messages of dead workers are due now."""
    more: bool = False
    """There is more to make due: call again."""
