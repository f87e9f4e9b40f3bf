"""Crashes and pauses: `kill -9`, `kill -STOP` and `kill -CONT` at random moments under load lose and double nothing."""

from __future__ import annotations

import os
import random

import pytest

from tests.acceptance.mistreatment import mistreat
from tests.needs import DEEP

ROUNDS = int(os.environ.get("CLARION_CRASH_ROUNDS", "200" if DEEP else "24"))
SEED = int(os.environ.get("CLARION_CRASH_SEED", random.randrange(1 << 30)))
INSTALLATIONS = 4
"""The rounds are shared out, so that every core has some."""
EACH = -(-ROUNDS // INSTALLATIONS)
CASES = [
    *(("sqlite", number, EACH) for number in range(INSTALLATIONS)),
    *(("postgresql", number, EACH if DEEP else 5) for number in range(INSTALLATIONS if DEEP else 1)),
]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("backend", "installation", "rounds"), CASES, indirect=["backend"])
async def test_every_accepted_event_survives_crashes_and_pauses_exactly_once(
    backend, new_server, installation, rounds
):
    """Every 202 has its messages once, every key its answer, every inbox its items, every device saw them all."""
    print(f"CLARION_CRASH_ROUNDS={ROUNDS} CLARION_CRASH_SEED={SEED}")
    await mistreat(new_server("data"), rounds, SEED + installation)
