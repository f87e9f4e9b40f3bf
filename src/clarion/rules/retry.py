"""When to try again, and when to stop trying."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from clarion.model.channel import Lane
from clarion.model.ids import Instant
from clarion.model.status import Reason


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Exponential back-off with full jitter, limited in number and in age."""

    max_attempts: int
    max_age_s: float
    """Counted from the moment the message was planned."""
    base_s: float
    """The longest first pause; it doubles with every attempt."""
    cap_s: float
    """No pause is longer, unless the provider asks for it."""


POLICIES: Mapping[Lane, RetryPolicy] = {
    Lane.CRITICAL: RetryPolicy(max_attempts=8, max_age_s=600.0, base_s=0.5, cap_s=15.0),
    Lane.HIGH: RetryPolicy(max_attempts=10, max_age_s=6 * 3_600.0, base_s=1.0, cap_s=300.0),
    Lane.NORMAL: RetryPolicy(max_attempts=10, max_age_s=24 * 3_600.0, base_s=2.0, cap_s=900.0),
    Lane.BULK: RetryPolicy(max_attempts=8, max_age_s=24 * 3_600.0, base_s=10.0, cap_s=3_600.0),
}

_MOST_DOUBLINGS = 40
"""2**40 base units outlast every cap; more would only overflow."""


def next_attempt(
    policy: RetryPolicy,
    *,
    attempt: int,
    created_at: Instant,
    now: Instant,
    uniform: float,
    after_s: float | None = None,
    expires_at: Instant | None = None,
) -> Instant | Reason:
    """When to call again after call number `attempt`; a `Reason` when there must be no other call.

    `uniform` in [0, 1) is the jitter. `after_s` is the provider's Retry-After: the pause is added behind it.
    """
    if expires_at is not None and now >= expires_at:
        return Reason.EXPIRED
    if attempt >= policy.max_attempts:
        return Reason.ATTEMPTS_EXHAUSTED
    longest = min(policy.cap_s, policy.base_s * 2.0 ** min(max(attempt - 1, 0), _MOST_DOUBLINGS))
    pause_s = _asked(after_s, policy.max_age_s) + uniform * longest
    due_at = Instant(now + max(1, math.ceil(pause_s * 1_000)))
    if due_at > created_at + policy.max_age_s * 1_000:
        return Reason.TOO_OLD
    if expires_at is not None and due_at >= expires_at:
        return Reason.EXPIRED
    return due_at


def _asked(after_s: float | None, most_s: float) -> float:
    """The provider's wish as a number of seconds that makes sense."""
    if after_s is None or math.isnan(after_s):
        return 0.0
    return min(max(after_s, 0.0), most_s)
