"""Decides when to try again, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from clarion.model.channel import Channel, Lane
from clarion.model.ids import Instant
from clarion.model.status import Reason


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Exponential back-off with full jitter, limited in number and in age."""

    max_attempts: int
    max_age_s: float
    """Counted from the first try: quiet hours and schedules are no age."""
    base_s: float
    """The longest first pause; it doubles with every attempt."""
    cap_s: float
    """No pause is longer, and no provider can ask for a longer one; jitter comes on top of what it asks for."""

    @property
    def longest_s(self) -> float:
        """What a provider can ask for at most."""
        return self.cap_s

    def pause_s(self, attempt: int, uniform: float, asked_s: float) -> float:
        """After call number `attempt`: a part of what has doubled, behind what the provider asked for."""
        longest = min(self.cap_s, self.base_s * 2.0 ** min(max(attempt - 1, 0), _MOST_DOUBLINGS))
        return asked_s + uniform * longest


class RetrySchedule(msgspec.Struct, frozen=True, kw_only=True):
    """Named pauses, for receivers that are repaired by people."""

    pauses_s: tuple[float, ...]
    spread: float = 0.1
    """Every pause is longer by up to this part of it, so that what failed together does not come back together."""

    @property
    def max_attempts(self) -> int:
        """One more than there are pauses."""
        return len(self.pauses_s) + 1

    @property
    def max_age_s(self) -> float:
        """Long enough for a receiver that asks for the longest pause every time."""
        return (1 + self.spread) * len(self.pauses_s) * self.longest_s

    @property
    def longest_s(self) -> float:
        """What a receiver can ask for at most."""
        return max(self.pauses_s)

    def pause_s(self, attempt: int, uniform: float, asked_s: float) -> float:
        """After call number `attempt`: as the schedule says, or as long as the receiver asked for."""
        return max(asked_s, self.pauses_s[attempt - 1] * (1.0 + self.spread * uniform))


POLICIES: Mapping[Lane, RetryPolicy] = {
    Lane.CRITICAL: RetryPolicy(max_attempts=8, max_age_s=600.0, base_s=0.5, cap_s=15.0),
    Lane.HIGH: RetryPolicy(max_attempts=10, max_age_s=6 * 3_600.0, base_s=1.0, cap_s=300.0),
    Lane.NORMAL: RetryPolicy(max_attempts=10, max_age_s=24 * 3_600.0, base_s=2.0, cap_s=900.0),
    Lane.BULK: RetryPolicy(max_attempts=8, max_age_s=24 * 3_600.0, base_s=10.0, cap_s=3_600.0),
}

WEBHOOKS = RetrySchedule(
    pauses_s=(5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
)
"""Three days (Standard Webhooks 1.0.0, "Retry schedule"), whatever the lane: a server that is down over the weekend
misses nothing."""

_MOST_DOUBLINGS = 40
"""2**40 base units outlast every cap; more would only overflow."""


def policy(lane: Lane, channel: Channel) -> RetryPolicy | RetrySchedule:
    """How a message of this lane and channel is tried again."""
    return WEBHOOKS if channel is Channel.WEBHOOK else POLICIES[lane]


def next_attempt(
    policy: RetryPolicy | RetrySchedule,
    *,
    attempt: int,
    tried_at: Instant,
    now: Instant,
    uniform: float,
    after_s: float | None = None,
    expires_at: Instant | None = None,
) -> Instant | Reason:
    """When to call again after call number `attempt`; a `Reason` when there must be no other call.

    `uniform` in [0, 1) is the jitter. `after_s` is the provider's wish (Retry-After): it delays the next call, up to
    the longest pause of the policy, and never ends a message.
    """
    if expires_at is not None and now >= expires_at:
        return Reason.EXPIRED
    if attempt >= policy.max_attempts:
        return Reason.ATTEMPTS_EXHAUSTED
    due_at = _due(now, policy.pause_s(attempt, uniform, 0.0))
    oldest = Instant(tried_at + math.floor(policy.max_age_s * 1_000))
    if due_at > oldest:
        return Reason.TOO_OLD
    if expires_at is not None and due_at >= expires_at:
        return Reason.EXPIRED
    wished = _due(now, policy.pause_s(attempt, uniform, _asked(after_s, policy.longest_s)))
    latest = oldest if expires_at is None else min(oldest, Instant(expires_at - 1))
    return min(wished, latest)


def _due(now: Instant, pause_s: float) -> Instant:
    return Instant(now + max(1, math.ceil(pause_s * 1_000)))


def _asked(after_s: float | None, most_s: float) -> float:
    """The provider's wish as a number of seconds that makes sense."""
    if after_s is None or math.isnan(after_s):
        return 0.0
    return min(max(after_s, 0.0), most_s)
