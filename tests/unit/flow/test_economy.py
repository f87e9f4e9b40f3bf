"""What is known is not asked for again: one query for a batch, one look for four lanes, no seal opened at once."""

from collections.abc import Sequence
from typing import Any

import pytest

from clarion.adapters.ledgers.memory import Tables
from clarion.adapters.ledgers.memory.messages import MemoryMessages
from clarion.adapters.ledgers.memory.receipts import MemoryReceipts
from clarion.adapters.ledgers.memory.records import MemoryRecords
from clarion.model.channel import Channel
from clarion.model.inbox import InboxChange
from clarion.model.receipt import Receipt, ReceiptKind
from clarion.testing.providers import RecordingProvider
from tests.engine import engine, workflow


@pytest.fixture
def store():
    """In memory, where calls of the ledger are counted."""
    return Tables()


async def test_a_live_push_carries_what_was_sealed_a_moment_before(store):
    """Devices that are connected get it without a seal being opened."""
    async with engine(store, provider=RecordingProvider()) as clarion:
        await clarion.create_setup(workflow("hello", channel=Channel.IN_APP))
        await clarion.put_user("ada")
        heard: list[InboxChange] = []
        clarion.fanout.subscribe(heard.extend)
        await clarion.trigger("hello", "ada", data=b'{"text": "Hi"}')
        await clarion.until_idle()
        (change,) = heard
        assert len(change.content) == len(change.items) == 1
        users = await clarion.ledger.users.get([change.user])
        assert clarion.vault.open(users[change.user].key, change.items[0].sealed) == change.content[0]


async def test_a_batch_of_unsubscribes_is_one_query(store, monkeypatch):
    """Whether they were obeyed before is asked once for all of them; repeated, nobody is opted out again."""
    async with engine(store, provider=RecordingProvider()) as clarion:
        await clarion.create_setup(workflow("mail", channel=Channel.EMAIL))
        people = [f"user-{n}" for n in range(20)]
        for one in people:
            await clarion.put_user(one)
        await clarion.trigger("mail", *people)
        await clarion.until_idle()
        asked: list[int] = []
        whole = MemoryReceipts.known

        async def known(self: MemoryReceipts, ids: Sequence[Any], kind: ReceiptKind) -> Any:
            asked.append(len(ids))
            return await whole(self, ids, kind)

        async def changes(*_: Any) -> Any:
            raise AssertionError("one query per message")

        monkeypatch.setattr(MemoryReceipts, "known", known)
        monkeypatch.setattr(MemoryRecords, "changes", changes)
        receipts = [
            Receipt(
                tenant=clarion.tenant, message_id=one, kind=ReceiptKind.UNSUBSCRIBED, at=clarion.clock.now()
            )
            for one in await clarion.messages()
        ]
        assert list(await clarion.pipeline.receive(receipts)) == [True] * 20
        assert list(await clarion.pipeline.receive(receipts)) == [False] * 20
        assert asked == [20, 20]


async def test_one_look_for_what_is_due_serves_all_lanes(store, monkeypatch):
    """At rest the store is asked once in a while, not once per lane."""
    looks: list[int] = []
    whole = MemoryMessages.due

    def due(self: MemoryMessages, now: Any) -> Any:
        looks.append(now)
        return whole(self, now)

    async with engine(store, provider=RecordingProvider()) as clarion:
        await clarion.until_idle()
        monkeypatch.setattr(MemoryMessages, "due", due)
        for _ in range(10):
            clarion.clock.advance(0.1)
            await clarion.until_idle()
        assert 5 <= len(looks) <= 15
