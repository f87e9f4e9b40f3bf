"""Webhook endpoints, how they are doing, and the log of their deliveries."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from clarion.errors import Conflict
from clarion.model.channel import Channel
from clarion.model.endpoint import Delivery, DeliveryFilter, Endpoint, EndpointState, Secret
from clarion.model.ids import Instant
from clarion.model.message import Message
from clarion.model.retention import RetentionKind
from clarion.model.status import Reason, Status
from clarion.model.suppression import Suppression
from clarion.model.user import Contact, Profile, User, UserPut
from clarion.testing.ledger_contract.world import World

DAY_MS = 24 * 3_600_000


async def created(world: World, user: User | None = None, **fields: Any) -> Endpoint:
    """A new endpoint of somebody's."""
    endpoint = Endpoint(
        id=world.event(),
        url="https://shop.example/hook",
        secrets=(Secret(text="whsec_" + "A" * 32),),
        created_at=world.now,
        **fields,
    )
    return await world.ledger.endpoints.put(world.tenant, (user or world.ada).no, endpoint, None)


async def owner(world: World, user: User | None = None) -> User:
    """The owner as stored, with what was suppressed."""
    number = (user or world.ada).no
    return (await world.ledger.users.get([number]))[number]


def delivery(world: World, message: Message, endpoint: Endpoint, *, ok: bool, seconds: float = 0) -> Delivery:
    """What the webhook provider would have recorded for a message."""
    return Delivery(
        tenant=message.tenant,
        user=message.user,
        message_id=message.id,
        endpoint=endpoint.id,
        ok=ok,
        status=200 if ok else 500,
        took_ms=12,
        at=Instant(world.now + round(seconds * 1000)),
        sealed=b"exchange",
    )


async def called(world: World, endpoint: Endpoint, *outcomes: bool) -> None:
    """One call after another, a second apart, each of a message of its own, settled together."""
    messages = [world.planned(channel=Channel.WEBHOOK, step=f"{n}") for n, _ in enumerate(outcomes)]
    await world.plan(*messages)
    await world.ledger.messages.settle(
        world.worker,
        [
            world.settlement(
                m,
                Status.SENT if ok else Status.DEAD_LETTERED,
                reason=None if ok else Reason.ATTEMPTS_EXHAUSTED,
                record=delivery(world, m, endpoint, ok=ok, seconds=n),
            )
            for n, (m, ok) in enumerate(zip(messages, outcomes, strict=True))
        ],
    )


async def state(world: World, endpoint: Endpoint) -> EndpointState:
    """How it is doing."""
    found = await world.ledger.endpoints.find(world.tenant, endpoint.id)
    assert found is not None
    return found


async def an_endpoint_comes_back_with_its_user(world: World) -> None:
    """Also when the cache has forgotten them; it is found by id, by user and in the tenant's list."""
    first = await created(world, events=("order.*",), description="warehouse")
    second = await created(world, world.bob)
    for n in range(40):  # more than the cache of a ledger under test holds
        await world.person(f"other-{n}")
    assert (await owner(world)).profile.endpoints == (first,)
    assert (await state(world, first)).user == world.ada.no
    endpoints = world.ledger.endpoints
    assert [one.id for one in await endpoints.page(world.tenant, None, None, 10)] == sorted(
        [first.id, second.id], reverse=True
    )
    assert [one.id for one in await endpoints.page(world.tenant, world.bob.no, None, 10)] == [second.id]
    assert await endpoints.page(world.tenant, world.bob.no, second.id, 10) == []


async def a_change_needs_to_know_what_it_changes(world: World) -> None:
    """Two who change an endpoint at once: the second is told, and nothing is lost."""
    endpoint = await created(world)
    changed = replace(endpoint, url="https://other.example/")
    await world.ledger.endpoints.put(world.tenant, world.ada.no, changed, endpoint)
    try:
        await world.ledger.endpoints.put(
            world.tenant, world.ada.no, replace(endpoint, events=("a",)), endpoint
        )
    except Conflict:
        pass
    else:
        raise AssertionError("a change of something else was taken")
    assert (await owner(world)).profile.endpoints == (changed,)


async def replacing_a_user_keeps_their_endpoints(world: World) -> None:
    """Endpoints change through their own port only."""
    endpoint = await created(world)
    profile = Profile(contacts=(Contact(channel=Channel.SMS, address="+491"),), locale="fr")
    (user,) = await world.ledger.users.put(world.tenant, [UserPut(id="ada", profile=profile)])
    assert user.profile.endpoints == (endpoint,)
    assert user.profile.locale == "fr"


async def a_deleted_endpoint_is_gone(world: World) -> None:
    """With its suppression; others stay, and deleting again finds nothing."""
    endpoint, other = await created(world), await created(world)
    await world.ledger.endpoints.switch(world.tenant, endpoint.id, "by_hand", world.now)
    assert await world.ledger.endpoints.delete(world.tenant, endpoint.id)
    assert not await world.ledger.endpoints.delete(world.tenant, endpoint.id)
    assert (await owner(world)).profile.endpoints == (other,)
    assert await world.ledger.endpoints.find(world.tenant, endpoint.id) is None
    assert await world.ledger.suppressions.page(world.tenant, None, 10) == []


async def endpoints_of_another_tenant_are_not_there(world: World) -> None:
    """Whatever the id."""
    endpoint = await created(world)
    other = world.tenant.__class__(world.tenant + 1)
    endpoints = world.ledger.endpoints
    assert await endpoints.find(other, endpoint.id) is None
    assert not await endpoints.delete(other, endpoint.id)
    assert not await endpoints.switch(other, endpoint.id, "by_hand", world.now)
    assert (await state(world, endpoint)).disabled_at is None


async def a_disabled_endpoint_is_a_suppressed_address(world: World) -> None:
    """Known to the cache at once, and after it has forgotten; enabling takes it back."""
    endpoint = await created(world)
    await world.ledger.endpoints.switch(world.tenant, endpoint.id, "by_hand", world.now)
    current = await world.reread(world.ada)
    assert current is not None
    assert current.suppressed == {endpoint.id}
    for n in range(40):
        await world.person(f"other-{n}")
    assert (await owner(world)).suppressed == {endpoint.id}
    off = await state(world, endpoint)
    assert (off.disabled_at, off.disabled_reason) == (world.now, "by_hand")
    await world.ledger.endpoints.switch(world.tenant, endpoint.id, "", world.now)
    assert (await owner(world)).suppressed == frozenset()
    assert (await state(world, endpoint)).disabled_at is None


async def an_endpoint_fails_from_the_first_failure_behind_a_success(world: World) -> None:
    """Later failures do not move that time; a success ends it."""
    endpoint = await created(world)
    start = world.now
    await called(world, endpoint, True, False, False)
    assert (await state(world, endpoint)).failing_since == start + 1_000
    world.clock.advance(60)
    await called(world, endpoint, False)
    assert (await state(world, endpoint)).failing_since == start + 1_000
    await called(world, endpoint, False, True)
    assert (await state(world, endpoint)).failing_since is None


async def an_endpoint_that_fails_too_long_is_reported_until_it_is_switched_off(world: World) -> None:
    """Once: it is not reported again, unless it is enabled and fails anew. Silence is no failure."""
    endpoint, well = await created(world), await created(world)
    endpoints = world.ledger.endpoints
    await called(world, endpoint, False)
    await called(world, well, False, True)
    world.clock.advance(3600)
    assert await endpoints.failing(3_600_000, 10) == []
    await called(world, endpoint, False)
    await called(world, well, False)
    assert await endpoints.failing(3_600_001, 10) == []
    assert [one.id for one in await endpoints.failing(3_600_000, 10)] == [endpoint.id]
    await endpoints.switch(world.tenant, endpoint.id, "failing", world.now)
    assert await endpoints.failing(0, 10) != []
    assert await endpoints.failing(1, 10) == []
    await endpoints.switch(world.tenant, endpoint.id, "", world.now)
    assert (await state(world, endpoint)).failing_since is None


async def an_endpoint_whose_receiver_ended_it_is_reported_at_once(world: World) -> None:
    """However short it has failed: the settlement suppressed it. Switching it off keeps that reason."""
    endpoint = await created(world)
    message = world.planned(channel=Channel.WEBHOOK)
    await world.plan(message)
    await world.settle(
        message,
        Status.BOUNCED,
        reason=Reason.ADDRESS_GONE,
        record=delivery(world, message, endpoint, ok=False),
        suppressions=world.gone(endpoint.id, Channel.WEBHOOK),
    )
    endpoints = world.ledger.endpoints
    assert [one.disabled_reason for one in await endpoints.failing(DAY_MS, 10)] == ["address_gone"]
    await endpoints.switch(world.tenant, endpoint.id, "failing", world.now)
    assert await endpoints.failing(0, 10) == []
    assert (await state(world, endpoint)).disabled_reason == "address_gone"


async def every_call_is_in_the_log(world: World) -> None:
    """Newest first, page by page, those that failed by themselves; a refused settlement leaves none."""
    endpoint = await created(world)
    await called(world, endpoint, True, False, True)
    deliveries = world.ledger.deliveries
    everything = await deliveries.page(world.tenant, endpoint.id, DeliveryFilter(), None, 10)
    assert [one.ok for one in everything] == [True, False, True]
    assert (everything[1].status, everything[1].took_ms, everything[1].sealed) == (500, 12, b"exchange")
    assert await deliveries.page(world.tenant, endpoint.id, DeliveryFilter(), everything[0].seq, 1) == [
        everything[1]
    ]
    assert await deliveries.page(world.tenant, endpoint.id, DeliveryFilter(ok=False), None, 10) == [
        everything[1]
    ]
    other = world.tenant.__class__(world.tenant + 1)
    assert await deliveries.page(other, endpoint.id, DeliveryFilter(), None, 10) == []
    message = world.planned(channel=Channel.WEBHOOK)
    await world.plan(message)
    stale = replace(message, fence=message.fence - 1)
    await world.settle(stale, record=delivery(world, message, endpoint, ok=True))
    assert len(await deliveries.page(world.tenant, endpoint.id, DeliveryFilter(), None, 10)) == 3


async def old_calls_are_forgotten(world: World) -> None:
    """By the retention of deliveries."""
    endpoint = await created(world)
    await called(world, endpoint, True, False)
    world.clock.advance(31 * DAY_MS / 1000)
    await called(world, endpoint, True)
    cutoffs = {world.tenant: Instant(world.now - 30 * DAY_MS)}
    swept = await world.ledger.retention.sweep(RetentionKind.DELIVERIES, cutoffs, None, dry=False)
    assert swept.expired == {world.tenant: 2}
    assert len(await world.ledger.deliveries.page(world.tenant, endpoint.id, DeliveryFilter(), None, 10)) == 1


async def erasing_a_person_erases_their_endpoints(world: World) -> None:
    """And what was delivered to them."""
    endpoint = await created(world)
    await called(world, endpoint, True)
    await world.ledger.users.delete(world.tenant, "ada")
    assert await world.ledger.endpoints.page(world.tenant, None, None, 10) == []
    assert await world.ledger.deliveries.page(world.tenant, endpoint.id, DeliveryFilter(), None, 10) == []


async def lifting_its_suppression_enables_an_endpoint(world: World) -> None:
    """They are one and the same."""
    endpoint = await created(world)
    webhook = Channel.WEBHOOK
    await world.ledger.suppressions.add(
        [Suppression(tenant=world.tenant, channel=webhook, hash=endpoint.id, reason="by_hand", at=world.now)]
    )
    assert (await owner(world)).suppressed == {endpoint.id}
    assert await world.ledger.suppressions.remove(world.tenant, webhook, endpoint.id)
    assert (await owner(world)).suppressed == frozenset()


ENDPOINTS_CONTRACT = (
    an_endpoint_comes_back_with_its_user,
    a_change_needs_to_know_what_it_changes,
    replacing_a_user_keeps_their_endpoints,
    a_deleted_endpoint_is_gone,
    endpoints_of_another_tenant_are_not_there,
    a_disabled_endpoint_is_a_suppressed_address,
    an_endpoint_fails_from_the_first_failure_behind_a_success,
    an_endpoint_that_fails_too_long_is_reported_until_it_is_switched_off,
    an_endpoint_whose_receiver_ended_it_is_reported_at_once,
    every_call_is_in_the_log,
    old_calls_are_forgotten,
    erasing_a_person_erases_their_endpoints,
    lifting_its_suppression_enables_an_endpoint,
)
