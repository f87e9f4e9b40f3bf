"""Questions: the first answer on any channel continues the run, once; nobody who is late changes anything."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from clarion.errors import Conflict, InvalidInput, QuestionClosed
from clarion.model.channel import Channel
from clarion.model.inbound import InboundMessage
from clarion.model.receipt import Receipt, ReceiptKind
from clarion.model.run import RunStatus
from clarion.model.setup import SendAll, Step, StepType
from clarion.model.status import Reason, Status
from clarion.services.message_references import MessageReferences
from clarion.services.responses import Given, Reply
from clarion.testing.ports import ManualClock
from tests.engine import Engine, engine, workflow
from tests.unit.content.returns.samples import mail
from tests.unit.flow.test_runs import rows, send, sent, traces, wait

DAY_S = 86_400


def ask(*channels: Channel, **more: Any) -> Step:
    """Yes or no, within a day."""
    fields = {"options": {"yes": "Yes", "no": {"en": "No", "de": "Nein"}}, "timeout_s": DAY_S, **more}
    to = SendAll(channels=channels or (Channel.SMS,))
    return Step(key="ok", type=StepType.ASK, template="note", to=to, **fields)


def asking(*channels: Channel, **more: Any) -> Any:
    """Asks, and sends an email to whoever says no."""
    return workflow(
        "w", steps=(ask(*channels, **more), send("sorry", Channel.EMAIL, when="steps.ok.answer == 'no'"))
    )


async def answer(clarion: Engine, given: str, channel: str = "api", **more: str) -> Reply:
    """The question of the only run."""
    (row,) = await rows(clarion)
    step = more.pop("step", "")
    reply = await clarion.services.responses.answer(
        clarion.tenant, row.id, Given(given, channel, **more), step
    )
    assert reply is not None
    return reply


async def test_the_first_answer_continues_the_run(store):
    """At once, with what was answered; the explanation says how."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(asking())
        await clarion.put_user("ada")
        accepted = await clarion.trigger("w", "ada")
        await clarion.pass_time(60)
        assert await sent(clarion) == ["ok"]
        assert (await answer(clarion, "no", "sms", by="ada")).accepted
        await clarion.pass_time(1)
        assert await sent(clarion) == ["ok", "sorry"]
        (row,) = await rows(clarion)
        assert row.status is RunStatus.FINISHED
        assert await traces(clarion, accepted.event_id) == [
            ("ok", "asks"),
            ("ok", "answered"),
            ("sorry", "sent"),
        ]


async def test_later_answers_see_the_first_one(store):
    """While the run waits for its next part, later, and when it is over."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(workflow("w", steps=(ask(), wait(), send("end", Channel.EMAIL))))
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada")
        await clarion.pass_time(60)
        first = await answer(clarion, "yes", "email", by="ada")
        for seconds in (0, 60, 2 * DAY_S):
            await clarion.pass_time(seconds)
            later = await answer(clarion, "no", step="ok")
            assert not later.accepted
            assert later.answer == first.answer
        assert await sent(clarion) == ["ok", "end"]


async def test_of_two_answers_at_once_one_wins(store):
    """Both are told the same, and the run goes on once."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(asking())
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada")
        await clarion.pass_time(60)
        both = await asyncio.gather(*(answer(clarion, "no", f"device {n}") for n in range(8)))
        assert [one.accepted for one in both].count(True) == 1
        assert len({one.answer for one in both}) == 1
        await clarion.pass_time(60)
        assert await sent(clarion) == ["ok", "sorry"]


async def test_what_is_not_sent_yet_is_withdrawn(store):
    """Copies of the question on other channels; nothing else of the run."""
    async with engine(store, clock=ManualClock()) as clarion:
        both = ask(Channel.SMS, Channel.EMAIL)
        await clarion.create_setup(workflow("w", steps=(send("hello"), both)))
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada", send_at=clarion.clock.now() + 3_600_000)
        await clarion.pass_time(5)
        await answer(clarion, "yes")
        await clarion.pass_time(7_200)
        found = {(m.step, m.channel): (m.status, m.reason) for m in (await clarion.messages()).values()}
        assert found.pop(("hello", Channel.SMS)) == (Status.SENT, None)
        assert [*found.values()] == [(Status.CANCELED, Reason.ANSWERED)] * 2


async def test_nobody_answers(store):
    """The run goes on when the time is over, and from then on the question is closed."""
    async with engine(store, clock=ManualClock()) as clarion:
        behind = send("end", Channel.EMAIL, when="steps.ok.answer == '' && steps.ok.reason == 'timeout'")
        await clarion.create_setup(workflow("w", steps=(ask(), behind)))
        await clarion.put_user("ada")
        accepted = await clarion.trigger("w", "ada")
        await clarion.pass_time(DAY_S + 60)
        assert await sent(clarion) == ["ok", "end"]
        with pytest.raises(QuestionClosed):
            await answer(clarion, "yes")
        assert ("ok", "no_answer") in await traces(clarion, accepted.event_id)


async def test_an_answer_after_its_time_is_refused_while_the_timer_is_late(store):
    """The time counts, not when somebody looks."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(asking())
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada")
        await clarion.pass_time(60)
        clarion.clock.advance(DAY_S)
        with pytest.raises(QuestionClosed, match="over"):
            await answer(clarion, "yes")


async def test_where_no_message_can_go_nobody_is_waited_for(store):
    """The run goes on at once, and knows why."""
    async with engine(store, clock=ManualClock()) as clarion:
        behind = send("end", Channel.IN_APP, when="steps.ok.answer == '' && steps.ok.reason == 'no_contact'")
        await clarion.create_setup(workflow("w", steps=(ask(Channel.WHATSAPP), behind)))
        await clarion.put_user("ada")
        accepted = await clarion.trigger("w", "ada")
        await clarion.pass_time(1)
        assert await rows(clarion) == []
        assert await traces(clarion, accepted.event_id) == [("ok", "not_asked"), ("end", "sent")]


async def test_people_may_answer_in_their_own_words_where_the_step_says_so(store):
    """Then steps behind see the text; elsewhere it is refused, and so is what is no option."""
    async with engine(store, clock=ManualClock()) as clarion:
        behind = send("end", Channel.EMAIL, when="steps.ok.text == 'maybe'")
        await clarion.create_setup(workflow("w", steps=(ask(other=True), behind)))
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada")
        await clarion.pass_time(60)
        for wrong in ({"given": "maybe"}, {"given": "other"}, {"given": "other", "text": "x" * 2_001}):
            with pytest.raises(InvalidInput):
                await answer(clarion, **wrong)
        with pytest.raises(InvalidInput, match="Did you mean 'yes'"):
            await answer(clarion, "yess")
        with pytest.raises(InvalidInput, match="Did you mean 'ok'"):
            await answer(clarion, "yes", step="okk")
        assert (await answer(clarion, "other", text="maybe")).accepted
        await clarion.pass_time(60)
        assert await sent(clarion) == ["ok", "end"]


async def test_a_run_that_asks_nothing_cannot_be_answered(store):
    """Nor one of a person who is gone."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(workflow("w", steps=(send("hello"), wait())))
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada")
        await clarion.pass_time(60)
        with pytest.raises(Conflict, match="asks a question"):
            await answer(clarion, "yes")


async def test_an_answer_beats_a_timeout_that_is_being_planned(store, monkeypatch):
    """Whatever a worker has decided meanwhile is refused, and decided again with the answer."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(asking())
        await clarion.put_user("ada")
        accepted = await clarion.trigger("w", "ada")
        await clarion.pass_time(60)
        commit, given = clarion.ledger.plans.commit, list[Reply]()

        async def answered_first(plan: Any) -> Any:
            if plan.run_rows and not given:
                clarion.clock.advance(-DAY_S)
                given.append(await answer(clarion, "no"))
                clarion.clock.advance(DAY_S)
            return await commit(plan)

        monkeypatch.setattr(clarion.ledger.plans, "commit", answered_first)
        await clarion.pass_time(2 * DAY_S)
        assert [one.accepted for one in given] == [True]
        assert [result for step, result in await traces(clarion, accepted.event_id) if step == "ok"] == [
            "asks",
            "answered",
        ]
        assert await sent(clarion) == ["ok", "sorry"]


async def test_a_question_is_not_sent_when_its_time_is_over(store):
    """Nobody could answer any more: its messages expire with it."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(asking(timeout_s=3_600))
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada")
        await clarion.pass_time(60)
        (message,) = (await clarion.messages()).values()
        (row,) = await rows(clarion)
        assert message.expires_at == row.due_at


async def reply(clarion: Engine, text: str, number: int = 1) -> None:
    """Ada writes a text message."""
    integration = clarion.ledger.setup.integrations.all(clarion.tenant)["main-sms"]
    message = InboundMessage(provider_id=f"p{number}", sender="+4915112345678", recipient="+2", text=text)
    await clarion.services.inbound_messages.take(clarion.tenant, integration, [message])


async def given(clarion: Engine) -> list[tuple[str, str, str]]:
    """What was answered, how, and in which words."""
    (row,) = await rows(clarion)
    (user,) = (await clarion.ledger.users.get([row.user])).values()
    found = clarion.services.responses.answers(row, user).values()
    return [(one.answer, one.channel, one.text) for one in found]


async def test_a_text_message_answers_the_newest_open_question(store):
    """In the words of a button, by its key or its number; anything else stays a message, and STOP is a STOP. The same message
    may come again."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(asking(other=True), workflow("plain"))
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada")
        await clarion.pass_time(60)
        await clarion.trigger("plain", "ada")
        await clarion.pass_time(60)
        await reply(clarion, "STOP", 1)
        assert await given(clarion) == []
        for _ in range(2):
            await reply(clarion, "Nein!", 2)
        await reply(clarion, "yes", 3)
        assert await given(clarion) == [("no", "sms", "")]


async def test_an_email_that_answers_the_question_answers_it(store):
    """Its Message-ID proves who got it; what is no answer waits for a person."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(asking(Channel.EMAIL))
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada")
        await clarion.pass_time(60)
        (message,) = (await clarion.messages()).values()
        to = f"<{message.id.hex()}@mail.example>"
        take = clarion.services.inbound_mail.take
        kept = await take(mail("Who asks?", in_reply_to=to), clarion.tenant)
        assert (kept.kept, await given(clarion)) == ("not_understood", [])
        taken = await take(mail("Yes.\n\n> Was it you?", in_reply_to=to), clarion.tenant)
        assert (taken.kept, await given(clarion)) == ("", [("yes", "email", "")])


async def test_a_digit_in_a_call_answers_and_acknowledges_nothing_else(store):
    """A repetition further on begins all the same."""
    async with engine(store, clock=ManualClock()) as clarion:
        alarm = Step(
            key="alarm",
            type=StepType.REPEAT,
            steps=(send("page"),),
            every_s=300,
            at_most=2,
            until="acknowledged",
        )
        await clarion.create_setup(workflow("w", steps=(ask(), alarm)))
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada")
        await clarion.pass_time(60)
        (message,) = (await clarion.messages()).values()
        at = clarion.clock.now()
        pressed = Receipt(tenant=clarion.tenant, message_id=message.id, kind=ReceiptKind.ACKNOWLEDGED, at=at)
        await clarion.services.responses.receive([pressed])
        button = f"{MessageReferences(clarion.vault).of(message)}.1"
        assert (await clarion.services.responses.press_by_id(button, "voice", tenant=clarion.tenant)).accepted
        await clarion.pass_time(60)
        assert await given(clarion) == [("no", "voice", "")]
        assert await sent(clarion) == ["page"]  # the question is delivered
