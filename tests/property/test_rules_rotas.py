"""Exactly one is on duty at any instant: in every zone around every change of its clock, with overrides and without."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from clarion.model.ids import Instant, UserNo
from clarion.model.rota import Duty, Rota, RotaOverride
from clarion.rules.rotas import on_duty
from tests.needs import DEEP
from tests.property.test_rules_clock_changes import wall
from tests.property.test_rules_hours import ZONES, changes

DAY = 86_400_000
HOUR = 3_600_000
ADA, BOB, CEM, DEE = (UserNo(no) for no in range(1, 5))
EVERYBODY = frozenset({ADA, BOB, CEM, DEE})
TIMES = ("00:00", "01:30", "02:00", "02:30", "09:00", "23:45") if DEEP else ("00:00", "02:30")
DAYS_AROUND = 4


def rota(zone: str = "UTC", handover: tuple[str, ...] = ("09:00",), **more: Any) -> Rota:
    """Three members who take turns."""
    fields: dict[str, Any] = {"members": (ADA, BOB, CEM), "starts_on": "2026-01-05", **more}
    return Rota(timezone=zone, handover=handover, **fields)


def duty_at(of: Rota, at: int) -> Duty:
    """Who is on duty while everybody is there."""
    found = on_duty(of, Instant(at), EVERYBODY)
    assert found is not None
    return found


@pytest.mark.parametrize("handover", TIMES)
def test_members_follow_one_another_without_gap_or_overlap_whatever_the_clock_does(handover):
    """In every zone, over each change of its clock in 2026: each hands over to the next, at the time on the wall, or when the gap
    is over that swallowed it."""
    for zone in ZONES:
        of = rota(zone, (handover,))
        for change in changes(zone, 2026):
            at = change * 1_000 - DAYS_AROUND * DAY
            while at < change * 1_000 + DAYS_AROUND * DAY:
                duty = duty_at(of, at)
                assert at < duty.until <= at + 26 * HOUR
                assert duty_at(of, (at + duty.until) // 2) == duty == duty_at(of, duty.until - 1)
                assert duty_at(of, duty.until).user == duty.user % 3 + 1, (zone, at)
                shown = f"{wall(zone, duty.until):%H:%M}"
                assert shown == handover or duty.until == change * 1_000, (zone, duty.until)
                at = duty.until


def test_a_date_that_a_zone_left_out_moves_nobodys_turn():
    """Samoa had no 30 December 2011: its shift was over when it began, and the next day is that of whoever had it anyway."""
    of = rota("Pacific/Apia", ("00:00",), starts_on="2011-12-28")
    start = int(datetime(2011, 12, 28, 10, tzinfo=UTC).timestamp()) * 1_000  # midnight there
    turns = [
        (f"{wall(of.timezone, start + n * DAY):%d}", duty_at(of, start + n * DAY).user) for n in range(4)
    ]
    assert turns == [("28", ADA), ("29", BOB), ("31", ADA), ("01", BOB)]


instants = st.integers(min_value=1_767_225_600_000, max_value=1_798_761_600_000)
overrides = st.builds(
    lambda user, start, length: RotaOverride(
        user=user, starts_at=Instant(start), ends_at=Instant(start + length)
    ),
    st.sampled_from([ADA, BOB, CEM, DEE]),
    instants,
    st.integers(min_value=1, max_value=40 * DAY),
)
rotas = st.builds(
    rota,
    st.sampled_from(ZONES),
    st.lists(st.sampled_from(["00:00", "02:15", "02:45", "08:00", "20:00"]), min_size=1, unique=True).map(
        lambda times: tuple(sorted(times))
    ),
    overrides=st.lists(overrides, max_size=6).map(tuple),
)


@given(of=rotas, at=instants)
def test_the_last_override_that_holds_wins_and_nothing_else_changes_a_turn(of, at):
    """And what is said to hold until an instant holds until the last millisecond before it."""
    duty = duty_at(of, at)
    holding = [one.user for one in of.overrides if one.starts_at <= at < one.ends_at]
    if holding:
        assert (duty.user, duty.override) == (holding[-1], True)
    else:
        assert (duty.user, duty.override) == (duty_at(replace(of, overrides=()), at).user, False)
    assert duty.until > at
    assert duty_at(of, duty.until - 1) == duty


@given(of=rotas, at=instants, there=st.frozensets(st.sampled_from([ADA, BOB, CEM, DEE])))
def test_whoever_is_gone_is_stood_in_for_by_the_next_who_is_there(of, at, there):
    """Nobody is on duty only when nobody is left; who is there keeps their turns."""
    duty = on_duty(of, Instant(at), there)
    left = [user for user in of.members if user in there]
    in_override = any(one.user in there and one.starts_at <= at < one.ends_at for one in of.overrides)
    assert (duty is None) == (not left and not in_override)
    if duty is not None:
        assert duty.user in there
        turn = duty_at(replace(of, overrides=()), at).user
        if not duty.override and turn in there:
            assert duty.user == turn
