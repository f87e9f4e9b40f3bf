"""The pumping guard: which ranges a number belongs to, and whether its country is allowed."""

from __future__ import annotations

from clarion.model.channel import PHONES, Channel
from clarion.model.setup import GuardMode, GuardWatch, SmsGuard, Tenant
from clarion.model.spending import RangeLimit

IN_RANGE, IN_PREFIX = 4, 6
"""Digits at the end of a number that its range, or its prefix, leaves open."""
LEAST = 3
"""Characters of a range that says anything: `+37`."""


def ranges(guard: SmsGuard, number: str) -> tuple[RangeLimit, ...]:
    """The ranges that a code to this number counts in."""
    return tuple(
        [
            RangeLimit(digits=digits, limit=limit, window_s=guard.window_s, block_s=guard.block_s)
            for digits, limit in (
                (number[:-IN_RANGE], guard.range_limit),
                (number[:-IN_PREFIX], guard.prefix_limit),
            )
            if len(digits) >= LEAST
        ]
    )


def watches(tenant: Tenant, channel: Channel, *, is_code: bool) -> bool:
    """Whether a message counts as possible abuse."""
    guard = tenant.sms_guard
    return (
        channel in PHONES and guard.mode is not GuardMode.OFF and (is_code or guard.watch is GuardWatch.ALL)
    )


def forbids_country(tenant: Tenant, country: str) -> bool:
    """Whether the tenant's list lacks this country. While nobody knows where its users are, it lacks none."""
    guard = tenant.sms_guard
    allowed = tenant.seen_countries if guard.countries is None else guard.countries
    return guard.country_mode is not GuardMode.OFF and allowed is not None and country not in allowed
