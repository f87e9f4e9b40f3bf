"""Claim and settle, with fences, ladders and records."""

from __future__ import annotations

from msgspec.structs import replace

from clarion.model.channel import CHANNELS, LANES, Channel, Lane
from clarion.model.ids import Instant, TenantId
from clarion.model.setup import Tenant
from clarion.model.status import Reason, Status
from clarion.testing.ledger_contract.world import World, later, rungs, together

QUEUED, DEFERRED, SENDING, SENT = Status.QUEUED, Status.DEFERRED, Status.SENDING, Status.SENT


async def only_what_is_due_is_claimed_oldest_first(world: World) -> None:
    """Of one lane and channel, at most as many as asked for."""
    soon, sooner, not_yet = (later(world.planned(), seconds) for seconds in (9, 5, 60))
    elsewhere = [world.planned(channel=Channel.SMS, fence=0), world.planned(lane=Lane.BULK, fence=0)]
    free = world.planned(fence=0, due_at=Instant(world.now + 7000))
    await world.plan(soon, sooner, not_yet, free, *elsewhere, world.planned())
    assert list(await world.claim()) == []
    world.clock.advance(10)
    assert [m.id for m in await world.claim(limit=2)] == [sooner.id, free.id]
    assert [m.id for m in await world.claim()] == [soon.id]
    assert list(await world.claim()) == []


async def tenants_take_turns_in_what_is_due(world: World) -> None:
    """However much of one is due, and for longer, the others are claimed in the same go, the oldest of each first."""
    others = [await world.ledger.setup.tenants.put(Tenant(id=TenantId(0), key=f"t{n}")) for n in range(3)]
    people = [await world.person("eve", tenant=other.id) for other in others]
    flood = [world.planned(fence=0, due_at=Instant(world.now - 1_000)) for _ in range(120)]
    due = [
        world.planned(user, fence=0, due_at=Instant(world.now - 5 + n)) for user in people for n in range(4)
    ]
    await world.plan(*flood, *due)
    claimed = await world.claim(limit=32)
    assert len(claimed) == 32
    for user in people:
        assert [m.id for m in claimed if m.user == user.no] == [m.id for m in due if m.user == user.no]
    rest = [m.id for _ in range(4) for m in await world.claim(limit=32)]
    assert sorted([*rest, *(m.id for m in claimed)]) == sorted(m.id for m in (*flood, *due))


async def tenants_without_a_turn_are_next(world: World) -> None:
    """With fewer places than tenants, each has had its turn after as many claims as it takes to go round."""
    others = [await world.ledger.setup.tenants.put(Tenant(id=TenantId(0), key=f"t{n}")) for n in range(7)]
    people = [await world.person("eve", tenant=other.id) for other in others]
    await world.plan(*(world.planned(user, fence=0) for user in people for _ in range(10)))
    turns = [m.tenant for _ in range(3) for m in await world.claim(limit=3)]
    assert len(turns) == 9
    assert set(turns) == {other.id for other in others}


async def a_claim_can_leave_tenants_out(world: World) -> None:
    """Those that have enough already."""
    other = await world.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="other"))
    eve = await world.person("eve", tenant=other.id)
    mine, theirs = world.planned(fence=0), world.planned(eve, fence=0)
    await world.plan(mine, theirs)
    assert [m.id for m in await world.claim(but=frozenset({world.tenant}))] == [theirs.id]
    assert list(await world.claim(but=frozenset({world.tenant}))) == []
    assert [m.id for m in await world.claim()] == [mine.id]


async def what_is_claimed_is_held(world: World) -> None:
    """It comes with a higher fence and the status found, and for nobody else however long it takes."""
    waiting = later(world.planned(), 0)
    await world.plan(waiting)
    (claimed,) = await world.claim()
    assert (claimed.status, claimed.reason) == (DEFERRED, Reason.QUIET_HOURS)
    assert claimed == replace(waiting, fence=waiting.fence + 1, due_at=None)
    stored = await world.stored(claimed)
    assert (stored.status, stored.due_at) == (QUEUED, None)
    world.clock.advance(3_600)
    assert list(await world.claim()) == []
    assert (await world.settle(claimed)).refused == frozenset()


async def claims_at_once_share_nothing(world: World) -> None:
    """Every message is claimed by exactly one."""
    await world.plan(*(world.planned(fence=0) for _ in range(50)))
    claimed = await together(*(world.claim(limit=7) for _ in range(10)))
    ids = [m.id for batch in claimed for m in batch]
    assert len(ids) == len(set(ids)) == 50


async def one_claim_names_each_message_once(world: World) -> None:
    """Also when the lease of whoever claims ends at that very moment, and several tenants take turns."""
    other = await world.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="globex"))
    eve = await world.person("eve", "eve@example.org", other.id)
    await world.plan(*(world.planned(user, fence=0) for user in (world.ada, eve) for _ in range(20)))
    ending = await world.ledger.leases.open("node", "worker", world.now)
    claimed = await world.ledger.messages.claim(ending, Lane.NORMAL, Channel.EMAIL, 100, world.now)
    assert len(claimed) == len({m.id for m in claimed}) == 40
    assert list(await world.claim()) == []


async def what_was_being_sent_says_so_when_claimed(world: World) -> None:
    """The outcome of an earlier holder's call is unknown, whatever happens in between."""
    message = world.planned()
    await world.plan(message)
    assert await world.mark(message) == frozenset()
    assert await world.timeline(message) == [(QUEUED, None), (SENDING, None)]
    assert await world.replace_worker() == 1
    (claimed,) = await world.claim()
    assert claimed.status is SENDING
    assert await world.replace_worker() == 1
    (claimed,) = await world.claim()
    assert claimed.status is SENDING
    assert await world.mark(message) == {message.id}
    assert await world.mark(claimed) == frozenset()
    assert (await world.settle(claimed)).refused == frozenset()


async def a_settlement_is_stored_whole(world: World) -> None:
    """State, times and one change with everything the attempt said."""
    message = world.planned()
    await world.plan(message)
    world.clock.advance(2)
    await world.settle(
        message,
        SENT,
        provider_id="abc",
        outcome="accepted",
        took_ms=12,
        detail="queued as \ud83d, \u00e9",
        traceparent="00-1-2-01",
        integration="main",
    )
    stored = await world.stored(message)
    assert stored == replace(
        message,
        status=SENT,
        due_at=None,
        attempt=1,
        integration="main",
        updated_at=world.now,
        sent_at=world.now,
    )
    _, change = await world.ledger.records.changes(world.tenant, message.id)
    assert (change.status, change.attempt, change.integration, change.at) == (SENT, 1, "main", world.now)
    assert (change.outcome, change.provider_id, change.took_ms) == ("accepted", "abc", 12)
    assert (change.detail, change.traceparent) == ("queued as ?, \u00e9", "00-1-2-01")


async def a_retry_waits_for_its_time(world: World) -> None:
    """Unheld, with its attempts counted; it comes back when due."""
    message = world.planned()
    await world.plan(message)
    due = Instant(world.now + 5000)
    await world.settle(message, DEFERRED, reason=Reason.RETRY, due_at=due, attempt=1, unknowns=1)
    stored = await world.stored(message)
    assert (stored.status, stored.due_at, stored.attempt, stored.unknowns) == (DEFERRED, due, 1, 1)
    assert (await world.settle(message)).refused == {message.id}, "nobody holds it"
    world.clock.advance(5)
    (claimed,) = await world.claim()
    assert (claimed.attempt, claimed.reason) == (1, Reason.RETRY)


async def the_status_never_goes_back(world: World) -> None:
    """A finished message is not touched, whatever fence the late one holds."""
    message = world.planned()
    await world.plan(message)
    await world.settle(message, Status.DELIVERED)
    for status in (SENT, DEFERRED, Status.FAILED):
        reason = None if status is SENT else Reason.RETRY
        assert (await world.settle(message, status, reason=reason)).refused == {message.id}
    assert await world.timeline(message) == [(QUEUED, None), (Status.DELIVERED, None)]


async def a_refused_settlement_leaves_nothing_behind(world: World) -> None:
    """No change, no inbox item, no capture, no suppression, no step of the ladder; its neighbours are stored."""
    ladder = rungs(world, Channel.IN_APP, Channel.SMS, until="delivered")
    good, stale, captured = ladder[0], world.planned(channel=Channel.IN_APP), world.planned()
    await world.plan(*ladder, stale, captured)
    await world.ledger.leases.give_back(world.worker, [good, stale], world.now)
    await world.claim(channel=Channel.IN_APP)
    gone = world.gone(world.ada.profile.contacts[0].hash)
    result = await world.ledger.messages.settle(
        world.worker,
        [
            world.settlement(stale, Status.DELIVERED, record=world.item(stale), suppressions=gone),
            world.settlement(
                good, Status.DELIVERED, record=world.item(good), cancels=good.later_rungs, suppressions=gone
            ),
            world.settlement(captured, SENT, record=world.captured(captured)),
        ],
    )
    assert result.refused == {stale.id, good.id}
    assert result.inbox == ()
    assert (await world.ledger.inboxes.head(world.ada.no))[0] == 0
    assert await world.state(ladder[1]) == (DEFERRED, Reason.WAITING_FOR_EARLIER_CHANNEL)
    assert await world.timeline(good) == [(QUEUED, None)]
    assert await world.reread(world.ada) == world.ada
    assert len(await world.ledger.captures.of(world.tenant, captured.id)) == 1


async def a_batch_may_name_a_message_twice(world: World) -> None:
    """The first word counts."""
    message = world.planned()
    await world.plan(message)
    await world.ledger.messages.settle(
        world.worker, [world.settlement(message, SENT), world.settlement(message, Status.DELIVERED)]
    )
    assert await world.timeline(message) == [(QUEUED, None), (SENT, None)]


async def settlements_at_once_are_kept_apart(world: World) -> None:
    """Each caller learns only of its own refusals."""
    messages = [world.planned() for _ in range(30)]
    await world.plan(*messages)
    stale = replace(messages[11], fence=0)
    results = await together(*(world.settle(stale if n == 11 else m) for n, m in enumerate(messages)))
    assert [bool(result.refused) for result in results] == [n == 11 for n in range(30)]


async def the_inbox_item_comes_with_its_offset(world: World) -> None:
    """Grouped by user, in order, without gaps, also for items of one batch."""
    messages = [world.planned(user, channel=Channel.IN_APP) for user in (world.ada, world.bob, world.ada)]
    await world.plan(*messages)
    result = await world.ledger.messages.settle(
        world.worker, [world.settlement(m, Status.DELIVERED, record=world.item(m)) for m in messages]
    )
    offsets = {change.user: [item.offset for item in change.items] for change in result.inbox}
    assert offsets == {world.ada.no: [1, 2], world.bob.no: [1]}
    by_user = {change.user: change for change in result.inbox}
    assert list(await world.ledger.inboxes.since(world.ada.no, 0, 10)) == list(by_user[world.ada.no].items)
    stored = await world.stored(messages[0])
    assert (stored.sent_at, stored.delivered_at) == (world.now, world.now)


async def a_satisfied_ladder_stops(world: World) -> None:
    """Later rungs that have not started are cancelled."""
    ladder = rungs(world, Channel.PUSH, Channel.SMS, Channel.EMAIL, until="sent")
    await world.plan(*ladder)
    await world.settle(ladder[0], SENT, cancels=ladder[0].later_rungs)
    for rung in ladder[1:]:
        assert await world.state(rung) == (Status.CANCELED, Reason.LADDER_SATISFIED)
        assert (await world.timeline(rung))[-1] == (Status.CANCELED, Reason.LADDER_SATISFIED)
    world.clock.advance(100)
    assert list(await world.claim()) == []


async def a_message_knows_when_it_was_tried_first(world: World) -> None:
    """While it is tried again; waiting is no try."""
    message = world.planned()
    await world.plan(message)
    await world.settle(message, Status.DEFERRED, reason=Reason.QUIET_HOURS, due_at=world.now)
    assert (await world.stored(message)).tried_at is None
    first = None
    for _ in range(2):
        (held,) = await world.claim()
        first = first or world.now
        await world.settle(held, Status.DEFERRED, reason=Reason.RETRY, due_at=world.now, outcome="retry")
        assert (await world.stored(message)).tried_at == first
        world.clock.advance(5)


async def a_failed_rung_calls_the_next(world: World) -> None:
    """At once instead of at its own time; one that started already is left alone."""
    ladder = rungs(world, Channel.PUSH, Channel.SMS, until="sent")
    await world.plan(*ladder)
    world.clock.advance(1)
    await world.settle(ladder[0], Status.FAILED, reason=Reason.OUTCOME_UNKNOWN, advances=ladder[1].id)
    (second,) = await world.claim(channel=Channel.SMS)
    assert second.id == ladder[1].id
    other = rungs(world, Channel.PUSH, Channel.SMS, until="sent")
    await world.plan(*other)
    world.clock.advance(31)
    (held,) = await world.claim(channel=Channel.SMS)
    await world.settle(other[0], SENT, advances=other[1].id)
    assert (await world.stored(held)).fence == held.fence


async def an_address_that_is_gone_is_suppressed(world: World) -> None:
    """For everybody who has it, from the moment the settlement is acknowledged."""
    message = world.planned()
    await world.plan(message)
    gone = world.ada.profile.contacts[0].hash
    twin = await world.person("twin", "ada@example.org")
    await world.settle(message, Status.BOUNCED, reason=Reason.ADDRESS_GONE, suppressions=world.gone(gone))
    for user in (world.ada, twin):
        now = await world.reread(user)
        assert now is not None
        assert now.suppressed == {gone}
    (row,) = await world.ledger.suppressions.page(world.tenant, None, 10)
    assert (row.hash, row.channel, row.reason) == (gone, Channel.EMAIL, "address_gone")


async def due_names_the_queues_with_work(world: World) -> None:
    """And only those, as of the given moment."""
    await world.plan(
        world.planned(fence=0),
        world.planned(fence=0, lane=Lane.CRITICAL, channel=Channel.SMS),
        later(world.planned(channel=Channel.PUSH), 10),
    )
    due = world.ledger.messages.due
    assert set(await due(world.now)) == {(Lane.NORMAL, Channel.EMAIL), (Lane.CRITICAL, Channel.SMS)}
    assert (Lane.NORMAL, Channel.PUSH) in await due(Instant(world.now + 10_000))
    assert set(await due(Instant(0))) == set()


async def every_queue_can_be_claimed(world: World) -> None:
    """Each lane and channel is a queue of its own."""
    everything = [
        world.planned(fence=0, lane=lane, channel=channel) for lane in LANES for channel in CHANNELS
    ]
    await world.plan(*everything)
    for message in everything:
        (claimed,) = await world.claim(message.lane, message.channel)
        assert claimed.id == message.id


async def depth_counts_what_waits(world: World) -> None:
    """Per queue; what somebody holds does not count, and what is finished neither."""
    done, waiting = world.planned(), [world.planned(fence=0) for _ in range(3)]
    await world.plan(done, world.planned(), *waiting, later(world.planned(channel=Channel.SMS), 9))
    await world.settle(done)
    await world.claim(limit=1)
    assert await world.ledger.messages.depth() == {
        (Lane.NORMAL, Channel.EMAIL): 2,
        (Lane.NORMAL, Channel.SMS): 1,
    }


MESSAGES_CONTRACT = (
    only_what_is_due_is_claimed_oldest_first,
    tenants_take_turns_in_what_is_due,
    tenants_without_a_turn_are_next,
    a_claim_can_leave_tenants_out,
    what_is_claimed_is_held,
    claims_at_once_share_nothing,
    one_claim_names_each_message_once,
    what_was_being_sent_says_so_when_claimed,
    a_settlement_is_stored_whole,
    a_retry_waits_for_its_time,
    the_status_never_goes_back,
    a_refused_settlement_leaves_nothing_behind,
    a_batch_may_name_a_message_twice,
    settlements_at_once_are_kept_apart,
    the_inbox_item_comes_with_its_offset,
    a_satisfied_ladder_stops,
    a_message_knows_when_it_was_tried_first,
    a_failed_rung_calls_the_next,
    an_address_that_is_gone_is_suppressed,
    due_names_the_queues_with_work,
    every_queue_can_be_claimed,
    depth_counts_what_waits,
)
