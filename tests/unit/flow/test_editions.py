"""A newer message of a thread takes the place of the older one: of what waits, and of what is out where that is possible."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from clarion.model.channel import Channel
from clarion.model.message import Message
from clarion.model.outcome import Accepted, Rejected
from clarion.model.outgoing import Outgoing
from clarion.model.status import Reason, Status
from clarion.ports.provider import TakesBack
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine, engine, sms_text, workflow

BOTH = TakesBack(edits=True, withdraws=True)


class Board(RecordingProvider):
    """Shows messages, as a chat does: an edit changes what is there."""

    def __init__(self, **more: Any) -> None:
        super().__init__(batch=50, takes_back=BOTH, **more)
        self.shown: dict[str, str] = {}
        self.refuses = ""
        """Why edits are refused; empty: they are not."""

    def _answer(self, outgoing: Outgoing) -> Any:
        if outgoing.replaces and (self.refuses or outgoing.replaces not in self.shown):
            return Rejected(detail=self.refuses or "gone")
        name = outgoing.replaces or f"m-{len(self.shown)}"
        self.shown[name] = sms_text(outgoing)
        return Accepted(provider_id=name)


def told(text: str, incident: int = 1) -> msgspec.Raw:
    """Data of an event."""
    return msgspec.Raw(msgspec.json.encode({"text": text, "incident": incident}))


async def set_up(clarion: Engine, channel: Channel = Channel.SMS) -> None:
    """A workflow whose newer messages take the place of older ones, and a user."""
    await clarion.create_setup(workflow("w", channel=channel, thread="/incident", supersedes=True))
    await clarion.put_user("ada")


async def tell(clarion: Engine, text: str, incident: int = 1, **more: Any) -> None:
    """Trigger it, and wait until nothing more happens."""
    await clarion.trigger("w", "ada", data=told(text, incident), **more)
    await clarion.until_idle()


async def newest(clarion: Engine) -> Message:
    """The message that was planned last."""
    return max((await clarion.messages()).values(), key=lambda one: one.id)


async def note(clarion: Engine) -> str:
    """What the timeline of the newest message says."""
    message = await newest(clarion)
    return " ".join(
        one.detail or "" for one in await clarion.ledger.records.changes(clarion.tenant, message.id)
    ).strip()


async def test_a_newer_message_changes_what_is_out(store):
    """There is one message for each thread, and it shows the newest; another thread has its own."""
    async with engine(store, provider=Board()) as clarion:
        await set_up(clarion)
        for text in ("open", "acknowledged", "resolved"):
            await tell(clarion, text)
            clarion.clock.advance(1)
        await tell(clarion, "other", incident=2)
        assert clarion.provider.shown == {"m-0": "resolved", "m-1": "other"}
        assert {one.status for one in (await clarion.messages()).values()} == {Status.SENT}


async def test_a_newer_message_takes_the_place_of_one_that_waits(store):
    """The older one is never sent, and says so; what was out before both of them is changed."""
    async with engine(store, provider=Board()) as clarion:
        await set_up(clarion)
        await tell(clarion, "open")
        clarion.clock.advance(1)
        await tell(clarion, "escalated", delay_s=600)
        clarion.clock.advance(1)
        await tell(clarion, "resolved")
        await clarion.pass_time(1_000)
        assert clarion.provider.shown == {"m-0": "resolved"}
        (merged,) = (await clarion.messages(statuses=frozenset({Status.MERGED}))).values()
        assert merged.reason is Reason.SUPERSEDED


async def test_a_message_that_cannot_change_the_older_one_is_a_new_one(store):
    """Somebody deleted it, or it is too old: the newer one is sent in the same attempt, and its timeline says why."""
    async with engine(store, provider=Board()) as clarion:
        await set_up(clarion)
        await tell(clarion, "open")
        clarion.provider.refuses = "too old"
        clarion.clock.advance(1)
        await tell(clarion, "resolved")
        assert clarion.provider.shown == {"m-0": "open", "m-1": "resolved"}
        assert await note(clarion) == "the earlier message of its thread stays as it is: too old"
        assert (await newest(clarion)).attempt == 1


async def test_where_nothing_can_be_changed_the_timeline_says_so(store):
    """The newer message is a message like any other."""
    async with engine(store) as clarion:
        await set_up(clarion)
        await tell(clarion, "open")
        clarion.clock.advance(1)
        await tell(clarion, "resolved")
        assert [sms_text(one) for one in clarion.provider.effects] == ["open", "resolved"]
        assert await note(clarion) == (
            "the earlier message of its thread stays as it is: Recording (tests) cannot change what it has sent"
        )


async def test_what_was_withdrawn_is_not_changed(store):
    """The next message of the thread is a new one."""
    async with engine(store, provider=Board()) as clarion:
        await set_up(clarion)
        await tell(clarion, "open")
        await clarion.services.withdrawals.withdraw([await clarion.one()])
        await clarion.until_idle()
        clarion.clock.advance(1)
        await tell(clarion, "open again")
        assert [one.replaces for one in clarion.provider.effects] == ["", ""]


@pytest.mark.parametrize("withdrawn", [False, True])
async def test_an_inbox_has_one_item_for_each_thread(store, withdrawn):
    """The newest in the place of the first; after that was withdrawn it comes anew."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("w", channel=Channel.IN_APP, thread="/incident", supersedes=True))
        ada = await clarion.put_user("ada")
        await tell(clarion, "open")
        first = await clarion.one()
        if withdrawn:
            await clarion.services.withdrawals.withdraw([first])
            await clarion.until_idle()
        clarion.clock.advance(1)
        await tell(clarion, "resolved")
        (item,) = await clarion.ledger.inboxes.page(ada.no, None, 10)
        assert (item.message_id == first.id) is not withdrawn
        assert msgspec.json.decode(clarion.vault.open(ada.key, item.sealed))["title"] == "resolved"


async def test_at_any_concurrency_one_message_of_a_thread_is_left(store):
    """Many at once, while calls hang: what is left shows the last that was planned, and nothing older came after it."""
    provider = Board()
    async with engine(store, provider=provider) as clarion:
        await set_up(clarion)
        provider.proceed.clear()
        for number in range(12):
            await clarion.trigger("w", "ada", data=told(f"n{number}"))
            if number % 4 == 0:
                await asyncio.sleep(0.01)
        provider.proceed.set()
        await clarion.pass_time(10)
        await clarion.pass_time(10)
        assert list(provider.shown.values()) == ["n11"]
        order = [int(sms_text(one)[1:]) for one in provider.effects]
        assert order == sorted(order)
        left = {one.status for one in (await clarion.messages()).values()}
        assert left <= {Status.SENT, Status.MERGED}
