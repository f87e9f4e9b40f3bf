"""Who is on duty by a rota: exactly one member at any instant, also where the clock jumps.

Handovers are counted by the calendar, so that a night in which the clock changes moves nobody's turn: a shift over it is an hour
shorter or longer. A handover at a time that the clock jumps over comes when the gap is over; at a time that it shows twice, at the
first.
"""

from __future__ import annotations

from collections.abc import Container
from datetime import date, datetime, time, timedelta
from itertools import pairwise

from clarion.errors import InvalidInput
from clarion.model.ids import Instant, UserNo
from clarion.model.rota import Duty, Rota
from clarion.rules.quiet_hours import instant_of_clock, is_clock, zone_info

MOST_MEMBERS = 100
MOST_OVERRIDES = 200
MOST_HANDOVERS = 24
LONGEST_SHIFT_DAYS = 366
FIRST_DAY = date(2000, 1, 1)
LAST_DAY = date(2099, 12, 31)


def check_rota(rota: Rota, pointer: str) -> None:
    """A rota can be worked with; its zone and its members are checked elsewhere."""
    times = rota.handover
    if not 1 <= len(rota.members) <= MOST_MEMBERS:
        raise InvalidInput(f"a rota has 1 to {MOST_MEMBERS} members.", pointer=f"{pointer}/members")
    if not 1 <= len(times) <= MOST_HANDOVERS or not all(map(is_clock, times)):
        raise InvalidInput(
            f'name 1 to {MOST_HANDOVERS} times of the day like "09:00".', pointer=f"{pointer}/handover"
        )
    if any(one >= other for one, other in pairwise(times)):
        raise InvalidInput("name each time once, the earliest first.", pointer=f"{pointer}/handover")
    if not 1 <= rota.shift_days <= LONGEST_SHIFT_DAYS:
        raise InvalidInput(f"a shift has 1 to {LONGEST_SHIFT_DAYS} days.", pointer=f"{pointer}/shift_days")
    if rota.shift_days > 1 and len(times) > 1:
        raise InvalidInput(
            "a shift of several days has one handover: leave out `shift_days` or all times but one.",
            pointer=f"{pointer}/handover",
        )
    _check_day(rota.starts_on, f"{pointer}/starts_on")
    if len(rota.overrides) > MOST_OVERRIDES:
        raise InvalidInput(f"at most {MOST_OVERRIDES} overrides.", pointer=f"{pointer}/overrides")
    for index, one in enumerate(rota.overrides):
        if one.starts_at >= one.ends_at:
            raise InvalidInput(
                "an override ends later than it starts.", pointer=f"{pointer}/overrides/{index}/ends_at"
            )


def _check_day(text: str, pointer: str) -> None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text or not FIRST_DAY <= day <= LAST_DAY:
        raise InvalidInput(
            f"this is not a date from {FIRST_DAY} to {LAST_DAY} like 2026-05-04.", pointer=pointer
        )


def on_duty(rota: Rota, now: Instant, there: Container[UserNo]) -> Duty | None:
    """Who is on duty, of those who are still there: when that is not the one whose turn it is, the next in order stands in. None:
    nobody is left."""
    overrides = [one for one in rota.overrides if one.user in there]
    edges = [at for one in overrides for at in (one.starts_at, one.ends_at) if at > now]
    for one in reversed(overrides):
        if one.starts_at <= now < one.ends_at:
            return Duty(user=one.user, until=min(edges), override=True)
    shift = _shift(rota, now)
    in_order = (rota.members[(shift + place) % len(rota.members)] for place in range(len(rota.members)))
    user = next((one for one in in_order if one in there), None)
    if user is None:
        return None
    return Duty(user=user, until=min([_begin(rota, shift + 1), *edges]), override=False)


def _shift(rota: Rota, now: Instant) -> int:
    """The number of the shift at an instant; that of the first member's first is 0."""
    start = date.fromisoformat(rota.starts_on)
    today = datetime.fromtimestamp(now / 1_000, zone_info(rota.timezone)).date()
    times = len(rota.handover)
    # Where the clock jumps over a date, handovers of days around it come together: the last that has come counts.
    last = ((today - start).days + 2) * times - 1
    while _instant(rota, last) > now:
        last -= 1
    return last // rota.shift_days


def _begin(rota: Rota, shift: int) -> Instant:
    return _instant(rota, shift * rota.shift_days)


def _instant(rota: Rota, handover: int) -> Instant:
    """When so many handovers are over since the first one."""
    day, place = divmod(handover, len(rota.handover))
    on = date.fromisoformat(rota.starts_on) + timedelta(days=day)
    wall = datetime.combine(on, time.fromisoformat(rota.handover[place]))
    return instant_of_clock(wall, rota.timezone)
