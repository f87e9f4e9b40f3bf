"""Webhook endpoints, their state, and the log of their deliveries."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from clarion.errors import Conflict
from clarion.model.channel import Channel
from clarion.model.endpoint import Delivery, DeliveryFilter, Endpoint, EndpointState, SigningSecret
from clarion.model.ids import Instant
from clarion.model.message import Message
from clarion.model.retention import RetentionKind
from clarion.model.status import Reason, Status
from clarion.model.suppression import Suppression, SuppressionFilter
from clarion.model.user import Contact, Profile, User, UserPut
from clarion.testing.ledger_contract.subject import LedgerSubject

DAY_MS = 24 * 3_600_000


async def created(subject: LedgerSubject, user: User | None = None, **fields: Any) -> Endpoint:
    """A new endpoint of somebody's."""
    endpoint = Endpoint(
        id=subject.event(),
        url="https://shop.example/hook",
        secrets=(SigningSecret(text="whsec_" + "A" * 32),),
        created_at=subject.now,
        **fields,
    )
    return await subject.ledger.endpoints.put(subject.tenant, (user or subject.ada).no, endpoint, None)


async def owner(subject: LedgerSubject, user: User | None = None) -> User:
    """The owner as stored, with what was suppressed."""
    number = (user or subject.ada).no
    return (await subject.ledger.users.get([number]))[number]


def delivery(
    subject: LedgerSubject, message: Message, endpoint: Endpoint, *, ok: bool, seconds: float = 0
) -> Delivery:
    """What the webhook provider would have recorded for a message."""
    return Delivery(
        tenant=message.tenant,
        user=message.user,
        message_id=message.id,
        endpoint=endpoint.id,
        ok=ok,
        status=200 if ok else 500,
        took_ms=12,
        at=Instant(subject.now + round(seconds * 1000)),
        sealed=b"exchange",
    )


async def called(subject: LedgerSubject, endpoint: Endpoint, *outcomes: bool) -> None:
    """One call after another, a second apart, each of a message of its own, settled together."""
    messages = [subject.planned(channel=Channel.WEBHOOK, step=f"{n}") for n, _ in enumerate(outcomes)]
    await subject.plan(*messages)
    await subject.ledger.messages.settle(
        subject.worker,
        [
            subject.settlement(
                m,
                Status.SENT if ok else Status.DEAD_LETTERED,
                reason=None if ok else Reason.ATTEMPTS_EXHAUSTED,
                record=delivery(subject, m, endpoint, ok=ok, seconds=n),
            )
            for n, (m, ok) in enumerate(zip(messages, outcomes, strict=True))
        ],
    )


async def state(subject: LedgerSubject, endpoint: Endpoint) -> EndpointState:
    """How it is doing."""
    found = await subject.ledger.endpoints.find(subject.tenant, endpoint.id)
    assert found is not None
    return found


async def an_endpoint_comes_back_with_its_user(subject: LedgerSubject) -> None:
    """Also when the cache has forgotten them; it is found by id, by user and in the tenant's list."""
    first = await created(subject, events=("order.*",), description="warehouse")
    second = await created(subject, subject.bob)
    for n in range(40):  # more than the cache of a ledger under test holds
        await subject.put_user(f"other-{n}")
    assert (await owner(subject)).profile.endpoints == (first,)
    assert (await state(subject, first)).user == subject.ada.no
    endpoints = subject.ledger.endpoints
    assert [one.id for one in await endpoints.page(subject.tenant, None, None, 10)] == sorted(
        [first.id, second.id], reverse=True
    )
    assert [one.id for one in await endpoints.page(subject.tenant, subject.bob.no, None, 10)] == [second.id]
    assert await endpoints.page(subject.tenant, subject.bob.no, second.id, 10) == []


async def a_change_needs_to_know_what_it_changes(subject: LedgerSubject) -> None:
    """Two who change an endpoint at once: the second is told, and nothing is lost."""
    endpoint = await created(subject)
    changed = replace(endpoint, url="https://other.example/")
    await subject.ledger.endpoints.put(subject.tenant, subject.ada.no, changed, endpoint)
    try:
        await subject.ledger.endpoints.put(
            subject.tenant, subject.ada.no, replace(endpoint, events=("a",)), endpoint
        )
    except Conflict:
        pass
    else:
        raise AssertionError("a change of something else was taken")
    assert (await owner(subject)).profile.endpoints == (changed,)


async def replacing_a_user_keeps_their_endpoints(subject: LedgerSubject) -> None:
    """Endpoints change through their own port only."""
    endpoint = await created(subject)
    profile = Profile(contacts=(Contact(channel=Channel.SMS, address="+491"),), locale="fr")
    (user,) = await subject.ledger.users.put(subject.tenant, [UserPut(id="ada", profile=profile)])
    assert user.profile.endpoints == (endpoint,)
    assert user.profile.locale == "fr"


async def a_deleted_endpoint_is_gone(subject: LedgerSubject) -> None:
    """With its suppression; others stay, and deleting again finds nothing."""
    endpoint, other = await created(subject), await created(subject)
    await subject.ledger.endpoints.switch(subject.tenant, endpoint.id, "by_hand", subject.now)
    assert await subject.ledger.endpoints.delete(subject.tenant, endpoint.id)
    assert not await subject.ledger.endpoints.delete(subject.tenant, endpoint.id)
    assert (await owner(subject)).profile.endpoints == (other,)
    assert await subject.ledger.endpoints.find(subject.tenant, endpoint.id) is None
    assert await subject.ledger.suppressions.page(subject.tenant, SuppressionFilter(), None, 10) == []


async def endpoints_of_another_tenant_are_not_there(subject: LedgerSubject) -> None:
    """Whatever the id."""
    endpoint = await created(subject)
    other = subject.tenant.__class__(subject.tenant + 1)
    endpoints = subject.ledger.endpoints
    assert await endpoints.find(other, endpoint.id) is None
    assert not await endpoints.delete(other, endpoint.id)
    assert not await endpoints.switch(other, endpoint.id, "by_hand", subject.now)
    assert (await state(subject, endpoint)).disabled_at is None


async def a_disabled_endpoint_is_a_suppressed_address(subject: LedgerSubject) -> None:
    """Known to the cache at once, and after it has forgotten; enabling takes it back."""
    endpoint = await created(subject)
    await subject.ledger.endpoints.switch(subject.tenant, endpoint.id, "by_hand", subject.now)
    current = await subject.reread(subject.ada)
    assert current is not None
    assert current.suppressed == {endpoint.id}
    for n in range(40):
        await subject.put_user(f"other-{n}")
    assert (await owner(subject)).suppressed == {endpoint.id}
    off = await state(subject, endpoint)
    assert (off.disabled_at, off.disabled_reason) == (subject.now, "by_hand")
    await subject.ledger.endpoints.switch(subject.tenant, endpoint.id, "", subject.now)
    assert (await owner(subject)).suppressed == frozenset()
    assert (await state(subject, endpoint)).disabled_at is None


async def an_endpoint_fails_from_the_first_failure_behind_a_success(subject: LedgerSubject) -> None:
    """Later failures do not move that time; a success ends it."""
    endpoint = await created(subject)
    start = subject.now
    await called(subject, endpoint, True, False, False)
    assert (await state(subject, endpoint)).failing_since == start + 1_000
    subject.clock.advance(60)
    await called(subject, endpoint, False)
    assert (await state(subject, endpoint)).failing_since == start + 1_000
    await called(subject, endpoint, False, True)
    assert (await state(subject, endpoint)).failing_since is None


async def an_endpoint_that_fails_too_long_is_reported_until_it_is_switched_off(
    subject: LedgerSubject,
) -> None:
    """Once: it is not reported again, unless it is enabled and fails anew. Silence is no failure."""
    endpoint, well = await created(subject), await created(subject)
    endpoints = subject.ledger.endpoints
    await called(subject, endpoint, False)
    await called(subject, well, False, True)
    subject.clock.advance(3600)
    assert await endpoints.failing(3_600_000, 10) == []
    await called(subject, endpoint, False)
    await called(subject, well, False)
    assert await endpoints.failing(3_600_001, 10) == []
    assert [one.id for one in await endpoints.failing(3_600_000, 10)] == [endpoint.id]
    await endpoints.switch(subject.tenant, endpoint.id, "failing", subject.now)
    assert await endpoints.failing(0, 10) != []
    assert await endpoints.failing(1, 10) == []
    await endpoints.switch(subject.tenant, endpoint.id, "", subject.now)
    assert (await state(subject, endpoint)).failing_since is None


async def an_endpoint_whose_receiver_ended_it_is_reported_at_once(subject: LedgerSubject) -> None:
    """However short it has failed: the settlement suppressed it. Switching it off keeps that reason."""
    endpoint = await created(subject)
    message = subject.planned(channel=Channel.WEBHOOK)
    await subject.plan(message)
    await subject.settle(
        message,
        Status.BOUNCED,
        reason=Reason.ADDRESS_GONE,
        record=delivery(subject, message, endpoint, ok=False),
        suppressions=subject.gone(endpoint.id, Channel.WEBHOOK),
    )
    endpoints = subject.ledger.endpoints
    assert [one.disabled_reason for one in await endpoints.failing(DAY_MS, 10)] == ["address_gone"]
    await endpoints.switch(subject.tenant, endpoint.id, "failing", subject.now)
    assert await endpoints.failing(0, 10) == []
    assert (await state(subject, endpoint)).disabled_reason == "address_gone"


async def every_call_is_in_the_log(subject: LedgerSubject) -> None:
    """Newest first, page by page, those that failed by themselves; a refused settlement leaves none."""
    endpoint = await created(subject)
    await called(subject, endpoint, True, False, True)
    deliveries = subject.ledger.deliveries
    everything = await deliveries.page(subject.tenant, endpoint.id, DeliveryFilter(), None, 10)
    assert [one.ok for one in everything] == [True, False, True]
    assert (everything[1].status, everything[1].took_ms, everything[1].sealed) == (500, 12, b"exchange")
    assert await deliveries.page(subject.tenant, endpoint.id, DeliveryFilter(), everything[0].seq, 1) == [
        everything[1]
    ]
    assert await deliveries.page(subject.tenant, endpoint.id, DeliveryFilter(ok=False), None, 10) == [
        everything[1]
    ]
    other = subject.tenant.__class__(subject.tenant + 1)
    assert await deliveries.page(other, endpoint.id, DeliveryFilter(), None, 10) == []
    message = subject.planned(channel=Channel.WEBHOOK)
    await subject.plan(message)
    stale = replace(message, fence=message.fence - 1)
    await subject.settle(stale, record=delivery(subject, message, endpoint, ok=True))
    assert len(await deliveries.page(subject.tenant, endpoint.id, DeliveryFilter(), None, 10)) == 3


async def old_calls_are_forgotten(subject: LedgerSubject) -> None:
    """By the retention of deliveries."""
    endpoint = await created(subject)
    await called(subject, endpoint, True, False)
    subject.clock.advance(31 * DAY_MS / 1000)
    await called(subject, endpoint, True)
    cutoffs = {subject.tenant: Instant(subject.now - 30 * DAY_MS)}
    swept = await subject.ledger.retention.sweep(RetentionKind.DELIVERIES, cutoffs, None, dry=False)
    assert swept.expired == {subject.tenant: 2}
    assert (
        len(await subject.ledger.deliveries.page(subject.tenant, endpoint.id, DeliveryFilter(), None, 10))
        == 1
    )


async def erasing_a_person_erases_their_endpoints(subject: LedgerSubject) -> None:
    """And what was delivered to them."""
    endpoint = await created(subject)
    await called(subject, endpoint, True)
    await subject.ledger.users.delete(subject.tenant, "ada")
    assert await subject.ledger.endpoints.page(subject.tenant, None, None, 10) == []
    assert await subject.ledger.deliveries.page(subject.tenant, endpoint.id, DeliveryFilter(), None, 10) == []


async def lifting_its_suppression_enables_an_endpoint(subject: LedgerSubject) -> None:
    """They are one and the same."""
    endpoint = await created(subject)
    webhook = Channel.WEBHOOK
    await subject.ledger.suppressions.add(
        [
            Suppression(
                tenant=subject.tenant, channel=webhook, hash=endpoint.id, reason="by_hand", at=subject.now
            )
        ]
    )
    assert (await owner(subject)).suppressed == {endpoint.id}
    assert await subject.ledger.suppressions.remove(subject.tenant, webhook, endpoint.id)
    assert (await owner(subject)).suppressed == frozenset()


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
