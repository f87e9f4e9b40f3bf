"""Crashes and pauses: `kill -9`, `kill -STOP` and `kill -CONT` at random moments under load lose and double nothing."""

from __future__ import annotations

import os
import random

import pytest

from tests.acceptance.backends import backends
from tests.acceptance.mistreatment import mistreat
from tests.needs import DEEP

ROUNDS = int(os.environ.get("CLARION_CRASH_ROUNDS", "200" if DEEP else "24"))
SEED = int(os.environ.get("CLARION_CRASH_SEED", random.randrange(1 << 30)))
INSTALLATIONS = 4
"""The rounds are shared out, so that every core has some."""
EACH = -(-ROUNDS // INSTALLATIONS)
FEW = {"postgresql": 5, "postgresql+redis+kafka": 2, "sqlite+nats": 2}
"""Rounds on these, for one installation; 20 on each when tests go deep."""
CASES = [
    (backend, number, EACH if backend == "sqlite" else 20 if DEEP else FEW.get(backend, 5))
    for backend in backends("sqlite", *FEW)
    for number in range(INSTALLATIONS if backend == "sqlite" else 1)
]


@pytest.mark.heart
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(("backend", "installation", "rounds"), CASES, indirect=["backend"])
async def test_every_accepted_event_survives_crashes_and_pauses_exactly_once(
    backend, new_server, installation, rounds
):
    """Every 202 has its messages once, every key its answer, every inbox its items, every device saw them all; also those that were
    published to a broker and not planned when the process was killed."""
    print(f"CLARION_CRASH_ROUNDS={ROUNDS} CLARION_CRASH_SEED={SEED}")
    await mistreat(new_server("data"), rounds, SEED + installation)
