"""All durable state, one small protocol per aggregate. Every call is bound to a tenant or to ids we derived.

Writes are durable when the awaited call returns. Every method may raise Unavailable (disk full, closing).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from clarion.model.channel import Channel, Lane
from clarion.model.endpoint import Delivery, Endpoint, EndpointState
from clarion.model.event import Claim, ClaimResult, Entry, SetAside
from clarion.model.ids import EventId, Instant, MessageId, TenantId, UserNo
from clarion.model.inbox import Captured, InboxChange, InboxCounts, InboxItem
from clarion.model.message import Change, Message, Run
from clarion.model.operation import OperationId, OperationKind, OperationStatus
from clarion.model.plan import CapCharge, Collapse, DedupeClaim, ThreadTurn
from clarion.model.receipt import Kind
from clarion.model.setup import (
    ApiKey,
    Category,
    Draft,
    Integration,
    Learned,
    Partial,
    Template,
    Tenant,
    Workflow,
)
from clarion.model.status import Reason, Status
from clarion.model.user import Profile, User
from clarion.ports.terms import Subject

T = TypeVar("T")


# ── events ────────────────────────────────────────────────────────────────────────────────────────────────


class EventLog(Protocol):
    """An append-only log per lane, and the cursor of what has been planned."""

    async def append(
        self, entries: Sequence[Entry], claims: Sequence[Claim | None]
    ) -> tuple[Sequence[Entry], Sequence[ClaimResult | None]]:
        """One transaction: the published entries with their `seq` (those with stale claims left out)."""

    def read(self, lane: Lane, after: int, limit: int) -> Sequence[Entry]:
        """Entries behind `after`, in order. A short local read."""

    def fetch(self, lane: Lane, seqs: Sequence[int]) -> Mapping[int, Entry]:
        """Entries by position, planned or not, as long as retention keeps them."""

    def position(self, lane: Lane) -> int:
        """The last acknowledged position."""

    async def advance(self, lane: Lane, position: int) -> None:
        """Everything up to `position` is planned. Never goes backwards."""

    def end(self, lane: Lane) -> int:
        """The last position ever written."""


class Claims(Protocol):
    """Answers that are given again to whoever repeats a call under the same key."""

    async def claimed(self, tenant: TenantId, key: bytes, now: Instant) -> ClaimResult | None:
        """What the first call under the key left, unless it has expired."""

    async def hold(self, claim: Claim) -> ClaimResult:
        """Durable when this returns; `fresh` for the first one under its key."""


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
    seq: int
    """Where its lane's log has one of its entries."""
    counts: Mapping[Status, int]
    """How many messages are where."""


class Events(Protocol):
    """Events after they were accepted."""

    async def page(
        self, tenant: TenantId, since: Instant | None, before: bytes, limit: int
    ) -> tuple[Sequence[EventRecord], bytes | None]:
        """Planned events, newest first, and where to go on (None: the end). A page may be short: the scan per call is
        bounded. `before`: where the page before ended, or the first id that is too new."""

    async def found(
        self, tenant: TenantId, event_id: EventId, before: MessageId | None, limit: int, runs: int
    ) -> EventFound | None:
        """At most so many messages and runs; None when it was not accepted for this tenant."""

    async def known(self, tenant: TenantId, event_id: EventId) -> bool:
        """Whether it was accepted for this tenant, planned or not."""

    async def cancel(self, event_id: EventId, at: Instant, begun: Set[MessageId]) -> int:
        """Cancel all its messages that have not started, but none of `begun` (calls of these are under way), and
        whatever is planned of it later on; how many were canceled. Repeating it is harmless."""


class SetAsides(Protocol):
    """Events that could not be planned, kept for a person."""

    async def keep(self, events: Sequence[SetAside]) -> None:
        """Durable when this returns. Repeating it changes nothing."""

    async def page(self, tenant: TenantId, before: int | None, limit: int) -> Sequence[SetAside]:
        """Those that were not discarded, newest first, cursor is `seq`."""

    async def retry(self, tenant: TenantId, seqs: Sequence[int]) -> Sequence[Entry]:
        """Append them to the end of their lanes again, and forget them here; the new entries."""

    async def discard(self, tenant: TenantId, seq: int, at: Instant) -> bool:
        """Whether it was there. The event keeps its reason, but nobody is asked to look at it any more."""

    def waiting(self) -> int:
        """How many wait for a person, of all tenants. Never waits."""


# ── users ─────────────────────────────────────────────────────────────────────────────────────────────────


class UserPut(msgspec.Struct, frozen=True, kw_only=True):
    """Create or replace a user; `profile=None` only makes sure the user exists."""

    id: str
    profile: Profile | None = None
    revision: int | None = None
    """When given, the stored revision must still be this one, else Conflict."""


class Users(Protocol):
    """People, opened. Reads come from a bounded in-process cache that every write keeps true."""

    async def find(self, tenant: TenantId, ids: Sequence[str]) -> Mapping[str, User]:
        """Those that exist, by their id."""

    async def get(self, numbers: Sequence[UserNo]) -> Mapping[UserNo, User]:
        """Those that exist, by their number."""

    def current(self, no: UserNo) -> User | None:
        """The user as of the last committed write if cached, else None. Never waits: the last look before a call."""

    async def put(self, tenant: TenantId, users: Sequence[UserPut]) -> Sequence[User]:
        """Create or replace; contacts get their `hash`, endpoints stay as they are. One transaction."""

    async def delete(self, tenant: TenantId, user_id: str) -> bool:
        """Destroy the user's key, profile, inbox, captures and subscriptions; cancel what is active
        (`suppressed`, `user_deleted`). Numbers in messages stay as anonymous statistics."""

    async def page(self, tenant: TenantId, before: UserNo | None, limit: int) -> Sequence[User]:
        """Newest first, those with a lower number."""


class Suppression(msgspec.Struct, frozen=True, kw_only=True):
    """An address that must not be used again; only its keyed hash is kept."""

    tenant: TenantId
    channel: Channel
    hash: bytes
    reason: str
    at: Instant


class Suppressions(Protocol):
    """Addresses never to be contacted."""

    async def add(self, rows: Sequence[Suppression]) -> None:
        """Effective for every attempt that starts after this returns."""

    async def remove(self, tenant: TenantId, channel: Channel, hash: bytes) -> bool:
        """Whether it was there."""

    async def find(self, tenant: TenantId, hash: bytes) -> Suppression | None:
        """That of one address. The hash says the channel too."""

    async def page(
        self, tenant: TenantId, before: tuple[Instant, bytes] | None, limit: int
    ) -> Sequence[Suppression]:
        """Newest first, those behind this time and hash."""


class Endpoints(Protocol):
    """Webhook endpoints of users. A disabled one is a suppression of its id on the webhook channel."""

    async def put(
        self, tenant: TenantId, user: UserNo, endpoint: Endpoint, before: Endpoint | None
    ) -> Endpoint:
        """Create (`before=None`) or replace. Raises Conflict when what is stored is not `before`."""

    async def delete(self, tenant: TenantId, endpoint_id: bytes) -> bool:
        """Whether it was there. Its deliveries can no longer be found, and go when they are old."""

    async def find(self, tenant: TenantId, endpoint_id: bytes) -> EndpointState | None:
        """How it is doing."""

    async def page(
        self, tenant: TenantId, user: UserNo | None, before: bytes | None, limit: int
    ) -> Sequence[EndpointState]:
        """Newest first, those with a lower id."""

    async def failing(self, for_ms: int, limit: int) -> Sequence[EndpointState]:
        """Of all tenants: those whose last call failed at least `for_ms` after the first in a row that did, and
        those whose receiver ended them; except those that were switched off through `switch`."""

    async def switch(self, tenant: TenantId, endpoint_id: bytes, off: str, at: Instant) -> bool:
        """Disable for the reason `off` (a reason that is there stays), or enable when it is empty, as if it had never
        failed. Whether there is such an endpoint."""


class DeliveryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """All given fields must match."""

    ok: bool | None = None
    since: Instant | None = None
    before: Instant | None = None


class Deliveries(Protocol):
    """The calls of endpoints that settlements brought along, kept for a month."""

    async def page(
        self, tenant: TenantId, endpoint: bytes, where: DeliveryFilter, before: int | None, limit: int
    ) -> Sequence[Delivery]:
        """Newest first, cursor is `seq`."""


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """A group users subscribe to."""

    key: str
    name: str = ""
    members: int = 0


class Topics(Protocol):
    """Explicit groups."""

    async def put(self, tenant: TenantId, topic: Topic) -> None:
        """Create or rename."""

    async def delete(self, tenant: TenantId, key: str) -> bool:
        """With its subscriptions."""

    async def page(self, tenant: TenantId, after: str, limit: int) -> Sequence[Topic]:
        """In order of key, with member counts."""

    async def subscribe(self, tenant: TenantId, key: str, users: Sequence[UserNo]) -> int:
        """Adds members (creating the topic when missing); how many were new."""

    async def unsubscribe(self, tenant: TenantId, key: str, users: Sequence[UserNo]) -> int:
        """How many were removed."""

    async def members(self, tenant: TenantId, key: str, after: UserNo, limit: int) -> Sequence[UserNo]:
        """In order of number; the fan-out walks this page by page."""


class Directory(Protocol):
    """Finding people and topics otherwise than by a name that is known to be right."""

    async def with_contact(
        self, tenant: TenantId, channel: Channel, hash: bytes, limit: int
    ) -> Sequence[User]:
        """The users who have this contact, by number."""

    async def users_near(self, tenant: TenantId, user_id: str, limit: int) -> Sequence[str]:
        """User ids that come before and behind this one in the alphabet, at most `limit` each way."""

    async def topics(self, tenant: TenantId, keys: Sequence[str]) -> frozenset[str]:
        """Those that exist."""

    async def topic(self, tenant: TenantId, key: str) -> Topic | None:
        """One topic with the number of its members."""

    async def topics_near(self, tenant: TenantId, key: str, limit: int) -> Sequence[str]:
        """The same for the keys of topics."""


# ── set-up ────────────────────────────────────────────────────────────────────────────────────────────────


class Shelf(Protocol[T]):
    """Keyed documents of a tenant (categories, workflows, templates, ...), held in memory."""

    def all(self, tenant: TenantId) -> Mapping[str, T]:
        """Every document by key: the live, committed versions. Never waits. The same mapping until something changes,
        then another one; do not mutate."""

    async def put(self, tenant: TenantId, document: T, *, before: T | None = None, fresh: bool = False) -> T:
        """Create or replace; workflows, templates and partials get the next `version`, older ones are kept.

        `before`: what the document was made from; Conflict when something else is live by now, also when another
        process put it there. `fresh`: Conflict when anything is. After a Conflict `all` shows what is really live.
        """

    async def delete(self, tenant: TenantId, key: str) -> bool:
        """Whether it was there."""

    async def version(self, tenant: TenantId, key: str, version: int) -> T | None:
        """An exact version, live or old."""

    async def versions(self, tenant: TenantId, key: str, before: int | None, limit: int) -> Sequence[T]:
        """All versions that were ever live, newest first, also of a deleted document; those below `before`."""


class Basis(msgspec.Struct, frozen=True, kw_only=True):
    """What was live, as `all` showed it, when somebody decided what to release."""

    templates: Mapping[str, Template]
    partials: Mapping[str, Partial]


class Setup(Protocol):
    """All configuration of all tenants."""

    tenants: Tenants
    categories: Shelf[Category]
    workflows: Shelf[Workflow]
    templates: Shelf[Template]
    drafts: Shelf[Draft]
    learned: Shelf[Learned]
    """Of the installation: under tenant 0."""
    trials: Shelf[Template]
    """What authors send to themselves, under keys of its own: never live."""
    partials: Shelf[Partial]
    integrations: Shelf[Integration]
    keys: Keys

    @property
    def revision(self) -> int:
        """Grows with every change by any process; at least that of the newest change seen here."""

    async def catch_up(self, revision: int | None = None) -> None:
        """When this returns, everything up to this revision (None: everything) is seen here, whoever changed it."""

    async def release(
        self,
        tenant: TenantId,
        templates: Sequence[Template],
        *,
        partial: Partial | None = None,
        draft: Draft | None = None,
        basis: Basis | None = None,
    ) -> Sequence[Template]:
        """One transaction: next versions of the templates and of the partial are live, the draft is gone.

        The templates as they are stored, in order. Conflict, and nothing is changed, when `draft` is another one by
        now, or anything of the `basis` is: also by another process. After it `all` shows what is really live.
        """


class Tenants(Protocol):
    """The tenants of this installation, held in memory."""

    def all(self) -> Mapping[TenantId, Tenant]:
        """By id."""

    async def put(self, tenant: Tenant) -> Tenant:
        """Create (id 0: the store assigns one, and adds the integration `INBOX`) or replace by id."""

    async def change(self, tenant: TenantId, to: Callable[[Tenant], Tenant]) -> Tenant:
        """Store `to(what is stored)` in one transaction, so that no other change is lost. What `to` raises is raised,
        and nothing is stored. `to` may run more than once, and in another thread: it looks at its argument only."""


class Keys(Protocol):
    """API keys, by keyed hash."""

    async def find(self, hash: bytes) -> ApiKey | None:
        """Also revoked and expired ones; the caller decides."""

    async def add(self, key: ApiKey) -> None:
        """Store a new key."""

    async def page(self, tenant: TenantId) -> Sequence[ApiKey]:
        """All keys of a tenant, newest first."""

    async def revoke(self, tenant: TenantId, key_id: str, at: Instant) -> bool:
        """Whether a live key was revoked."""

    async def touch(self, used: Mapping[str, Instant]) -> None:
        """Record last use, key id to time; called now and then, in batches."""


# ── planning ──────────────────────────────────────────────────────────────────────────────────────────────


class PlanCommit(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one planned batch writes, in one transaction. Repeating it changes nothing."""

    runs: tuple[Run, ...]
    messages: tuple[Message, ...]
    """`fence=1` and `due_at` = lease end when the planner keeps it; `fence=0` when anyone may claim it."""
    charges: tuple[CapCharge, ...] = ()
    dedupes: tuple[DedupeClaim, ...] = ()
    collapses: tuple[Collapse, ...] = ()
    turns: tuple[ThreadTurn, ...] = ()
    continuations: tuple[Entry, ...] = ()
    """Fan-out that goes on behind these; appended to their lane's log in the same transaction."""


class PlanResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the exact checks inside the transaction changed."""

    changed: Mapping[MessageId, tuple[Status, Reason]] = {}
    """Messages that did not go in as planned; do not dispatch them."""
    known: frozenset[MessageId] = frozenset()
    """Messages that were there before (a replay); do not dispatch them."""
    runs: tuple[Run, ...] = ()
    """Runs whose explanation grew by the exact checks."""
    continued: tuple[Entry, ...] = ()
    """The continuations with their `seq`."""


class Plans(Protocol):
    """The write side of planning."""

    async def commit(self, plan: PlanCommit) -> PlanResult:
        """One transaction, idempotent by derived ids."""

    async def preview(self, plan: PlanCommit) -> PlanResult:
        """The same statements, rolled back: what a dry run shows."""

    async def charge(self, charges: Sequence[CapCharge]) -> frozenset[MessageId]:
        """What waited goes on now, and caps count it; the ids that are over a cap and not counted."""

    async def runs_of(self, tenant: TenantId, event_id: EventId, user: UserNo | None) -> Sequence[Run]:
        """The stored explanations of an event."""


# ── messages ──────────────────────────────────────────────────────────────────────────────────────────────


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one held message. Refused when the fence is old (somebody else holds it now)."""

    message: Message
    """As the worker holds it."""
    status: Status
    at: Instant
    reason: Reason | None = None
    due_at: Instant | None = None
    attempt: int
    """Provider calls so far, this one included."""
    unknowns: int = 0
    integration: str | None = None
    outcome: str | None = None
    provider_id: str | None = None
    took_ms: int | None = None
    detail: str | None = None
    traceparent: str | None = None
    record: InboxItem | Captured | Delivery | None = None
    """Stored in the same transaction."""
    copies: tuple[Captured, ...] = ()
    """What was kept for the other devices of the person, stored with it."""
    content: bytes = b""
    """Of an inbox item, as JSON; not stored."""
    cancels: tuple[MessageId, ...] = ()
    """Later rungs to cancel (`ladder_satisfied`) if they have not started."""
    advances: MessageId | None = None
    """The next rung: due now if it is still waiting."""
    suppressions: tuple[Suppression, ...] = ()
    """Addresses that are gone for good."""


class SettleResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a batch of settlements."""

    refused: frozenset[MessageId] = frozenset()
    inbox: tuple[InboxChange, ...] = ()
    """The stored inbox items with their offsets, ready for the fan-out."""


class Messages(Protocol):
    """The hot pair, claim and settle, and what belongs to them."""

    async def claim(
        self,
        lane: Lane,
        channel: Channel,
        limit: int,
        now: Instant,
        lease_until: Instant,
        *,
        but: Set[TenantId] = frozenset(),
    ) -> Sequence[Message]:
        """Lease due messages; each comes back with a higher fence.

        Tenants take turns, the messages of each come oldest `due_at` first. Nothing of the tenants `but`.
        The returned `status` is the one found: `sending` means an earlier holder died with the outcome unknown.
        """

    async def mark_sending(self, messages: Sequence[Message], at: Instant) -> frozenset[MessageId]:
        """Durably note that a call is about to start; the ids that were refused (old fence)."""

    async def settle(self, settlements: Sequence[Settlement]) -> SettleResult:
        """Attempts and new states in one transaction."""

    def due(self, now: Instant) -> Sequence[tuple[Lane, Channel]]:
        """The queues that have something to claim. A short local read."""

    async def take_over(self, now: Instant) -> int:
        """At start-up of the only process: make everything held by an earlier process due now. How many."""

    async def depth(self) -> Mapping[tuple[Lane, Channel], int]:
        """Active messages per queue, bounded counting (at most 100,000 each)."""


class Consequence(msgspec.Struct, frozen=True, kw_only=True):
    """What one receipt means for its message, as `rules.receipts` decided it."""

    message: Message
    kind: Kind
    at: Instant
    status: Status | None = None
    """Where the message goes if it may; None: it stays where it is."""
    reason: Reason | None = None
    detail: str | None = None
    provider_id: str | None = None
    cancels: tuple[MessageId, ...] = ()
    """Later rungs to cancel (`ladder_satisfied`) if they have not started."""
    advances: MessageId | None = None
    """The next rung: due now if it is still waiting."""
    suppression: Suppression | None = None


class Receipts(Protocol):
    """What providers, mail servers and people report about messages that were sent."""

    async def messages(self, ids: Sequence[MessageId]) -> Mapping[MessageId, Message]:
        """Those that exist."""

    async def receive(self, consequences: Sequence[Consequence]) -> Sequence[bool]:
        """One transaction; for each whether it changed anything, in order.

        Taken is what moves its message forward, and what has more to say than a status (stays, or suppresses)
        if it is the first of its kind for its message. Whatever is taken leaves one change.
        """

    async def known(self, ids: Sequence[MessageId], kind: Kind) -> frozenset[MessageId]:
        """Those about which something of this kind has been taken already."""

    async def soft_bounces(self, users: Sequence[UserNo], channel: Channel, since: Instant) -> Sequence[int]:
        """How many messages to each user on the channel came back with `soft_bounce` since then."""


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """A mail that a person has to look at."""

    tenant: TenantId
    why: str
    """`not_understood`, `no_message`, `no_proof`."""
    sealed: bytes
    """The mail, under the tenant's key."""
    digest: bytes
    """Keyed hash of the mail: the same mail is kept once."""
    at: Instant
    seq: int = 0


class QuarantineFilter(msgspec.Struct, frozen=True, kw_only=True):
    """All given fields must match."""

    why: str | None = None
    since: Instant | None = None
    before: Instant | None = None


EVERYTHING = QuarantineFilter()


class Quarantine(Protocol):
    """Mail kept for manual review: bounded in number and age, the oldest go first."""

    async def keep(self, stray: Quarantined) -> None:
        """Durable when this returns. Repeating it changes nothing."""

    async def get(self, tenant: TenantId, seq: int) -> Quarantined | None:
        """One of them."""

    async def page(
        self, tenant: TenantId, where: QuarantineFilter, before: int | None, limit: int
    ) -> Sequence[Quarantined]:
        """Newest first, cursor is `seq`."""

    async def drop(self, tenant: TenantId, seq: int) -> bool:
        """Whether it was there."""


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


class MessageRecords(Protocol):
    """Looking things up, and moves made by hand."""

    async def get(self, tenant: TenantId, message_id: MessageId) -> Message | None:
        """One message."""

    async def page(
        self, tenant: TenantId, where: MessageFilter, before: MessageId | None, limit: int
    ) -> tuple[Sequence[Message], MessageId | None]:
        """Newest first, and the cursor to go on from (None: the end). A page may be short, even empty, when
        the filter is rare: the scan per call is bounded; go on with the cursor."""

    async def changes(self, tenant: TenantId, message_id: MessageId) -> Sequence[Change]:
        """The timeline, oldest first."""

    async def tail(self, tenant: TenantId, after: int, limit: int) -> Sequence[Change]:
        """Changes of all messages behind position `after` (-1: only the newest `limit`)."""

    async def cancel(
        self, tenant: TenantId, message_id: MessageId, at: Instant, begun: Set[MessageId]
    ) -> Status | None:
        """Cancel if it has not started, with the rungs behind it; the status it has now, None when there is no such
        message. `begun`: calls of these are under way, so they stay as they are."""

    async def requeue(
        self,
        tenant: TenantId,
        where: MessageFilter,
        ids: Sequence[MessageId] | None,
        at: Instant,
        limit: int,
        versions: Mapping[str, int],
    ) -> frozenset[MessageId]:
        """Put messages that failed (`RETRYABLE_BY_HAND`) back with fresh attempts; which (at most `limit`).
        What was suppressed goes back only when it is named by id. `versions`: the version of each template that
        its messages are sent with from now on; those of other templates keep theirs."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """Work on all messages that match a filter, newest first, and how far it is."""

    id: OperationId
    tenant: TenantId
    kind: OperationKind
    where: MessageFilter
    template_version: Literal["live", "planned"] = "live"
    status: OperationStatus = OperationStatus.QUEUED
    total: int | None = None
    """None until they are counted."""
    done: int = 0
    failed: int = 0
    cursor: MessageId | None = None
    """The messages from here on were gone through."""
    swept: bool = False
    """All were gone through: what is left is what failed and is tried again."""
    created_at: Instant
    updated_at: Instant
    started_at: Instant | None = None
    finished_at: Instant | None = None


class OperationFilter(msgspec.Struct, frozen=True, kw_only=True):
    """All given fields must match."""

    kind: OperationKind | None = None
    statuses: frozenset[OperationStatus] = frozenset()
    since: Instant | None = None
    before: Instant | None = None


class OperationError(msgspec.Struct, frozen=True, kw_only=True):
    """A message that an operation could not do."""

    index: int
    """Its place in the order in which they were gone through, from 0."""
    message_id: MessageId
    code: Literal["conflict", "not_found", "internal"]
    detail: str


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """The next part of an operation."""

    ids: Sequence[MessageId]
    following: MessageId | None = None
    """Where the part behind it begins; None: this is the last one."""
    at: Instant
    versions: Mapping[str, int] = {}
    """As for `MessageRecords.requeue`."""
    begun: Set[MessageId] = frozenset()
    """As for `MessageRecords.cancel`."""
    total: int | None = None
    """How many there are, once they were counted."""
    broken: bool = False
    """It cannot be done because of an error of ours: all of it failed."""


class Stepped(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a step."""

    operation: Operation
    moved: frozenset[MessageId] = frozenset()
    """The messages that were changed, the later channels of a ladder among them."""


class Operations(Protocol):
    """Work on many messages: asked for, looked at, and stopped. Old ones that are finished are forgotten."""

    async def add(self, operation: Operation, most: int) -> bool:
        """Durable when this returns. False, and nothing is stored, when the tenant has `most` unfinished ones."""

    async def get(self, tenant: TenantId, operation_id: OperationId) -> Operation | None:
        """One of them."""

    async def page(
        self, tenant: TenantId, where: OperationFilter, before: OperationId | None, limit: int
    ) -> Sequence[Operation]:
        """Newest first, cursor is the id."""

    async def errors(
        self, tenant: TenantId, operation_id: OperationId, after: int, limit: int
    ) -> Sequence[OperationError]:
        """What failed, by `index`, behind `after` (-1: from the first)."""

    async def cancel(self, tenant: TenantId, operation_id: OperationId, at: Instant) -> Operation | None:
        """Do nothing more of it, if it is not finished; how it is now. No step that ends later changes anything."""

    async def retry_failed(
        self, tenant: TenantId, operation_id: OperationId, at: Instant
    ) -> Operation | None:
        """Queue what failed once more, if it is finished and something failed; how it is now."""


class OperationSteps(Protocol):
    """The other side: operations are done step by step, in turns of the tenants."""

    async def waiting(self, after: TenantId, limit: int) -> Sequence[Operation]:
        """The oldest of each tenant behind `after` that has no `finished_at`, by tenant."""

    async def count(self, operation: Operation, before: MessageId | None) -> tuple[int, MessageId | None]:
        """How many match, and where to go on counting (None: that was all): the scan per call is bounded."""

    async def again(self, operation: Operation, limit: int) -> Sequence[MessageId]:
        """What failed and is to be tried again."""

    async def advance(self, operation: Operation, step: Step) -> Stepped:
        """One transaction: the messages are changed, and the operation counts them. Nothing is done when the
        operation is not any more as it was given: somebody canceled it, or this step was done. Without `ids`, when
        nothing is left or it is canceled: it is finished."""


# ── what people see ───────────────────────────────────────────────────────────────────────────────────────

InboxAction = Literal["seen", "read", "unread", "archived", "unarchived"]


class Inboxes(Protocol):
    """The in-app inbox of a user."""

    async def page(
        self,
        user: UserNo,
        before: MessageId | None,
        limit: int,
        *,
        archived: bool = False,
        unread: bool = False,
    ) -> Sequence[InboxItem]:
        """Newest first."""

    def since(self, user: UserNo, offset: int, limit: int) -> Sequence[InboxItem]:
        """Items changed behind `offset`, offsets ascending: the replay. A short local read."""

    def head(self, user: UserNo) -> tuple[int, InboxCounts]:
        """The newest offset and the counters at that offset. A short local read."""

    async def matching(
        self, user: UserNo, *, archived: bool = False, unread: bool = False
    ) -> Sequence[MessageId]:
        """The ids of all that `page` would show, newest first."""

    async def mark(
        self, user: UserNo, action: InboxAction, ids: Sequence[MessageId], at: Instant
    ) -> InboxChange | None:
        """Mark the given items in one transaction; None when nothing changed. Also stamps the messages
        and cancels later rungs of ladders that were waiting for `seen` or `read`."""


class CaptureFilter(msgspec.Struct, frozen=True, kw_only=True):
    """All given fields must match."""

    user: UserNo | None = None
    channels: frozenset[Channel] = frozenset()
    """Any of these; empty: whatever channel."""
    since: Instant | None = None
    before: Instant | None = None


class Captures(Protocol):
    """What capture integrations kept."""

    async def page(
        self, tenant: TenantId, where: CaptureFilter, before: int | None, limit: int
    ) -> Sequence[Captured]:
        """Newest first, cursor is `seq`."""

    async def of(self, tenant: TenantId, message_id: MessageId) -> Sequence[Captured]:
        """Every capture of one message, oldest first."""


class Ledger(Protocol):
    """The store as a whole, opened once by the composition root."""

    log: EventLog
    events: Events
    set_aside: SetAsides
    users: Users
    suppressions: Suppressions
    endpoints: Endpoints
    deliveries: Deliveries
    topics: Topics
    directory: Directory
    setup: Setup
    plans: Plans
    messages: Messages
    receipts: Receipts
    quarantine: Quarantine
    records: MessageRecords
    operations: Operations
    steps: OperationSteps
    inboxes: Inboxes
    captures: Captures
    claims: Claims

    def tag(self, subject: Subject) -> str | None:
        """Of a resource as it is now: another one after every change. None: there is no such resource. A short local
        read. What a request makes of it holds inside its writes, see `ports.terms`."""

    def health(self) -> str:
        """`ok`, or why nothing can be written. Asking makes a broken store look again by itself."""

    def stats(self) -> Mapping[str, Any]:
        """Counters for metrics: commits, rows, queue length, last commit milliseconds, file bytes."""

    async def close(self) -> None:
        """Commit what is pending, then close the file."""
