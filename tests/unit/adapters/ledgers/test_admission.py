"""Nobody fills the queue of what waits to be stored for everybody."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from clarion.adapters.admission import ROOM, Admission
from clarion.adapters.ledgers.sqlite import SqliteLedger
from clarion.errors import Busy
from clarion.model.channel import LANES, Lane
from clarion.model.event import Entry
from clarion.model.ids import TenantId
from clarion.testing.ledger_contract import LedgerSubject
from tests.unit.adapters.ledgers.test_writer import Gate

FLOOD, OTHER, THIRD = TenantId(1), TenantId(2), TenantId(3)


@pytest.fixture
async def entry(opened, clock, random):
    """An entry to make others of."""
    subject = await LedgerSubject(opened(), clock, random).create_setup()
    yield subject.entry()
    await subject.ledger.close()


def some(entry: Entry, tenant: TenantId, lane: Lane, count: int) -> list[Entry]:
    """A call of `count` events."""
    return [replace(entry, tenant=tenant, lane=lane)] * count


def flood(admission: Admission, entry: Entry, tenant: TenantId, lane: Lane, size: int = 100) -> int:
    """Send until it is refused; how many were let in."""
    let_in = 0
    while True:
        try:
            admission.enter(some(entry, tenant, lane, size))
        except Busy:
            return let_in
        let_in += size


def test_one_that_floods_gets_half_and_everybody_else_is_let_in(entry):
    """Other tenants in every lane, the same tenant in its other lanes, and calls of a whole batch."""
    admission = Admission()
    assert flood(admission, entry, FLOOD, Lane.BULK) == ROOM // 2
    for lane in LANES:
        admission.enter(some(entry, OTHER, lane, 1_000))
    for lane in LANES:
        if lane is not Lane.BULK:
            admission.enter(some(entry, FLOOD, lane, 1_000))


def test_two_that_flood_leave_as_much_to_the_third(entry):
    """However many flood, what is free is as much as each of them holds."""
    admission = Admission()
    flood(admission, entry, FLOOD, Lane.BULK, 1)
    flood(admission, entry, OTHER, Lane.BULK, 1)
    flood(admission, entry, OTHER, Lane.NORMAL, 1)
    admission.enter(some(entry, THIRD, Lane.NORMAL, 1_000))


def test_critical_events_have_room_of_their_own(entry):
    """Nothing that is not critical can take it, and of critical ones a tenant has its share as well."""
    admission = Admission()
    for tenant in (FLOOD, OTHER, THIRD):
        for lane in LANES:
            if lane is not Lane.CRITICAL:
                flood(admission, entry, tenant, lane)
    assert flood(admission, entry, FLOOD, Lane.CRITICAL) == ROOM // 2
    admission.enter(some(entry, OTHER, Lane.CRITICAL, 1_000))


def test_what_left_makes_room_again(entry):
    """And a call that was refused takes none, not even in the lane where it would have fitted."""
    admission = Admission()
    let_in = admission.enter(some(entry, FLOOD, Lane.BULK, ROOM // 2))
    with pytest.raises(Busy, match="`bulk`"):
        admission.enter(some(entry, FLOOD, Lane.NORMAL, 5) + some(entry, FLOOD, Lane.BULK, 1))
    admission.leave(let_in)
    assert flood(admission, entry, FLOOD, Lane.BULK) == ROOM // 2


def test_a_call_larger_than_everything_is_let_in_alone(entry):
    """Instead of never."""
    admission = Admission()
    let_in = admission.enter(some(entry, FLOOD, Lane.BULK, 2 * ROOM))
    with pytest.raises(Busy):
        admission.enter(some(entry, OTHER, Lane.NORMAL, 1))
    admission.leave(let_in)
    admission.enter(some(entry, OTHER, Lane.NORMAL, 1))


async def test_a_stalled_disk_and_a_flood_cost_others_nothing(opened, clock, random):
    """While one tenant gets 429, the normal and critical events of another are stored, critical ones first."""
    ledger: SqliteLedger = opened()
    subject = await LedgerSubject(ledger, clock, random).create_setup()
    gate = Gate()
    held = await gate.close(ledger._writer)
    flooding = [
        asyncio.ensure_future(
            subject.ledger.log.append(some(subject.entry(), FLOOD, Lane.BULK, 500), [None] * 500)
        )
        for _ in range(40)
    ]
    await asyncio.sleep(0)
    others = [
        asyncio.ensure_future(subject.ledger.log.append(some(subject.entry(), OTHER, lane, 1), [None]))
        for lane in (Lane.NORMAL, Lane.CRITICAL)
        for _ in range(60)
    ]
    await asyncio.sleep(0)
    gate.open.set()
    await asyncio.gather(*others)
    results = await asyncio.gather(held, *flooding, return_exceptions=True)
    assert sum(isinstance(result, Busy) for result in results) == 20
    await subject.ledger.close()
