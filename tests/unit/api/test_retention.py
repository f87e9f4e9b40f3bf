"""`/v1/retention`: how long data is kept."""

from __future__ import annotations

import pytest

from clarion.model.ids import Instant
from clarion.model.quarantine import Quarantined
from clarion.model.setup import NO_TENANT, Scope
from tests.unit.api.conftest import ACME, OTHER

PATH = "/v1/retention"
DEFAULTS = {
    "events": {"keep": "P30D"},
    "messages": {"keep": "P90D"},
    "inbox": {"keep": "P365D"},
    "captures": {"keep": "P30D"},
    "deliveries": {"keep": "P30D"},
    "devices": {"keep": "P270D"},
    "inbound": {"keep": "P90D"},
    "quarantine": {"keep": "P30D"},
    "dead_records": {"keep": "P30D"},
    "verifications": {"keep": "P30D"},
    "operations": {"keep": "P30D"},
}


async def test_the_defaults_are_shown_and_a_patch_changes_one(clarion):
    """What is not named stays; null is the default again."""
    api = await clarion.client(Scope.ADMIN)
    assert await api.ok("GET", PATH) == DEFAULTS
    wanted = {"messages": {"keep": "P7D"}, "inbox": {"keep": "forever"}}
    assert await api.ok("PATCH", PATH, wanted) == DEFAULTS | wanted
    assert await api.ok("PATCH", PATH, {"messages": None}) == DEFAULTS | {"inbox": {"keep": "forever"}}


@pytest.mark.parametrize("keep", ["7 days", "P0D", "P1M", "P99999D", 7, ""])
async def test_a_duration_that_is_none_is_refused_where_it_stands(clarion, keep):
    """Nothing is changed then."""
    api = await clarion.client(Scope.ADMIN)
    problem = await api.problem("PATCH", PATH, {"captures": {"keep": keep}})
    assert (problem["status"], problem["errors"][0]["pointer"]) == (400, "#/captures/keep")
    assert await api.ok("GET", PATH) == DEFAULTS


@pytest.mark.parametrize("given", [{"mesages": {"keep": "P7D"}}, {"mesages": None}])
async def test_an_unknown_kind_is_refused_with_the_nearest(clarion, given):
    """Also when it is to be reset."""
    problem = await (await clarion.client(Scope.ADMIN)).problem("PATCH", PATH, given)
    assert problem["status"] == 400
    assert "messages" in problem["detail"]


async def test_only_an_admin_changes_it(clarion):
    """Others may look."""
    api = await clarion.client(Scope.SEND)
    assert await api.ok("GET", PATH) == DEFAULTS
    assert (await api.problem("PATCH", PATH, {"events": {"keep": "P7D"}}))["status"] == 403
    assert (await api.problem("POST", f"{PATH}/run"))["status"] == 403


NOTHING = dict.fromkeys(DEFAULTS, 0)


@pytest.fixture
async def old_mail(clarion):
    """Mail from long ago, one for each tenant."""
    for number, tenant in enumerate((ACME, OTHER)):
        mail = Quarantined(
            tenant=tenant, why="no_message", sealed=b"", digest=bytes([number]) * 16, at=Instant(1)
        )
        await clarion.ledger.quarantine.keep(mail)


async def test_a_dry_run_counts_and_deletes_nothing(clarion, old_mail):
    """A real run answers the same, and begins with what is the tenant's own."""
    api = await clarion.client(Scope.ADMIN)
    assert (await api.ok("POST", f"{PATH}/run?dry_run=true"))["expired"] == NOTHING | {"quarantine": 1}
    assert not clarion.services.retention.asked
    run = await api("POST", f"{PATH}/run")
    assert (run.status_code, run.json()) == (202, {"expired": NOTHING | {"quarantine": 1}})
    assert clarion.services.retention.asked == [ACME]


async def test_where_nothing_is_old_nothing_begins(clarion):
    """The answer says so."""
    api = await clarion.client(Scope.ADMIN)
    assert await api.ok("POST", f"{PATH}/run") == {"expired": NOTHING}
    assert not clarion.services.retention.asked


async def test_an_operators_key_runs_it_for_everybody(clarion, old_mail):
    """It reads and changes nobody's settings."""
    operator = await clarion.client(Scope.OPERATOR, NO_TENANT)
    assert (await operator.ok("POST", f"{PATH}/run?dry_run=true"))["expired"]["quarantine"] == 2
    assert (await operator.ok("POST", f"{PATH}/run"))["expired"]["quarantine"] == 2
    assert {*clarion.services.retention.asked} >= {ACME, OTHER}
    assert (await operator.problem("GET", PATH))["status"] == 403
    assert (await operator.problem("PATCH", PATH, {"events": None}))["status"] == 403
