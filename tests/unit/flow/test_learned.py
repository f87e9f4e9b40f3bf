"""What providers learned outlives the process, sealed."""

import sqlite3

from clarion.services.provider_memory import ProviderMemory
from clarion.testing.providers import RecordingProvider
from tests.engine import engine


async def test_what_was_learned_is_known_after_a_crash_and_cannot_be_read_in_the_file(tmp_path):
    """The newest of each counts."""
    async with engine(tmp_path, provider=RecordingProvider()) as clarion:
        memory = ProviderMemory(clarion.ledger.setup)
        assert memory.get("token") == ""
        await memory.put("token", "first-secret")
        await memory.put("token", "second-secret")
        await clarion.crash()
        async with engine(tmp_path, provider=RecordingProvider(), clock=clarion.clock) as again:
            assert ProviderMemory(again.ledger.setup).get("token") == "second-secret"
    connection = sqlite3.connect(tmp_path / "clarion.db")
    stored = b"".join(bytes(body) for (body,) in connection.execute("SELECT body FROM documents"))
    connection.close()
    assert b"secret" not in stored
