"""Scheduled sending: the earliest time for the messages of an event, at one instant or in each recipient's local time."""

from __future__ import annotations

import re
from datetime import datetime

from clarion.errors import InvalidInput
from clarion.model.event import Event
from clarion.model.ids import Instant
from clarion.model.setup import Tenant
from clarion.model.submission import Submission
from clarion.model.user import User
from clarion.rules.places import zone_of
from clarion.rules.quiet_hours import instant_of_clock
from clarion.rules.time_format import rfc3339

LATEST_S = 366 * 86_400
"""How far ahead something may be scheduled."""
LATE_MS = 3_600_000
"""Who names a time that has just passed means now; who names an older one has made a mistake."""
_EAST_MS, _WEST_MS = 14 * 3_600_000, 12 * 3_600_000
"""The zones whose clocks are ahead and behind the most."""
_CLOCK = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?", re.ASCII)


def send_at(submission: Submission, now: Instant) -> Instant | None:
    """The instant before which nothing goes; None: none, or each recipient has another (`send_at_local`).

    Raises InvalidInput: more than one of the three, too far ahead, long past, or behind `expires_at`.
    """
    if submission.send_at is None and submission.send_at_local is None and submission.delay_s is None:
        return None
    given = [
        name for name in ("send_at", "send_at_local", "delay_s") if getattr(submission, name) is not None
    ]
    if len(given) > 1:
        raise InvalidInput(
            f"send one of `send_at`, `send_at_local` and `delay_s`, not {' and '.join(f'`{n}`' for n in given)}.",
            pointer=f"#/{given[1]}",
        )
    if submission.send_at_local is not None:
        wall = clock(submission.send_at_local)
        _check(Instant(wall - _EAST_MS), Instant(wall + _WEST_MS), submission, "send_at_local", now)
        return None
    at = submission.send_at
    if submission.delay_s is not None:
        at = Instant(now + submission.delay_s * 1_000)
    if at is not None:
        _check(at, at, submission, given[0], now)
    return at


def _check(first: Instant, last: Instant, submission: Submission, field: str, now: Instant) -> None:
    """`first` and `last`: when the first and the last recipient in the world would get it."""
    pointer, expires_at = f"#/{field}", submission.expires_at
    if first > now + LATEST_S * 1_000:
        raise InvalidInput(f"this is more than {LATEST_S // 86_400} days ahead.", pointer=pointer)
    if last < now - LATE_MS:
        raise InvalidInput(
            "this time is more than an hour in the past: send a later time, or leave it out to send now.",
            pointer=pointer,
        )
    if expires_at is not None and first >= expires_at:
        raise InvalidInput(
            f"nothing would be sent, because the event expires before this time, at {rfc3339(expires_at)}.",
            pointer=pointer,
        )


def clock(text: str) -> Instant:
    """The milliseconds a clock in UTC would show as `text`. Raises InvalidInput."""
    try:
        if _CLOCK.fullmatch(text):
            return Instant(round(datetime.fromisoformat(f"{text}+00:00").timestamp()) * 1_000)
    except ValueError:
        pass
    raise InvalidInput(
        "this must be a local date and time without an offset, like 2026-05-04T09:00. "
        "To send to everybody at the same instant, use `send_at`.",
        pointer="#/send_at_local",
    )


def first_instant(local: str) -> Instant:
    """When a local time comes to the first place on earth."""
    return Instant(clock(local) - _EAST_MS)


def start(event: Event, user: User, tenant: Tenant) -> Instant | None:
    """From when on this user may get what the event starts; None: at once."""
    if event.send_at_local is None:
        return event.send_at
    at = instant_of_clock(datetime.fromisoformat(event.send_at_local), zone_of(user, tenant))
    return at if event.send_at is None else max(at, event.send_at)
