"""Scores the integrations of a channel by how they did lately: weight x success x speed x receipts x price.

What came of calls, and what was reported of their messages, is counted in slots of ten seconds. Everything else follows
from these counts: processes that add up theirs agree, and whoever reads them after a restart knows what was known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

SLOT_MS = 10_000
SLOTS = 60
"""Slots that are kept: what is older is forgotten, so that a score drifts back to its weight."""
HALF_LIFE_SLOTS = 6
"""A call counts half as much a minute later."""
TRUST = 10
"""Successful calls that everybody is credited with: one failure proves little."""
LEAST = 0.02
"""No factor is lower: a few messages go on showing how the provider does."""
SLACK_MS = 500
"""Differences in latency that are much smaller than this hardly count."""
POINTS = 100
STEP = 10
"""Points of its share that an integration loses, or wins back, with each judgement of its receipts."""
ENOUGH = 20
"""Messages that a judgement of receipts needs."""
MISSING = 0.7
"""Receipts are missing when fewer come in than this part of what is usual for the integration."""
JUDGED = 0.5
"""Part that must be usual: who reports of few messages, as of those that bounce, is not judged by it."""
PATIENCE_S = 240
"""How long a receipt may take before it counts as missing, unless the integration says otherwise."""
REMEMBERED = 10_000
"""Messages by which is told which part of them is usually reported."""


class Tally(msgspec.Struct, array_like=True):
    """What came of one integration's calls in one slot. Receipts count in the slot in which their message was taken."""

    ok: int = 0
    failed: int = 0
    took_ms: int = 0
    """Of all messages together, each as long as its call."""
    accepted: int = 0
    reported: int = 0
    """Of the accepted: those reported as delivered, or as bounced because of their address."""

    def add(self, other: Tally) -> None:
        """Count what somebody else counted too."""
        self.ok += other.ok
        self.failed += other.failed
        self.took_ms += other.took_ms
        self.accepted += other.accepted
        self.reported += other.reported


class Usual(msgspec.Struct, array_like=True):
    """Messages of older slots, and how many of them were reported."""

    accepted: float = 0
    reported: float = 0

    def add(self, accepted: float, reported: float) -> None:
        """Count more; what was long ago counts less and less."""
        self.accepted += accepted
        self.reported += reported
        if self.accepted > REMEMBERED:
            self.reported *= REMEMBERED / self.accepted
            self.accepted = REMEMBERED


class Record(msgspec.Struct, array_like=True):
    """What is known of one integration."""

    slots: dict[int, Tally] = msgspec.field(default_factory=dict)
    usual: Usual = msgspec.field(default_factory=Usual)

    def at(self, slot: int) -> Tally:
        """The tally of a slot."""
        tally = self.slots.get(slot)
        if tally is None:
            tally = self.slots[slot] = Tally()
        return tally

    def forget(self, now_slot: int) -> None:
        """Old slots go: of them is remembered only which part was reported."""
        for slot in [one for one in self.slots if one <= now_slot - SLOTS]:
            tally = self.slots.pop(slot)
            self.usual.add(tally.accepted, tally.reported)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How an integration does, as of one moment."""

    success: float = 1.0
    latency_ms: float | None = None
    """None: nobody knows."""
    receipts: float = 1.0
    """The share it keeps, by the receipts of its messages."""
    calls: int = 0
    """Messages of the last ten minutes, failed ones included."""
    reported: float | None = None
    """Part of its older messages that was reported; None: its receipts are not known to come."""


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """Why an integration gets the part of the messages that it gets."""

    weight: int
    success: float = 1.0
    speed: float = 1.0
    receipts: float = 1.0
    price: float = 1.0

    @property
    def total(self) -> float:
        """Its share is this, divided by the sum of all."""
        return self.weight * self.success * self.speed * self.receipts * self.price


def slot_of(at_ms: int) -> int:
    """The slot of an instant."""
    return at_ms // SLOT_MS


def together(records: Iterable[Record]) -> Record:
    """What several processes know of the same integration."""
    whole = Record()
    for record in records:
        for slot, tally in record.slots.items():
            whole.at(slot).add(tally)
        whole.usual.add(record.usual.accepted, record.usual.reported)
    return whole


def standing(record: Record, now_slot: int, patience_s: float = PATIENCE_S) -> Standing:
    """How an integration does. `patience_s`: how long its receipts may take."""
    ok = failed = took_ms = 0.0
    for slot, tally in record.slots.items():
        counts = 0.5 ** (max(0, now_slot - slot) / HALF_LIFE_SLOTS)
        ok += counts * tally.ok
        failed += counts * tally.failed
        took_ms += counts * tally.took_ms
    receipts, reported = _receipts(record, now_slot, patience_s)
    calls = ok + failed
    return Standing(
        success=max(LEAST, (ok + TRUST) / (calls + TRUST)),
        latency_ms=took_ms / calls if calls else None,
        receipts=receipts,
        calls=sum(tally.ok + tally.failed for tally in record.slots.values()),
        reported=reported,
    )


def _receipts(record: Record, now_slot: int, patience_s: float) -> tuple[float, float | None]:
    """(the share it keeps, the part that is usually reported).

    Ten points go with each judgement that finds receipts missing, and come back with each that does not. Whoever never
    reported anything is not judged.
    """
    latest = now_slot - 1 - int(patience_s * 1_000) // SLOT_MS
    usual = Usual(record.usual.accepted, record.usual.reported)
    points, accepted, reported = POINTS, 0, 0
    for slot in sorted(one for one in record.slots if one <= latest):
        accepted += record.slots[slot].accepted
        reported += record.slots[slot].reported
        if accepted < ENOUGH:
            continue
        expected = _expected(usual)
        if expected is not None and expected >= JUDGED and reported < MISSING * expected * accepted:
            points = max(0, points - STEP)
        else:
            points = min(POINTS, points + STEP)
            usual.add(accepted, reported)
        accepted = reported = 0
    return max(LEAST, points / POINTS), _expected(usual)


def _expected(usual: Usual) -> float | None:
    """The part of its messages that an integration reports; None: it is not known to report."""
    return usual.reported / usual.accepted if usual.reported >= ENOUGH / 2 else None


def scores(
    candidates: Mapping[str, tuple[int, Standing]], prices: Mapping[str, float | None] | None = None
) -> dict[str, Score]:
    """The score of each candidate (weight and standing, by key) among the others.

    `prices` count when that of every candidate is known: whoever costs twice as much gets half as many.
    """
    fastest = min(
        (one.latency_ms for _, one in candidates.values() if one.latency_ms is not None), default=0.0
    )
    known = [price for key in candidates if prices and (price := prices.get(key)) is not None]
    cheapest = min(known) if len(known) == len(candidates) else None
    return {
        key: Score(
            weight=weight,
            success=one.success,
            speed=1.0
            if one.latency_ms is None
            else max(LEAST, (fastest + SLACK_MS) / (one.latency_ms + SLACK_MS)),
            receipts=one.receipts,
            price=1.0 if cheapest is None or prices is None else _price(cheapest, prices[key] or 0.0),
        )
        for key, (weight, one) in candidates.items()
    }


def _price(cheapest: float, own: float) -> float:
    return max(LEAST, cheapest / own) if own > 0 else 1.0


def explained(chosen: str, scores: Mapping[str, Score], ruled_out: Mapping[str, str]) -> str:
    """Why this one, in one line: the scores, best first, and what ruled the others out."""
    best_first = sorted(scores.items(), key=lambda one: (one[0] != chosen, -one[1].total, one[0]))
    parts = [f"{key} {score.total:.3g}{_factors(score)}" for key, score in best_first]
    parts += [f"not {key}: {why}" for key, why in sorted(ruled_out.items())]
    return "; ".join(parts)


def _factors(score: Score) -> str:
    """What makes the score other than the weight."""
    factors = {
        "success": score.success,
        "speed": score.speed,
        "receipts": score.receipts,
        "price": score.price,
    }
    said = [f"{name} {value:.2f}" for name, value in factors.items() if value < 0.995]
    return f" (weight {score.weight}, {', '.join(said)})" if said else ""
