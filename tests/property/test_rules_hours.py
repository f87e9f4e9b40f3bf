"""Quiet hours and send windows against a clock on the wall: every IANA zone, any windows, above all DST days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import given, note
from hypothesis import strategies as st
from msgspec.structs import replace

from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.setup import Category
from clarion.model.status import Reason, Status
from clarion.model.user import WEEK, Window
from clarion.rules.eligibility import HORIZON_MS
from clarion.rules.quiet_hours import check_zone, next_start, window_end, window_opening
from clarion.rules.time_format import FOREVER
from tests.unit.rules.examples import CRITICAL, EMAIL, decide, person

MINUTE = 60_000
DAY = 1_440 * MINUTE
ZONES = sorted(zone for zone in available_timezones() if check_zone(zone))


# -- what can come -------------------------------------------------------------------------------------------------

clock = st.one_of(
    st.sampled_from(
        ["00:00", "00:30", "01:00", "01:30", "02:00", "02:15", "02:30", "03:00", "08:00", "22:00", "23:59"]
    ),
    st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.integers(0, 59)),
)
window = st.builds(
    lambda start, end, days: Window(start=start, end=end, days=tuple(WEEK[day] for day in days)),
    clock,
    clock,
    st.one_of(st.just(range(7)), st.lists(st.integers(0, 6), min_size=1, max_size=7)),
)
windows = st.lists(window, min_size=1, max_size=4).map(tuple)


@cache
def changes(zone: str, year: int) -> tuple[int, ...]:
    """The seconds of a year at which the offset of a zone changes."""
    place = ZoneInfo(zone)

    def offset(second: int) -> timedelta:
        return offset_of(datetime.fromtimestamp(second, place))

    first = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    found = []
    for week in range(first, first + 366 * 86_400, 7 * 86_400):
        early, late = week, week + 7 * 86_400
        if offset(early) == offset(late):
            continue
        while late - early > 1:
            middle = (early + late) // 2
            early, late = (middle, late) if offset(middle) == offset(early) else (early, middle)
        found.append(late)
    return tuple(found)


@st.composite
def moments(draw) -> tuple[str, Instant]:
    """A zone and an instant: half the time within two days of a change of its clock."""
    zone = draw(st.sampled_from(ZONES))
    jumps = changes(zone, draw(st.integers(1973, 2037)))
    if jumps and draw(st.booleans()):
        around = draw(st.sampled_from(jumps)) * 1_000
        return zone, Instant(around + draw(st.integers(-2 * DAY, 2 * DAY)))
    return zone, Instant(draw(st.integers(100_000_000_000, 4_000_000_000_000)))


# -- the oracle: a person who looks at the clock and the calendar ----------------------------------------------------


def shown(zone: str, instant: int) -> datetime:
    """What clock and calendar show."""
    return datetime.fromtimestamp(instant / 1_000, ZoneInfo(zone))


def inside(windows: tuple[Window, ...], wall: datetime) -> bool:
    """Whether the time on the wall lies in a window, by its definition."""
    now = f"{wall.hour:02d}:{wall.minute:02d}"
    today = WEEK[wall.weekday()]
    yesterday = WEEK[(date(wall.year, wall.month, wall.day) - timedelta(days=1)).weekday()]
    for window in windows:
        overnight = window.end <= window.start
        if today in window.days and window.start <= now and (overnight or now < window.end):
            return True
        if yesterday in window.days and overnight and now < window.end:
            return True
    return False


def offset_of(wall: datetime) -> timedelta:
    """How far the wall is ahead of UTC."""
    offset = wall.utcoffset()
    assert offset is not None
    return offset


def twice(wall: datetime) -> bool:
    """Whether the clock shows this time twice: then doubt is decided in favour of silence."""
    return offset_of(wall.replace(fold=0)) > offset_of(wall.replace(fold=1))


def minutes(start: int, end: int) -> range:
    """Every minute of a stretch; of long ones every few."""
    step = MINUTE if end - start <= DAY else 7 * MINUTE
    return range(start, end, step)


# -- quiet hours -----------------------------------------------------------------------------------------------------


@given(windows, moments())
def test_quiet_hours_are_on_whenever_the_clock_says_so(windows, moment):
    """Never violated: at no instant is a window of the user's clock missed."""
    zone, now = moment
    end = window_end(windows, zone, now)
    note(f"{shown(zone, now)} until {end}")
    if inside(windows, shown(zone, now)):
        assert end is not None
    elif end is not None:
        assert twice(shown(zone, now))


@given(windows, moments())
def test_quiet_hours_end_when_the_clock_says_so(windows, moment):
    """Minute by minute on until the end, and off at the end."""
    zone, now = moment
    end = window_end(windows, zone, now)
    if end is None:
        return
    if end == FOREVER:
        assert all(inside(windows, shown(zone, t)) for t in minutes(now, now + 8 * DAY))
        return
    assert end > now
    assert not inside(windows, shown(zone, end))
    assert window_end(windows, zone, end) is None
    for t in minutes(now, end):
        assert inside(windows, shown(zone, t)) or twice(shown(zone, t))


@given(windows, moments())
def test_between_now_and_the_next_start_nothing_begins(windows, moment):
    """Until then a verdict holds: no minute before it lies in a window that was not on already."""
    zone, now = moment
    begins = next_start(windows, zone, now)
    quiet_until = window_end(windows, zone, now) or now
    until = min(begins or now + 8 * DAY, now + 8 * DAY)
    for t in minutes(quiet_until, until):
        assert window_end(windows, zone, Instant(t)) is None
    if begins is not None:
        assert now < begins <= now + 8 * DAY
        assert window_end(windows, zone, begins) is not None


# -- send windows ----------------------------------------------------------------------------------------------------


@given(windows, moments())
def test_a_send_window_is_open_only_when_the_clock_says_so(windows, moment):
    """Never violated: what counts as open lies in a window of the recipient's clock."""
    zone, now = moment
    opens = window_opening(windows, zone, now)
    if opens is None:
        assert inside(windows, shown(zone, now))
    elif opens != FOREVER:
        assert opens > now
        assert inside(windows, shown(zone, opens))
        assert window_opening(windows, zone, opens) is None


@given(windows, moments())
def test_a_send_window_opens_as_soon_as_the_clock_says_so(windows, moment):
    """Nobody waits longer than needed; only a repeated hour is waited out."""
    zone, now = moment
    opens = window_opening(windows, zone, now)
    for t in minutes(now, min(opens or now, now + 8 * DAY)):
        assert not inside(windows, shown(zone, t)) or twice(shown(zone, t))


# -- the gate --------------------------------------------------------------------------------------------------------

no_windows = st.just(())
some = st.one_of(no_windows, windows)


def ask(moment, quiet, category_window, workflow_window, *, now=None, expires_at=None, channel=Channel.EMAIL):
    """The gate for a person with these hours."""
    zone, asked = moment
    return decide(
        channel,
        user=person(zone=zone, quiet=quiet),
        category=Category(key="orders", send_window=category_window),
        flow=replace(EMAIL, send_window=workflow_window),
        now=asked if now is None else now,
        expires_at=expires_at,
    )


@given(moments(), some, some, some)
def test_a_deferred_message_may_go_when_it_is_due(moment, quiet, category_window, workflow_window):
    """The instant suits all hours at once, so the same windows never defer it a second time."""
    decided = ask(moment, quiet, category_window, workflow_window)
    if decided.verdict != "defer":
        return
    assert decided.due_at > moment[1]
    again = ask(moment, quiet, category_window, workflow_window, now=decided.due_at)
    assert again.verdict == "send"
    wall = shown(moment[0], decided.due_at)
    assert not (quiet and inside(quiet, wall))
    assert all(inside(w, wall) for w in (category_window, workflow_window) if w)


@given(moments(), some, some, some)
def test_what_is_sent_violates_nobodys_hours(moment, quiet, category_window, workflow_window):
    """Whenever the gate says send, the clock on the wall agrees with every window."""
    decided = ask(moment, quiet, category_window, workflow_window)
    wall = shown(*moment)
    if decided.verdict == "send":
        assert not inside(quiet, wall)
        assert all(inside(w, wall) for w in (category_window, workflow_window) if w)
    elif decided.verdict == "stop":
        assert (decided.status, decided.reason) in {
            (Status.SUPPRESSED, Reason.QUIET_HOURS),
            (Status.SUPPRESSED, Reason.SEND_WINDOW),
        }
        for t in range(moment[1], moment[1] + HORIZON_MS, 37 * MINUTE):
            assert ask(moment, quiet, category_window, workflow_window, now=Instant(t)).verdict != "send"


@given(
    moments(),
    some,
    some,
    some,
    st.one_of(st.none(), st.integers(1, 2 * DAY)),
    st.floats(0, 1, exclude_max=True),
)
def test_a_verdict_holds_as_long_as_it_says(
    moment, quiet, category_window, workflow_window, expires_in, part
):
    """At any instant before `valid_until` the gate says the same again: nobody needs to ask."""
    now = moment[1]
    expires_at = None if expires_in is None else Instant(now + expires_in)
    decided = ask(moment, quiet, category_window, workflow_window, expires_at=expires_at)
    assert decided.valid_until > now
    later = Instant(now + int((min(decided.valid_until, now + 20 * DAY) - now) * part))
    again = ask(moment, quiet, category_window, workflow_window, now=later, expires_at=expires_at)
    assert (again.verdict, again.status, again.due_at) == (decided.verdict, decided.status, decided.due_at)


@given(moments(), some, some, some, st.integers(0, 2 * DAY))
def test_nothing_goes_at_or_after_its_expiry(moment, quiet, category_window, workflow_window, expires_in):
    """Neither now nor at the instant it is put off to."""
    expires_at = Instant(moment[1] + expires_in)
    decided = ask(moment, quiet, category_window, workflow_window, expires_at=expires_at)
    if decided.verdict == "send":
        assert moment[1] < expires_at
    if decided.verdict == "defer":
        assert decided.due_at < expires_at


@given(moments(), windows, windows)
def test_critical_is_never_held_back_by_the_hour(moment, quiet, category_window):
    """Whatever the windows."""
    zone, now = moment
    decided = decide(
        user=person(zone=zone, quiet=quiet),
        category=replace(CRITICAL, send_window=category_window),
        now=now,
    )
    assert decided.verdict == "send"
