"""The planner by itself: entries of a lane become runs and messages, and what is due goes to the queues."""

import pytest
import structlog
from msgspec.structs import replace

from clarion.flow.lanes import CAPACITY
from clarion.flow.plan.planner import FANOUT_PAGE
from clarion.model.channel import Channel, Lane
from clarion.model.ids import NO_USER
from clarion.model.setup import Category
from clarion.model.status import Reason, Status
from clarion.model.user import FrequencyCap, Preferences, Window
from clarion.model.worker import LEASE_MS
from tests.engine import workflow
from tests.stages import TENANT, Stages

UNTIL_ONE = Preferences(quiet_hours=(Window(start="12:00", end="13:00"),))
"""The clock of these tests begins at noon."""


@pytest.fixture
async def stages():
    """With one workflow."""
    return await Stages().open()


def in_flight(stages):
    """The queue that messages of these tests are handed over to."""
    return stages.queues.of(Lane.NORMAL, Channel.SMS)


async def test_what_is_due_is_stored_as_held_and_handed_over(stages):
    """With its event and its person, so that nothing has to be read again."""
    ada = await stages.put_user("ada")
    entry = stages.entry(ada)
    await stages.plan(entry)
    (message,) = await stages.messages()
    assert (message.status, message.fence, message.due_at) == (Status.QUEUED, 1, None)
    (item,) = in_flight(stages).take(10)
    assert (item.message.id, item.event.id, item.user) == (message.id, entry.event_id, ada)
    (run,) = await stages.ledger.plans.runs_of(TENANT, entry.event_id, None)
    assert run.user == ada.no
    assert (await stages.broker.backlog(Lane.NORMAL)).entries == 0


async def test_what_waits_is_stored_and_not_handed_over(stages):
    """It has no slot in memory, and nobody holds it."""
    await stages.plan(stages.entry(await stages.put_user("ada", UNTIL_ONE)))
    (message,) = await stages.messages()
    assert (message.status, message.reason, message.fence) == (Status.DEFERRED, Reason.QUIET_HOURS, 0)
    assert in_flight(stages).in_flight == 0


async def test_what_finds_no_slot_is_due_for_everybody(stages):
    """The memory of a process is bounded, whatever comes in."""
    in_flight(stages).hold(CAPACITY[Lane.NORMAL])
    await stages.plan(stages.entry(await stages.put_user("ada")))
    (message,) = await stages.messages()
    assert (message.status, message.fence, message.due_at) == (Status.QUEUED, 0, stages.clock.now())
    assert in_flight(stages).waiting == 0


async def test_what_the_exact_checks_end_is_not_handed_over(stages):
    """Its slot is free again."""
    await stages.ledger.setup.categories.put(
        TENANT, Category(key="news", caps=(FrequencyCap(limit=1, window_s=60),))
    )
    ada = await stages.put_user("ada")
    await stages.plan(stages.entry(ada), stages.entry(ada))
    assert sorted(m.status for m in await stages.messages()) == [Status.QUEUED, Status.THROTTLED]
    assert in_flight(stages).in_flight == in_flight(stages).waiting == 1


async def test_an_entry_that_comes_twice_is_planned_once(stages):
    """As after a crash between plan and acknowledgement: nothing is handed over a second time."""
    entry = stages.entry(await stages.put_user("ada"))
    await stages.plan(entry)
    await stages.plan(entry)
    assert len(await stages.messages()) == 1
    assert in_flight(stages).in_flight == in_flight(stages).waiting == 1


async def test_an_entry_that_stands_twice_in_a_batch_is_planned_once(stages):
    """As after a broker whose answer was lost, so that it was published again: it is part of the plan, and no fault of it."""
    entry, other = [stages.entry(await stages.put_user(name)) for name in ("ada", "bob")]
    with structlog.testing.capture_logs() as logs:
        await stages.plan(entry, other, entry)
    assert logs == []
    assert len(await stages.messages()) == in_flight(stages).in_flight == 2
    assert (await stages.broker.backlog(Lane.NORMAL)).entries == 0


async def test_an_event_whose_workflow_is_gone_says_so(stages):
    """Each person it was for has a message that tells why nothing came."""
    entry = stages.entry(await stages.put_user("ada"))
    await stages.ledger.setup.workflows.delete(TENANT, "hello")
    await stages.plan(entry)
    (message,) = await stages.messages()
    assert (message.status, message.reason) == (Status.CANCELED, Reason.WORKFLOW_DELETED)
    assert stages.planner.unplannable == 1


async def test_an_event_whose_only_person_was_erased_says_so(stages):
    """It cannot be opened any more."""
    entry = replace(stages.entry(await stages.put_user("ada")), event=None)
    await stages.ledger.users.delete(TENANT, "ada")
    await stages.plan(entry)
    (message,) = await stages.messages()
    assert (message.status, message.reason) == (Status.SUPPRESSED, Reason.USER_DELETED)


async def test_a_topic_with_nobody_in_it_has_a_run_of_nobody(stages):
    """So that whoever asks sees that it was planned."""
    entry = stages.entry(topics=("all",))
    await stages.plan(entry)
    (run,) = await stages.ledger.plans.runs_of(TENANT, entry.event_id, None)
    assert (run.user, run.channels) == (NO_USER, ())
    assert await stages.messages() == []


async def test_a_long_topic_goes_on_behind_what_came_meanwhile(stages):
    """One page of members is planned; the rest is due, and claimed page by page."""
    numbers = [(await stages.put_user(f"user-{n}", UNTIL_ONE)).no for n in range(FANOUT_PAGE + 3)]
    await stages.ledger.topics.subscribe(TENANT, "all", numbers)
    await stages.plan(stages.entry(topics=("all",)))
    assert len(await stages.messages()) == FANOUT_PAGE
    assert await stages.continuations.sweep(Lane.NORMAL)
    assert not await stages.continuations.sweep(Lane.NORMAL)
    assert {m.user for m in await stages.messages()} == {*numbers}
    assert len(await stages.messages()) == len(numbers)


async def test_one_broken_entry_holds_back_none_beside_it(stages):
    """The others of its batch are planned, before it is tried again."""
    ada, bob = await stages.put_user("ada"), await stages.put_user("bob")
    broken = replace(stages.entry(ada), event=None, sealed=b"\x00")
    await stages.plan(broken, stages.entry(bob))
    assert [m.user for m in await stages.messages()] == [bob.no]


async def test_a_worker_that_was_given_up_plans_nothing(stages):
    """The entries stay where they are, for whoever works now."""
    entry = stages.entry(await stages.put_user("ada"))
    stages.clock.advance(LEASE_MS / 1_000 + 1)
    await stages.ledger.leases.reap(stages.clock.now())
    await stages.broker.publish([entry])
    await stages.plan_what_waits()
    assert await stages.messages() == []
    assert in_flight(stages).in_flight == 0
    assert (await stages.broker.backlog(Lane.NORMAL)).entries == 1
    await stages.lease.open()
    await stages.plan_what_waits()
    assert len(await stages.messages()) == 1


async def test_critical_and_other_workflows_are_planned_by_their_own_rules(stages):
    """One batch may hold events of several workflows."""
    await stages.ledger.setup.categories.put(TENANT, Category(key="security", critical=True))
    await stages.ledger.setup.workflows.put(TENANT, workflow("otp", "security"))
    asleep = await stages.put_user("ada", UNTIL_ONE)
    await stages.plan(stages.entry(asleep), stages.entry(asleep, workflow="otp"))
    assert {m.workflow: m.status for m in await stages.messages()} == {
        "hello": Status.DEFERRED,
        "otp": Status.QUEUED,
    }
