"""What every ledger must do, as checks to run over yours, each on a new and empty one.

import pytest
from clarion.testing.ledger_contract import LEDGER_CONTRACT, LedgerSubject

@pytest.mark.parametrize("check", LEDGER_CONTRACT, ids=lambda check: check.__name__)
async def test_my_ledger_keeps_the_contract(check, my_ledger, clock, random):
    await check(await LedgerSubject(my_ledger, clock, random).create_setup())
"""

from clarion.testing.ledger_contract.calls import CALLS_CONTRACT
from clarion.testing.ledger_contract.campaigns import CAMPAIGNS_CONTRACT
from clarion.testing.ledger_contract.consents import CONSENTS_CONTRACT
from clarion.testing.ledger_contract.continuations import CONTINUATIONS_CONTRACT
from clarion.testing.ledger_contract.conversations import CONVERSATIONS_CONTRACT
from clarion.testing.ledger_contract.devices import DEVICES_CONTRACT
from clarion.testing.ledger_contract.digests import DIGESTS_CONTRACT
from clarion.testing.ledger_contract.endpoints import ENDPOINTS_CONTRACT
from clarion.testing.ledger_contract.events import EVENTS_CONTRACT
from clarion.testing.ledger_contract.history import HISTORY_CONTRACT
from clarion.testing.ledger_contract.inbound import INBOUND_CONTRACT
from clarion.testing.ledger_contract.leases import LEASES_CONTRACT
from clarion.testing.ledger_contract.lives import LIVES_CONTRACT
from clarion.testing.ledger_contract.log import LOG_CONTRACT
from clarion.testing.ledger_contract.messages import MESSAGES_CONTRACT
from clarion.testing.ledger_contract.objects import OBJECTS_CONTRACT
from clarion.testing.ledger_contract.operations import OPERATIONS_CONTRACT
from clarion.testing.ledger_contract.plans import PLANS_CONTRACT
from clarion.testing.ledger_contract.quotas import QUOTAS_CONTRACT
from clarion.testing.ledger_contract.readings import READINGS_CONTRACT
from clarion.testing.ledger_contract.receipts import RECEIPTS_CONTRACT
from clarion.testing.ledger_contract.records import RECORDS_CONTRACT
from clarion.testing.ledger_contract.retention import RETENTION_CONTRACT
from clarion.testing.ledger_contract.runs import RUNS_CONTRACT
from clarion.testing.ledger_contract.schedules import SCHEDULES_CONTRACT
from clarion.testing.ledger_contract.segments import SEGMENTS_CONTRACT
from clarion.testing.ledger_contract.setup import SETUP_CONTRACT
from clarion.testing.ledger_contract.spending import SPENDING_CONTRACT
from clarion.testing.ledger_contract.subject import LedgerSubject
from clarion.testing.ledger_contract.terms import TERMS_CONTRACT
from clarion.testing.ledger_contract.users import USERS_CONTRACT
from clarion.testing.ledger_contract.verifications import VERIFICATIONS_CONTRACT
from clarion.testing.ledger_contract.withdrawals import WITHDRAWALS_CONTRACT

LEDGER_CONTRACT = (
    *LOG_CONTRACT,
    *EVENTS_CONTRACT,
    *USERS_CONTRACT,
    *CONSENTS_CONTRACT,
    *DEVICES_CONTRACT,
    *ENDPOINTS_CONTRACT,
    *SEGMENTS_CONTRACT,
    *SETUP_CONTRACT,
    *PLANS_CONTRACT,
    *LEASES_CONTRACT,
    *CONTINUATIONS_CONTRACT,
    *RUNS_CONTRACT,
    *DIGESTS_CONTRACT,
    *CAMPAIGNS_CONTRACT,
    *MESSAGES_CONTRACT,
    *CALLS_CONTRACT,
    *SPENDING_CONTRACT,
    *QUOTAS_CONTRACT,
    *VERIFICATIONS_CONTRACT,
    *RECEIPTS_CONTRACT,
    *INBOUND_CONTRACT,
    *CONVERSATIONS_CONTRACT,
    *RECORDS_CONTRACT,
    *HISTORY_CONTRACT,
    *OBJECTS_CONTRACT,
    *OPERATIONS_CONTRACT,
    *LIVES_CONTRACT,
    *WITHDRAWALS_CONTRACT,
    *SCHEDULES_CONTRACT,
    *READINGS_CONTRACT,
    *RETENTION_CONTRACT,
    *TERMS_CONTRACT,
)

__all__ = ["LEDGER_CONTRACT", "LedgerSubject"]
