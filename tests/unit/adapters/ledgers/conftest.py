"""A real file for every test, and a ledger on it."""

from pathlib import Path

import pytest

from clarion.adapters.ledgers.sqlite import SqliteLedger
from clarion.adapters.vaults.local import LocalVault
from clarion.testing.ledger_contract import LedgerSubject
from clarion.testing.ports import ManualClock, SeededRandom
from tests.ledger_files import new_ledger


@pytest.fixture
def path(tmp_path) -> Path:
    """An empty ledger."""
    return new_ledger(tmp_path / "clarion.db")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def random() -> SeededRandom:
    return SeededRandom()


@pytest.fixture
def opened(path, clock, random):
    """Opens the ledger, as often as the test wants."""

    def open_it() -> SqliteLedger:
        vault = LocalVault(b"k" * 32, random)
        return SqliteLedger.open(path, vault=vault, clock=clock, random=random, user_cache=16)

    return open_it


@pytest.fixture
async def ledger(opened):
    ledger = opened()
    yield ledger
    await ledger.close()


@pytest.fixture
async def subject(ledger, clock, random) -> LedgerSubject:
    """The ledger with somebody in it."""
    return await LedgerSubject(ledger, clock, random).create_setup()
