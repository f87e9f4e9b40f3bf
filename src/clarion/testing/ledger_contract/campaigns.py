"""Campaigns, and how far their members are planned."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from clarion.model.campaign import (
    CampaignPage,
    CampaignRange,
    CampaignRow,
    CampaignStatus,
    EventCampaign,
    RangePage,
)
from clarion.model.channel import Lane
from clarion.model.ids import NO_USER, EventId, Instant, TenantId, UserNo, WorkerId
from clarion.testing.ledger_contract.subject import LedgerSubject

RUNNING = CampaignStatus.RUNNING


def _row(subject: LedgerSubject, number: int = 1, **fields: object) -> CampaignRow:
    row = CampaignRow(
        id=number.to_bytes(16, "big"),
        tenant=subject.tenant,
        status=CampaignStatus.DRAFT,
        lane=Lane.BULK,
        revision=1,
        sealed=b"sealed",
    )
    return replace(row, **fields)


def _page(row: CampaignRow, after: int, rank: int, due_at: Instant | None = None) -> CampaignPage:
    return CampaignPage(
        id=row.id,
        fence=row.fence,
        before=row.after,
        after=UserNo(after),
        members=rank - row.rank,
        due_at=due_at,
        pace_rank=row.pace_rank,
        pace_at=row.pace_at,
    )


async def _stored(subject: LedgerSubject, row: CampaignRow) -> CampaignRow:
    found = await subject.ledger.campaigns.get(subject.tenant, row.id)
    assert found is not None
    return found


async def _commit(subject: LedgerSubject, page: CampaignPage | RangePage) -> bool:
    """Whether a plan with this page and a message of its own is stored."""
    message = subject.planned()
    kind = "page" if isinstance(page, CampaignPage) else "range_page"
    result = await subject.plan(message, **{kind: page})
    found = await subject.ledger.records.get(subject.tenant, message.id)
    assert (found is None) is (result.refused or result.repeated)
    return found is not None


async def a_campaign_follows_what_was_read(subject: LedgerSubject) -> None:
    """Else nothing is stored. How far its members are planned stays, and the rate counts from there."""
    campaigns, first = subject.ledger.campaigns, _row(subject, after=UserNo(7), rank=5)
    assert not await campaigns.put(replace(first, revision=2), 1)
    assert await campaigns.put(first, None)
    assert not await campaigns.put(first, None)
    assert await _stored(subject, first) == first
    event = EventId(b"e" * 16)
    second = _row(
        subject,
        revision=2,
        status=RUNNING,
        sealed=b"new",
        due_at=subject.now,
        event_id=event,
        pace_at=Instant(9),
    )
    assert await campaigns.put(second, 1)
    assert not await campaigns.put(second, 1)
    assert await _stored(subject, first) == replace(second, after=UserNo(7), rank=5, pace_rank=5, fence=1)
    assert await campaigns.put(replace(second, revision=3), 2, again=True, rate_per_s=10)
    assert (await _stored(subject, first)).after == 0
    other = TenantId(subject.tenant + 1)
    assert not await campaigns.put(replace(second, tenant=other, revision=4), 3)
    assert await campaigns.get(other, first.id) is None
    assert not await campaigns.drop(other, first.id)
    assert await campaigns.drop(subject.tenant, first.id)
    assert not await campaigns.drop(subject.tenant, first.id)
    assert await campaigns.get(subject.tenant, first.id) is None


async def campaigns_are_listed_newest_first(subject: LedgerSubject) -> None:
    """Of one tenant or of all, in any status or in some; they are found by their events, too."""
    campaigns = subject.ledger.campaigns
    events = [EventId(bytes([n]) * 16) for n in range(5)]
    rows = [
        _row(subject, n, event_id=events[n], status=CampaignStatus.PAUSED if n % 2 else RUNNING)
        for n in range(4)
    ]
    other = _row(subject, 9, tenant=TenantId(subject.tenant + 1), status=RUNNING)
    for row in (*rows, other):
        assert await campaigns.put(row, None)
    running = frozenset({RUNNING})
    assert await campaigns.page(subject.tenant, frozenset(), None, 3) == rows[:0:-1]
    assert await campaigns.page(subject.tenant, frozenset(), rows[1].id, 3) == rows[:1]
    assert await campaigns.page(subject.tenant, running, None, 9) == [rows[2], rows[0]]
    assert await campaigns.page(None, running, None, 2) == [other, rows[2]]
    assert await campaigns.page(None, running, rows[2].id, 2) == [rows[0]]
    assert await campaigns.of_events([*events[1:3], EventId(b"none" * 4)]) == {
        events[1]: EventCampaign(rows[1].id, paused=True),
        events[2]: EventCampaign(rows[2].id, paused=False),
    }
    assert await campaigns.of_events(()) == {}


async def members_are_planned_by_one_worker(subject: LedgerSubject) -> None:
    """Whoever claims it first; another one when that is given up. What the first still plans is refused."""
    campaigns = subject.ledger.campaigns
    row = _row(subject, status=RUNNING, due_at=subject.now)
    for one in (
        row,
        _row(subject, 2, status=RUNNING, due_at=Instant(subject.now + 60_000)),
        _row(subject, 3),
    ):
        assert await campaigns.put(one, None)
    first = subject.worker
    assert not await campaigns.claim(first, Lane.NORMAL, 9, subject.now)
    other = await subject.open_worker()
    claims = await asyncio.gather(
        *(campaigns.claim(worker, Lane.BULK, 9, subject.now) for worker in (first, first, other))
    )
    assert [row.id for row in (*claims[0], *claims[1], *claims[2])] in ([row.id], [row.id, row.id])
    assert not (claims[2] and (claims[0] or claims[1]))


async def a_campaign_of_a_dead_worker_is_taken_over(subject: LedgerSubject) -> None:
    """What the dead one still plans is refused."""
    campaigns = subject.ledger.campaigns
    row = _row(subject, status=RUNNING, due_at=subject.now)
    assert await campaigns.put(row, None)
    (claimed,) = await campaigns.claim(subject.worker, Lane.BULK, 9, subject.now)
    assert claimed == replace(row, fence=1)
    (again,) = await campaigns.claim(subject.worker, Lane.BULK, 9, subject.now)
    assert again == replace(row, fence=2)
    assert not await _commit(subject, _page(claimed, 5, 5))
    dead = subject.worker
    await subject.replace_worker()
    assert not await campaigns.claim(dead, Lane.BULK, 9, subject.now)
    (taken,) = await campaigns.claim(subject.worker, Lane.BULK, 9, subject.now)
    assert taken.fence > again.fence
    assert not await _commit(subject, _page(again, 5, 5))
    assert await _commit(subject, _page(taken, 5, 5))


async def a_rate_counts_from_whoever_is_due_next(subject: LedgerSubject) -> None:
    """By the rate so far, where that is later than what is asked for; a page says from where it counts when planning was late."""
    campaigns = subject.ledger.campaigns
    row = _row(subject, status=RUNNING, due_at=subject.now, pace_at=Instant(1_000))
    assert await campaigns.put(row, None)
    (row,) = await campaigns.claim(subject.worker, Lane.BULK, 9, subject.now)
    assert await _commit(subject, replace(_page(row, 10, 8), pace_rank=3, pace_at=Instant(2_000)))
    stored = await _stored(subject, row)
    assert (stored.pace_rank, stored.pace_at) == (3, 2_000)
    expected = [(3_000, 2, 4_500), (9_000, 2, 9_000), (8_000, None, 8_000)]
    for revision, (asked, rate_per_s, pace_at) in enumerate(expected, 1):
        following = replace(row, revision=revision + 1, pace_at=Instant(asked))
        assert await campaigns.put(following, revision, rate_per_s=rate_per_s)
        stored = await _stored(subject, row)
        assert (stored.pace_rank, stored.pace_at) == (8, pace_at)


async def a_page_is_stored_once_and_in_order(subject: LedgerSubject) -> None:
    """With its plan, or not at all; not behind a change of the campaign, such as a pause."""
    campaigns = subject.ledger.campaigns
    assert await campaigns.put(_row(subject, status=RUNNING, due_at=subject.now), None)
    (row,) = await campaigns.claim(subject.worker, Lane.BULK, 9, subject.now)
    first = _page(row, 10, 8, subject.now)
    assert await _commit(subject, first)
    assert not await _commit(subject, first)
    row = await _stored(subject, row)
    assert (row.after, row.rank, row.due_at) == (10, 8, subject.now)
    assert not await _commit(subject, replace(_page(row, 20, 16), before=UserNo(11)))
    assert await _commit(subject, _page(row, 20, 16, subject.now))
    row = await _stored(subject, row)
    paused = replace(row, status=CampaignStatus.PAUSED, revision=2, due_at=None)
    assert await campaigns.put(paused, 1)
    assert not await _commit(subject, _page(row, 30, 24, subject.now))
    assert not await campaigns.claim(subject.worker, Lane.BULK, 9, subject.now)
    assert await campaigns.put(replace(paused, status=RUNNING, revision=3, due_at=subject.now), 2)
    (row,) = await campaigns.claim(subject.worker, Lane.BULK, 9, subject.now)
    assert (row.after, row.rank, row.pace_rank) == (20, 16, 16)
    assert await _commit(subject, _page(row, 30, 24))
    assert (await _stored(subject, row)).due_at is None


def _range_page(part: CampaignRange, after: int, members: int, *, is_last: bool = False) -> RangePage:
    return RangePage(
        campaign=part.campaign,
        begin=part.begin,
        fence=part.fence,
        before=part.after,
        after=UserNo(after),
        members=members,
        is_last=is_last,
    )


async def _cut(subject: LedgerSubject, number: int, *ends: int) -> CampaignRow:
    """A campaign that goes on, and is cut into ranges up to these numbers."""
    campaigns = subject.ledger.campaigns
    assert await campaigns.put(_row(subject, number, status=RUNNING, due_at=subject.now), None)
    (row,) = await campaigns.claim(subject.worker, Lane.BULK, 9, subject.now)
    for end in ends:
        due_at = None if end == ends[-1] else subject.now
        page = replace(_page(row, end, row.rank, due_at), cut_to=UserNo(end))
        assert await _commit(subject, page)
        row = replace(row, after=UserNo(end), due_at=due_at)
    return await _stored(subject, row)


async def _claimed(
    subject: LedgerSubject, worker: WorkerId | None = None, limit: int = 9
) -> dict[tuple[int, int], CampaignRange]:
    """Ranges that are claimed, by campaign and where they begin."""
    found = await subject.ledger.campaign_ranges.claim(worker or subject.worker, Lane.BULK, limit)
    return {(int.from_bytes(one.campaign, "big"), one.begin): one for one in found}


async def a_campaign_is_cut_into_ranges_for_several_workers(subject: LedgerSubject) -> None:
    """Each is claimed by one worker; campaigns take turns; what is planned of ranges counts for the campaign."""
    row = await _cut(subject, 1, 10, 20, 30)
    assert (row.ranges, row.rank, row.due_at) == (3, 0, None)
    await _cut(subject, 2, 12)
    assert not await subject.ledger.campaign_ranges.claim(subject.worker, Lane.HIGH, 9)
    other = await subject.open_worker()
    mine = await _claimed(subject, limit=2)
    assert list(mine) == [(1, 0), (2, 0)]
    assert list(await _claimed(subject, other)) == [(1, 10), (1, 20)]
    assert (mine[1, 0].after, mine[1, 0].end, mine[1, 0].tenant) == (NO_USER, 10, subject.tenant)
    first = _range_page(mine[1, 0], 5, 4)
    assert await _commit(subject, first)
    assert not await _commit(subject, first)
    assert (await _stored(subject, row)).rank == 4
    rest = _range_page(replace(mine[1, 0], after=UserNo(5)), 10, 3, is_last=True)
    assert await _commit(subject, rest)
    assert not await _commit(subject, rest)
    row = await _stored(subject, row)
    assert (row.ranges, row.rank) == (2, 7)
    assert list(await _claimed(subject)) == [(2, 0)]


async def a_range_waits_while_its_campaign_is_paused(subject: LedgerSubject) -> None:
    """What its worker still plans is refused; when the campaign is over it is gone, and what was planned still counts."""
    campaigns, row = subject.ledger.campaigns, await _cut(subject, 1, 10, 20)
    parts = await _claimed(subject, limit=1)
    page = _range_page(parts[1, 0], 5, 4)
    assert await _commit(subject, page)
    paused = replace(row, status=CampaignStatus.PAUSED, revision=2)
    assert not await campaigns.put(replace(paused, revision=3), 2)
    assert await campaigns.put(paused, 1)
    later = _range_page(replace(parts[1, 0], after=UserNo(5)), 8, 2)
    assert not await _commit(subject, later)
    assert not await _claimed(subject)
    assert await campaigns.put(replace(paused, status=RUNNING, revision=3), 2)
    assert not await _commit(subject, later)
    parts = await _claimed(subject)
    assert {key: one.after for key, one in parts.items()} == {(1, 0): 5, (1, 10): 10}
    assert await _commit(subject, _range_page(parts[1, 0], 8, 2))
    assert await campaigns.put(replace(paused, status=CampaignStatus.CANCELED, revision=4), 3)
    assert not await _commit(subject, _range_page(parts[1, 10], 15, 2))
    assert not await _claimed(subject)
    row = await _stored(subject, row)
    assert (row.ranges, row.rank) == (0, 6)


async def a_range_of_a_dead_worker_is_taken_over(subject: LedgerSubject) -> None:
    """From where it had come to; what the dead one still plans is refused."""
    await _cut(subject, 1, 10)
    part = (await _claimed(subject))[1, 0]
    assert await _commit(subject, _range_page(part, 5, 4))
    dead = subject.worker
    await subject.replace_worker()
    assert not await _claimed(subject, dead)
    taken = (await _claimed(subject))[1, 0]
    assert (taken.after, taken.fence > part.fence) == (5, True)
    assert not await _commit(subject, _range_page(replace(part, after=UserNo(5)), 10, 3, is_last=True))
    assert await _commit(subject, _range_page(taken, 10, 3, is_last=True))


CAMPAIGNS_CONTRACT = (
    a_campaign_follows_what_was_read,
    campaigns_are_listed_newest_first,
    members_are_planned_by_one_worker,
    a_campaign_of_a_dead_worker_is_taken_over,
    a_page_is_stored_once_and_in_order,
    a_rate_counts_from_whoever_is_due_next,
    a_campaign_is_cut_into_ranges_for_several_workers,
    a_range_waits_while_its_campaign_is_paused,
    a_range_of_a_dead_worker_is_taken_over,
)
