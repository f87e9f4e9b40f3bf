"""When a schedule occurs: recurrence rules (RFC 5545) and cron expressions on the calendar of a time zone, as instants.

Days and the times in them are those of the calendar: each local time becomes one instant, the first one where the clock
shows it twice, and the end of the gap where the clock jumps over it. So a daily schedule occurs once on every date. What
repeats by hours or minutes (`FREQ=HOURLY`, `*` in the hour of a cron expression) goes on by elapsed time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from cronsim import CronSim, CronSimError
from dateutil.rrule import rrule, rrulestr

from clarion.errors import InvalidInput
from clarion.model.ids import Instant
from clarion.model.schedule import RECIPIENT, Occurrence, Schedule
from clarion.rules.quiet_hours import check_zone, instant_of_clock, zone_info

CYCLE_YEARS = 400
"""After so many years the same dates fall on the same days of the week."""
AHEAD_YEARS = 45
"""How far ahead a rule is followed at least: a date comes to each day of the week within so many years."""
MOST_COUNTED = 10_000
"""The largest `COUNT`: a rule that counts is followed from its start."""
FIRST_ZONE_MS = 14 * 3_600_000
"""How far the clocks of the first zone are ahead of UTC."""
LEAD_MS = 60_000
"""How long before the first recipient's time the work begins."""
_ELAPSED = {"MINUTELY": 60_000, "HOURLY": 3_600_000}
_CALENDAR = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_OF_YEARS = ("BYWEEKNO", "BYYEARDAY", "BYMONTHDAY")
_BACK = timedelta(hours=3)
"""More than any clock is set back at once."""
_LAST_YEAR = 9999
_FIELDS = 5


def check(schedule: Schedule) -> None:
    """Raises InvalidInput with the field that is wrong."""
    if schedule.rrule is not None and schedule.cron is not None:
        raise InvalidInput("send one of `rrule` and `cron`.", pointer="#/cron")
    if schedule.rrule is None and schedule.cron is None and schedule.starts_at is None:
        raise InvalidInput(
            "send `rrule` or `cron` to repeat, or `starts_at` to start once.", pointer="#/starts_at"
        )
    if schedule.timezone not in (None, RECIPIENT) and not check_zone(schedule.timezone or ""):
        raise InvalidInput(
            "this must be an IANA time zone such as Europe/Berlin, or `recipient`.", pointer="#/timezone"
        )
    if (
        schedule.starts_at is not None
        and schedule.ends_at is not None
        and schedule.ends_at < schedule.starts_at
    ):
        raise InvalidInput("this is before `starts_at`.", pointer="#/ends_at")
    if schedule.rrule is not None:
        _rule(schedule.rrule)
    if schedule.cron is not None:
        _check_cron(schedule.cron)


def following(schedule: Schedule, tenant_zone: str, made_at: Instant, after: Instant) -> Occurrence | None:
    """The first occurrence behind `after`; None: there is none."""
    return next(occurrences(schedule, tenant_zone, made_at, after), None)


def occurrences(
    schedule: Schedule, tenant_zone: str, made_at: Instant, after: Instant
) -> Iterator[Occurrence]:
    """All of them behind `after`, in order. `made_at`: when the schedule was made, in a tenant of this zone."""
    if schedule.timezone != RECIPIENT:
        zone = schedule.timezone or tenant_zone
        first = made_at if schedule.starts_at is None else schedule.starts_at
        for at in _instants(schedule, zone, first, schedule.ends_at, after):
            yield Occurrence(at=at)
        return
    # By the clock of each recipient: a calendar without jumps, of which every place has its own instants.
    first = _clock(made_at if schedule.starts_at is None else schedule.starts_at, tenant_zone)
    last = None if schedule.ends_at is None else _clock(schedule.ends_at, tenant_zone)
    early = FIRST_ZONE_MS + LEAD_MS
    for shown in _instants(schedule, "UTC", first, last, Instant(after + early)):
        local = _wall(shown, "UTC").isoformat(timespec="seconds")
        yield Occurrence(at=Instant(shown - early), local=local)


def _instants(
    schedule: Schedule, zone: str, first: Instant, last: Instant | None, after: Instant
) -> Iterator[Instant]:
    after = max(after, Instant(first - 1))
    if schedule.rrule is not None:
        found = _rule(schedule.rrule).instants(zone, first, after)
    elif schedule.cron is not None:
        found = _cron(schedule.cron, zone, after)
    else:
        found = iter((first,) if first > after else ())
    for at in found:
        if last is not None and at > last:
            return
        yield at


def _clock(at: Instant, zone: str) -> Instant:
    """The instant at which a clock in UTC shows what the clock of the zone shows at `at`."""
    return instant_of_clock(_wall(at, zone), "UTC")


def _wall(at: Instant, zone: str) -> datetime:
    return datetime.fromtimestamp(at // 1_000, zone_info(zone)).replace(tzinfo=None)


def _behind(walls: Iterator[datetime], zone: str, after: Instant) -> Iterator[Instant]:
    """The instants of local times, each once; a date that the zone left out has none."""
    for wall in walls:
        at = instant_of_clock(wall, zone)
        if at > after and not _left_out(wall.date(), at, zone):
            yield at
            after = at


def _left_out(day: date, at: Instant, zone: str) -> bool:
    midnight = datetime.combine(day, time())
    return _wall(at, zone).date() != day != _wall(instant_of_clock(midnight, zone), zone).date()


# -- cron ------------------------------------------------------------------------------------------------------


def _cron(text: str, zone: str, after: Instant) -> Iterator[Instant]:
    if text.split()[1].startswith("*"):
        start = datetime.fromtimestamp(after // 1_000, zone_info(zone))
        return (Instant(round(at.timestamp() * 1_000)) for at in CronSim(text, start))
    return _behind(CronSim(text, _wall(after, zone) - _BACK), zone, after)


def _check_cron(text: str) -> None:
    if len(text.split()) != _FIELDS:
        raise InvalidInput(
            "a cron expression has five fields: minute, hour, day of the month, month, day of the week, as in `0 9 * * mon`.",
            pointer="#/cron",
        )
    try:
        CronSim(text, datetime(2026, 1, 1))  # noqa: DTZ001
    except CronSimError as wrong:
        raise InvalidInput(f"{str(wrong).lower()} in `{text}`.", pointer="#/cron") from None


# -- RFC 5545 ----------------------------------------------------------------------------------------------------


class _Rule(NamedTuple):
    """A recurrence rule, taken apart as far as needed."""

    frequency: str
    interval: int
    most: int | None
    """How often it occurs; None: for ever."""
    until: str | None
    others: str
    """Its further parts."""
    added: tuple[datetime, ...]
    removed: frozenset[datetime | date]

    def instants(self, zone: str, first: Instant, after: Instant) -> Iterator[Instant]:
        """Those behind `after`, of the rule that begins at `first`."""
        last = None if self.until is None else _until(self.until, zone)
        unit = _ELAPSED.get(self.frequency)
        found = (
            _behind(self._walls(zone, first, after), zone, after)
            if unit is None
            else self._elapsed(unit * self.interval, first, after)
        )
        for at in found:
            if last is not None and at > last:
                return
            yield at

    def _elapsed(self, step: int, first: Instant, after: Instant) -> Iterator[Instant]:
        number = max(0, (after - first) // step + 1)
        while self.most is None or number < self.most:
            yield Instant(first + number * step)
            number += 1

    def _walls(self, zone: str, first: Instant, after: Instant) -> Iterator[datetime]:
        start, near = _wall(first, zone), _wall(after, zone) - _BACK
        if self.most is None:
            start = self._nearer(start, near)
        # The library looks for an occurrence until the end of its calendar, however long that takes: so it starts near the end.
        years = (_LAST_YEAR - AHEAD_YEARS - start.year) // CYCLE_YEARS * CYCLE_YEARS
        walls = (
            wall.replace(year=wall.year - years)
            for wall in self.beginning(start.replace(year=start.year + years))
        )
        added = [wall for wall in self.added if wall >= near]
        for wall in walls:
            while added and added[0] <= wall:
                yield added.pop(0)
            if wall >= near and wall not in self.removed and wall.date() not in self.removed:
                yield wall
        yield from added

    def _nearer(self, start: datetime, near: datetime) -> datetime:
        """A later start with the same occurrences behind `near`: whole intervals on."""
        if self.frequency in ("DAILY", "WEEKLY"):
            apart = self.interval * (7 if self.frequency == "WEEKLY" else 1)
            ahead = ((near - start).days - 7) // apart
            return start + timedelta(days=ahead * apart) if ahead > 0 else start
        ahead = (near.year - start.year - 1) // self.interval * self.interval
        leap_day = (start.month, start.day) == (2, 29)
        return start.replace(year=start.year + ahead) if ahead > 0 and not leap_day else start

    def beginning(self, start: datetime) -> rrule:
        """As the library takes it. Raises what the library raises."""
        count = "" if self.most is None else f";COUNT={self.most}"
        text = f"FREQ={self.frequency};INTERVAL={self.interval}{count}{self.others}"
        rule: rrule = rrulestr(text, dtstart=start)
        return rule


@lru_cache(maxsize=1_024)
def _rule(text: str) -> _Rule:
    """Raises InvalidInput."""
    parts, added, removed = _lines(text)
    frequency = parts.pop("FREQ", "")
    interval, most = _number(parts, "INTERVAL"), _number(parts, "COUNT")
    until = parts.pop("UNTIL", None)
    _check_parts(frequency, parts, dates=bool(added or removed))
    if most is not None and most > MOST_COUNTED:
        raise _wrong(f"COUNT is at most {MOST_COUNTED}; use UNTIL")
    if until is not None:
        _until(until, "UTC")
    others = "".join(f";{name}={value}" for name, value in parts.items())
    rule = _Rule(frequency, interval or 1, most, until, others, added, removed)
    if frequency in _CALENDAR:
        try:
            rule.beginning(datetime(2026, 1, 1))  # noqa: DTZ001
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as wrong:
            raise _wrong(f"`{text}` cannot be read: {wrong}") from None
    return rule


def _lines(text: str) -> tuple[dict[str, str], tuple[datetime, ...], frozenset[datetime | date]]:
    """The parts of the rule, and the dates that are added to it and taken out of it."""
    parts: dict[str, str] = {}
    added: list[datetime] = []
    removed: set[datetime | date] = set()
    for line in text.strip().upper().splitlines():
        name, _, value = line.strip().rpartition(":")
        if name in ("", "RRULE") and not parts:
            parts = _parts(value)
        elif name == "RDATE":
            added += [_local(one) for one in value.split(",")]
        elif name == "EXDATE":
            removed.update(_local(one) if "T" in one else _local(one).date() for one in value.split(","))
        else:
            raise _wrong(
                f"`{line}` is not understood: a rule is one line, further ones begin with EXDATE: or RDATE:"
            )
    return parts, tuple(sorted(added)), frozenset(removed)


def _check_parts(frequency: str, parts: dict[str, str], *, dates: bool) -> None:
    if frequency not in (*_ELAPSED, *_CALENDAR):
        known = ", ".join((*_CALENDAR, *_ELAPSED))
        raise _wrong(f"FREQ must be one of {known}, not {frequency or 'missing'}")
    if frequency in _ELAPSED and (parts or dates):
        raise _wrong(
            f"FREQ={frequency} goes with INTERVAL, COUNT and UNTIL only: for times of a day use FREQ=DAILY with BYHOUR and "
            "BYMINUTE, or `cron`"
        )
    if frequency in ("DAILY", "WEEKLY") and (found := [name for name in _OF_YEARS if name in parts]):
        raise _wrong(f"{found[0]} goes with FREQ=MONTHLY or FREQ=YEARLY, not with FREQ={frequency}")
    if "BYSECOND" in parts:
        raise _wrong("BYSECOND is not supported: a schedule occurs at the second of `starts_at`")


def _parts(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if not (name and equals and value) or name in parts:
            raise _wrong(
                f"`{part}` is not understood: write NAME=VALUE, each name once, as in FREQ=DAILY;BYHOUR=9"
            )
        parts[name] = value
    return parts


def _number(parts: dict[str, str], name: str) -> int | None:
    text = parts.pop(name, None)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 10**6:
        raise _wrong(f"{name} must be a number from 1 on, not {text}")
    return int(text)


def _local(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%S" if "T" in text else "%Y%m%d")  # noqa: DTZ007
    except ValueError:
        raise _wrong(f"`{text}` must be a local date or time like 20261224 or 20261224T090000") from None


def _until(text: str, zone: str) -> Instant:
    """The end that UNTIL sets: a date includes all of its day."""
    if text.endswith("Z"):
        return instant_of_clock(_local(text[:-1]), "UTC")
    wall = _local(text)
    return instant_of_clock(wall if "T" in text else wall + timedelta(hours=23, minutes=59, seconds=59), zone)


def _wrong(detail: str) -> InvalidInput:
    return InvalidInput(f"{detail}.", pointer="#/rrule")


def nearest(
    schedule: Schedule, tenant_zone: str, made_at: Instant, after: Instant, most: int
) -> list[Occurrence]:
    """The first so many behind `after`."""
    return list(islice(occurrences(schedule, tenant_zone, made_at, after), most))
