"""Who is on duty when: members take turns."""

from __future__ import annotations

import msgspec

from clarion.model.ids import Instant, UserNo


class RotaOverride(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody is on duty from one instant until another, whoever's turn it is."""

    user: UserNo
    starts_at: Instant
    ends_at: Instant


class Rota(msgspec.Struct, frozen=True, kw_only=True):
    """Members who take turns, each for a shift."""

    members: tuple[UserNo, ...]
    """In the order of their turns."""
    timezone: str
    handover: tuple[str, ...]
    """`HH:MM`, ascending: at these times of the day one member hands over to the next."""
    shift_days: int = 1
    """How many days a shift lasts. With several handovers a day: 1."""
    starts_on: str
    """The date on which the first member takes over, at the first handover of that day."""
    overrides: tuple[RotaOverride, ...] = ()
    """Where two overlap, the later one in the list holds."""

    def users(self) -> set[UserNo]:
        """All it names."""
        return {*self.members, *(one.user for one in self.overrides)}


class Duty(msgspec.Struct, frozen=True, kw_only=True):
    """Who is on duty, and how long that stays so."""

    user: UserNo
    until: Instant
    override: bool
    """Whoever's turn it is."""
