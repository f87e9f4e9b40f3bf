"""A token bucket as a value: at most `rate * seconds + burst` in any stretch of time."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of a rate limit."""

    rate: float
    """Tokens that come back per second."""
    burst: float
    """Most tokens it holds."""
    tokens: float
    at_s: float | None = None
    """When `tokens` was true; None before the first use."""

    @staticmethod
    def of(per_second: float | None) -> Bucket | None:
        """A full bucket that holds one second's worth, at least one token; None: no limit."""
        if per_second is None or per_second <= 0:
            return None
        burst = max(1.0, per_second)
        return Bucket(rate=per_second, burst=burst, tokens=burst)


def take(
    bucket: Bucket, now_s: float, costs: Iterable[int], *, reserve: float = 0.0
) -> tuple[Bucket, int, float]:
    """(bucket afterwards, how many of those that cost so many tokens may go now, in order, seconds until the next may).

    None goes in part. One that costs more than the bucket holds goes when it is full, and what it owes comes back
    before anything else goes. `reserve` tokens are left for somebody more urgent; a full bucket always lets one
    through, however large the reserve, so nobody starves. A clock that goes backwards gives nothing and costs nothing.
    """
    now = _refilled(bucket, now_s)
    kept = min(max(reserve, 0.0), bucket.burst - 1.0)
    left, granted, wait_s = now.tokens, 0, 0.0
    for cost in costs:
        missing = min(cost, bucket.burst - kept) + kept - left
        if missing > 0:
            wait_s = math.ceil(missing / bucket.rate * 1_000) / 1_000
            break
        left -= cost
        granted += 1
    return msgspec.structs.replace(now, tokens=left), granted, wait_s


def _refilled(bucket: Bucket, now_s: float) -> Bucket:
    at_s = now_s if bucket.at_s is None else max(bucket.at_s, now_s)
    elapsed = 0.0 if bucket.at_s is None else at_s - bucket.at_s
    tokens = min(bucket.burst, bucket.tokens + elapsed * bucket.rate)
    return msgspec.structs.replace(bucket, tokens=tokens, at_s=at_s)
