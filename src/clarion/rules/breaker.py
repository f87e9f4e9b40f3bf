"""A circuit breaker as a value: stops calls that keep failing, and probes again at growing intervals.

`closed` until, in the rolling window, the share of failures reaches the limit. Then `open` for a cool-down that
doubles with every failed comeback. Then `half_open`: a few probes decide.
"""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["closed", "open", "half_open"]


class BreakerPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When to open, and for how long."""

    bucket_s: float = 3.0
    buckets: int = 10
    """The rolling window is `buckets * bucket_s` seconds."""
    min_calls: int = 10
    """Fewer calls in the window prove nothing."""
    failure_ratio: float = 0.5
    cool_down_s: float = 2.0
    cool_down_cap_s: float = 120.0
    probes: int = 3
    """Successes that close a half-open circuit."""


class Count(msgspec.Struct, frozen=True):
    """Results of one stretch of the rolling window."""

    slot: int
    ok: int
    failed: int


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """The health of one integration. `Breaker()` is closed and has seen nothing."""

    policy: BreakerPolicy = BreakerPolicy()
    counts: tuple[Count, ...] = ()
    open_until_s: float | None = None
    """None: closed."""
    trips: int = 0
    """Openings since it was last closed."""
    proved: int = 0
    """Half open: probes that succeeded."""


def state(breaker: Breaker, now_s: float) -> State:
    """Whether calls may start; half open: only as many as `probes_left` says."""
    if breaker.open_until_s is None:
        return "closed"
    return "open" if now_s < breaker.open_until_s else "half_open"


def open_for_s(breaker: Breaker, now_s: float) -> float:
    """Seconds until probes are allowed; 0 when they are."""
    return 0.0 if breaker.open_until_s is None else max(0.0, breaker.open_until_s - now_s)


def probes_left(breaker: Breaker, now_s: float, under_way: int) -> int | None:
    """Half open: calls that may start beside those `under_way`; open: none; None when closed (no limit)."""
    match state(breaker, now_s):
        case "closed":
            return None
        case "open":
            return 0
        case "half_open":
            return max(0, breaker.policy.probes - breaker.proved - under_way)


def record(breaker: Breaker, now_s: float, ok: int, failed: int) -> Breaker:
    """The results of a batch that ended at `now_s`.

    Results that come in while it is open are of calls begun before, and change nothing.
    """
    match state(breaker, now_s):
        case "open":
            return breaker
        case "half_open" if failed:
            return trip(breaker, now_s)
        case "half_open":
            proved = breaker.proved + ok
            if proved >= breaker.policy.probes:
                return Breaker(policy=breaker.policy)
            return msgspec.structs.replace(breaker, proved=proved)
        case "closed":
            return _count(breaker, now_s, ok, failed)


def trip(breaker: Breaker, now_s: float, for_s: float | None = None) -> Breaker:
    """Open it now: for `for_s` seconds, else for the cool-down, which doubles each time it had to open again."""
    policy = breaker.policy
    if for_s is None:
        for_s = min(policy.cool_down_cap_s, policy.cool_down_s * 2.0 ** min(breaker.trips, 40))
    return Breaker(policy=policy, open_until_s=now_s + for_s, trips=breaker.trips + 1)


def _count(breaker: Breaker, now_s: float, ok: int, failed: int) -> Breaker:
    policy = breaker.policy
    slot = int(now_s // policy.bucket_s)
    kept = [count for count in breaker.counts if slot - policy.buckets < count.slot < slot]
    for count in breaker.counts:
        if count.slot >= slot:  # A clock that went backwards still counts.
            ok, failed = ok + count.ok, failed + count.failed
    counts = (*kept, Count(slot, ok, failed))
    bad = sum(count.failed for count in counts)
    calls = bad + sum(count.ok for count in counts)
    if calls >= policy.min_calls and bad >= policy.failure_ratio * calls:
        return trip(breaker, now_s)
    return msgspec.structs.replace(breaker, counts=counts)
