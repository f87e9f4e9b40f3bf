"""The check before a call is fresh when the call starts, however long the message waited for it (I8)."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import pytest

from clarion.adapters.ledgers.memory import MemoryLedger
from clarion.adapters.ledgers.postgresql.ledger import PostgresLedger
from clarion.flow.dispatch.recheck import CHECK_FRESH_S
from clarion.model.channel import Channel
from clarion.model.consent import ConsentSource
from clarion.model.setup import Integration, IntegrationLimits
from clarion.model.status import Reason, Status
from clarion.model.user import Contact, Preferences, PreferenceSet, Profile, UserPut
from clarion.services.last_checks import LastChecks
from clarion.testing.ports import ManualClock
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine, engine, workflow

OPTED_OUT = Preferences(categories={"news": PreferenceSet(enabled=False)})
OLD, NEW = "+4915112345678", "+4915187654321"


@asynccontextmanager
async def another_process(clarion):
    """What another process on the same store sees and writes: this one is not told."""
    tools = {"vault": clarion.vault, "clock": clarion.clock, "random": clarion.random}
    if isinstance(clarion.store, str):
        ledger: Any = await PostgresLedger.open(clarion.store, **tools)
    else:
        ledger = MemoryLedger(tables=clarion.store, **tools)
    yield ledger
    await ledger.close()


@asynccontextmanager
async def waiting(store, *, idempotent):
    """A process whose only slot is taken by bob's call, so that ada's message was checked and waits for it."""
    provider = RecordingProvider(idempotent=idempotent)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        one_slot = Integration(
            key="main-sms",
            channel=Channel.SMS,
            provider="recording",
            limits=IntegrationLimits(concurrency=1),
        )
        await clarion.ledger.setup.integrations.put(clarion.tenant, one_slot)
        bob, ada = await clarion.put_user("bob"), await clarion.put_user("ada")
        provider.proceed.clear()
        await clarion.trigger("hello", "bob")
        await clarion.until_idle()
        assert provider.under_way == 1
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        assert (await clarion.one(user=ada.no)).status is Status.QUEUED
        yield clarion, bob, ada


async def put(ledger, clarion, **fields):
    profile = Profile(locale="en", timezone="UTC", **fields)
    await ledger.users.put(clarion.tenant, [UserPut(id="ada", profile=profile)])


async def free_the_slot(clarion):
    clarion.clock.advance(10 * CHECK_FRESH_S)
    clarion.provider.proceed.set()
    await clarion.until_idle()


@pytest.mark.parametrize("idempotent", [True, False])
async def test_an_opt_out_in_another_process_stops_what_waits_for_a_slot(store, idempotent):
    """It was checked before the opt-out, and would have gone after it."""
    async with waiting(store, idempotent=idempotent) as (clarion, bob, ada):
        contacts = (Contact(channel=Channel.SMS, address=OLD),)
        async with another_process(clarion) as other:
            await put(other, clarion, contacts=contacts, preferences=OPTED_OUT)
        await free_the_slot(clarion)
        message = await clarion.one(user=ada.no)
        assert (message.status, message.reason) == (Status.SUPPRESSED, Reason.OPTED_OUT)
        assert {effect.message.user for effect in clarion.provider.effects} == {bob.no}


@pytest.mark.parametrize("idempotent", [True, False])
async def test_an_erased_user_is_not_called(store, idempotent):
    """Erased by another process while the message waited."""
    async with waiting(store, idempotent=idempotent) as (clarion, bob, ada):
        async with another_process(clarion) as other:
            await other.users.delete(clarion.tenant, "ada")
        await free_the_slot(clarion)
        (message,) = [one for one in (await clarion.messages()).values() if one.user == ada.no]
        assert (message.status, message.reason) == (Status.SUPPRESSED, Reason.USER_DELETED)
        assert {effect.message.user for effect in clarion.provider.effects} == {bob.no}


async def test_a_contact_changed_meanwhile_gets_the_message(store):
    """Not the one that the message was made for."""
    async with waiting(store, idempotent=True) as (clarion, _, ada):
        async with another_process(clarion) as other:
            await put(other, clarion, contacts=(Contact(channel=Channel.SMS, address=NEW),))
        await free_the_slot(clarion)
        await clarion.pass_time(1)
        assert (await clarion.one(user=ada.no)).status is Status.SENT
        reached = [e.contact.address for e in clarion.provider.effects if e.message.user == ada.no]
        assert reached == [NEW]


@pytest.mark.parametrize(("takes_s", "asked"), [(0.0, 1), (CHECK_FRESH_S / 2, 1), (CHECK_FRESH_S * 2, 3)])
async def test_only_an_old_check_is_repeated(store, monkeypatch, takes_s, asked):
    """A batch that starts at once asks once, for all its users; a store that is slow is asked once more, and no more."""
    calls = []

    async def changed(seen):
        calls.append(len(seen))
        clarion.clock.advance(takes_s)
        return await whole(seen)

    async with engine(store, provider=RecordingProvider(idempotent=True, batch=50)) as clarion:
        await clarion.create_setup(workflow("hello"))
        people = [f"user-{n}" for n in range(20)]
        for one in people:
            await clarion.put_user(one)
        whole = clarion.ledger.users.changed
        monkeypatch.setattr(clarion.ledger.users, "changed", changed)
        await clarion.trigger("hello", *people)
        await clarion.until_idle()
        assert {m.status for m in (await clarion.messages()).values()} == {Status.SENT}
        assert calls == [20] * asked


async def test_the_answer_to_an_opt_out_waits_for_checks_that_were_made_before(store):
    """Another process may have checked just before, and start its call on that: the answer comes when no check is so old."""
    clock = ManualClock()
    clarion = Engine(store, clock, RecordingProvider(), 1)
    clarion.last_checks = LastChecks(clock, CHECK_FRESH_S)
    await clarion.open()
    try:
        await clarion.create_setup(workflow("hello"))
        ada = await clarion.put_user("ada")
        links = clarion.services.unsubscribe
        choice = await links.read(links.token(clarion.tenant, ada.no, "news"))
        leaving = asyncio.ensure_future(links.leave(choice, ConsentSource.UNSUBSCRIBE_LINK))
        await clarion.until_idle()
        (now,) = (await clarion.ledger.users.get([ada.no])).values()
        assert now.profile.preferences.categories["news"].channels == {Channel.EMAIL: False}
        assert not leaving.done()
        clock.advance(CHECK_FRESH_S)
        await clarion.until_idle()
        assert leaving.done()
    finally:
        await clarion.stop()
