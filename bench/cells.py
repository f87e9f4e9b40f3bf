"""What 1 to 16 cells carry, computed from measured costs: `python -m bench.cells`. Nothing is started.

A cell carries what one machine of two cores was measured to carry; a user belongs to one cell by rendezvous hashing
(docs/explanation/scaling.md). Some users get far more messages than others, so the busiest cell decides how much all of them
carry together.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clarion.rules.regions import home_of

RATES = {"in_app": 11_502, "push": 4_223, "sms": 4_419, "email": 3_183}
"""Messages a second of one machine at index 1.0 (docs/explanation/performance.md)."""
MIX = {"in_app": 0.70, "push": 0.15, "sms": 0.05, "email": 0.10}
USERS = 50_000
CELLS = (1, 2, 4, 8, 16)
SKEW = 1.2
"""Shape of the Pareto distribution of messages per user: the busiest hundredth of them gets about half of all."""
MOST = 1_000.0
"""Times as many messages as the quietest: nobody reads more."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What so many cells carry."""

    cells: int
    rate: float
    """Messages a second of all cells when the busiest is full."""
    even: float
    """Its part of what cells of equal load would carry."""
    moved: float
    """Part of the users that change cells when one is added."""


def capacity(mix: Mapping[str, float] = MIX) -> float:
    """Messages a second of one cell: each kind takes its share of the time."""
    return 1 / sum(share / RATES[kind] for kind, share in mix.items())


def names(number: int) -> list[str]:
    """So many cells."""
    return [f"cell-{n}" for n in range(number)]


def layout(number: int, busy: Sequence[float]) -> Layout:
    """What so many cells carry when user n gets `busy[n]` of the messages."""
    loads: Counter[str] = Counter()
    moved = 0
    for user, weight in enumerate(busy):
        cell = home_of("acme", f"user-{user}", names(number))
        loads[cell] += weight  # type: ignore[assignment]
        moved += home_of("acme", f"user-{user}", names(number + 1)) != cell
    rate = capacity() * sum(loads.values()) / max(loads.values())
    return Layout(cells=number, rate=rate, even=rate / (number * capacity()), moved=moved / len(busy))


def activity(users: int, seed: int = 7) -> list[float]:
    """How many messages each user gets, relative to the quietest."""
    dice = random.Random(seed)
    return [min(dice.paretovariate(SKEW), MOST) for _ in range(users)]


def main() -> int:
    """Print the table."""
    busy = activity(USERS)
    print(f"One cell carries {capacity():,.0f} messages/s of this mix: {MIX}")
    print("cells  messages/s  of even cells  users moved by one more  users without service when one fails")
    for one in (layout(number, busy) for number in CELLS):
        print(f"{one.cells:5}  {one.rate:10,.0f}  {one.even:13.1%}  {one.moved:23.1%}  {1 / one.cells:36.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
