"""Routing learns from outcomes and receipts, says why, and knows it after a restart and in other processes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from clarion.adapters.ledgers.memory import Tables
from clarion.flow.provider_scores import INSTALLATION
from clarion.model.channel import Channel
from clarion.model.outcome import Gone, Retry
from clarion.model.receipt import Receipt, ReceiptKind
from clarion.model.setup import Integration, Learned, Money
from clarion.model.status import Reason
from clarion.rules.provider_score import PATIENCE_S, SLOT_MS
from clarion.testing.ports import ManualClock
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine, engine, workflow
from tests.several_providers import SeveralProviders

SLOT_S = SLOT_MS / 1_000
PEOPLE = [f"user{n}" for n in range(60)]


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request, tmp_path):
    """Both engines: what they store of a choice must be the same."""
    return Tables() if request.param == "memory" else tmp_path


def two(**more: RecordingProvider) -> SeveralProviders:
    return SeveralProviders(
        a=more.get("a", RecordingProvider(batch=50)), b=more.get("b", RecordingProvider(batch=50))
    )


async def prepare(
    clarion: Engine, providers: SeveralProviders, channel: Channel = Channel.SMS, **more
) -> None:
    """Two integrations for a channel, and people."""
    await clarion.create_setup(workflow("hello", channel=channel))
    await providers.create_integrations(clarion, channel, **more)
    for one in PEOPLE:
        await clarion.put_user(one)


async def send(clarion: Engine) -> Counter[str | None]:
    """One message to everybody: how many went through each integration."""
    answer = await clarion.trigger("hello", *PEOPLE)
    await clarion.until_idle()
    found = await clarion.messages(event_id=answer.event_id)
    return Counter(message.integration for message in found.values())


async def report(clarion: Engine, integration: str) -> None:
    """This integration's provider reports everything that it has taken and not yet reported."""
    sent = [
        m for m in (await clarion.messages()).values() if m.integration == integration and not m.delivered_at
    ]
    await clarion.pipeline.receive(
        [
            Receipt(
                tenant=m.tenant,
                message_id=m.id,
                kind=ReceiptKind.DELIVERED,
                at=m.updated_at,
                integration=integration,
            )
            for m in sent
        ]
    )


def shares(clarion: Engine) -> dict[str, float]:
    health = clarion.pipeline.integrations.health(clarion.tenant)
    return {one.integration.key: one.share for one in health if one.integration.channel is Channel.SMS}


async def test_a_provider_that_fails_loses_share(store):
    """Also where its circuit stays closed: a third of its calls fail."""
    providers = two()
    async with engine(store, provider=providers) as clarion:
        await prepare(clarion, providers)
        assert shares(clarion) == {"a": 0.5, "b": 0.5}
        await send(clarion)
        place = (clarion.tenant, "a")
        clarion.pipeline.scores.called(place, ok=60, failed=40, took_ms=0, accepted=60)
        await clarion.pass_time(2)
        assert shares(clarion)["a"] < 0.42


async def test_a_provider_that_accepts_and_never_delivers_loses_its_share_and_wins_it_back(ledger):
    """Ten points at a time, by the receipts that stay away; the other takes over."""
    providers = two()
    async with engine(ledger, provider=providers) as clarion:
        await prepare(clarion, providers)
        for _ in range(3):
            await send(clarion)
            await report(clarion, "a")
            await report(clarion, "b")
            await clarion.pass_time(SLOT_S)
        await clarion.pass_time(PATIENCE_S)
        assert shares(clarion)["a"] == pytest.approx(0.5, abs=0.02)
        for _ in range(12):
            await send(clarion)
            await report(clarion, "b")
            await clarion.pass_time(SLOT_S)
        await clarion.pass_time(PATIENCE_S)
        silent = shares(clarion)["a"]
        assert silent < 0.3
        before = len(providers.by_key["a"].effects)
        assert (await send(clarion))["b"] > (await send(clarion))["a"]
        assert len(providers.by_key["a"].effects) - before < len(PEOPLE)
        await clarion.pass_time(600)
        assert shares(clarion)["a"] > silent


async def test_every_choice_says_why(ledger):
    """The timeline has the scores, and what ruled the others out."""
    providers = two(a=RecordingProvider(batch=50, otherwise=Retry()))
    async with engine(ledger, provider=providers) as clarion:
        await prepare(clarion, providers)
        await send(clarion)
        await clarion.pass_time(1)
        assert {m.integration for m in (await clarion.messages()).values()} == {"b"}
        found = [
            [c for c in await clarion.ledger.records.changes(clarion.tenant, one) if c.outcome]
            for one in await clarion.messages()
        ]
        (retried, *_) = [changes for changes in found if len(changes) == 2]
        assert [change.integration for change in retried] == ["a", "b"]
        assert (retried[0].choice or "").startswith("a 100; b 100")
        assert (retried[1].choice or "").startswith("b 100; not a: ")
        answer = await clarion.trigger("hello", "user1")
        await clarion.until_idle()
        message = await clarion.one(event_id=answer.event_id)
        changes = await clarion.ledger.records.changes(clarion.tenant, message.id)
        assert changes[-1].choice == "b 100; not a: its circuit is open"


async def test_without_a_choice_nothing_is_explained(store):
    """One integration needs no reason."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        message = await clarion.one()
        changes = await clarion.ledger.records.changes(clarion.tenant, message.id)
        assert {change.choice for change in changes} == {None}


@pytest.mark.parametrize(("channel", "stays"), [(Channel.SMS, True), (Channel.EMAIL, False)])
async def test_a_person_stays_with_one_integration_where_people_know_who_writes(store, channel, stays):
    """Text messages of one conversation come from one sender; emails are spread one by one."""
    providers = two()
    async with engine(store, provider=providers) as clarion:
        await prepare(clarion, providers, channel)
        for _ in range(8):
            await clarion.trigger("hello", "user1")
        await clarion.until_idle()
        used = {message.integration for message in (await clarion.messages()).values()}
        assert len(used) == (1 if stays else 2)


async def test_what_was_learned_outlives_the_process(ledger):
    """A restart does not give a silent provider its share back."""
    providers = two()
    clock = ManualClock()
    async with engine(ledger, provider=providers, clock=clock) as clarion:
        await prepare(clarion, providers)
        await send(clarion)
        clarion.pipeline.scores.called((clarion.tenant, "a"), ok=10, failed=90, took_ms=0, accepted=10)
        await clarion.pass_time(SLOT_S + 1)
        learned = shares(clarion)["a"]
        assert learned < 0.3
        await clarion.crash()
        async with engine(ledger, provider=providers, clock=clock) as again:
            await again.until_idle()
            assert shares(again)["a"] == pytest.approx(learned, abs=0.05)


async def test_processes_learn_from_one_another(store):
    """What one of them counted, the others use within seconds."""
    providers = two()
    clock = ManualClock()
    async with engine(store, provider=providers, clock=clock) as clarion:
        await prepare(clarion, providers)
        other = await Engine(store, clock, providers, 2).work_on(clarion.ledger.store)
        await send(clarion)
        clarion.pipeline.scores.called((clarion.tenant, "a"), ok=10, failed=90, took_ms=0, accepted=10)
        await clarion.pass_time(SLOT_S + 1)
        await clarion.pass_time(2)
        await other.until_idle()
        assert shares(other)["a"] == pytest.approx(shares(clarion)["a"], abs=0.02)
        assert shares(other)["a"] < 0.3
        await other.leave()


async def test_nothing_is_left_of_a_process_that_ended_long_ago_but_what_is_usual(store):
    """Others take that over, and its row goes."""
    providers = two()
    clock = ManualClock()
    async with engine(store, provider=providers, clock=clock) as clarion:
        await prepare(clarion, providers)
        await send(clarion)
        await report(clarion, "a")
        await clarion.pass_time(SLOT_S + 1)
        (first,) = clarion.ledger.setup.learned.all(INSTALLATION)
        await clarion.crash()
        async with engine(store, provider=providers, clock=clock) as again:
            await again.pass_time(700)
            await again.pass_time(SLOT_S + 1)
            stored = again.ledger.setup.learned.all(INSTALLATION)
            assert first not in stored
            (one,) = stored.values()
            assert msgspec.json.decode(one.text)["1/a"][1][1] > 0


async def test_a_row_that_nobody_understands_is_counted_anew(store):
    """As one of another version would be."""
    providers = two()
    async with engine(store, provider=providers) as clarion:
        await prepare(clarion, providers)
        row = Learned(key="provider-scores.999", text='{"1/a": "of another form"}')
        await clarion.ledger.setup.learned.put(INSTALLATION, row)
        await send(clarion)
        assert shares(clarion) == {"a": 0.5, "b": 0.5}


async def test_what_one_push_service_retires_another_still_uses(store):
    """The same person, and even the same token: each service has its own, and knows nothing of the others'."""
    token = "0123456789abcdef" * 4
    providers = RecordingProvider({f"apns:{token}": Gone()}, batch=50)
    async with engine(store, provider=providers) as clarion:
        await clarion.create_setup(workflow("hello", channel=Channel.PUSH))
        await clarion.put_user("ada", devices=(f"apns:{token}", f"fcm:{token}"))
        for _ in range(2):
            await clarion.trigger("hello", "ada")
            await clarion.until_idle()
        reached = [one.contact.address for call in providers.calls for one in call if one.contact]
        assert sorted(reached) == [f"apns:{token}", f"fcm:{token}", f"fcm:{token}"]


async def set_prices(clarion: Engine, **amounts: str) -> None:
    """What a text costs through each provider, to numbers anywhere."""
    euros = {
        provider: {Channel.SMS: {"*": Money(amount=amount, currency="EUR")}}
        for provider, amount in amounts.items()
    }
    await clarion.ledger.setup.tenants.change(
        clarion.tenant, lambda tenant: msgspec.structs.replace(tenant, provider_prices=euros)
    )


async def one_more(clarion: Engine, **fields: Any) -> None:
    """An integration with a provider, and so a price, of its own."""
    await clarion.ledger.setup.integrations.put(
        clarion.tenant, Integration(key="c", channel=Channel.SMS, provider="capture", **fields)
    )


async def test_whoever_is_cheaper_gets_more(store):
    """Half the price, twice the messages; every attempt says so."""
    providers = SeveralProviders(a=RecordingProvider(batch=50))
    async with engine(store, provider=providers) as clarion:
        await prepare(clarion, providers)
        await one_more(clarion)
        await set_prices(clarion, recording="0.03", capture="0.09")
        found = await send(clarion)
        assert found["a"] > 1.5 * found["c"] > 0
        dear = next(m for m in (await clarion.messages()).values() if m.integration == "c")
        changes = await clarion.ledger.records.changes(clarion.tenant, dear.id)
        assert changes[-1].choice == "c 33.3 (weight 100, price 0.33); a 100"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"countries": ("GB", "IE")}, "it is not for DE"),
        ({"max_price": Money(amount="0.05", currency="EUR")}, "it costs 0.09 EUR"),
    ],
)
async def test_an_integration_takes_only_what_its_conditions_allow(store, fields, said):
    """Countries and a highest price; whoever else may take a message does."""
    providers = SeveralProviders(a=RecordingProvider(batch=50))
    async with engine(store, provider=providers) as clarion:
        await prepare(clarion, providers)
        await one_more(clarion, **fields)
        await set_prices(clarion, recording="0.03", capture="0.09")
        assert await send(clarion) == {"a": len(PEOPLE)}
        message = next(iter((await clarion.messages()).values()))
        changes = await clarion.ledger.records.changes(clarion.tenant, message.id)
        assert changes[-1].choice == f"a 100; not c: {said}"


async def test_conditions_let_through_what_fits(store):
    """The country of the number, and a price that is not higher."""
    async with engine(store) as clarion:
        await prepare(clarion, SeveralProviders())
        await one_more(clarion, countries=("DE",), max_price=Money(amount="0.09", currency="EUR"))
        await set_prices(clarion, capture="0.09")
        assert await send(clarion) == {"c": len(PEOPLE)}


async def test_what_no_integration_may_take_waits_for_one(store):
    """It is not given to somebody whose conditions forbid it."""
    async with engine(store) as clarion:
        await prepare(clarion, SeveralProviders())
        await one_more(clarion, countries=("GB",))
        await send(clarion)
        assert {m.reason for m in (await clarion.messages()).values()} == {Reason.NO_INTEGRATION}
        await one_more(clarion)
        await clarion.pass_time(40)
        assert {m.integration for m in (await clarion.messages()).values()} == {"c"}
