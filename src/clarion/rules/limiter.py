"""A token bucket as a value: at most `rate * seconds + burst` in any stretch of time."""

from __future__ import annotations

import math

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


def take(bucket: Bucket, now_s: float, n: int, *, reserve: float = 0.0) -> tuple[Bucket, int, float]:
    """(bucket afterwards, how many of `n` may go now, seconds until another may).

    `reserve` tokens are left for somebody more urgent. A bucket always lets one through when it is full, however
    large the reserve, so nobody starves. A clock that goes backwards gives nothing and costs nothing.
    """
    at_s = now_s if bucket.at_s is None else max(bucket.at_s, now_s)
    elapsed = 0.0 if bucket.at_s is None else at_s - bucket.at_s
    tokens = min(bucket.burst, bucket.tokens + elapsed * bucket.rate)
    kept = min(max(reserve, 0.0), bucket.burst - 1.0)
    granted = max(0, min(n, math.floor(tokens - kept)))
    left = tokens - granted
    wait_s = 0.0 if granted >= n else math.ceil((1.0 + kept - left) / bucket.rate * 1_000) / 1_000
    return msgspec.structs.replace(bucket, tokens=left, at_s=at_s), granted, wait_s
