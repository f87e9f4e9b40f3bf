"""The same on brokers of their own: crashes and pauses lose and double nothing."""

from __future__ import annotations

import os
import random
from uuid import uuid4

import pytest

from bench.server import Server
from tests.acceptance.mistreatment import mistreat
from tests.needs import DEEP

ROUNDS = 40 if DEEP else 2
SEED = int(os.environ.get("CLARION_CRASH_SEED", random.randrange(1 << 30)))


@pytest.mark.timeout(900)
async def test_every_event_in_kafka_survives_crashes_and_pauses_exactly_once(new_server, kafka):
    """Also those that were published and not planned when the process was killed."""
    server: Server = new_server("data")
    server.env = {"CLARION_BROKER": kafka.url(f"crash-{uuid4().hex[:8]}")}
    print(f"CLARION_CRASH_SEED={SEED}")
    await mistreat(server, ROUNDS, SEED)
