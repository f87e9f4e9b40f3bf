"""Retention: how long a tenant keeps each kind of data, and the counts that remain."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.status import Reason, Status


class RetentionKind(StrEnum):
    """What is kept for a while."""

    EVENTS = "events"
    """What happened, as it was sent: the data that messages are rendered from."""
    MESSAGES = "messages"
    """Messages that are over, with their timelines and explanations."""
    INBOX = "inbox"
    """Items of in-app inboxes. A message stays as long as its item."""
    CAPTURES = "captures"
    """What capture integrations kept instead of sending it."""
    DELIVERIES = "deliveries"
    """Calls of webhook endpoints."""
    DEVICES = "devices"
    """Devices that were not registered again."""
    INBOUND = "inbound"
    """What people wrote to us: text messages, chats, answers to emails."""
    QUARANTINE = "quarantine"
    """Mail and callbacks kept for manual review."""
    DEAD_RECORDS = "dead_records"
    """Records of sources, and events for sinks, that could not be done."""
    VERIFICATIONS = "verifications"
    """One-time codes that are over, and what is known about the ranges of numbers they went to."""
    OPERATIONS = "operations"
    """Finished operations on many messages, with what failed."""


Days = Mapping[RetentionKind, int | None]
"""How many days something is kept; None: for ever."""

DEFAULT_DAYS: Days = {
    RetentionKind.EVENTS: 30,
    RetentionKind.MESSAGES: 90,
    RetentionKind.INBOX: 365,
    RetentionKind.CAPTURES: 30,
    RetentionKind.DELIVERIES: 30,
    RetentionKind.DEVICES: 270,
    RetentionKind.INBOUND: 90,
    RetentionKind.QUARANTINE: 30,
    RetentionKind.DEAD_RECORDS: 30,
    RetentionKind.VERIFICATIONS: 30,
    RetentionKind.OPERATIONS: 30,
}


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What one look for old rows found."""

    expired: Mapping[TenantId, int] = {}
    """How many went (or would go), by tenant."""
    following: bytes | None = None
    """Where to go on; None: that was all of this kind."""


class MessageTotal(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages ended how, or are where on their way."""

    tenant: TenantId
    day: int
    """Days since 1970-01-01, UTC, on which their events came in."""
    workflow: str
    channel: Channel
    status: Status
    reason: Reason | None = None
    count: int
