"""What becomes of accepted events that were not planned at once."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from clarion.adapters.ledgers.sqlite.ledger import SqliteLedger
from clarion.flow.ledger import Ledger
from clarion.flow.plan import planner
from clarion.flow.sealing import sealed_entry
from clarion.model.channel import Channel, Lane
from clarion.model.event import Event
from clarion.model.ids import NO_USER, new_event_id
from clarion.model.setup import LadderChannel, SendAll, SendLadder, Step
from clarion.model.status import Reason, Status
from clarion.model.submission import Recipient, Submission
from clarion.model.topic import Topic
from clarion.testing.ports import ManualClock
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine, engine, sms_text, workflow


@contextlib.asynccontextmanager
async def unplanned(clarion: Engine):
    """Nothing is planned inside; a crash ends it, and another life follows."""
    await clarion.pipeline.loops.stop("plan-")
    yield
    await clarion.crash()
    await clarion.open()


async def test_overrides_survive_a_crash_before_planning(store):
    """They replace the template's words after the restart, and other events of the lane are sent too."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider, clock=ManualClock()) as clarion:
        await clarion.create_setup(workflow("w"))
        async with unplanned(clarion):
            for who in ("ada", "bob"):
                await clarion.put_user(who)
            await clarion.trigger("w", "ada", overrides=msgspec.Raw(b'{"sms":{"text":"mine"}}'))
            await clarion.trigger("w", "bob")
        await clarion.pass_time(1)
        assert sorted(map(sms_text, provider.effects)) == ["hello", "mine"]


async def test_overrides_survive_a_crash_after_planning(store):
    """What is claimed after the restart is opened from the log, with its overrides."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("w"))
        await clarion.put_user("ada")
        await clarion.pipeline.loops.stop("dispatch-")
        await clarion.trigger("w", "ada", overrides=msgspec.Raw(b'{"sms":{"text":"mine"}}'))
        await clarion.crash()
        await clarion.open()
        await clarion.pass_time(1)
        assert [sms_text(one) for one in provider.effects] == ["mine"]
        assert (await clarion.one()).status is Status.SENT


async def outcomes(clarion: Engine) -> list[tuple[Status, Reason | None]]:
    """What became of every message, in no order."""
    return sorted((m.status, m.reason) for m in (await clarion.messages()).values())


CRASHED = pytest.mark.parametrize("crashed", [False, True], ids=["running", "crashed"])


@contextlib.asynccontextmanager
async def meanwhile(clarion: Engine, crashed: bool):
    """Nothing is planned inside; afterwards the same planner goes on, or that of another life."""
    await clarion.pipeline.loops.stop("plan-")
    yield
    if crashed:
        await clarion.crash()
        await clarion.open()
    else:
        for lane in Lane:
            clarion.pipeline.loops.start(f"plan-{lane}", partial(clarion.pipeline.planner.run, lane))
    await clarion.pass_time(1)


@CRASHED
async def test_recipients_of_a_deleted_workflow_each_get_a_message_that_says_so(store, crashed):
    """One each, whatever the workflow would have sent."""
    steps = (
        Step(key="a", template="note", to=SendLadder(channels=(LadderChannel(channel=Channel.SMS),))),
        Step(key="b", template="note", to=SendAll(channels=(Channel.EMAIL, Channel.PUSH))),
    )
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("w", steps=steps))
        await clarion.put_user("ada")
        await clarion.put_user("bob")
        async with meanwhile(clarion, crashed):
            await clarion.trigger("w", "ada", "bob")
            await clarion.ledger.setup.workflows.delete(clarion.tenant, "w")
        assert await outcomes(clarion) == [(Status.CANCELED, Reason.WORKFLOW_DELETED)] * 2
        assert {m.channel for m in (await clarion.messages()).values()} == {Channel.SMS}


@CRASHED
@pytest.mark.parametrize("others", [(), ("bob",)], ids=["alone", "among others"])
async def test_a_deleted_recipient_gets_a_message_that_says_so(store, crashed, others):
    """Also when it was the only one, whose key is gone; the others get theirs."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("w"))
        for who in ("ada", *others):
            await clarion.put_user(who)
        async with meanwhile(clarion, crashed):
            await clarion.trigger("w", "ada", *others)
            await clarion.ledger.users.delete(clarion.tenant, "ada")
        sent = [(Status.SENT, None)] * len(others)
        assert await outcomes(clarion) == [*sent, (Status.SUPPRESSED, Reason.USER_DELETED)]


async def test_a_deleted_recipient_of_a_deleted_workflow_was_deleted(store):
    """The person comes first."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("w"))
        await clarion.put_user("ada")
        async with meanwhile(clarion, crashed=True):
            await clarion.trigger("w", "ada")
            await clarion.ledger.setup.workflows.delete(clarion.tenant, "w")
            await clarion.ledger.users.delete(clarion.tenant, "ada")
        assert await outcomes(clarion) == [(Status.SUPPRESSED, Reason.USER_DELETED)]


@CRASHED
async def test_a_deleted_template_fails_the_message_and_says_so(store, crashed):
    """Create it again and retry."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("w"))
        await clarion.put_user("ada")
        async with meanwhile(clarion, crashed):
            await clarion.trigger("w", "ada")
            await clarion.ledger.setup.templates.delete(clarion.tenant, "note")
        assert await outcomes(clarion) == [(Status.FAILED, Reason.TEMPLATE_ERROR)]


@pytest.mark.parametrize("deleted", [False, True], ids=["empty", "deleted"])
async def test_an_event_for_a_topic_without_members_is_told_to_have_reached_nobody(store, deleted):
    """A run without a recipient says that it was planned."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("w"))
        ada = await clarion.put_user("ada")
        for key in ("t", "u"):
            await clarion.ledger.topics.put(clarion.tenant, Topic(key=key))
        if deleted:
            await clarion.ledger.topics.subscribe(clarion.tenant, "t", [ada.no])
        async with meanwhile(clarion, crashed=deleted):
            answer = await clarion.trigger("w", Recipient(topic="t"), Recipient(topic="u"))
            if deleted:
                await clarion.ledger.topics.delete(clarion.tenant, "t")
        runs = await clarion.ledger.plans.runs_of(clarion.tenant, answer.event_id, None)
        assert [(run.user, run.channels) for run in runs] == [(NO_USER, ())]
        assert await outcomes(clarion) == []


async def test_an_event_that_no_workflow_listens_to_is_told_to_have_reached_nobody(store):
    """And its idempotency key gives the same answer ever after."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("w"))
        await clarion.put_user("ada")
        event = Submission(type="nothing.listens", recipients=("ada",), idempotency_key="k", fingerprint=b"f")
        (first,) = await clarion.pipeline.submit(clarion.tenant, [event])
        (second,) = await clarion.pipeline.submit(clarion.tenant, [event])
        await clarion.pass_time(1)
        assert (first.event_id, first.accepted) == (second.event_id, 0)
        runs = await clarion.ledger.plans.runs_of(clarion.tenant, first.event_id, None)
        assert [(run.user, run.workflow) for run in runs] == [(NO_USER, "")]


async def test_people_of_two_topics_hold_up_nobody_behind_them(store, monkeypatch):
    """A page of the second topic whose people all came with the first one is no repetition: the rest follows."""
    monkeypatch.setattr(planner, "FANOUT_PAGE", 2)
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("w"))
        people = [(await clarion.put_user(f"u{n}")).no for n in range(5)]
        await clarion.ledger.topics.subscribe(clarion.tenant, "a", people[:4])
        await clarion.ledger.topics.subscribe(clarion.tenant, "b", people)
        await clarion.ledger.topics.put(clarion.tenant, Topic(key="none"))
        await clarion.trigger("w", Recipient(topic="none"), Recipient(topic="a"), Recipient(topic="b"))
        await clarion.pass_time(1)
        assert await outcomes(clarion) == [(Status.SENT, None)] * 5


async def test_a_workflow_deleted_between_two_pages_of_a_topic_says_so_to_the_rest(store, monkeypatch):
    """Those of the first page are sent theirs."""
    monkeypatch.setattr(planner, "FANOUT_PAGE", 2)
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("w"))
        people = [(await clarion.put_user(f"u{n}")).no for n in range(3)]
        await clarion.ledger.topics.subscribe(clarion.tenant, "t", people)
        committed = clarion.ledger.plans.commit

        async def commit(plan):
            result = await committed(plan)
            if plan.continuations:
                await clarion.ledger.setup.workflows.delete(clarion.tenant, "w")
            return result

        monkeypatch.setattr(clarion.ledger.plans, "commit", commit)
        await clarion.trigger("w", Recipient(topic="t"))
        await clarion.pass_time(1)
        found = await outcomes(clarion)
        assert len(found) == 3
        assert (Status.CANCELED, Reason.WORKFLOW_DELETED) in found


async def test_a_planner_that_is_behind_looks_at_the_set_up_again_first(tmp_path):
    """What another process made live when it accepted an event is what the event is planned with."""
    provider = RecordingProvider(batch=50)
    async with engine(tmp_path, provider=provider) as clarion:
        await clarion.create_setup(workflow("w"))
        ada = await clarion.put_user("ada")
        path = tmp_path / "clarion.db"
        other = Ledger(
            SqliteLedger.open(path, vault=clarion.vault, clock=clarion.clock, random=clarion.random)
        )
        await other.setup.workflows.put(clarion.tenant, workflow("w", channel=Channel.EMAIL))
        await other.setup.workflows.put(clarion.tenant, workflow("new", channel=Channel.PUSH))
        for key in ("w", "new"):
            event = Event(
                id=new_event_id(clarion.clock.now(), clarion.random.bytes(10)),
                tenant=clarion.tenant,
                lane=Lane.NORMAL,
                workflow=key,
                at=clarion.clock.now(),
                users=(ada.no,),
                data=Raw(b'{"text":"x"}'),
            )
            await clarion.broker.publish([sealed_entry(event, ada, clarion.vault, other.setup.revision)])
        await other.close()
        await clarion.pass_time(1)
        assert {(m.workflow, m.channel, m.status) for m in (await clarion.messages()).values()} == {
            ("w", Channel.EMAIL, Status.SENT),
            ("new", Channel.PUSH, Status.SENT),
        }


async def test_what_was_planned_once_stays_when_the_set_up_changes_before_a_repetition(store):
    """A crash right after the plan adds nothing of the new set-up: the cursor has moved with it."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("w"))
        await clarion.put_user("ada")
        acknowledging = asyncio.Event()

        async def never(batch: Any) -> None:
            acknowledging.set()
            await asyncio.Event().wait()

        clarion.broker.ack = never  # type: ignore[method-assign]
        await clarion.trigger("w", "ada")
        await acknowledging.wait()
        both = SendAll(channels=(Channel.EMAIL, Channel.SMS))
        await clarion.ledger.setup.workflows.put(
            clarion.tenant, workflow("w", steps=(Step(key="note", template="note", to=both),))
        )
        await clarion.crash()
        await clarion.open()
        await clarion.pass_time(1)
        assert [m.channel for m in (await clarion.messages()).values()] == [Channel.SMS]
