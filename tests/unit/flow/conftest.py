"""Where the engines of these tests have their ledger."""

import pytest

from clarion.adapters.ledgers.memory import Tables
from tests.needs import DEEP
from tests.postgresql_ledgers import new_database


@pytest.fixture(params=["memory", "postgresql"] if DEEP else ["memory"])
async def store(request):
    """In memory, and in the deep profile on a server too: a test that is about files opens its engine on `tmp_path`."""
    if request.param == "postgresql":
        return await new_database(request.getfixturevalue("postgresql"))
    return Tables()
