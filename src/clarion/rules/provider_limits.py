"""The limit of a day of an integration: its own, and that of the plan by which a new sender is warmed up."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from clarion.model.ids import Instant
from clarion.model.setup import IntegrationLimits, WarmUp


class DayLimit(NamedTuple):
    """What holds on a day."""

    per_day: int | None
    """None: nothing limits it."""
    day: str
    resets_at: Instant


def day_limit(limits: IntegrationLimits, now: Instant) -> DayLimit:
    """The limit of the day that it is in the zone of the integration."""
    zone = ZoneInfo(limits.day_zone)
    today = datetime.fromtimestamp(now / 1_000, UTC).astimezone(zone).date()
    midnight = datetime.combine(today + timedelta(days=1), datetime.min.time(), zone)
    wanted = [one for one in (limits.per_day, _of_plan(limits.warm_up, today)) if one is not None]
    resets_at = Instant(round(midnight.timestamp() * 1_000))
    return DayLimit(min(wanted, default=None), today.isoformat(), resets_at)


def _of_plan(plan: WarmUp | None, today: date) -> int | None:
    """Before its first day as on it; behind its last one nothing."""
    if plan is None:
        return None
    day = max(0, (today - date.fromisoformat(plan.since)).days)
    return plan.per_day[day] if day < len(plan.per_day) else None
