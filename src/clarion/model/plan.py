"""A plan as the ledger stores it, with the checks the ledger makes in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from clarion.model.campaign import CampaignPage, RangePage
from clarion.model.channel import Channel
from clarion.model.digest import DigestItem, DigestTotal
from clarion.model.event import Consumed, Continuation, Entry, Position
from clarion.model.ids import Instant, MessageId, RunId, UserNo, WorkerId
from clarion.model.inbox import InboxChange
from clarion.model.message import Message, Run
from clarion.model.run import RunRow, Signal
from clarion.model.settlement import Settlement
from clarion.model.status import Reason, Status


class CapCharge(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Count this message against a cap; it becomes `throttled` when `limit` others lie inside the window. One that does not go
    now is told so, and is not counted."""

    message_id: MessageId
    user: UserNo
    category: str
    """Whose messages count; empty for those of every category."""
    channel: Channel | None
    """Which of them; None for all channels."""
    scope: str
    """Names the cap: `tenant/*`, `tenant/sms`, `category/marketing/*`, ..."""
    limit: int
    window_s: int
    at: Instant


class DedupeClaim(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The run's messages become `merged` (`duplicate`) when another run holds this key and has not expired."""

    run_id: RunId
    key: bytes
    expires_at: Instant
    at: Instant
    holds: bool = True
    """Whether the run holds the key when nobody else does; False: nothing of it is sent, and it only says who does."""


class Collapse(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """This message replaces the still undelivered message that holds the key (it becomes `merged`, `superseded`)."""

    message_id: MessageId
    key: bytes
    edits: bool = False
    """What is out of the key is changed by it: its explanation names the message before."""


class ThreadSlot(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """This message waits (`deferred`, `waiting_for_turn`) while the last message of the thread is active. One that is stopped
    takes no place in it."""

    message_id: MessageId
    key: bytes


class PlanCommit(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Everything one planned batch writes, in one transaction. Repeating it changes nothing."""

    worker: WorkerId
    """Who planned it, and holds what it keeps."""
    consumed: Consumed | None = None
    """What it is the plan of, when that lies in the ledger's log."""
    bodies: tuple[Entry, ...] = ()
    """What it is the plan of, when that came by a broker of its own: stored with it, for whoever needs it later."""
    positions: tuple[Position, ...] = ()
    """Where the partitions of such a broker stand with it; the plan is refused if another process took one of them."""
    again: bool = False
    """People of these events may have been planned before: it goes on with a fan-out."""
    runs: tuple[Run, ...]
    messages: tuple[Message, ...]
    """`fence=1` and no `due_at` when the worker keeps it; `fence=0` when anyone may claim it."""
    charges: tuple[CapCharge, ...] = ()
    dedupes: tuple[DedupeClaim, ...] = ()
    collapses: tuple[Collapse, ...] = ()
    turns: tuple[ThreadSlot, ...] = ()
    continued: Continuation | None = None
    """What it is the plan of, when that was claimed: gone with the plan, which is refused if another worker has claimed it."""
    continuations: tuple[Continuation, ...] = ()
    """What is left of events to topics behind these people."""
    page: CampaignPage | None = None
    """What it is the plan of, when that was claimed: refused unless it follows what is planned of the campaign."""
    range_page: RangePage | None = None
    """Likewise of a range."""
    run_rows: tuple[RunRow, ...] = ()
    """Runs that wait now, or are over after they waited. Those with a fence were claimed: what is planned of one is
    not stored when its claim is lost. A new one is not stored when its run is known, a duplicate, or of a canceled event."""
    items: tuple[DigestItem, ...] = ()
    """Runs that end in a digest. Each joins the open one of its slot or opens it, and the explanation of its run says which."""
    digest_totals: tuple[DigestTotal, ...] = ()
    """Digests whose runs are among these."""
    signals: tuple[Signal, ...] = ()
    """Events of this plan that some run may listen for: those that do are due."""
    settled: tuple[Settlement, ...] = ()
    """What became already of messages the worker keeps, each with the record that is its delivery: final, and suppressing
    no address. Stored with them, unless the exact checks let the message go differently, or it was there before."""


class PlanResult(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What the exact checks inside the transaction changed."""

    refused: bool = False
    """Nothing was stored: the worker has been given up."""
    repeated: bool = False
    """Nothing was stored: some of what it consumes or continues was planned before, or is another process's."""
    changed: Mapping[MessageId, tuple[Status, Reason]] = {}
    """Messages that did not go in as planned; do not dispatch them."""
    known: frozenset[MessageId] = frozenset()
    """Messages that were there before (a replay); do not dispatch them."""
    runs: tuple[Run, ...] = ()
    """Runs whose explanation grew by the exact checks."""
    inbox: tuple[InboxChange, ...] = ()
    """The inbox items that were stored with it, with their offsets, ready for the fan-out."""
