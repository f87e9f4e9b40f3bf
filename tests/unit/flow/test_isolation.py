"""What goes wrong with one message is its own outcome, and nobody else's."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import structlog

from clarion.adapters.ledgers.memory.messages import MemoryMessages
from clarion.flow.dispatch.outgoing import OutgoingBuilder
from clarion.model.message import Message
from clarion.model.outcome import Accepted, Outcome, Rejected, Retry
from clarion.model.receipt import Receipt, ReceiptKind
from clarion.model.status import Reason, Status
from clarion.rules.outcomes import settle_outcome
from clarion.rules.receipts import interpret
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine, engine, sms_text, workflow

PEOPLE = ("ada", "bob", "eve")


class Answering(RecordingProvider):
    """Answers a batch as a test wants."""

    def __init__(self, answer: Callable[[Sequence[Any]], Any], *, idempotent: bool = False) -> None:
        super().__init__(batch=50, idempotent=idempotent)
        self.answer = answer

    async def send(self, batch: Sequence[Any]) -> Any:
        await super().send(batch)
        return self.answer(batch)


def words(batch: Sequence[Any]) -> list[str]:
    return [sms_text(outgoing) for outgoing in batch]


async def told(clarion: Engine, *people: str) -> dict[str, Message]:
    """A message to each of them in one batch; by person what became of it."""
    await clarion.create_setup(workflow("hello"))
    for one in people:
        await clarion.put_user(one)
    await clarion.trigger("hello", *people)
    await clarion.until_idle()
    users = {}
    for message in (await clarion.messages()).values():
        found = await clarion.ledger.users.get([message.user])
        users[found[message.user].id] = message
    return users


async def test_a_provider_that_raises_leaves_its_messages_in_doubt(store):
    """Nobody knows how far it came: what may have been taken is not sent again."""
    provider = RecordingProvider(batch=50, otherwise=RuntimeError("+441632960001"))
    async with engine(store, provider=provider) as clarion:
        with structlog.testing.capture_logs() as logs:
            found = await told(clarion, "ada", "bob")
            await clarion.pass_time(3_600)
        assert {one.status for one in found.values()} == {Status.FAILED}
        assert {one.reason for one in found.values()} == {Reason.OUTCOME_UNKNOWN}
        assert sum(len(call) for call in provider.calls) == 2
        assert any(log["event"] == "provider_raised" for log in logs)


async def test_a_provider_that_raises_is_called_again_where_that_does_no_harm(store):
    """It knows a repetition by our key."""
    provider = RecordingProvider(batch=50, otherwise=RuntimeError("broken"), idempotent=True)
    async with engine(store, provider=provider) as clarion:
        found = await told(clarion, "ada")
        assert (found["ada"].status, found["ada"].reason) == (Status.DEFERRED, Reason.RETRY)


@pytest.mark.parametrize("odd", [None, "sent", ValueError("no outcome"), 0])
async def test_an_answer_that_is_no_outcome_is_in_doubt_alone(store, odd):
    """The others of its batch have theirs."""

    def answer(batch: Sequence[Any]) -> list[Any]:
        return [odd if one.user.id == "bob" else Accepted(provider_id="7") for one in batch]

    async with engine(store, provider=Answering(answer)) as clarion:
        found = await told(clarion, *PEOPLE)
        assert (found["ada"].status, found["eve"].status) == (Status.SENT, Status.SENT)
        assert (found["bob"].status, found["bob"].reason) == (Status.FAILED, Reason.OUTCOME_UNKNOWN)


@pytest.mark.parametrize("answer", [lambda batch: None, lambda batch: 7, lambda batch: []])
async def test_a_batch_without_answers_is_in_doubt(store, answer):
    """It is settled, not left to its lease."""
    async with engine(store, provider=Answering(answer)) as clarion:
        found = await told(clarion, "ada")
        assert (found["ada"].status, found["ada"].reason) == (Status.FAILED, Reason.OUTCOME_UNKNOWN)


@pytest.mark.parametrize(
    "odd",
    [
        Rejected(detail="half an emoji \ud83d"),
        Retry(after_s=math.nan, detail="\udcff"),
        Retry(after_s=math.inf),
        Retry(after_s=-math.inf),
    ],
    ids=["surrogate", "nan", "inf", "-inf"],
)
async def test_words_and_wishes_that_make_no_sense_stay_with_their_message(store, odd):
    """They are stored as far as they can be; the others of the batch are not repeated."""

    def answer(batch: Sequence[Any]) -> list[Outcome]:
        return [odd if one.user.id == "bob" else Accepted(provider_id="\ud800") for one in batch]

    async with engine(store, provider=Answering(answer)) as clarion:
        found = await told(clarion, *PEOPLE)
        assert (found["ada"].status, found["eve"].status) == (Status.SENT, Status.SENT)
        assert found["bob"].status is (Status.REJECTED if isinstance(odd, Rejected) else Status.DEFERRED)


async def test_an_outcome_that_cannot_be_decided_is_in_doubt_alone(store, monkeypatch):
    """Whatever goes wrong behind the call, it has been called."""
    whole = settle_outcome

    def broken(outgoing: Any, *rest: Any, **more: Any) -> Any:
        if outgoing.user.id == "bob":
            raise KeyError("secret")
        return whole(outgoing, *rest, **more)

    monkeypatch.setattr("clarion.flow.dispatch.attempts.settle_outcome", broken)
    async with engine(store, provider=RecordingProvider(batch=50)) as clarion:
        found = await told(clarion, *PEOPLE)
        assert (found["ada"].status, found["eve"].status) == (Status.SENT, Status.SENT)
        assert (found["bob"].status, found["bob"].reason) == (Status.FAILED, Reason.OUTCOME_UNKNOWN)


async def test_a_message_that_cannot_be_made_fails_alone(store, monkeypatch):
    """An error of ours while one is rendered does not hold back the others, and does not come back for ever."""
    whole = OutgoingBuilder._outgoing

    def made(self: OutgoingBuilder, in_flight: Any, content: Any) -> Any:
        if in_flight.user.id == "bob":
            raise ZeroDivisionError("secret")
        return whole(self, in_flight, content)

    monkeypatch.setattr(OutgoingBuilder, "_outgoing", made)
    async with engine(store, provider=RecordingProvider(batch=50)) as clarion:
        found = await told(clarion, *PEOPLE)
        assert (found["ada"].status, found["eve"].status) == (Status.SENT, Status.SENT)
        assert (found["bob"].status, found["bob"].reason) == (Status.FAILED, Reason.INTERNAL_ERROR)


async def test_a_settlement_that_cannot_be_stored_holds_back_no_other(store, monkeypatch):
    """Without what it brought along it can, and its call is not repeated either."""
    whole = MemoryMessages.settle

    async def settle(self: MemoryMessages, worker: Any, settlements: Sequence[Any]) -> Any:
        if any(one.detail == "poison" for one in settlements):
            raise TypeError("cannot be stored")
        return await whole(self, worker, settlements)

    monkeypatch.setattr(MemoryMessages, "settle", settle)

    def answer(batch: Sequence[Any]) -> list[Outcome]:
        return [Rejected(detail="poison" if one.user.id == "bob" else "no") for one in batch]

    async with engine(store, provider=Answering(answer)) as clarion:
        found = await told(clarion, *PEOPLE)
        assert {one.status for one in found.values()} == {Status.REJECTED}
        await clarion.pass_time(600)
        assert sum(len(call) for call in clarion.provider.calls) == 3


async def test_a_receipt_that_cannot_be_judged_stays_alone(store, monkeypatch):
    """The others of its batch are stored."""
    async with engine(store, provider=RecordingProvider(batch=50)) as clarion:
        found = await told(clarion, *PEOPLE)
        whole = interpret

        def broken(message: Message, *rest: Any) -> Any:
            if message.id == found["bob"].id:
                raise IndexError("secret")
            return whole(message, *rest)

        monkeypatch.setattr("clarion.flow.track.receipts.interpret", broken)
        receipts = [
            Receipt(
                tenant=clarion.tenant,
                message_id=found[one].id,
                kind=ReceiptKind.DELIVERED,
                at=clarion.clock.now(),
                detail="\ud800",
            )
            for one in PEOPLE
        ]
        assert list(await clarion.pipeline.receive(receipts)) == [True, False, True]
        assert (await clarion.messages())[found["eve"].id].status is Status.DELIVERED
