"""Schedules."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from clarion.model.ids import Instant, TenantId
from clarion.model.schedule import ScheduleRow
from clarion.testing.ledger_contract.subject import LedgerSubject


def _row(subject: LedgerSubject, key: str = "weekly", revision: int = 1, **fields: object) -> ScheduleRow:
    row = ScheduleRow(
        tenant=subject.tenant, key=key, id=key.ljust(16).encode(), revision=revision, sealed=b"%d" % revision
    )
    return replace(row, **fields)


async def a_schedule_follows_what_was_read(subject: LedgerSubject) -> None:
    """Else nothing is stored: somebody else was faster, or it is another schedule under the same key."""
    schedules, first = subject.ledger.schedules, _row(subject)
    assert not await schedules.put(_row(subject, revision=2), 1)
    assert await schedules.put(first, None)
    assert not await schedules.put(_row(subject, sealed=b"other"), None)
    assert await schedules.get(subject.tenant, "weekly") == first
    second = _row(subject, revision=2, due_at=subject.now)
    assert await schedules.put(second, 1)
    assert not await schedules.put(_row(subject, revision=2), 1)
    assert not await schedules.put(_row(subject, revision=3, id=b"another schedule"), 2)
    assert await schedules.get(subject.tenant, "weekly") == second
    assert await schedules.get(TenantId(subject.tenant + 1), "weekly") is None
    assert await schedules.get(subject.tenant, "nothing") is None
    assert await schedules.get(subject.tenant, "n\0thing") is None


async def of_changes_at_the_same_time_one_is_stored(subject: LedgerSubject) -> None:
    """All of them followed the same one."""
    schedules = subject.ledger.schedules
    await schedules.put(_row(subject), None)
    stored = await asyncio.gather(
        *(schedules.put(_row(subject, revision=2, sealed=b"%d" % n), 1) for n in range(10))
    )
    assert stored.count(True) == 1
    found = await schedules.get(subject.tenant, "weekly")
    assert found is not None
    assert found.sealed == b"%d" % stored.index(True)


async def schedules_are_listed_by_key_and_found_when_due(subject: LedgerSubject) -> None:
    """Page by page; of all tenants those that are due, the oldest first."""
    schedules = subject.ledger.schedules
    rows = [_row(subject, f"k{n}", due_at=Instant(subject.now - n)) for n in range(4)]
    other = _row(subject, "k9", tenant=TenantId(subject.tenant + 1), due_at=Instant(subject.now - 9))
    for row in (*rows, other, _row(subject, "k5", due_at=Instant(subject.now + 1)), _row(subject, "k6")):
        assert await schedules.put(row, None)
    assert await schedules.page(subject.tenant, "", 3) == rows[:3]
    assert [row.key for row in await schedules.page(subject.tenant, "k2", 9)] == ["k3", "k5", "k6"]
    assert await schedules.due(subject.now, 9) == [other, *rows[::-1]]
    assert await schedules.due(subject.now, 2) == [other, rows[3]]
    assert await schedules.due(Instant(subject.now - 10), 9) == []


async def a_schedule_is_dropped_once(subject: LedgerSubject) -> None:
    """And is not due any more."""
    schedules = subject.ledger.schedules
    await schedules.put(_row(subject, due_at=subject.now), None)
    assert not await schedules.drop(TenantId(subject.tenant + 1), "weekly")
    assert await schedules.drop(subject.tenant, "weekly")
    assert not await schedules.drop(subject.tenant, "weekly")
    assert await schedules.get(subject.tenant, "weekly") is None
    assert await schedules.due(subject.now, 9) == []


SCHEDULES_CONTRACT = (
    a_schedule_follows_what_was_read,
    of_changes_at_the_same_time_one_is_stored,
    schedules_are_listed_by_key_and_found_when_due,
    a_schedule_is_dropped_once,
)
