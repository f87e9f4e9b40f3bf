"""Schedules: start a workflow at one time, or again and again, and what became of their occurrences."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

import msgspec

from clarion.model.channel import Lane
from clarion.model.ids import EventId, Instant, TenantId
from clarion.model.submission import Recipient
from clarion.model.user import Value

RECIPIENT = "recipient"
"""The time zone of a schedule that goes by the clock of each recipient."""


class CatchUp(StrEnum):
    """What happens to occurrences that nobody could fire in time, because Clarion was down."""

    SKIP = "skip"
    """They are missed."""
    ONCE = "once"
    """The newest one fires late, the others are missed."""
    ALL = "all"
    """The newest ten fire late, in their order."""


class Schedule(Value, frozen=True, kw_only=True):
    """When a workflow starts, and for whom. Without `rrule` and `cron` it starts once, at `starts_at`."""

    EXAMPLE: ClassVar = (
        '{"workflow": "weekly-news", "recipients": [{"topic": "readers"}], "cron": "0 9 * * mon"}'
    )

    key: str
    name: str = ""
    workflow: str
    recipients: tuple[str | Recipient, ...]
    """User ids, users, topics, segments and objects; groups mean their members at that time."""
    data: dict[str, Any] = {}
    """The data of each event, beside what the workflow's templates need."""
    lane: Lane | None = None
    """Null: the workflow's own lane."""
    rrule: str | None = None
    """A recurrence rule of RFC 5545: `FREQ=WEEKLY;BYDAY=MO;BYHOUR=9;BYMINUTE=0`. Further lines may be `EXDATE:` and `RDATE:`."""
    cron: str | None = None
    """Five fields: minute, hour, day of the month, month, day of the week."""
    timezone: str | None = None
    """An IANA time zone; `recipient`: by the clock of each recipient; null: that of the tenant."""
    starts_at: Instant | None = None
    """Nothing occurs before. A rule counts from here, and takes its time of day from here where it names none. Null: when the
    schedule was made."""
    ends_at: Instant | None = None
    """Nothing occurs after it."""
    catch_up: CatchUp = CatchUp.ONCE
    catch_up_within_s: int = 3_600
    """An occurrence that is later than this is missed."""


class Outcome(StrEnum):
    """What became of an occurrence, or will."""

    PLANNED = "planned"
    FIRED = "fired"
    MISSED = "missed"
    """Clarion was down, and `catch_up` did not fire it later."""
    SKIPPED = "skipped"
    """Somebody took it out."""
    FAILED = "failed"
    """Its event was refused: the workflow or a recipient is gone."""


class Occurrence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One time at which a schedule starts its workflow."""

    at: Instant
    """When its event is made. With the clock of each recipient: when the first place on earth comes to it."""
    local: str | None = None
    """The clock of each recipient: `2026-05-04T09:00:00`."""
    outcome: Outcome = Outcome.PLANNED
    event_id: EventId | None = None
    error: str | None = None
    """The code of the error it was refused with."""


class ScheduleState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A schedule, and how far it is. This is what gets sealed and stored. Fields are only ever added."""

    schedule: Schedule
    created_at: Instant
    updated_at: Instant
    next: Occurrence | None = None
    """None: there is none, or it is paused."""
    paused_at: Instant | None = None
    firing: tuple[Occurrence, ...] = ()
    """Decided, and their events perhaps not accepted yet: whoever finds them submits them, under the same ids."""
    skipped: tuple[Instant, ...] = ()
    """Occurrences to come that somebody took out."""
    past: tuple[Occurrence, ...] = ()
    """The newest ones, in their order."""


class ScheduleRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A schedule as it lies in the store."""

    tenant: TenantId
    key: str
    id: bytes
    """Another one when the key is used again after the schedule was deleted."""
    revision: int
    """Grows with every change."""
    sealed: bytes
    """The `ScheduleState` under the tenant's key."""
    due_at: Instant | None = None
    """When somebody has to look at it; None: never."""


class ScheduleChange(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule that is stored, or deleted."""

    tenant: TenantId
    key: str
    row: ScheduleRow | None
    """None: it is deleted."""
    after: int | None = None
    """The revision that the row follows; None: there was none."""
