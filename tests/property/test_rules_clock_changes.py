"""Every hour of the weeks in which clocks change: no message at a forbidden time, none lost, none later than it has to be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.setup import Category, ConsentRule, Law
from clarion.model.user import Contact, Day, Window
from clarion.rules.quiet_hours import instant_of_clock
from tests.needs import DEEP
from tests.property.test_rules_hours import ZONES, changes
from tests.unit.rules.examples import EMAIL, contact, decide, person, workflow

HOUR = 3_600_000
WEEK = 168
STEP = HOUR // 4
CHOSEN = ZONES if DEEP else [*ZONES[::150], "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"]
"""Lord Howe's clock changes by half an hour, Casablanca's for one month."""

NIGHT = Window(start="23:00", end="02:30")
SIESTA = Window(start="12:00", end="13:15", days=(Day.SAT, Day.SUN))
DAYTIME = Window(start="06:00", end="20:00")
SALE = Category(key="orders", law=Law.MARKETING, consent=ConsentRule.OPT_OUT)
CONTACTS = (
    contact(Channel.EMAIL),
    Contact(channel=Channel.SMS, address="+12125550123", hash=b"number"),
)


def hours(zone: str) -> list[Instant]:
    """Every hour of the week around each change of 2026; where there is none, of one in spring and one in autumn."""
    around = changes(zone, 2026) or tuple(
        int(datetime(2026, month, 29, 1, tzinfo=UTC).timestamp()) for month in (3, 10)
    )
    return [
        Instant((change - WEEK * 1_800) // 3_600 * HOUR + n * HOUR) for change in around for n in range(WEEK)
    ]


def wall(zone: str, at: int) -> datetime:
    """What the clock shows."""
    return datetime.fromtimestamp(at / 1_000, ZoneInfo(zone))


def inside(window: Window, shown: datetime) -> bool:
    """Whether the clock shows a time of the window, as a person reads it."""
    clock = f"{shown:%H:%M}"
    days = [day.value for day in window.days]
    today, before = (f"{shown - timedelta(days=back):%a}".lower() for back in (0, 1))
    if window.start < window.end:
        return today in days and window.start <= clock < window.end
    return (today in days and clock >= window.start) or (before in days and clock < window.end)


def ambiguous(zone: str, at: int) -> bool:
    """The clock shows this time twice, or has just jumped."""
    shown = wall(zone, at)
    return shown.utcoffset() != shown.replace(fold=1 - shown.fold).utcoffset()


def allowed(at: int, zone: str, forbidden: tuple[Window, ...], needed: tuple[Window, ...]) -> bool:
    """Whether a person with a clock would let it go."""
    shown = wall(zone, at)
    return not any(inside(one, shown) for one in forbidden) and all(inside(one, shown) for one in needed)


@pytest.mark.parametrize("zone", CHOSEN)
def test_every_message_goes_at_the_first_local_time_that_quiet_hours_law_and_send_window_allow(zone):
    """Marketing texts to a number of the United States, for a reader who confirmed the zone; and emails at any hour."""
    quiet, lawful = (NIGHT, SIESTA), Window(start="08:00", end="21:00")
    reader = person(contacts=CONTACTS, zone=zone, quiet=quiet)
    texts = workflow(*(step.to for step in EMAIL.steps), send_window=(DAYTIME,))
    for now in hours(zone):
        for channel, flow, category, needed in (
            (Channel.SMS, texts, SALE, (lawful, DAYTIME)),
            (Channel.EMAIL, EMAIL, SALE, ()),
        ):
            decided = decide(channel, user=reader, flow=flow, category=category, now=now)
            assert decided.verdict != "stop", (zone, wall(zone, now))
            goes = now if decided.verdict == "send" else decided.due_at
            assert goes is not None
            assert decide(channel, user=reader, flow=flow, category=category, now=goes).verdict == "send"
            assert goes - now <= 36 * HOUR
            if not ambiguous(zone, goes):
                assert allowed(goes, zone, quiet, needed), (zone, channel, wall(zone, goes))
            for earlier in range(now, goes, STEP):
                if not ambiguous(zone, earlier):
                    assert not allowed(earlier, zone, quiet, needed), (zone, channel, wall(zone, earlier))


@pytest.mark.parametrize("zone", CHOSEN)
def test_a_local_time_is_one_instant_in_every_hour_of_those_weeks(zone):
    """The first at which the clock shows it; where the clock jumps over it, the first behind the gap."""
    for now in hours(zone):
        asked = wall(zone, now).replace(tzinfo=None, minute=30, second=0)
        at = instant_of_clock(asked, zone)
        shown = wall(zone, at).replace(tzinfo=None)
        if shown != asked:
            assert shown > asked
            assert wall(zone, at - 1_000).replace(tzinfo=None) < asked
        else:
            assert wall(zone, at).fold == 0
