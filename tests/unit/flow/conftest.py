"""Where the engines of these tests have their ledger."""

import pytest

from clarion.adapters.ledgers.memory import Tables


@pytest.fixture
def store():
    """In memory: a test that is about files opens its engine on `tmp_path`."""
    return Tables()
