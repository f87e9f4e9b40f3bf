"""Runs that wait between two steps, and what became of those that did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from clarion.model.channel import Lane
from clarion.model.ids import EventId, Instant, MessageId, RunId, TenantId, UserNo
from clarion.model.setup import StepType
from clarion.model.status import Reason


class RunStatus(StrEnum):
    """The state of a run that has waited. docs/reference/workflow-steps.md explains each one."""

    WAITING = "waiting"
    FINISHED = "finished"
    CANCELED = "canceled"
    EXPIRED = "expired"
    FAILED = "failed"
    MERGED = "merged"


class StepCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a step has done outside of the plan. Whoever does not know whether it was done does it again under the same id."""

    id: EventId
    """Derived from the run and the step: what it starts has this id, and a receiver knows a repetition by it."""
    type: StepType
    request: Mapping[str, Any]
    """What is asked for, with the values it had when the step was reached."""
    until: Instant | None = None
    """It is not tried any more from then on."""
    attempts: int = 0
    """Those that were made."""


class CallResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of it."""

    output: Mapping[str, Any] = {}
    """For expressions."""
    told: Mapping[str, Any] = {}
    """For the explanation: never values of the data."""
    reason: Reason | None = None
    """Why it could not be done; None: it was."""
    again_at: Instant | None = None
    """It is tried again then, and nothing has come of it yet."""
    attempts: int = 0
    """Those that were made until then."""


class StepAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was answered to the question of a step."""

    answer: str
    """The key of an option, or `other`."""
    text: str = ""
    """With `other`: the person's own words."""
    channel: str
    """How it came: a channel, `link` or `api`."""
    at: Instant
    by: str = ""
    """Who answered, where the channel or the caller says it."""


class RunState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a run stands, and what it needs to go on. Fields are only ever added: other versions read it."""

    step: str
    """The step that waits."""
    due_at: Instant
    outputs: Mapping[str, Mapping[str, Any]] = {}
    """What earlier steps left for conditions; that of a step that sent is looked up when it is asked for."""
    messages: Mapping[str, tuple[MessageId, ...]] = {}
    """The messages of each step that sent."""
    templates: Mapping[str, int] = {}
    """The versions that were live when the run started."""
    anchor: Instant | None = None
    """From when on the step that waits counts, where its time is computed again."""
    zoned: bool = False
    """Its time goes by the clock of the user."""
    rounds: Mapping[str, int] = {}
    """Where its repetitions are, by step."""
    acknowledged: Instant | None = None
    """When somebody acknowledged it."""
    call: StepCall | None = None
    """It does not wait for a time, but for what comes of this."""
    early: Mapping[str, Mapping[str, Any]] = {}
    """Events that came for steps, by step, until these are done."""
    recount: bool = False
    """Its time is computed again when it is looked at: another version of the workflow says it."""
    failed: bool = False
    """It does not wait at its step: that failed, and is done anew when the run is retried."""
    asked: tuple[MessageId, ...] = ()
    """The messages of the question that it waits for an answer to."""


class EventWait(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a run that waits listens for."""

    key: bytes
    """A keyed hash of the type, and of the user or the value that both events have in common."""
    since: Instant
    until: Instant
    """Events that were accepted at this time or later do not count."""


class Signal(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An accepted event that some workflow listens for."""

    key: bytes
    at: Instant
    """When it was accepted."""
    event_id: EventId
    workflow: str
    """With the id, what its body is found by."""
    expires_at: Instant
    """From then on no run that begins to listen finds it."""


class Wake(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A signal that a run which listens for it has not looked at yet."""

    key: bytes
    at: Instant
    event_id: EventId
    workflow: str


class ThrottleUse(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A run that comes to a throttle: the store decides whether it passes."""

    slot: bytes
    """A keyed hash of what is counted together."""
    limit: int
    per_ms: int
    fixed: bool
    """The time counts from the first that passes."""


class RunRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A run as it is stored from its first wait on."""

    id: RunId
    tenant: TenantId
    user: UserNo
    event_id: EventId
    workflow: str
    version: int
    """Of the workflow, for as long as the run lasts."""
    lane: Lane
    status: RunStatus
    step: str
    """The last step it came to."""
    part: int
    """How often it has waited."""
    due_at: Instant | None
    """When it goes on; None: it is over."""
    started_at: Instant
    updated_at: Instant
    reason: Reason | None = None
    """Why it did not finish."""
    cancellation_key: bytes | None = None
    """A keyed hash, equal for runs that are canceled together."""
    sealed: bytes | None = None
    """Its `RunState` under the user's key; None: it is over. One that failed keeps it, to be retried from there."""
    fence: int = 0
    """Grows with every claim, and when it is canceled; a plan with an older fence is refused."""
    zoned: int | None = None
    """While its time goes by the clock of its user: the revision of the user that it was computed with. Who changes the zone
    makes it due, so that it is computed again."""
    waits: tuple[EventWait, ...] = ()
    """What it listens for from now on, while it waits. Whoever reads the row is not told."""
    use: ThrottleUse | None = None
    """The throttle that it comes to with this plan. Whoever reads the row is not told."""
    stops: tuple[MessageId, ...] = ()
    """Messages that are canceled with it, for its reason, as far as they have not begun. Whoever reads the row is not told."""
    answers: bytes | None = None
    """Answers to its questions by step, under the user's key, also when it is over; None: there are none."""
    passes: bool = False
    """Of a claimed run that came to a throttle: whether it was let through."""
    wakes: tuple[Wake, ...] = ()
    """What has come meanwhile: whoever claims the run is told, and what is stored with its plan is dealt with."""


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """All given fields must match."""

    ids: frozenset[RunId] | None = None
    statuses: frozenset[RunStatus] = frozenset()
    reasons: frozenset[Reason] = frozenset()
    since: Instant | None = None
    """Started then or later."""
    before: Instant | None = None
    """Started earlier."""
    workflow: str | None = None
    version: int | None = None
    user: UserNo | None = None
    event_id: EventId | None = None
    step: str | None = None
    """The last one it came to."""
    cancellation_key: bytes | None = None

    def fits(self, row: RunRow) -> bool:
        """Whether this is one of them."""
        return (
            (self.ids is None or row.id in self.ids)
            and (not self.statuses or row.status in self.statuses)
            and (not self.reasons or row.reason in self.reasons)
            and (self.since is None or row.started_at >= self.since)
            and (self.before is None or row.started_at < self.before)
            and self.workflow in (None, row.workflow)
            and self.version in (None, row.version)
            and self.user in (None, row.user)
            and self.event_id in (None, row.event_id)
            and self.step in (None, row.step)
            and self.cancellation_key in (None, row.cancellation_key)
        )


def by_version(waiting: Mapping[tuple[int, str], int]) -> Counter[int]:
    """How many runs wait in each version of a workflow, wherever they do."""
    found: Counter[int] = Counter()
    for (version, _), runs in waiting.items():
        found[version] += runs
    return found
