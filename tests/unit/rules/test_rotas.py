"""Who is on duty by a rota, and which rotas are refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from clarion.errors import InvalidInput
from clarion.model.ids import Instant, UserNo
from clarion.model.rota import Duty, Rota, RotaOverride
from clarion.rules.rotas import MOST_MEMBERS, MOST_OVERRIDES, check_rota, on_duty

ADA, BOB, CEM = (UserNo(no) for no in range(1, 4))
EVERYBODY = frozenset({ADA, BOB, CEM})
WEEKLY = Rota(
    members=(ADA, BOB, CEM),
    timezone="Europe/Berlin",
    handover=("09:00",),
    shift_days=7,
    starts_on="2026-01-05",
)


def utc(year: int, month: int, day: int, hour: int) -> Instant:
    """An instant by the calendar."""
    return Instant(int(datetime(year, month, day, hour, tzinfo=UTC).timestamp()) * 1_000)


def test_a_week_is_from_handover_to_handover():
    """Monday 9:00 in Berlin is 8:00 in winter and 7:00 in summer; before the first shift the turns go backwards."""
    assert on_duty(WEEKLY, utc(2026, 1, 5, 8), EVERYBODY) == Duty(
        user=ADA, until=utc(2026, 1, 12, 8), override=False
    )
    before = on_duty(WEEKLY, Instant(utc(2026, 1, 5, 8) - 1), EVERYBODY)
    assert before == Duty(user=CEM, until=utc(2026, 1, 5, 8), override=False)
    summer = on_duty(WEEKLY, utc(2026, 3, 29, 12), EVERYBODY)
    assert summer == Duty(user=CEM, until=utc(2026, 3, 30, 7), override=False)


def test_several_handovers_share_a_day():
    """Days and nights, with an odd number of members: nobody has the nights only."""
    shifts = replace(WEEKLY, handover=("08:00", "20:00"), shift_days=1, timezone="UTC")
    turns = [on_duty(shifts, utc(2026, 1, 5 + n // 2, 8 + 12 * (n % 2)), EVERYBODY) for n in range(6)]
    assert [one.user for one in turns if one is not None] == [ADA, BOB, CEM, ADA, BOB, CEM]


def test_an_override_ends_what_is_said_to_hold():
    """Bob takes an evening of Ada's week; she is back behind it."""
    evening = RotaOverride(user=BOB, starts_at=utc(2026, 1, 6, 18), ends_at=utc(2026, 1, 6, 22))
    rota = replace(WEEKLY, overrides=(evening,))
    assert on_duty(rota, utc(2026, 1, 6, 12), EVERYBODY) == Duty(
        user=ADA, until=evening.starts_at, override=False
    )
    assert on_duty(rota, evening.starts_at, EVERYBODY) == Duty(user=BOB, until=evening.ends_at, override=True)
    assert on_duty(rota, evening.ends_at, EVERYBODY) == Duty(
        user=ADA, until=utc(2026, 1, 12, 8), override=False
    )
    assert on_duty(rota, evening.starts_at, {ADA, CEM}) == Duty(
        user=ADA, until=utc(2026, 1, 12, 8), override=False
    )


def test_nobody_is_on_duty_where_nobody_is_left():
    """All were deleted."""
    assert on_duty(WEEKLY, utc(2026, 1, 5, 8), frozenset()) is None


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"members": ()}, "members"),
        ({"members": (ADA,) * (MOST_MEMBERS + 1)}, "members"),
        ({"handover": ()}, "handover"),
        ({"handover": ("9:00",)}, "handover"),
        ({"handover": ("24:00",)}, "handover"),
        ({"handover": ("20:00", "08:00"), "shift_days": 1}, "handover"),
        ({"handover": ("08:00", "08:00"), "shift_days": 1}, "handover"),
        ({"handover": ("08:00", "20:00"), "shift_days": 7}, "handover"),
        ({"shift_days": 0}, "shift_days"),
        ({"shift_days": 367}, "shift_days"),
        ({"starts_on": "2026-02-30"}, "starts_on"),
        ({"starts_on": "20260105"}, "starts_on"),
        ({"starts_on": "1999-12-31"}, "starts_on"),
        ({"starts_on": "soon"}, "starts_on"),
        (
            {"overrides": (RotaOverride(user=ADA, starts_at=Instant(5), ends_at=Instant(5)),)},
            "overrides/0/ends_at",
        ),
        (
            {
                "overrides": (RotaOverride(user=ADA, starts_at=Instant(4), ends_at=Instant(5)),)
                * (MOST_OVERRIDES + 1)
            },
            "overrides",
        ),
    ],
)
def test_a_rota_that_cannot_be_worked_with_is_refused(wrong, place):
    """By the field that is wrong."""
    check_rota(WEEKLY, "#/rota")
    with pytest.raises(InvalidInput) as refused:
        check_rota(replace(WEEKLY, **wrong), "#/rota")
    assert refused.value.pointer == f"#/rota/{place}"
