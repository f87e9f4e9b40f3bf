"""All durable state, one small protocol per aggregate. Every call is bound to a tenant or to ids we derived.

Writes are durable when the awaited call returns. Every method may raise Unavailable (disk full, closing).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from clarion.ports.ledger.campaigns import CampaignRanges, Campaigns
from clarion.ports.ledger.conversations import Conversations
from clarion.ports.ledger.digests import Digests
from clarion.ports.ledger.events import (
    Continuations,
    EventLog,
    Events,
    IdempotencyStore,
    Partitions,
    SetAsides,
)
from clarion.ports.ledger.inboxes import Inboxes
from clarion.ports.ledger.journal import Journal
from clarion.ports.ledger.leases import Leases
from clarion.ports.ledger.lives import Lives
from clarion.ports.ledger.messages import Messages, Receipts
from clarion.ports.ledger.operations import OperationFiles, Operations, OperationSteps
from clarion.ports.ledger.plans import Plans
from clarion.ports.ledger.quotas import Quotas
from clarion.ports.ledger.readings import DeadRecords, Readings
from clarion.ports.ledger.records import Captures, InboundStore, MessageRecords, Quarantine
from clarion.ports.ledger.retention import Retention
from clarion.ports.ledger.runs import Runs
from clarion.ports.ledger.schedules import Schedules
from clarion.ports.ledger.segments import Audiences, SegmentMembers
from clarion.ports.ledger.setup import ApiKeyStore, DocumentStore, SetupStore, Tenants
from clarion.ports.ledger.spending import NumberRanges, Spending
from clarion.ports.ledger.users import (
    Consents,
    Deliveries,
    Devices,
    Directory,
    Endpoints,
    Suppressions,
    Topics,
    Users,
)
from clarion.ports.ledger.verifications import Verifications
from clarion.ports.ledger.withdrawals import Withdrawals
from clarion.ports.terms import Subject

__all__ = [
    "ApiKeyStore",
    "Audiences",
    "CampaignRanges",
    "Campaigns",
    "Captures",
    "Consents",
    "Continuations",
    "Conversations",
    "DeadRecords",
    "Deliveries",
    "Devices",
    "Digests",
    "Directory",
    "DocumentStore",
    "Endpoints",
    "EventLog",
    "Events",
    "IdempotencyStore",
    "InboundStore",
    "Inboxes",
    "Journal",
    "Leases",
    "Lives",
    "MessageRecords",
    "Messages",
    "NumberRanges",
    "OperationFiles",
    "OperationSteps",
    "Operations",
    "Partitions",
    "Plans",
    "Quarantine",
    "Quotas",
    "Readings",
    "Receipts",
    "Retention",
    "Runs",
    "Schedules",
    "SegmentMembers",
    "SetAsides",
    "SetupStore",
    "Spending",
    "Store",
    "Suppressions",
    "Tenants",
    "Topics",
    "Users",
    "Verifications",
    "Withdrawals",
]


class Store(Protocol):
    """The store as a whole: values in, values out, so that it may be in another process."""

    log: EventLog
    partitions: Partitions
    events: Events
    continuations: Continuations
    set_aside: SetAsides
    users: Users
    suppressions: Suppressions
    consents: Consents
    devices: Devices
    endpoints: Endpoints
    deliveries: Deliveries
    topics: Topics
    directory: Directory
    audiences: Audiences
    segments: SegmentMembers
    setup: SetupStore
    plans: Plans
    runs: Runs
    digests: Digests
    campaigns: Campaigns
    campaign_ranges: CampaignRanges
    leases: Leases
    messages: Messages
    spending: Spending
    quotas: Quotas
    number_ranges: NumberRanges
    verifications: Verifications
    receipts: Receipts
    quarantine: Quarantine
    inbound: InboundStore
    lives: Lives
    schedules: Schedules
    records: MessageRecords
    journal: Journal
    operations: Operations
    steps: OperationSteps
    files: OperationFiles
    withdrawals: Withdrawals
    inboxes: Inboxes
    captures: Captures
    conversations: Conversations
    readings: Readings
    dead_records: DeadRecords
    retention: Retention
    claims: IdempotencyStore

    async def tag(self, subject: Subject) -> str | None:
        """Of a resource as it is now: another one after every change. None: there is no such resource. What a request
        makes of it holds inside its writes, see `ports.terms`."""

    async def health(self) -> str:
        """`ok`, or why nothing can be written. Asking makes a broken store look again by itself."""

    async def stats(self) -> Mapping[str, Any]:
        """Counters for metrics: commits, rows, queue length, last commit milliseconds, file bytes."""

    async def close(self) -> None:
        """Commit what is pending, then close the file."""
