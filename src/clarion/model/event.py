"""Events, and their entries in a lane."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from clarion.model.channel import Lane
from clarion.model.ids import NO_USER, EventId, Instant, MessageId, TenantId, UserNo
from clarion.model.live_update import LiveUpdate
from clarion.model.message import Message, Run
from clarion.model.recipient_object import OnDuty
from clarion.model.status import Reason, Status

EMPTY_DATA = msgspec.Raw(b"{}")

EventKey = tuple[EventId, str]
"""What an event's body is found by: its id, and the workflow it goes through."""


class Group(NamedTuple):
    """Users that an event goes to together: one of the two is named."""

    topic: str = ""
    segment: str = ""


def grouped(topics: Iterable[str], segments: Iterable[str]) -> tuple[Group, ...]:
    """Topics and segments, in the order they are planned in."""
    return (*(Group(topic=topic) for topic in topics), *(Group(segment=segment) for segment in segments))


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event on its way through one workflow. This is what gets sealed and logged."""

    id: EventId
    tenant: TenantId
    lane: Lane
    workflow: str
    at: Instant
    users: tuple[UserNo, ...] = ()
    topics: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    after: UserNo = NO_USER
    """Its groups are planned behind this user: what a `Continuation` says, and entries of older versions."""
    data: msgspec.Raw = EMPTY_DATA
    """The caller's JSON object, as it came."""
    actor: str | None = None
    overrides: msgspec.Raw = EMPTY_DATA
    """Per-channel content fields that replace what the template renders: `{"email": {"subject": ".."}}`."""
    expires_at: Instant | None = None
    send_at: Instant | None = None
    """Nothing goes before."""
    send_at_local: str | None = None
    """The same by the clock of each recipient: `2026-05-04T09:00`."""
    source: str = ""
    type: str = ""
    subject: str = ""
    time: Instant | None = None
    traceparent: str = ""
    live: LiveUpdate | None = None
    """It tells of this state of a live resource."""
    hops: int = 0
    """How many workflows started one another until this event."""
    digest_of: int | None = None
    """It is a digest, of so many events."""
    campaign: bool = False
    """It is that of a campaign, which may be paused."""
    on_duty: OnDuty | None = None
    """It reaches whom it is planned for because of a rota. Never said by an entry in a log."""

    @property
    def groups(self) -> tuple[Group, ...]:
        """All it goes to."""
        return grouped(self.topics, self.segments)


class Entry(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An event as it lies in a lane's log: sealed, with what the log needs in the clear."""

    event_id: EventId
    tenant: TenantId
    lane: Lane
    workflow: str
    sealed: bytes
    sealed_for: UserNo
    """Whose data key opens `sealed`: the only recipient, or `NO_USER` for the tenant's own key."""
    setup_revision: int = 0
    """The set-up (`flow.setup_view.SetupView.revision`) it was accepted with: whoever plans it has seen that one at least."""
    seq: int = 0
    """Position in the lane's log; 0 before it is durable."""
    event: Event | None = None
    """The opened event while it is still in memory; None when it was read back."""

    @property
    def key(self) -> EventKey:
        """What its body is found by later on."""
        return self.event_id, self.workflow


class Continuation(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of an event's way to its groups: due like a timer, and planned a page of members at a time."""

    event_id: EventId
    workflow: str
    tenant: TenantId
    lane: Lane
    topic: str = ""
    """Where it goes on, unless that is a segment; the event's groups behind this one follow."""
    segment: str = ""
    after: UserNo
    """The last member who is planned."""
    setup_revision: int
    """As that of `Entry`."""
    due_at: Instant
    fence: int = 0
    """Grows with every claim; a plan with an older fence is refused."""

    @property
    def group(self) -> Group:
        """Where it goes on."""
        return Group(self.topic, self.segment)


class Consumed(msgspec.Struct, frozen=True, array_like=True):
    """Entries of the ledger's log: whatever is stored with this makes them planned, and they never come again."""

    lane: Lane
    seqs: tuple[int, ...]


class Position(msgspec.Struct, frozen=True, array_like=True):
    """Up to where a partition of a broker is planned, and since which change of hands its owner says so."""

    partition: str
    """Its name among all partitions of the broker: `clarion.bulk/3`."""
    offset: int
    """Of the first entry that is not planned."""
    epoch: int
    """Grows whenever another process takes the partition: what an earlier owner says is refused."""


class SetAside(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted event that could not be planned. Its body stays, and it waits here for a person."""

    event_id: EventId
    tenant: TenantId
    lane: Lane
    workflow: str
    reason: Reason
    detail: str
    """The kind of the error; never content."""
    at: Instant
    discarded_at: Instant | None = None
    """When a person said that it needs no more attention."""
    seq: int = 0


class IdempotencyRecord(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """First come, first served on a key: an idempotency key, or a CloudEvent's (source, id)."""

    tenant: TenantId
    key: bytes
    """16-byte keyed hash."""
    fingerprint: bytes
    """Hash of the request body; another body under the same key is refused."""
    answer: bytes
    """What to answer now and on every repeat."""
    expires_at: Instant


class IdempotencyResult(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Whether a claim was first. If not, `fingerprint` and `answer` are those of the first."""

    fresh: bool
    fingerprint: bytes
    answer: bytes
    confirmed: bool = True
    """The first one's events were published, or are with this call. False: nobody knows, so that they are to be published again."""


class Reserved(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Claims of events that are published next."""

    number: int
    """What confirms them once their events are published; 0: there is nothing to confirm."""
    results: tuple[IdempotencyResult, ...]
    """One for each claim."""


class EventFound(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an event, all of it at one moment."""

    runs: Sequence[Run]
    """The first ones; that of `NO_USER` says that it reached nobody."""
    messages: Sequence[Message]
    """Newest first."""
    following: MessageId | None
    """Where the next page of messages begins; None: the end."""
    waits: bool
    """Some of it is not planned yet."""
    active: bool
    """Some message is not finished."""
    set_aside: SetAside | None
    """It could not be planned."""


class EventRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One planned event in a list."""

    id: EventId
    workflows: tuple[str, ...]
    """Those it started."""
    lane: Lane
    counts: Mapping[Status, int]
    """How many messages are where."""
    left: bool = False
    """Some members of its topics are not planned yet."""
