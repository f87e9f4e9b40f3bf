"""Takes calls from the limits of an integration: a store does it in one transaction, so that processes share them."""

from __future__ import annotations

from itertools import accumulate

from clarion.model.ids import Instant
from clarion.model.quota import QuotaAsk, QuotaGrant, QuotaState
from clarion.rules import limiter


def take(state: QuotaState, ask: QuotaAsk, now: Instant) -> tuple[QuotaState, QuotaGrant]:
    """(what is stored afterwards, how many go). A clock that is behind begins no day anew.

    A message that alone takes more calls than a whole day has goes first on its day.
    """
    day = max(state.day, ask.day)
    used = state.used if state.day == day else 0
    costs = ask.costs
    if ask.per_day is not None:
        left = ask.per_day - used
        fitting = sum(1 for total in accumulate(costs) if total <= left)
        costs = costs[: max(fitting, 1 if used == 0 else 0)]
    granted, wait_s, tokens = len(costs), 0.0, state.tokens
    full = limiter.Bucket.of(ask.per_second)
    if full is not None:
        burst = max(1.0, full.burst - full.rate * ask.held_s)
        left_now = burst if tokens is None else min(tokens, burst)
        bucket = limiter.Bucket(
            rate=full.rate,
            burst=burst,
            tokens=left_now,
            at_s=None if tokens is None else state.at / 1_000,
        )
        bucket, granted, wait_s = limiter.take(bucket, now / 1_000, costs, reserve=ask.reserve)
        tokens = bucket.tokens
    used += sum(costs[:granted])
    by_day = granted == len(costs) < len(ask.costs)
    wait_ms = max(0, ask.resets_at - now) if by_day else round(wait_s * 1_000)
    after = QuotaState(tokens=tokens, at=max(now, state.at), day=day, used=used)
    return after, QuotaGrant(granted=granted, wait_ms=wait_ms, by_day=by_day, used=used)
