"""Runs and messages: what is planned, and its state."""

from __future__ import annotations

from itertools import chain
from typing import Any

import msgspec

from clarion.model.channel import Channel, Lane
from clarion.model.ids import (
    BEHIND_ALL,
    EventId,
    Instant,
    MessageId,
    RunId,
    TenantId,
    UserNo,
    children_range,
    first_id_at,
)
from clarion.model.setup import StepType
from clarion.model.status import Reason, Status

_pack = msgspec.msgpack.Encoder().encode


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one rule said, from which inputs, and why. A list of these is the explanation."""

    rule: str
    """`preferences`, `suppression`, `contact`, `quiet_hours`, `send_window`, `frequency_cap`, `dedupe`,
    `collapse`, `thread`, `rota`, `channel_choice`, `endpoint`, `ladder`, `expiry`, `profile`, `critical`, `schedule`, `cancellation`."""
    result: str
    """`allow`, `defer`, `stop`, `skip`."""
    reason: str
    """A `Reason` value, or the name of the setting that allowed it (`tenant_default`, `user_choice`, ...)."""
    inputs: dict[str, Any] = {}
    """What the rule looked at: settings, local time, counts. Never an address or content."""


_unpack = msgspec.msgpack.Decoder(tuple[Verdict, ...]).decode


class ChannelDecision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, array_like=True):
    """The plan for one step on one channel, whether or not a message came of it."""

    step: str
    channel: Channel
    status: Status
    """`queued` or `deferred` when a message will go; otherwise the terminal status it was born with."""
    reason: Reason | None = None
    due_at: Instant | None = None
    message_id: MessageId | None = None
    """None when the channel was skipped without a message (not chosen by `first`)."""
    said: tuple[bytes, ...] = ()
    """Its verdicts as `packed` makes them: whoever stores a plan, or passes it on, does not look into them."""

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Why it is so."""
        return tuple(chain.from_iterable(map(_unpack, self.said)))


def packed(*verdicts: Verdict) -> tuple[bytes, ...]:
    """For `ChannelDecision.said`; several of these may follow each other."""
    return (_pack(verdicts),) if verdicts else ()


class StepTrace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, array_like=True):
    """What a step of a run did, and why."""

    step: str
    type: StepType
    result: str
    """`sent`, `skipped`, `waits`, `over`, `matched`, `timed_out`, `case`, `no_case`, `assigned`, `unassigned`, `held_out`,
    `expired`, `calls`, `done`, `round`, `repeated`, `counted`, `allowed`, `throttled`, `critical`,
    `collected`, `joined`, `opened`, `passed`, `closed`, `failed`, `ended` or `error`."""
    at: Instant
    due_at: Instant | None = None
    """When a wait ends."""
    inputs: dict[str, Any] = {}
    """What it looked at: conditions, arms, what was wrong with an expression. Never values of the data."""


class Run(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One workflow for one recipient of one event, with its explanation; of a run that waited: a part of it, from
    one wait to the next."""

    id: RunId
    """Of a later part: `model.ids.part_id`."""
    tenant: TenantId
    user: UserNo
    event_id: EventId
    lane: Lane
    workflow: str
    workflow_version: int
    at: Instant
    channels: tuple[ChannelDecision, ...]
    part: int = 0
    """How often it had waited before."""
    steps: tuple[StepTrace, ...] = ()
    """What each step did, where the workflow does more than send."""


class Message(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One run's notification on one channel: the row the engine moves."""

    id: MessageId
    tenant: TenantId
    user: UserNo
    event_id: EventId
    workflow: str
    workflow_version: int
    category: str
    step: str
    template: str
    template_version: int = 0
    """The version that was live when it was planned; 0: the one that is live when it is rendered."""
    channel: Channel
    lane: Lane
    status: Status
    created_at: Instant
    reason: Reason | None = None
    due_at: Instant | None = None
    """When it should next be looked at. None: never, or a worker holds it."""
    expires_at: Instant | None = None
    attempt: int = 0
    """Provider calls recorded so far."""
    unknowns: int = 0
    """Attempts whose outcome is unknown."""
    fence: int = 0
    """Grows with every claim; a write with an older fence is refused."""
    until: str = ""
    """Ladder only: the `Success` that satisfies it."""
    later_rungs: tuple[MessageId, ...] = ()
    """Ladder only: the rungs behind this one, in order. Beside a ladder that waits for attention (`always`, and no
    `until` of its own): all its rungs."""
    waits_for: MessageId | None = None
    """Thread order: the message that must be finished first."""
    threaded: bool = False
    """Another message may wait for this one."""
    charged: bool = False
    """Frequency caps count it now, because it is on its way. What waits is not counted; it is when it goes on."""
    updated_at: Instant = Instant(0)
    integration: str | None = None
    sent_at: Instant | None = None
    delivered_at: Instant | None = None
    seen_at: Instant | None = None
    read_at: Instant | None = None
    clicked_at: Instant | None = None
    archived_at: Instant | None = None
    tried_at: Instant | None = None
    """When it was tried first, while it is tried again; none after a person sent it back."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One record per status change or attempt; a message's timeline is its changes in order."""

    seq: int = 0
    message_id: MessageId
    tenant: TenantId
    at: Instant
    status: Status
    reason: Reason | None = None
    attempt: int = 0
    integration: str | None = None
    outcome: str | None = None
    """Name of the provider outcome when this records an attempt."""
    provider_id: str | None = None
    took_ms: int | None = None
    detail: str | None = None
    """Provider's own words, bounded and redacted."""
    due_at: Instant | None = None
    traceparent: str | None = None
    choice: str | None = None
    """Why this integration, when there were several: scores, and what ruled the others out."""


class MessageFilter(msgspec.Struct, frozen=True, kw_only=True):
    """All given fields must match."""

    user: UserNo | None = None
    event_id: EventId | None = None
    workflows: frozenset[str] = frozenset()
    """Any of these; empty: whatever workflow. So with the next three."""
    channels: frozenset[Channel] = frozenset()
    statuses: frozenset[Status] = frozenset()
    reasons: frozenset[Reason] = frozenset()
    since: Instant | None = None
    before: Instant | None = None

    def ids(self, before: MessageId | None) -> tuple[bytes, bytes]:
        """The lowest id that may match, and the first that is too high: none from `before` on."""
        lowest, behind = b"", BEHIND_ALL
        if self.event_id is not None:
            lowest, last = children_range(self.event_id)
            behind = last + b"\x00"
        if self.since is not None:
            lowest = max(lowest, first_id_at(self.since))
        if self.before is not None:
            behind = min(behind, first_id_at(self.before))
        return lowest, behind if before is None else min(behind, before)
