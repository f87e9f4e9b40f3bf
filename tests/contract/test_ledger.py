"""Every ledger keeps the contract."""

from collections.abc import Callable
from pathlib import Path

import pytest

from clarion.adapters.ledgers.memory import MemoryLedger
from clarion.adapters.ledgers.postgresql.ledger import PostgresLedger
from clarion.adapters.ledgers.sqlite import SqliteLedger
from clarion.adapters.vaults.local import LocalVault
from clarion.ports.ledger import Store
from clarion.testing.ledger_contract import LEDGER_CONTRACT, LedgerSubject
from clarion.testing.ports import ManualClock, SeededRandom
from tests.ledger_files import new_ledger
from tests.postgresql_ledgers import new_database
from tests.servers.postgresql import PostgreSql

Open = Callable[[Path, ManualClock, SeededRandom], Store]


def in_sqlite(directory: Path, clock: ManualClock, random: SeededRandom) -> Store:
    """With a cache so small that the checks outgrow it."""
    path = new_ledger(directory / "clarion.db")
    vault = LocalVault(random.bytes(32), random)
    return SqliteLedger.open(path, vault=vault, clock=clock, random=random, user_cache=16)


def in_memory(directory: Path, clock: ManualClock, random: SeededRandom) -> Store:
    """Nothing of it is in the directory."""
    return MemoryLedger(vault=LocalVault(random.bytes(32), random), clock=clock, random=random)


LEDGERS: dict[str, Open] = {"sqlite": in_sqlite, "memory": in_memory}


@pytest.mark.parametrize("check", LEDGER_CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", LEDGERS)
async def test_every_ledger_keeps_the_contract(name, check, tmp_path):
    """On a new and empty one for every check."""
    clock, random = ManualClock(), SeededRandom()
    ledger = LEDGERS[name](tmp_path, clock, random)
    try:
        await check(await LedgerSubject(ledger, clock, random).create_setup())
    finally:
        await ledger.close()


async def in_postgresql(server: PostgreSql, clock: ManualClock, random: SeededRandom) -> Store:
    """In a database of its own."""
    vault = LocalVault(random.bytes(32), random)
    url = await new_database(server)
    return await PostgresLedger.open(url, vault=vault, clock=clock, random=random, user_cache=16)


@pytest.mark.parametrize("check", LEDGER_CONTRACT, ids=lambda check: check.__name__)
async def test_postgresql_keeps_the_contract(check, postgresql):
    """On a new and empty database for every check."""
    clock, random = ManualClock(), SeededRandom()
    ledger = await in_postgresql(postgresql, clock, random)
    try:
        await check(await LedgerSubject(ledger, clock, random).create_setup())
    finally:
        await ledger.close()
