"""A message is noted right before it goes, and stored as soon as its outcome is known, whatever the others of its batch do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from clarion.adapters.ledgers.memory import Tables
from clarion.adapters.ledgers.memory.messages import MemoryMessages
from clarion.model.channel import Channel
from clarion.model.outcome import Accepted, Outcome, Retry
from clarion.model.setup import Integration, IntegrationLimits
from clarion.model.status import Reason, Status
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine, engine, workflow
from tests.relay import HANG, Relay


@pytest.fixture
def store():
    """In memory, where calls of the ledger are changed."""
    return Tables()


PEOPLE = ("ada", "bob", "eve")


class Telling(RecordingProvider):
    """Tells what comes of each message as it comes; who is slow takes as long as the test wants."""

    def __init__(self, slow: str = "", *, late: bool = False, idempotent: bool = False) -> None:
        super().__init__(batch=50, idempotent=idempotent)
        self.slow = slow
        self.late = late
        self.open = asyncio.Event()
        self.went: list[str] = []

    def plugin(self, *args: Any, **more: Any) -> Any:
        return msgspec.structs.replace(super().plugin(*args, **more), marks_late=self.late)

    async def send_reporting(self, batch: Sequence[Any], report: Any) -> Sequence[Outcome]:
        outcomes: list[Outcome | None] = [None] * len(batch)

        async def one(index: int) -> None:
            user = batch[index].user.id
            if user == self.slow:
                await self.open.wait()
            if self.late and not await report.begins(index):
                outcomes[index] = Retry(detail="stopped")
                return
            self.went.append(user)
            outcomes[index] = Accepted(provider_id=user)
            report.ended(index, outcomes[index])

        await asyncio.gather(*map(one, range(len(batch))))
        return [one or Retry() for one in outcomes]


async def begun(clarion: Engine, timeout_s: float = 60) -> None:
    """Three messages in one batch."""
    await clarion.create_setup(workflow("hello"))
    texts = Integration(
        key="main-sms",
        channel=Channel.SMS,
        provider="recording",
        limits=IntegrationLimits(timeout_s=timeout_s),
    )
    await clarion.ledger.setup.integrations.put(clarion.tenant, texts)
    for one in PEOPLE:
        await clarion.put_user(one)
    await clarion.trigger("hello", *PEOPLE)
    await clarion.until_idle()


async def statuses(clarion: Engine) -> dict[str, Status]:
    found = {}
    for message in (await clarion.messages()).values():
        users = await clarion.ledger.users.get([message.user])
        found[users[message.user].id] = message.status
    return found


@pytest.mark.parametrize("late", [False, True])
async def test_what_is_done_is_stored_while_another_of_its_batch_hangs(store, late):
    """One slow receiver does not hold back what the others answered; nothing is stored twice."""
    async with engine(store, provider=Telling("bob", late=late)) as clarion:
        await begun(clarion)
        await clarion.pass_time(1)
        expected = Status.QUEUED if late else Status.SENDING
        assert await statuses(clarion) == {"ada": Status.SENT, "bob": expected, "eve": Status.SENT}
        clarion.provider.open.set()
        await clarion.until_idle()
        assert set((await statuses(clarion)).values()) == {Status.SENT}
        assert (await clarion.pipeline.stats())["refused_settlements"] == 0
        assert not any(queue.in_flight for queue in clarion.pipeline.queues)


async def test_a_call_that_is_given_up_keeps_what_it_told(store):
    """Only what hangs is in doubt."""
    async with engine(store, provider=Telling("bob")) as clarion:
        await begun(clarion, timeout_s=5)
        await clarion.pass_time(10)
        found = await statuses(clarion)
        assert found == {"ada": Status.SENT, "bob": Status.FAILED, "eve": Status.SENT}
        message = next(m for m in (await clarion.messages()).values() if m.status is Status.FAILED)
        assert message.reason is Reason.OUTCOME_UNKNOWN


async def test_what_never_began_is_not_in_doubt(store):
    """A provider that asks before each message leaves only those in doubt that it asked for."""
    async with engine(store, provider=Telling("bob", late=True)) as clarion:
        await begun(clarion, timeout_s=5)
        await clarion.pass_time(6)
        assert (await statuses(clarion))["bob"] is Status.DEFERRED
        clarion.provider.open.set()
        await clarion.pass_time(600)
        assert (await statuses(clarion))["bob"] is Status.SENT
        assert sorted(clarion.provider.went) == sorted(PEOPLE)


async def test_a_crash_leaves_in_doubt_only_what_was_on_its_way(store):
    """Of a batch whose messages go one after another, those that had not begun are sent after the restart."""
    async with engine(store, provider=Telling("bob", late=True)) as clarion:
        await begun(clarion)
        assert sorted(clarion.provider.went) == ["ada", "eve"]
        await clarion.pass_time(1)
        await clarion.crash()
        provider = Telling(late=True)
        async with engine(store, provider=provider, clock=clarion.clock) as again:
            await again.pass_time(300)
            assert set((await statuses(again)).values()) == {Status.SENT}
            assert provider.went == ["bob"]


async def test_notes_that_begin_together_are_written_together(store, monkeypatch):
    """Not one write per message."""
    written: list[int] = []
    whole = MemoryMessages.begin_calls

    async def begin_calls(self: MemoryMessages, worker: Any, batches: Any, at: Any) -> Any:
        written.append(sum(map(len, batches.values())))
        return await whole(self, worker, batches, at)

    monkeypatch.setattr(MemoryMessages, "begin_calls", begin_calls)
    async with engine(store, provider=Telling(late=True)) as clarion:
        await begun(clarion)
        assert sum(written) == 3
        assert len(written) <= 2


async def test_whoever_leaves_at_the_last_moment_gets_nothing(store, monkeypatch):
    """The look behind the note counts, as for a whole batch."""
    whole = MemoryMessages.begin_calls

    async def begin_calls(self: MemoryMessages, worker: Any, batches: Any, at: Any) -> Any:
        user = (await clarion.ledger.users.find(clarion.tenant, ["bob"]))["bob"]
        if any(message.user == user.no for batch in batches.values() for message in batch):
            await clarion.ledger.users.delete(clarion.tenant, "bob")
        return await whole(self, worker, batches, at)

    async with engine(store, provider=Telling("bob", late=True)) as clarion:
        await begun(clarion)
        monkeypatch.setattr(MemoryMessages, "begin_calls", begin_calls)
        clarion.provider.open.set()
        await clarion.until_idle()
        assert sorted(clarion.provider.went) == ["ada", "eve"]


async def test_of_a_batch_of_mails_only_those_on_their_way_would_be_in_doubt(store):
    """Two for each connection: one whose body may have gone, one that is announced behind it. The others are sent later."""
    relay = Relay(END=lambda _: HANG)
    async with relay.running(), engine(store, provider=RecordingProvider()) as clarion:
        await clarion.create_setup(workflow("mail", channel=Channel.EMAIL))
        config = {
            "host": "127.0.0.1",
            "port": relay.port,
            "security": "none",
            "from_address": "news@example.com",
            "connections": 2,
        }
        post = Integration(key="main-email", channel=Channel.EMAIL, provider="smtp", config=config)
        await clarion.ledger.setup.integrations.put(clarion.tenant, post)
        people = [f"user-{n}" for n in range(40)]
        for one in people:
            await clarion.put_user(one)
        await clarion.trigger("mail", *people)
        async with asyncio.timeout(20):
            while len(relay.mails) < 2:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        await clarion.until_idle()
        found = Counter((await statuses(clarion)).values())
        assert 2 <= found[Status.SENDING] <= 4
        assert found[Status.QUEUED] == 40 - found[Status.SENDING]
        await clarion.crash()
