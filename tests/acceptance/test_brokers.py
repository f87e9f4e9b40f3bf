"""The same with brokers of their own: crashes and pauses lose and double nothing."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from uuid import uuid4

import pytest

from tests.acceptance.mistreatment import mistreat
from tests.needs import DEEP

ROUNDS = 20 if DEEP else 2
SEED = int(os.environ.get("CLARION_CRASH_SEED", random.randrange(1 << 30)))
CASES = [("postgresql", "kafka"), ("sqlite", "nats"), ("sqlite", "kafka"), ("postgresql", "nats")]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("backend", "broker"), CASES if DEEP else CASES[:2], indirect=["backend"])
async def test_every_event_in_a_broker_survives_crashes_and_pauses_exactly_once(
    backend, broker, new_server, request
):
    """Also those that were published and not planned when the process was killed."""
    print(f"CLARION_CRASH_SEED={SEED}")
    server = new_server("data")
    settings: Mapping[str, str] = server.settings
    url = request.getfixturevalue(broker).broker(f"crash-{uuid4().hex[:8]}")
    server.settings = {**settings, "CLARION_BROKER": url}
    await mistreat(server, ROUNDS, SEED)
