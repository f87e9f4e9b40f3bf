"""The claimer by itself: what has a due time comes back to the queues, or is settled without a call."""

import pytest
from msgspec.structs import replace

from clarion.flow.lanes import CAPACITY
from clarion.model.channel import Channel, Lane
from clarion.model.ids import Instant
from clarion.model.setup import Category, UnknownPolicy
from clarion.model.status import Reason, Status
from clarion.model.user import FrequencyCap, Preferences, Window
from tests.stages import TENANT, Stages

UNTIL_ONE = Preferences(quiet_hours=(Window(start="12:00", end="13:00"),))
"""The clock of these tests begins at noon."""


@pytest.fixture
async def stages():
    """With one workflow, whose events come by a broker of their own: what is left of them is in the ledger."""
    return await Stages().open()


def queue(stages):
    """Where claimed messages go."""
    return stages.queues.of(Lane.NORMAL, Channel.SMS)


async def test_what_was_put_off_comes_back_when_it_is_due(stages):
    """With its event and its person; not before, and once."""
    ada = await stages.put_user("ada", UNTIL_ONE)
    entry = stages.entry(ada)
    await stages.plan(entry)
    await stages.claimer.sweep(Lane.NORMAL)
    assert queue(stages).in_flight == 0
    await stages.wait(3_600)
    for _ in range(2):
        await stages.claimer.sweep(Lane.NORMAL)
        await stages.wait(1)
    (item,) = queue(stages).take(10)
    assert (item.event.id, item.user, item.message.fence) == (entry.event_id, ada, 1)
    assert stages.claimer.claimed == 1


async def test_another_lane_is_left_alone(stages):
    """Each lane is swept by itself."""
    await stages.plan(stages.entry(await stages.put_user("ada", UNTIL_ONE)))
    await stages.wait(3_600)
    await stages.claimer.sweep(Lane.CRITICAL)
    assert stages.claimer.claimed == 0


async def test_no_more_is_claimed_than_there_are_slots(stages):
    """What finds no room stays in the store, for whoever has some."""
    people = [await stages.put_user(f"user-{n}", UNTIL_ONE) for n in range(5)]
    await stages.plan(*map(stages.entry, people))
    await stages.wait(3_600)
    room = queue(stages).claimable
    queue(stages).hold(room - 2)
    assert await stages.claimer.sweep(Lane.NORMAL)
    assert queue(stages).waiting == 2
    queue(stages).hold(CAPACITY[Lane.NORMAL] - queue(stages).in_flight)
    await stages.wait(1)
    assert not await stages.claimer.sweep(Lane.NORMAL)
    assert (await stages.ledger.messages.depth())[Lane.NORMAL, Channel.SMS] == 3


async def test_a_queue_that_rests_claims_nothing(stages):
    """Its messages cannot be sent for now: they are not fetched and put back over and over."""
    await stages.plan(stages.entry(await stages.put_user("ada", UNTIL_ONE)))
    await stages.wait(3_600)
    queue(stages).rest(stages.clock.monotonic(), 5)
    await stages.claimer.sweep(Lane.NORMAL)
    assert stages.claimer.claimed == 0
    await stages.wait(6)
    await stages.claimer.sweep(Lane.NORMAL)
    assert stages.claimer.claimed == 1


async def test_what_waited_counts_when_it_goes_on(stages):
    """Over the cap by then, it is settled without a call; the others are held as counted."""
    caps = (FrequencyCap(limit=1, window_s=60),)
    await stages.ledger.setup.categories.put(TENANT, Category(key="news", caps=caps))
    ada = await stages.put_user("ada", UNTIL_ONE)
    await stages.plan(stages.entry(ada), stages.entry(ada))
    await stages.wait(3_600)
    await stages.claimer.sweep(Lane.NORMAL)
    (item,) = queue(stages).take(10)
    assert item.message.charged
    (settled,) = stages.settled
    assert (settled.status, settled.reason) == (Status.THROTTLED, Reason.FREQUENCY_CAP)
    assert queue(stages).in_flight == 1


@pytest.mark.parametrize(
    ("policy", "status"),
    [(UnknownPolicy.DO_NOT_SEND, Status.FAILED), (UnknownPolicy.SEND_AGAIN, Status.DEFERRED)],
)
async def test_what_was_being_sent_when_its_worker_died_is_in_doubt(stages, policy, status):
    """The category says whether it is tried again; no call is made before that is stored."""
    await stages.ledger.setup.categories.put(TENANT, Category(key="news", on_unknown=policy))
    await stages.plan(stages.entry(await stages.put_user("ada")))
    (item,) = queue(stages).take(1)
    messages = stages.ledger.messages
    await messages.begin_calls(stages.lease.worker, {"main": [item.message]}, stages.clock.now())
    stages.clock.advance(60)
    while (await stages.ledger.leases.reap(stages.clock.now())).more:
        pass
    await stages.lease.open()
    await stages.claimer.sweep(Lane.NORMAL)
    (settled,) = stages.settled
    assert (settled.status, settled.unknowns) == (status, 1)
    assert queue(stages).waiting == 0


async def test_nothing_is_sent_to_somebody_who_was_erased(stages):
    """The erasure ended it already, so there is nothing to claim."""
    await stages.plan(stages.entry(await stages.put_user("ada", UNTIL_ONE)))
    await stages.ledger.users.delete(TENANT, "ada")
    await stages.wait(3_600)
    await stages.claimer.sweep(Lane.NORMAL)
    assert stages.claimer.claimed == 0
    (message,) = await stages.messages()
    assert message.reason is Reason.USER_DELETED


async def test_a_message_whose_event_cannot_be_read_is_tried_again_and_given_up(stages):
    """A few times, so that a fault that goes away costs nothing; those beside it go on."""
    ada = await stages.put_user("ada", UNTIL_ONE)
    good, bad = stages.entry(ada), replace(stages.entry(ada), sealed=b"\x00")
    await stages.plan(good, bad)
    await stages.wait(3_600)
    for _ in range(10):
        await stages.claimer.sweep(Lane.NORMAL)
        await stages.wait(1)
    assert [item.event.id for item in queue(stages).take(10)] == [good.event_id]
    assert [s.status for s in stages.settled] == [Status.DEFERRED, Status.DEFERRED, Status.DEAD_LETTERED]
    assert stages.settled[0].due_at > Instant(0)
