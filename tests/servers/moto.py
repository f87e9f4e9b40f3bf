"""Moto, which plays SQS and SNS in a thread of the test process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.process import free_port

ACCOUNT = "123456789012"


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """Its URL; of this process alone. Tests tell their queues apart by their names."""
    from moto.server import ThreadedMotoServer  # It takes a second to import.

    port = free_port()
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()
    assert server._server is not None
    server._server.server_close()
