"""Every ledger keeps the contract."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clarion.adapters.ledgers.memory import MemoryLedger
from clarion.adapters.ledgers.postgresql.ledger import PostgresLedger
from clarion.adapters.ledgers.sqlite import SqliteLedger
from clarion.adapters.vaults.local import LocalVault
from clarion.ports.ledger import Store
from clarion.testing.ledger_contract import LEDGER_CONTRACT, LedgerSubject
from clarion.testing.ledger_contract.conversations import CONVERSATIONS_CONTRACT
from clarion.testing.ledger_contract.devices import DEVICES_CONTRACT
from clarion.testing.ledger_contract.endpoints import ENDPOINTS_CONTRACT
from clarion.testing.ledger_contract.events import what_could_not_be_planned_is_kept_once
from clarion.testing.ledger_contract.inbound import INBOUND_CONTRACT
from clarion.testing.ledger_contract.leases import everybody_sees_who_works
from clarion.testing.ledger_contract.lives import LIVES_CONTRACT
from clarion.testing.ledger_contract.log import LOG_CONTRACT
from clarion.testing.ledger_contract.operations import (
    an_operation_is_found_by_its_tenant_only,
    operations_come_newest_first,
)
from clarion.testing.ledger_contract.quotas import QUOTAS_CONTRACT
from clarion.testing.ledger_contract.readings import READINGS_CONTRACT
from clarion.testing.ledger_contract.setup import SETUP_CONTRACT
from clarion.testing.ledger_contract.spending import SPENDING_CONTRACT
from clarion.testing.ledger_contract.terms import TERMS_CONTRACT
from clarion.testing.ledger_contract.users import USERS_CONTRACT
from clarion.testing.ledger_contract.verifications import VERIFICATIONS_CONTRACT
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


# The parts that are not there yet are those of a ledger in memory; what needs both is in `LATER`.
IN_POSTGRESQL = (
    *(check for check in LOG_CONTRACT if "plan" not in check.__name__ and "cursor" not in check.__name__),
    *USERS_CONTRACT,
    *DEVICES_CONTRACT,
    *ENDPOINTS_CONTRACT,
    *SETUP_CONTRACT,
    *QUOTAS_CONTRACT,
    everybody_sees_who_works,
    *SPENDING_CONTRACT,
    *VERIFICATIONS_CONTRACT,
    *INBOUND_CONTRACT,
    *CONVERSATIONS_CONTRACT,
    *LIVES_CONTRACT,
    *READINGS_CONTRACT,
    *TERMS_CONTRACT,
    what_could_not_be_planned_is_kept_once,
    an_operation_is_found_by_its_tenant_only,
    operations_come_newest_first,
)
LATER = frozenset(
    (
        "every_call_is_in_the_log",
        "old_calls_are_forgotten",
        "a_card_changes_in_its_place",
        "an_older_state_changes_no_card",
        "everybody_has_a_card_of_their_own",
        "cards_are_stored_with_a_plan",
        "a_deleted_user_is_gone",
        "a_token_that_is_gone_is_not_used",
        "a_token_that_was_registered_again_is_not_gone",
        "devices_not_seen_for_long_go",
        "an_endpoint_fails_from_the_first_failure_behind_a_success",
        "an_endpoint_that_fails_too_long_is_reported_until_it_is_switched_off",
        "an_endpoint_whose_receiver_ended_it_is_reported_at_once",
        "erasing_a_person_erases_their_endpoints",
        "what_sent_nothing_is_given_back",
        "verifications_go_with_their_user_and_with_time",
        "old_ranges_are_forgotten",
    )
)


async def in_postgresql(server: PostgreSql, clock: ManualClock, random: SeededRandom) -> Store:
    """In a database of its own."""
    vault = LocalVault(random.bytes(32), random)
    ledger: Any = await PostgresLedger.open(
        await new_database(server), vault=vault, clock=clock, random=random
    )
    memory = MemoryLedger(vault=vault, clock=clock, random=random)
    for part in Store.__annotations__:
        if not hasattr(ledger, part):
            setattr(ledger, part, getattr(memory, part))
    return ledger


@pytest.mark.parametrize(
    "check",
    [check for check in IN_POSTGRESQL if check.__name__ not in LATER],
    ids=lambda check: check.__name__,
)
async def test_postgresql_keeps_the_contract(check, postgresql):
    """On a new and empty database for every check."""
    clock, random = ManualClock(), SeededRandom()
    ledger = await in_postgresql(postgresql, clock, random)
    try:
        await check(await LedgerSubject(ledger, clock, random).create_setup())
    finally:
        await ledger.close()
