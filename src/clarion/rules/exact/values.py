"""The inputs and results of the exact checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

from clarion.model.digest import DigestRow, DigestTotal
from clarion.model.ids import EventId, Instant, MessageId, RunId
from clarion.model.message import Message, Run
from clarion.model.plan import DedupeClaim, PlanResult
from clarion.model.run import RunRow
from clarion.model.status import Status
from clarion.rules.exact.counts import Counted, Counts
from clarion.rules.exact.digests import Slots


class DedupeHolder(NamedTuple):
    """Who claimed a dedupe key last."""

    run_id: RunId
    expires_at: Instant


class KeyHolder(NamedTuple):
    """The stored message that holds the key of a collapse or a thread, as it is now."""

    id: MessageId
    status: Status
    counted: Counted
    counted_at: Instant | None
    """When caps count it; None: not at all."""
    waits_for: MessageId | None
    """While it waits for its turn: the message in front of it."""


class Stored(NamedTuple):
    """What is stored about the keys of some plans."""

    counts: Counts
    """It has learned what is `missing` for the plans' charges. `decide` counts there what it lets go."""
    known: Set[bytes] = frozenset()
    """Runs and messages that are stored, and those planned of runs whose claim is lost; with a run all its messages, also those it did not have then: what was
    planned once stays as it was, whatever the set-up is by now."""
    canceled: Set[EventId] = frozenset()
    """Of the plans' events: those nothing of which is to be sent any more."""
    dedupes: Mapping[bytes, DedupeHolder] = {}
    collapses: Mapping[bytes, KeyHolder] = {}
    threads: Mapping[bytes, KeyHolder] = {}
    """The last of each thread. One that ended while it waited left its place to what it waited for."""
    digests: Mapping[bytes, DigestRow] = {}
    """The last digest of each slot."""


class Decisions(NamedTuple):
    """What is to be written, all of it in the transaction that loaded what is stored."""

    results: Sequence[PlanResult]
    """What the checks changed, for each plan in order."""
    runs: Sequence[Run]
    """To be added, as they are explained now."""
    messages: Sequence[Message]
    """To be added, as they go on."""
    dedupes: Mapping[bytes, DedupeClaim]
    """Who holds these keys now."""
    collapses: Mapping[bytes, MessageId]
    threads: Mapping[bytes, MessageId]
    threaded: Set[MessageId]
    """Stored messages that somebody waits for now."""
    superseded: Mapping[MessageId, Instant]
    """Stored messages that end as `merged` (`superseded`) at this time, and give way to their waiters. They were taken
    out of the counts."""
    run_rows: Sequence[RunRow]
    """Runs that wait now, or are over after they waited."""
    digests: Slots
    """What became of items."""
    digest_totals: Sequence[DigestTotal]
    """What runs of digests told."""
    waits: bool
    """Some message waits for its turn."""
