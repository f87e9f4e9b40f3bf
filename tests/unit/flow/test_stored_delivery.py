"""What is delivered by being stored is stored with its plan; whatever is unusual goes through the queues, to the same end."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from clarion.errors import Unavailable
from clarion.model.channel import Channel, Lane
from clarion.model.inbox import CaptureFilter, InboxChange
from clarion.model.setup import Category, Integration, IntegrationLimits, Template
from clarion.model.status import Reason, Status
from clarion.model.user import FrequencyCap, Preferences, PreferenceSet
from tests.engine import Engine, engine, workflow

BELL = workflow("bell", channel=Channel.IN_APP)
NO_NEWS = Preferences(categories={"news": PreferenceSet(enabled=False)})


@pytest.fixture
async def clarion(store):
    """With a workflow that rings a bell in the inbox."""
    async with engine(store) as one:
        await one.create_setup(BELL, categories=(Category(key="news"),))
        await one.put_user("ada")
        yield one


def queued(clarion: Engine, channel: Channel = Channel.IN_APP) -> int:
    """How many messages went through the queue."""
    return clarion.pipeline.queues.of(Lane.NORMAL, channel).taken


async def told(clarion: Engine, message) -> list[tuple[Status, Reason | None, str | None]]:
    """The timeline of a message."""
    changes = await clarion.ledger.records.changes(clarion.tenant, message.id)
    return [(change.status, change.reason, change.outcome) for change in changes]


async def in_inbox(clarion: Engine, user_id: str = "ada") -> int:
    """How many items are in somebody's inbox, counted in both ways."""
    user = (await clarion.ledger.users.find(clarion.tenant, [user_id]))[user_id]
    _, counts = await clarion.ledger.inboxes.head(user.no)
    assert len(await clarion.ledger.inboxes.since(user.no, 0, 100)) == counts.total
    return counts.total


def before_the_plan_is_stored(clarion: Engine, monkeypatch, happens) -> None:
    """Something happens when the batch is planned, before its last look."""
    delivery = clarion.pipeline.planner._delivery
    settle = delivery.settle

    async def late(lane, batch):
        await happens()
        return await settle(lane, batch)

    monkeypatch.setattr(delivery, "settle", late)


async def test_an_inbox_item_is_stored_with_its_plan(clarion):
    """It never waits in a queue, and whoever watches is told; what is stored of it is as if it had."""
    heard: list[InboxChange] = []
    clarion.fanout.subscribe(heard.extend)
    await clarion.trigger("bell", "ada")
    await clarion.until_idle()
    message = await clarion.one()
    assert (message.status, message.attempt, message.integration) == (Status.DELIVERED, 1, "inbox")
    assert message.sent_at == message.delivered_at == clarion.clock.now()
    assert await told(clarion, message) == [
        (Status.QUEUED, None, None),
        (Status.DELIVERED, None, "accepted"),
    ]
    assert await in_inbox(clarion) == 1
    (change,) = heard
    assert change.counts is not None
    assert (change.items[0].message_id, change.counts.unread) == (message.id, 1)
    assert b"hello" in change.content[0]
    counts = await clarion.pipeline.stats()
    assert (counts["settled.in_app.delivered."], counts["attempts"]) == (1, 1)
    assert queued(clarion) == clarion.pipeline.queues.of(Lane.NORMAL, Channel.IN_APP).in_flight == 0


@pytest.mark.parametrize(("config", "straight"), [({}, True), ({"delay_ms": 1}, False)])
async def test_what_is_captured_is_stored_with_its_plan(clarion, config, straight):
    """Unless it rehearses that a call takes time."""
    await clarion.ledger.setup.integrations.put(
        clarion.tenant, Integration(key="main-sms", channel=Channel.SMS, provider="capture", config=config)
    )
    await clarion.ledger.setup.workflows.put(clarion.tenant, workflow("text"))
    await clarion.trigger("text", "ada")
    await clarion.pass_time(1)
    assert (await clarion.one()).status is Status.SENT
    assert len(await clarion.ledger.captures.page(clarion.tenant, CaptureFilter(), None, 10)) == 1
    assert queued(clarion, Channel.SMS) == (0 if straight else 1)


async def test_an_opt_out_between_planning_and_the_commit_counts(clarion, monkeypatch):
    """The last look is taken when everything is made (I8)."""
    before_the_plan_is_stored(clarion, monkeypatch, lambda: clarion.put_user("ada", NO_NEWS))
    await clarion.trigger("bell", "ada")
    await clarion.until_idle()
    message = await clarion.one()
    assert (message.status, message.reason) == (Status.SUPPRESSED, Reason.OPTED_OUT)
    assert await in_inbox(clarion) == 0


async def test_what_a_cap_ends_leaves_no_item(clarion):
    """Of several at once, exactly as many as may."""
    cap = FrequencyCap(limit=2, window_s=60)
    await clarion.ledger.setup.categories.put(clarion.tenant, Category(key="news", caps=(cap,)))
    await asyncio.gather(*(clarion.trigger("bell", "ada") for _ in range(5)))
    await clarion.until_idle()
    found = sorted(m.status for m in (await clarion.messages()).values())
    assert found == [Status.DELIVERED] * 2 + [Status.THROTTLED] * 3
    assert await in_inbox(clarion) == 2
    assert clarion.pipeline.queues.of(Lane.NORMAL, Channel.IN_APP).in_flight == 0


async def test_a_batch_may_hold_both(clarion):
    """What is delivered by being stored, and what is sent."""
    await clarion.ledger.setup.workflows.put(clarion.tenant, workflow("text"))
    await asyncio.gather(*(clarion.trigger(key, "ada") for key in ("bell", "text") * 10))
    await clarion.until_idle()
    assert {m.status for m in (await clarion.messages(channel=Channel.SMS)).values()} == {Status.SENT}
    assert await in_inbox(clarion) == len(clarion.provider.effects) == 10


@pytest.mark.parametrize(
    "integrations",
    [
        (
            Integration(
                key="inbox", channel=Channel.IN_APP, provider="inapp", limits=IntegrationLimits(per_second=50)
            ),
        ),
        (Integration(key="other", channel=Channel.IN_APP, provider="inapp"),),
    ],
    ids=["a rate limit", "two integrations"],
)
async def test_what_has_a_choice_or_a_limit_goes_through_the_queue(clarion, integrations):
    """To the same end."""
    for one in integrations:
        await clarion.ledger.setup.integrations.put(clarion.tenant, one)
    await clarion.trigger("bell", "ada")
    await clarion.until_idle()
    assert (await clarion.one()).status is Status.DELIVERED
    assert await in_inbox(clarion) == queued(clarion) == 1


async def test_content_of_the_caller_goes_through_the_queue(clarion):
    """It is rendered in a process of its own."""
    await clarion.trigger("bell", "ada", overrides=msgspec.Raw(b'{"in_app":{"title":"{{ 1 + 1 }}"}}'))
    await clarion.until_idle()
    assert (await clarion.one()).status is Status.DELIVERED
    assert await in_inbox(clarion) == queued(clarion) == 1


async def test_a_template_that_fails_fails_with_the_plan(clarion):
    """Only this message, with the reason."""
    broken = Template(
        key="note", channels={Channel.IN_APP: {"en": {"title": "{{ data.text.missing.more }}"}}}
    )
    await clarion.ledger.setup.templates.put(clarion.tenant, broken)
    await clarion.trigger("bell", "ada")
    await clarion.until_idle()
    message = await clarion.one()
    assert (message.status, message.reason) == (Status.FAILED, Reason.TEMPLATE_ERROR)
    assert await told(clarion, message) == [
        (Status.QUEUED, None, None),
        (Status.FAILED, Reason.TEMPLATE_ERROR, None),
    ]
    assert await in_inbox(clarion) == queued(clarion) == 0


@pytest.mark.parametrize("fault", [Unavailable("away"), RuntimeError("boom")])
async def test_what_cannot_be_stored_with_its_plan_is_delivered_after_it(clarion, monkeypatch, fault):
    """The plan alone is stored; its messages go through the queue."""
    commit = clarion.ledger.plans.commit

    async def fails(plan):
        if plan.settled:
            raise fault
        return await commit(plan)

    monkeypatch.setattr(clarion.ledger.plans, "commit", fails)
    await clarion.trigger("bell", "ada")
    await clarion.pass_time(1)
    assert (await clarion.one()).status is Status.DELIVERED
    assert await in_inbox(clarion) == queued(clarion) == 1


async def test_a_last_look_that_fails_leaves_the_message_to_the_queue(clarion, monkeypatch):
    """As when the store is away for a moment."""
    changed, failures = clarion.ledger.users.changed, [Unavailable("away")]

    async def fails_once(seen):
        if failures:
            raise failures.pop()
        return await changed(seen)

    monkeypatch.setattr(clarion.ledger.users, "changed", fails_once)
    await clarion.trigger("bell", "ada")
    await clarion.until_idle()
    assert (await clarion.one()).status is Status.DELIVERED
    assert await in_inbox(clarion) == queued(clarion) == 1


async def test_an_answer_that_was_lost_delivers_nothing_twice(clarion, monkeypatch):
    """The plan is stored, with what was delivered; nobody heard of it."""
    commit = clarion.ledger.plans.commit

    async def loses(plan):
        result = await commit(plan)
        if plan.settled:
            raise Unavailable("the connection is lost")
        return result

    monkeypatch.setattr(clarion.ledger.plans, "commit", loses)
    await clarion.trigger("bell", "ada")
    await clarion.pass_time(20)
    message = await clarion.one()
    assert message.status is Status.DELIVERED
    assert len(await told(clarion, message)) == 2
    assert await in_inbox(clarion) == 1


async def test_a_crash_before_the_commit_loses_nothing(clarion, store, monkeypatch):
    """The event is planned and delivered by the next life."""

    async def never(plan):
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(clarion.ledger.plans, "commit", never)
    await clarion.trigger("bell", "ada")
    await clarion.until_idle()
    assert await in_inbox(clarion) == 0
    await clarion.kill()
    async with engine(store, clock=clarion.clock, seed=2) as next_life:
        await next_life.pass_time(20)
        assert (await next_life.one()).status is Status.DELIVERED
        assert await in_inbox(next_life) == 1
