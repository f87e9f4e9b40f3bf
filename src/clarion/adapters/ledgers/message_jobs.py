"""What callers ask of the messages of a database, as it waits to be done together with what others ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

from clarion.model.ids import Instant, TenantId, WorkerId
from clarion.model.message import Message
from clarion.model.settlement import Settlement

TENANTS = 64
"""Tenants looked at in one claim; those behind them have their turn in the next."""
DEEPEST = 100_000
"""Where counting a queue stops."""


class ClaimJob(NamedTuple):
    """Due messages of a queue, for a worker; nothing of the tenants `but`."""

    worker: WorkerId
    queue: int
    limit: int
    now: Instant
    but: Set[TenantId]


class SettleJob(NamedTuple):
    """What became of messages that a worker holds."""

    worker: WorkerId
    settlements: Sequence[Settlement]


class CallsJob(NamedTuple):
    """Batches that a worker is about to hand to their integrations."""

    worker: WorkerId
    batches: Mapping[str, Sequence[Message]]
    at: Instant
