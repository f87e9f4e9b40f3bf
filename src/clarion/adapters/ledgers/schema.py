"""The tables of the ledger, once, for every engine. `migrations` brings a file or a server here step by step.

Four habits keep it fast: ids are time-ordered, so a new row goes to the end of its table; what is equal for all
messages of one step is a row of `routes`, named by number; statuses are small numbers, so that every write can
afford its checks; indexes are partial wherever most rows are done.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from sqlalchemy import (
    CheckConstraint,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from clarion.model.campaign import CampaignStatus
from clarion.model.channel import LANES, Channel, Lane
from clarion.model.consent import ConsentAction
from clarion.model.digest import DigestClose
from clarion.model.operation import OperationKind, OperationStatus
from clarion.model.reading import DeadRecordKind, ReadingKind
from clarion.model.receipt import ReceiptKind
from clarion.model.run import RunStatus
from clarion.model.setup import Scope
from clarion.model.status import ACTIVE, FAILED_FOR_GOOD, NOT_SENT, Status
from clarion.model.verification import VerificationStatus
from clarion.model.worker import LEASE_MS

REVISION = "0062"
"""The migration this code is written for; a file at any other one is refused at start."""

metadata = MetaData()


CODES: dict[Status, int] = {status: code for code, status in enumerate(Status)}
"""The numbers statuses are stored as; the table `statuses` tells them to whoever opens the file. For ever."""


RECEIPTS: dict[ReceiptKind, int] = {kind: 1 << place for place, kind in enumerate(ReceiptKind)}
"""The bit of `messages.receipts` that says that something of this kind has been taken. For ever."""


def coded(statuses: Iterable[Status]) -> str:
    """`0, 1, 2` for SQL."""
    return ", ".join(str(code) for code in sorted(CODES[status] for status in statuses))


def _one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{value.value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


def _number(name: str, *, null: bool = False, default: int | None = None) -> Column[int]:
    return Column(
        name, Integer, nullable=null, server_default=None if default is None else text(str(default))
    )


def _blob(name: str, *, null: bool = False, key: bool = False) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=null, primary_key=key)


def _text(name: str, *, null: bool = False, default: str | None = None) -> Column[str]:
    return Column(name, Text, nullable=null, server_default=default)


def _key(name: str) -> Column[int]:
    return Column(name, Integer, primary_key=True, autoincrement=False, nullable=False)


def _text_key(name: str) -> Column[str]:
    return Column(name, Text, primary_key=True, nullable=False)


def _counted(name: str) -> Column[int]:
    return Column(name, Integer, primary_key=True, autoincrement=True)


# ── the installation ──────────────────────────────────────────────────────────────────────────────────────

meta = Table("meta", metadata, _text_key("key"), _number("value"))

statuses = Table("statuses", metadata, _key("code"), _text("name"))

tenants = Table(
    "tenants",
    metadata,
    _counted("id"),
    Column("key", Text, nullable=False, unique=True),
    _blob("body"),
    sqlite_autoincrement=True,
)

api_keys = Table(
    "api_keys",
    metadata,
    _text_key("id"),
    _number("tenant"),
    _text("name"),
    Column("hash", LargeBinary, nullable=False, unique=True),
    _text("scope"),
    _number("created_at"),
    _number("expires_at", null=True),
    _number("last_used_at", null=True),
    _number("revoked_at", null=True),
    _one_of("scope", Scope),
    Index("api_keys_tenant", "tenant"),
)

documents = Table(
    "documents",
    metadata,
    _text_key("shelf"),
    _key("tenant"),
    _text_key("key"),
    _key("version"),
    _number("live"),
    _blob("body"),
    sqlite_with_rowid=False,
)

setup_changes = Table(
    "setup_changes",
    metadata,
    _text_key("shelf"),
    _key("tenant"),
    _text_key("key"),
    _number("revision"),
    Index("setup_changes_revision", "revision"),
    sqlite_with_rowid=False,
)
"""The last change of each document and tenant since revision 0025; those before are in nobody's memory any more."""

# ── events ────────────────────────────────────────────────────────────────────────────────────────────────


def _log(lane: Lane) -> Table:
    # AUTOINCREMENT: without it SQLite hands out positions again, and a reader behind its cursor skips rows.
    return Table(
        f"log_{lane.value}",
        metadata,
        _counted("seq"),
        _blob("event_id"),
        _number("tenant"),
        _text("workflow"),
        _number("sealed_for"),
        _blob("sealed"),
        _number("setup_revision", default=0),
        Index(f"log_{lane.value}_event", "event_id"),
        sqlite_autoincrement=True,
    )


logs = {lane: _log(lane) for lane in LANES}

set_aside = Table(
    "set_aside",
    metadata,
    _counted("seq"),
    _blob("event_id"),
    _number("tenant"),
    _text("lane"),
    _text("workflow"),
    _text("reason"),
    _text("detail"),
    _number("at"),
    _number("discarded_at", null=True),
    _one_of("lane", Lane),
    UniqueConstraint("event_id", "workflow"),
    Index("set_aside_tenant", "tenant", "seq"),
    sqlite_autoincrement=True,
)
"""Events that could not be planned; their bodies stay in their log."""

cursors = Table(
    "cursors",
    metadata,
    _text_key("lane"),
    _number("position"),
    _number("worker", null=True),
    _one_of("lane", Lane),
)
"""Up to where each lane is planned, and who plans it."""

planned_ahead = Table("planned_ahead", metadata, _text_key("lane"), _key("seq"), sqlite_with_rowid=False)
"""What is planned behind the position of its lane, because tenants take turns."""

broker_partitions = Table(
    "broker_partitions",
    metadata,
    _text_key("name"),
    _number("position"),
    _number("epoch"),
    sqlite_with_rowid=False,
)
"""Up to where the partitions of a broker of its own are planned, and how often each changed hands."""

claims = Table(
    "claims",
    metadata,
    _counted("seq"),
    _number("tenant"),
    _blob("key"),
    _blob("fingerprint"),
    _blob("answer"),
    _number("expires_at"),
    _number("reservation", null=True),
    sqlite_autoincrement=True,
)
"""In order of time, which is the order they expire in."""

reservations = Table(
    "reservations", metadata, _counted("no"), _number("expires_at"), sqlite_autoincrement=True
)
"""Claims of these are not confirmed: nobody knows whether their events were published. The others' are."""

claim_keys = Table(
    "claim_keys", metadata, _blob("key", key=True), _key("tenant"), _number("seq"), sqlite_with_rowid=False
)
"""Where the claim of a key is, except for the newest ones: see `sqlite/claims.py`. It may be gone."""

continuations = Table(
    "continuations",
    metadata,
    _blob("event_id", key=True),
    _text_key("workflow"),
    _number("tenant"),
    _text("lane"),
    _text("topic"),
    _number("after_user"),
    _number("setup_revision"),
    _number("due_at"),
    _number("holder", null=True),
    _number("fence", default=0),
    _text("segment", default=""),
    _one_of("lane", Lane),
    Index("continuations_due", "lane", "tenant", "due_at"),
    sqlite_with_rowid=False,
)
Index("continuations_held", continuations.c.holder, sqlite_where=continuations.c.holder.is_not(None))
"""What is left of events to topics and segments: where it goes on is one of the two."""

runs = Table(
    "runs",
    metadata,
    _blob("id", key=True),
    _number("tenant"),
    _number("user"),
    _blob("event_id"),
    _text("workflow"),
    _number("version"),
    _text("lane"),
    _text("status"),
    _text("step"),
    _number("part"),
    _number("due_at", null=True),
    _number("started_at"),
    _number("updated_at"),
    _text("reason", null=True),
    _blob("cancellation_key", null=True),
    _blob("state", null=True),
    _number("holder", null=True),
    _number("fence", default=0),
    _number("zoned", null=True),
    _blob("answers", null=True),
    _one_of("lane", Lane),
    _one_of("status", RunStatus),
    Index("runs_tenant", "tenant", "id"),
    sqlite_with_rowid=False,
)
_WAITING = runs.c.due_at.is_not(None)
_UNHELD = _WAITING & runs.c.holder.is_(None)
Index("runs_due", runs.c.lane, runs.c.due_at, sqlite_where=_UNHELD)
Index("runs_turn", runs.c.lane, runs.c.tenant, runs.c.due_at, sqlite_where=_UNHELD)
Index("runs_user", runs.c.user, sqlite_where=_WAITING)
Index("runs_key", runs.c.cancellation_key, sqlite_where=_WAITING)
Index("runs_held", runs.c.holder, sqlite_where=runs.c.holder.is_not(None))
"""Runs that wait, and what became of those that did. A run that never waits has no row."""

digests = Table(
    "digests",
    metadata,
    _blob("id", key=True),
    _number("tenant"),
    _number("user"),
    _text("workflow"),
    _text("step"),
    _blob("slot", null=True),
    _number("number"),
    _number("opened_at"),
    _number("closes_at"),
    _number("latest_at", null=True),
    _number("window_ms"),
    _number("most_items"),
    _number("touched_at"),
    _number("items", default=0),
    _number("withdrawn", default=0),
    _number("closed_at", null=True),
    _text("cause", null=True),
    _number("total", null=True),
    _one_of("cause", DigestClose),
    Index("digests_slot", "slot", "number", unique=True),
    sqlite_with_rowid=False,
)
Index("digests_user", digests.c.user, sqlite_where=digests.c.total.is_(None))
"""Digests that take items, and those that did: one is open in a slot at most, that with the highest number."""

digest_items = Table(
    "digest_items",
    metadata,
    _blob("id", key=True),
    _blob("digest_id"),
    _blob("event_id"),
    _number("at"),
    _number("withdrawn_at", null=True),
    _blob("content", null=True),
    _blob("cancellation_key", null=True),
    Index("digest_items_digest", "digest_id", "at", "id"),
    sqlite_with_rowid=False,
)
Index(
    "digest_items_key",
    digest_items.c.cancellation_key,
    sqlite_where=digest_items.c.cancellation_key.is_not(None),
)
"""The runs that ended in a digest, each once, by their ids."""

waits = Table(
    "waits",
    metadata,
    _blob("run_id", key=True),
    _blob("key", key=True),
    _number("since"),
    _number("until"),
    Index("waits_key", "key"),
    sqlite_with_rowid=False,
)
"""What runs that wait listen for."""

signals = Table(
    "signals",
    metadata,
    _blob("key", key=True),
    _blob("event_id", key=True),
    _text("workflow"),
    _number("at"),
    _number("expires_at"),
    Index("signals_expiry", "expires_at"),
    sqlite_with_rowid=False,
)
"""Events of the last day that some workflow listens for: a run that begins to listen finds them."""

wakes = Table(
    "wakes",
    metadata,
    _blob("run_id", key=True),
    _blob("key", key=True),
    _blob("event_id", key=True),
    _text("workflow"),
    _number("at"),
    sqlite_with_rowid=False,
)
"""Signals that runs have not looked at yet."""
campaigns = Table(
    "campaigns",
    metadata,
    _blob("id", key=True),
    _number("tenant"),
    _text("status"),
    _text("lane"),
    _number("revision"),
    _blob("sealed"),
    _number("due_at", null=True),
    _blob("event_id", null=True),
    _number("after_user", default=0),
    _number("rank", default=0),
    _number("pace_rank", default=0),
    _number("pace_at", default=0),
    _number("fence", default=0),
    _number("holder", null=True),
    _one_of("status", CampaignStatus),
    _one_of("lane", Lane),
    Index("campaigns_tenant", "tenant", "id"),
    Index("campaigns_status", "status", "id"),
    sqlite_with_rowid=False,
)
Index("campaigns_due", campaigns.c.lane, campaigns.c.due_at, sqlite_where=campaigns.c.due_at.is_not(None))
Index("campaigns_event", campaigns.c.event_id, sqlite_where=campaigns.c.event_id.is_not(None))
Index("campaigns_held", campaigns.c.holder, sqlite_where=campaigns.c.holder.is_not(None))
"""Campaigns, and how far their members are planned."""
campaign_ranges = Table(
    "campaign_ranges",
    metadata,
    _blob("campaign", key=True),
    _key("begin_user"),
    _number("tenant"),
    _text("lane"),
    _number("after_user"),
    _number("end_user"),
    _number("rank", default=0),
    _number("waits", default=0),
    _number("fence", default=0),
    _number("holder", null=True),
    _one_of("lane", Lane),
    Index("campaign_ranges_order", "lane", "begin_user", "campaign"),
    sqlite_with_rowid=False,
)
Index("campaign_ranges_held", campaign_ranges.c.holder, sqlite_where=campaign_ranges.c.holder.is_not(None))
"""Ranges of members of campaigns that are not planned to their ends."""

throttle_uses = Table(
    "throttle_uses",
    metadata,
    _blob("slot", key=True),
    _blob("run_id", key=True),
    _key("part"),
    _number("expires_at"),
    Index("throttle_uses_run", "run_id"),
    Index("throttle_uses_expiry", "expires_at"),
    sqlite_with_rowid=False,
)
"""The runs that throttles let through, each with the part that is behind it."""

canceled_events = Table(
    "canceled_events",
    metadata,
    _blob("event_id", key=True),
    sqlite_with_rowid=False,
)
"""What is planned of these afterwards is canceled."""

# ── people ────────────────────────────────────────────────────────────────────────────────────────────────

users = Table(
    "users",
    metadata,
    _counted("no"),
    _number("tenant"),
    _text("user_id"),
    _blob("wrapped_key"),
    _blob("profile"),
    _number("revision"),
    _text("inbox_epoch"),
    _number("created_at"),
    _number("updated_at"),
    Column("open_attributes", Text, info={"json": True}),
    UniqueConstraint("tenant", "user_id"),
    Index("users_tenant", "tenant"),
    sqlite_autoincrement=True,
)
"""`open_attributes`: what conditions can ask for, as JSON (PostgreSQL: JSONB with an index)."""

erased = Table("erased", metadata, _key("user"))
"""The numbers of people who were erased: what an older copy of the keyring has to learn."""

contact_hashes = Table(
    "contact_hashes",
    metadata,
    _key("tenant"),
    _blob("hash", key=True),
    _text_key("channel"),
    _key("user"),
    Index("contact_hashes_user", "user"),
    sqlite_with_rowid=False,
)

suppressions = Table(
    "suppressions",
    metadata,
    _key("tenant"),
    _blob("hash", key=True),
    _text_key("channel"),
    _text("reason"),
    _number("at"),
    _text("source", default=""),
    _number("expires_at", null=True),
    Index("suppressions_at", "tenant", "at", "hash"),
    sqlite_with_rowid=False,
)
_ENDS = suppressions.c.expires_at.is_not(None)
Index("suppressions_expire", suppressions.c.expires_at, sqlite_where=_ENDS)

consents = Table(
    "consents",
    metadata,
    _blob("id", key=True),
    _number("tenant"),
    _number("user"),
    _text("purpose"),
    _text("channel", null=True),
    _text("action"),
    _number("at"),
    _number("recorded_at"),
    _text("source"),
    _text("text_version"),
    _blob("proof"),
    _one_of("channel", Channel),
    _one_of("action", ConsentAction),
    Index("consents_tenant", "tenant", "id"),
    Index("consents_user", "user", "id"),
    sqlite_with_rowid=False,
)
"""Only ever added to. `proof` is sealed under the user's key."""

devices = Table(
    "devices",
    metadata,
    _counted("no"),
    _number("tenant"),
    _text("device_id"),
    _number("user"),
    _blob("hash", null=True),
    _number("seen_at"),
    _text("error", null=True),
    _text("error_detail", null=True),
    _number("error_at", null=True),
    UniqueConstraint("tenant", "device_id"),
    Index("devices_page", "tenant", "no"),
    Index("devices_user", "user", "no"),
    Index("devices_seen", "seen_at", "no"),
    sqlite_autoincrement=True,
)
Index("devices_hash", devices.c.tenant, devices.c.hash, sqlite_where=devices.c.hash.is_not(None))
"""Whose they are and how they are doing; what they are (token, app) is sealed in their user's profile. `hash` is that of
the address."""

endpoints = Table(
    "endpoints",
    metadata,
    _key("tenant"),
    _blob("id", key=True),
    _number("user"),
    _number("failing_since", null=True),
    _number("announced", default=0),
    Index("endpoints_user", "user", "id"),
    sqlite_with_rowid=False,
)
Index("endpoints_failing", endpoints.c.failing_since, sqlite_where=endpoints.c.failing_since.is_not(None))
"""How they are doing; what they are (URL, secrets) is sealed in their user's profile."""

topics = Table("topics", metadata, _key("tenant"), _text_key("key"), _text("name"), sqlite_with_rowid=False)

subscriptions = Table(
    "subscriptions",
    metadata,
    _key("tenant"),
    _text_key("topic"),
    _key("user"),
    Index("subscriptions_user", "user"),
    sqlite_with_rowid=False,
)

segment_members = Table(
    "segment_members",
    metadata,
    _key("tenant"),
    _text_key("segment"),
    _key("user"),
    Index("segment_members_user", "user"),
    sqlite_with_rowid=False,
)

segment_changes = Table(
    "segment_changes",
    metadata,
    _counted("seq"),
    _number("tenant"),
    _number("user"),
    Index("segment_changes_tenant", "tenant", "seq"),
    sqlite_autoincrement=True,
)
"""Users who were changed since the segments of their tenant were brought up to date."""

segment_looks = Table(
    "segment_looks",
    metadata,
    _key("user"),
    _number("tenant"),
    _number("due_at"),
    Index("segment_looks_due", "tenant", "due_at"),
)
"""When time alone may change which segments a user belongs to."""

refreshes = Table(
    "refreshes",
    metadata,
    _key("tenant"),
    _text_key("key"),
    _text("definition"),
    _number("position", null=True),
    _number("done"),
    _number("total"),
    _number("refreshed_at", null=True),
    sqlite_with_rowid=False,
)
"""How far all users were gone through for a segment, or, with an empty key, to open attributes."""

# ── workers ───────────────────────────────────────────────────────────────────────────────────────────────

workers = Table(
    "workers",
    metadata,
    _counted("id"),
    _text("node"),
    _text("roles"),
    _number("lease_until"),
    _blob("oldest_held", null=True),
    _blob("oldest_planned", null=True),
    _number("reaped", default=0),
    _text("version", default=""),
    _text("lanes", default=""),
    _text("channels", default=""),
    _number("lease_ms", default=LEASE_MS),
    _number("started_at", default=0),
    _number("held", default=0),
    _number("draining", default=0),
    sqlite_autoincrement=True,
)
"""Processes that share the store. Words are separated by commas; none: all. What a worker holds since it was planned stands in no index: it lies behind
`oldest_held` (as of its last beat) and `oldest_planned` (since then). A row goes when nothing is held by it any more."""

calls = Table(
    "calls",
    metadata,
    _key("worker"),
    _key("position"),
    _text("integration"),
    _number("since"),
    _blob("lowest"),
    _blob("highest"),
    _blob("ids"),
    sqlite_with_rowid=False,
)
"""Calls of providers that cannot deduplicate, a row for each batch: see `sqlite/calls.py`."""

# ── events that were planned, and messages ─────────────────────────────────────────────────────────────────────────────────────

routes = Table(
    "routes",
    metadata,
    _counted("no"),
    _number("tenant"),
    _text("workflow"),
    _number("workflow_version"),
    _text("category"),
    _text("step"),
    _text("template"),
    _number("template_version", default=0),
    _text("channel"),
    _text("lane"),
    _text("until"),
    _one_of("channel", Channel),
    _one_of("lane", Lane),
    UniqueConstraint(
        "tenant",
        "workflow",
        "workflow_version",
        "category",
        "step",
        "template",
        "template_version",
        "channel",
        "lane",
        "until",
    ),
    sqlite_autoincrement=True,
)

events = Table(
    "events",
    metadata,
    _blob("id", key=True),
    _key("journal"),
    _text_key("workflow"),
    _number("tenant"),
    _number("lane"),
    _number("first_user"),
    _number("last_user"),
    sqlite_with_rowid=False,
)
"""Every event that was planned: the rows of `journal` that have its runs, and between which users these lie."""

# Checked on every write, so each is one comparison: the order of `Status` puts what is over behind what is not.
_FIRST_DONE = len(ACTIVE)
_FIRST_WITH_REASON = len(CODES) - len(FAILED_FOR_GOOD | NOT_SENT)

messages = Table(
    "messages",
    metadata,
    _blob("id", key=True),
    _number("user"),
    _blob("event_id"),
    _number("route"),
    _number("queue"),
    _number("status"),
    _text("reason", null=True),
    _number("created_at"),
    _number("due_at", null=True),
    _number("expires_at", null=True),
    _number("attempt", default=0),
    _number("unknowns", default=0),
    _number("fence"),
    _number("holder", null=True),
    _blob("later_rungs", null=True),
    _blob("waits_for", null=True),
    _number("threaded", default=0),
    _number("charged", default=0),
    _number("updated_at", null=True),
    _text("integration", null=True),
    _number("sent_at", null=True),
    _number("delivered_at", null=True),
    _number("seen_at", null=True),
    _number("read_at", null=True),
    _number("clicked_at", null=True),
    _number("archived_at", null=True),
    _number("tried_at", null=True),
    _number("tenant", default=0),
    _number("journal", default=0),
    _number("receipts", default=0),
    CheckConstraint(f"status BETWEEN 0 AND {len(CODES) - 1}", name="status_known"),
    CheckConstraint(f"status < {_FIRST_WITH_REASON} OR reason IS NOT NULL", name="reason_given"),
    CheckConstraint(f"status < {_FIRST_DONE} OR due_at IS NULL", name="done_is_done"),
    sqlite_with_rowid=False,
)
Index(
    "messages_due",
    messages.c.queue,
    messages.c.due_at,
    messages.c.id,
    sqlite_where=text("due_at IS NOT NULL AND holder IS NULL"),
)
Index(
    "messages_turn",
    messages.c.queue,
    messages.c.tenant,
    messages.c.due_at,
    messages.c.id,
    sqlite_where=text("due_at IS NOT NULL AND holder IS NULL"),
)
"""Tenants take turns in what nobody holds. What goes straight through is held from its first moment, so never in it."""
Index(
    "messages_claimed",
    messages.c.holder,
    messages.c.id,
    sqlite_where=text("holder IS NOT NULL AND due_at IS NOT NULL"),
)
"""What workers hold that had to wait before. It keeps the `due_at` it was claimed by."""
Index("messages_waiting", messages.c.waits_for, sqlite_where=messages.c.waits_for.is_not(None))
Index(
    "messages_failed",
    messages.c.id,
    messages.c.status,
    sqlite_where=text(f"status IN ({coded(FAILED_FOR_GOOD)})"),
)

# AUTOINCREMENT: positions are never handed out again, so whoever reads behind one misses nothing.
journal = Table(
    "journal",
    metadata,
    _counted("seq"),
    _number("tenant"),
    _number("at"),
    _blob("body"),
    sqlite_autoincrement=True,
)
"""What was planned and what became of it, a row for each batch: see `sqlite/journal.py`."""

# ── work on many at once ──────────────────────────────────────────────────────────────────────────────────

operations = Table(
    "operations",
    metadata,
    _blob("id", key=True),
    _number("tenant"),
    _text("kind"),
    _blob("body"),
    _text("template_version"),
    _text("status"),
    _number("total", null=True),
    _number("done"),
    _number("failed"),
    _blob("cursor", null=True),
    _number("swept"),
    _number("created_at"),
    _number("updated_at"),
    _number("started_at", null=True),
    _number("finished_at", null=True),
    _number("uploading", default=0),
    _number("file_bytes", default=0),
    _number("file_until", null=True),
    _one_of("kind", OperationKind),
    _one_of("status", OperationStatus),
    Index("operations_tenant", "tenant", "id"),
    sqlite_with_rowid=False,
)
Index(
    "operations_unfinished",
    operations.c.tenant,
    operations.c.id,
    sqlite_where=operations.c.finished_at.is_(None),
)
Index("operations_files", operations.c.file_until, sqlite_where=operations.c.file_until.is_not(None))

operation_pieces = Table(
    "operation_pieces",
    metadata,
    _blob("operation", key=True),
    _key("start"),
    _number("size"),
    _blob("sealed"),
)
"""The files that operations read and write, by where each piece begins."""

operation_errors = Table(
    "operation_errors",
    metadata,
    _blob("operation", key=True),
    _key("number"),
    _blob("message_id"),
    _text("code"),
    _text("detail"),
    _number("again"),
    Column("line", LargeBinary, nullable=False, server_default=""),
    sqlite_with_rowid=False,
)
Index(
    "operation_errors_again",
    operation_errors.c.operation,
    operation_errors.c.number,
    sqlite_where=operation_errors.c.again == 1,
)

# ── exact checks ──────────────────────────────────────────────────────────────────────────────────────────

dedupes = Table(
    "dedupes",
    metadata,
    _blob("key", key=True),
    _blob("run_id"),
    _number("expires_at"),
    Index("dedupes_expiry", "expires_at"),
    sqlite_with_rowid=False,
)

collapses = Table("collapses", metadata, _blob("key", key=True), _blob("message_id"), sqlite_with_rowid=False)

threads = Table("threads", metadata, _blob("key", key=True), _blob("message_id"), sqlite_with_rowid=False)

charges = Table(
    "charges",
    metadata,
    _blob("message_id", key=True),
    _key("attempt"),
    _number("tenant"),
    _text("day"),
    _text("channel"),
    _text("country"),
    _text("integration"),
    _text("amount"),
    _text("currency"),
    sqlite_with_rowid=False,
)
"""The calls that are paid for, by message."""

spending = Table(
    "spending",
    metadata,
    _key("tenant"),
    _text_key("day"),
    _text_key("channel"),
    _text_key("country"),
    _text_key("integration"),
    _text_key("currency"),
    _text("amount"),
    _number("calls"),
    sqlite_with_rowid=False,
)
"""The sums of all charges. Amounts are decimal numbers as text, so that sums are exact."""

quotas = Table(
    "quotas",
    metadata,
    _key("tenant"),
    _text_key("integration"),
    Column("tokens", Float),
    _number("at"),
    _text("day"),
    _number("used"),
    sqlite_with_rowid=False,
)
"""What is left of the limits of providers, by integration."""

number_ranges = Table(
    "number_ranges",
    metadata,
    _key("tenant"),
    _text_key("digits"),
    _number("level"),
    _number("at"),
    _number("sent"),
    _number("confirmed"),
    _number("blocked_at", null=True),
    _number("blocked_until", null=True),
    Index("number_ranges_at", "at"),
    sqlite_with_rowid=False,
)
"""What the pumping guard knows about numbers that begin with these digits. No number is stored whole."""

verifications = Table(
    "verifications",
    metadata,
    _blob("id", key=True),
    _number("tenant"),
    _number("user"),
    _blob("contact"),
    _text("channels"),
    _text("workflow"),
    _number("digits"),
    _blob("hash"),
    _text("status"),
    _number("sends"),
    _number("checks"),
    _number("created_at"),
    _number("sent_at"),
    _number("expires_at"),
    _number("finished_at", null=True),
    _text("consent", null=True),
    _one_of("status", VerificationStatus),
    Index("verifications_contact", "tenant", "contact", "created_at"),
    Index("verifications_user", "user"),
    sqlite_with_rowid=False,
)
"""One-time codes, by their keyed hashes."""

# ── what people see ───────────────────────────────────────────────────────────────────────────────────────

user_messages = Table(
    "user_messages",
    metadata,
    _key("user"),
    _blob("id", key=True),
    _number("route"),
    _number("counted_at", null=True),
    _number("at", null=True),
    _number("offset", null=True),
    _number("moved_to", null=True),
    _number("seen_at", null=True),
    _number("read_at", null=True),
    _number("archived_at", null=True),
    _number("unseen", default=0),
    _number("unread", default=0),
    _number("total", default=0),
    sqlite_with_rowid=False,
)
"""The messages of a user side by side: what caps count, and from `at` on the inbox item a message became.

It came in at `offset`; that is null if a newer message came in before it, so that offsets rise with ids. `moved_to`
is where it stands since then. The counters are those at `offset`; the newest offset, here or in `inbox_moves`, has those
of the inbox. Whoever takes items out corrects these, and leaves that row: the next offset follows from it.
"""

recent_messages = Table(
    "recent_messages",
    metadata,
    *(
        Column(
            column.name,
            column.type,
            primary_key=column.name == "id",
            nullable=column.nullable,
            server_default=column.server_default,
        )
        for column in user_messages.columns
    ),
    sqlite_with_rowid=False,
)
"""The newest of these in order of time, until they are moved there. A row counts as long as there is none in `user_messages`."""

inbox_moves = Table(
    "inbox_moves",
    metadata,
    _key("user"),
    Column("offset", Integer, primary_key=True, autoincrement=False, nullable=False),
    _blob("message_id"),
    _number("unseen"),
    _number("unread"),
    _number("total"),
    sqlite_with_rowid=False,
)
"""The items with a `moved_to`, in order of it, with the counters at that offset."""

inbox_content = Table(
    "inbox_content", metadata, _blob("message_id", key=True), _blob("sealed"), sqlite_with_rowid=False
)

inbox_cards = Table(
    "inbox_cards",
    metadata,
    _key("user"),
    _blob("live", key=True),
    _blob("message_id"),
    _number("sequence"),
    sqlite_with_rowid=False,
)
"""The inbox item that shows a live resource to a user, and the sequence of the state it shows."""

message_totals = Table(
    "message_totals",
    metadata,
    _key("tenant"),
    _key("day"),
    _text_key("workflow"),
    _text_key("channel"),
    _key("status"),
    _text_key("reason"),
    _number("count"),
    sqlite_with_rowid=False,
)
"""How many messages that are no longer kept ended how; `day` counts from 1970, `reason` is empty when there was none."""

strays = Table(
    "strays",
    metadata,
    _counted("seq"),
    _number("tenant"),
    _blob("digest"),
    _text("why"),
    _blob("sealed"),
    _number("at"),
    _text("kind", default="email"),
    _text("integration", default=""),
    UniqueConstraint("tenant", "digest"),
    Index("strays_tenant", "tenant", "seq"),
    sqlite_autoincrement=True,
)

inbound = Table(
    "inbound",
    metadata,
    _counted("seq"),
    _number("tenant"),
    _blob("digest"),
    _text("channel"),
    _text("integration"),
    _blob("sender"),
    _number("user"),
    _blob("message_id", null=True),
    _text("verdict"),
    _number("at"),
    _number("reviewed_at", null=True),
    _text("reply", null=True),
    _number("reply_due_at", null=True),
    _blob("sealed"),
    UniqueConstraint("tenant", "digest"),
    Index("inbound_tenant", "tenant", "seq"),
    Index("inbound_sender", "tenant", "sender", "at"),
    Index("inbound_user", "user"),
    sqlite_autoincrement=True,
)
Index("inbound_replies", inbound.c.reply_due_at, sqlite_where=inbound.c.reply_due_at.is_not(None))
"""What people wrote to us."""

lives = Table(
    "lives",
    metadata,
    _key("tenant"),
    _text_key("key"),
    _blob("id"),
    _number("sequence"),
    _blob("sealed"),
    _number("sealed_for"),
    _number("ended_at", null=True),
    _number("due_at", null=True),
    Index("lives_due", "due_at", sqlite_where=text("due_at IS NOT NULL")),
    sqlite_with_rowid=False,
)

schedules = Table(
    "schedules",
    metadata,
    _key("tenant"),
    _text_key("key"),
    _blob("id"),
    _number("revision"),
    _blob("sealed"),
    _number("due_at", null=True),
    Index("schedules_due", "due_at", sqlite_where=text("due_at IS NOT NULL")),
    sqlite_with_rowid=False,
)

withdrawals = Table(
    "withdrawals",
    metadata,
    _blob("message_id", key=True),
    _number("tenant"),
    _number("user"),
    _number("asked_at"),
    _number("due_at"),
    _number("attempt"),
    _blob("sealed", null=True),
    Index("withdrawals_due", "due_at"),
    Index("withdrawals_user", "user"),
    sqlite_with_rowid=False,
)
"""Messages that are out and are to be withdrawn or edited, until that is done."""

captures = Table(
    "captures",
    metadata,
    _counted("seq"),
    _blob("message_id"),
    _number("user"),
    _number("route"),
    _text("integration"),
    _blob("sealed"),
    _number("at"),
    Index("captures_message", "message_id"),
    sqlite_autoincrement=True,
)

conversations = Table(
    "conversations",
    metadata,
    _key("tenant"),
    _text_key("integration"),
    _blob("contact", key=True),
    _number("heard_at"),
    Index("conversations_heard", "heard_at"),
    sqlite_with_rowid=False,
)
"""When people wrote to an integration last, for a day."""

deliveries = Table(
    "deliveries",
    metadata,
    _counted("seq"),
    _blob("endpoint"),
    _blob("message_id"),
    _number("tenant"),
    _number("user"),
    _number("ok"),
    _number("status"),
    _number("took_ms"),
    _number("at"),
    _blob("sealed"),
    Index("deliveries_endpoint", "endpoint", "seq"),
    sqlite_autoincrement=True,
)
"""What became of every call of an endpoint."""

# ── topics and queues of tenants ──────────────────────────────────────────────────────────────────────────

readings = Table(
    "readings",
    metadata,
    _key("tenant"),
    _text_key("kind"),
    _text_key("key"),
    _text_key("partition"),
    _text("position", default="{}"),
    _number("fence", default=0),
    _number("repeat", default=0),
    _number("worker", null=True),
    _number("lag", null=True),
    _text("trouble", default=""),
    _number("at", null=True),
    _one_of("kind", ReadingKind),
    sqlite_with_rowid=False,
)
"""How far sinks and the partitions of sources have come, and which worker reads them."""

dead_records = Table(
    "dead_records",
    metadata,
    _counted("seq"),
    _number("tenant"),
    _text("kind"),
    _text("origin"),
    _text("place"),
    _text("reason"),
    _text("detail"),
    _blob("sealed"),
    _number("at"),
    _one_of("kind", DeadRecordKind),
    UniqueConstraint("tenant", "kind", "origin", "place"),
    Index("dead_records_tenant", "tenant", "seq"),
    sqlite_autoincrement=True,
)
"""Records of sources and events for sinks that wait for a person."""
