"""Intake by itself: a submission is resolved, sealed and published, or refused with a reason."""

import asyncio

import msgspec
import pytest
from msgspec.structs import replace

from clarion.errors import (
    Busy,
    IdempotencyInFlight,
    IdempotencyMismatch,
    InvalidInput,
    NotFound,
    Unavailable,
    UnknownReference,
)
from clarion.flow.intake.intake import CLAIM_MS
from clarion.model.channel import Lane
from clarion.model.ids import NO_USER
from clarion.model.setup import EventMatch
from clarion.model.submission import Acceptance, Recipient, Submission
from tests.engine import ALL_CHANNELS, workflow
from tests.stages import TENANT, Stages


@pytest.fixture
async def stages():
    """With one workflow and two people."""
    made = await Stages().open()
    await made.put_user("ada")
    await made.put_user("bob")
    return made


def published(stages, lane=Lane.NORMAL):
    """The entries in a lane, in order."""
    return list(stages.lanes.entries[lane].values())


def hello(*users, **fields):
    """A submission of the workflow."""
    return Submission(workflow="hello", recipients=users, **fields)


async def submit(stages, *submissions):
    """What each is answered with."""
    return await stages.intake.submit(TENANT, submissions)


async def test_what_is_accepted_lies_in_its_lane_when_the_answer_comes(stages):
    """One entry for all recipients; for a single one sealed so that it is erased with them."""
    one, two = await submit(stages, hello("ada"), hello("ada", "bob"))
    assert (one.accepted, two.accepted) == (1, 2)
    first, second = published(stages)
    assert [first.event_id, second.event_id] == [one.event_id, two.event_id]
    ada = (await stages.ledger.users.find(TENANT, ["ada"]))["ada"]
    assert (first.sealed_for, second.sealed_for) == (ada.no, NO_USER)
    assert stages.intake.accepted == 2


async def test_a_refused_submission_leaves_its_neighbours_alone(stages):
    """Each has its own answer, in order, and nothing of the refused is published."""
    answers = await submit(
        stages, hello("ada"), hello("nobody"), Submission(workflow="hallo", recipients=("ada",)), hello("bob")
    )
    assert [type(one) for one in answers] == [Acceptance, UnknownReference, NotFound, Acceptance]
    assert len(published(stages)) == 2


async def test_a_person_is_created_only_when_that_was_asked_for(stages):
    """And only once, also when two submissions of a call ask."""
    newcomer = Recipient(user_id="eve", create=True, email="eve@example.org")
    first, second = await submit(stages, hello(newcomer), hello(newcomer))
    assert (first.created_users, second.created_users) == (("eve",), ())
    eve = (await stages.ledger.users.find(TENANT, ["eve"]))["eve"]
    assert [contact.address for contact in eve.profile.contacts] == ["eve@example.org"]


async def test_a_repeat_is_answered_with_the_first_answer(stages):
    """For a day; it publishes nothing, and another body under the key is refused."""
    keyed = {"idempotency_key": "k", "fingerprint": b"f"}
    (first,) = await submit(stages, hello("ada", **keyed))
    (again,) = await submit(stages, hello("ada", **keyed))
    assert (again.event_id, again.repeated) == (first.event_id, True)
    (other,) = await submit(stages, hello("bob", **keyed | {"fingerprint": b"g"}))
    assert isinstance(other, IdempotencyMismatch)
    assert len(published(stages)) == 1
    stages.clock.advance(CLAIM_MS / 1_000)
    (later,) = await submit(stages, hello("ada", **keyed))
    assert later.event_id != first.event_id


async def test_two_requests_with_one_key_at_once_are_not_both_done(stages):
    """The second is told that the first is still running."""
    keyed = hello("ada", idempotency_key="k", fingerprint=b"f")
    publish, going = stages.broker.publish, asyncio.Event()

    async def slow(entries):
        await going.wait()
        await publish(entries)

    stages.broker.publish = slow
    first = asyncio.ensure_future(submit(stages, keyed))
    for _ in range(20):
        await asyncio.sleep(0)
    (second,) = await submit(stages, keyed)
    going.set()
    (accepted,) = await first
    assert isinstance(second, IdempotencyInFlight)
    assert isinstance(accepted, Acceptance)
    assert len(published(stages)) == 1


async def broken(entries):
    """Nobody knows whether it was published."""
    raise Unavailable("the broker is away")


async def test_what_was_perhaps_never_published_is_published_again_under_the_first_id(stages, monkeypatch):
    """By whichever process is asked again, so that the plan knows it; from then on a repeat is a repeat."""
    keyed = hello("ada", idempotency_key="k", fingerprint=b"f")
    publish = stages.broker.publish

    async def no_answer(entries):
        await publish(entries)
        raise Unavailable("the broker is away")

    with monkeypatch.context() as patch:
        patch.setattr(stages.broker, "publish", no_answer)
        with pytest.raises(Unavailable):
            await submit(stages, keyed)
    other = Stages(beside=stages)
    await other.ledger.setup.catch_up()
    (again,) = await submit(other, keyed)
    assert (again.accepted, again.repeated) == (1, False)
    one, two = published(stages)
    assert one.event_id == two.event_id == again.event_id
    (repeated,) = await submit(other, keyed)
    assert (repeated.event_id, repeated.repeated) == (again.event_id, True)
    assert len(published(stages)) == 2
    await stages.plan_what_waits()
    assert len(await stages.messages()) == 1


async def test_another_body_does_not_confirm_what_was_perhaps_never_published(stages, monkeypatch):
    """It is refused, and the right one is published after that."""
    keyed = hello("ada", idempotency_key="k", fingerprint=b"f")
    with monkeypatch.context() as patch:
        patch.setattr(stages.broker, "publish", broken)
        with pytest.raises(Unavailable):
            await submit(stages, keyed)
    (wrong,) = await submit(stages, hello("bob", idempotency_key="k", fingerprint=b"g"))
    assert isinstance(wrong, IdempotencyMismatch)
    assert published(stages) == []
    (right,) = await submit(stages, keyed)
    assert not right.repeated
    assert len(published(stages)) == 1


async def test_two_of_a_call_under_one_key_are_published_once(stages):
    """The second is a repeat of the first."""
    event = Submission(type="order.paid", source="shop", event_key="1", recipients=("ada",), workflow="hello")
    first, second = await submit(stages, event, event)
    assert (first.repeated, second.repeated) == (False, True)
    assert first.event_id == second.event_id
    assert len(published(stages)) == 1


async def test_an_event_goes_to_every_workflow_that_listens(stages):
    """One entry each, under one id, each in the lane of its workflow; nobody listening is no error."""
    for key, lane in (("one", Lane.BULK), ("two", Lane.HIGH)):
        await stages.ledger.setup.workflows.put(
            TENANT, workflow(key, lane=lane, on=EventMatch(type="order.*"))
        )
    heard, unheard = await submit(
        stages,
        Submission(type="order.paid", source="shop", event_key="1", recipients=("ada",)),
        Submission(type="cart.left", source="shop", event_key="2", recipients=("ada",)),
    )
    assert (heard.accepted, unheard.accepted) == (2, 0)
    (bulk,), (high,) = published(stages, Lane.BULK), published(stages, Lane.HIGH)
    assert bulk.event_id == high.event_id == heard.event_id
    assert {bulk.workflow, high.workflow} == {"one", "two"}


async def test_data_that_does_not_fit_is_refused_before_anything_is_stored(stages):
    """The schema of the template holds."""
    schema = {"type": "object", "required": ["text"]}
    await stages.ledger.setup.templates.put(TENANT, replace(ALL_CHANNELS, data_schema=schema))
    bad, good = await submit(stages, hello("ada"), hello("ada", data=msgspec.Raw(b'{"text":"hello"}')))
    assert isinstance(bad, InvalidInput)
    assert isinstance(good, Acceptance)
    assert len(published(stages)) == 1


async def test_a_broker_that_takes_nothing_more_refuses_the_whole_call(stages):
    """Nothing was accepted, and the key may be used again at once."""

    async def full(entries):
        raise Busy("full")

    publish, stages.broker.publish = stages.broker.publish, full
    keyed = hello("ada", idempotency_key="k", fingerprint=b"f")
    with pytest.raises(Busy):
        await submit(stages, keyed)
    stages.broker.publish = publish
    (accepted,) = await submit(stages, keyed)
    assert (accepted.accepted, accepted.repeated) == (1, False)
