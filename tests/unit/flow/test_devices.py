"""A push goes to every device of its person, and what they answer together decides about the message."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from clarion.model.channel import Channel
from clarion.model.content import PushContent
from clarion.model.outcome import Accepted, Gone, Misconfigured, Outcome, Rejected, Retry, Unknown
from clarion.model.settlement import Settlement
from clarion.model.setup import Category, Integration, IntegrationLimits, UnknownPolicy
from clarion.model.status import Reason, Status
from clarion.model.user import Contact, UserPut
from clarion.rules.devices import DeviceAnswer, settle_devices
from clarion.rules.outcomes import AttemptContext
from clarion.testing.ports import MONDAY_NOON
from clarion.testing.providers import HANG, RecordingProvider
from clarion.testing.providers import Answer as Scripted
from tests.engine import Engine, engine, workflow
from tests.outgoing import outgoing

PING = workflow("ping", channel=Channel.PUSH)
PHONE, LAPTOP, TABLET = "phone", "laptop", "tablet"
ALL = (PHONE, LAPTOP, TABLET)


# -- what the answers mean ----------------------------------------------------------------------------------


def settled(*outcomes: Outcome, devices: int = 0, idempotent: bool = False) -> Settlement:
    """The meaning of these answers, one per device."""
    attempt = AttemptContext(integration="main", idempotent=idempotent, alternatives=0, took_ms=1, wait_s=9.0)
    answers = [
        DeviceAnswer(
            outgoing(PushContent(title="x"), channel=Channel.PUSH, address=f"SECRET-{n}"), one, attempt
        )
        for n, one in enumerate(outcomes)
    ]
    return settle_devices(
        answers,
        devices or len(answers),
        on_unknown=UnknownPolicy.DO_NOT_SEND,
        now=MONDAY_NOON,
        uniform=0.5,
    )


@pytest.mark.parametrize(
    ("outcomes", "status", "reason"),
    [
        ((Gone(), Retry(), Accepted(), Unknown()), Status.SENT, None),
        ((Gone(), Retry(), Unknown()), Status.FAILED, Reason.OUTCOME_UNKNOWN),
        ((Gone(), Rejected(), Retry()), Status.DEFERRED, Reason.RETRY),
        ((Rejected(), Misconfigured(), Gone()), Status.DEFERRED, Reason.MISCONFIGURED),
        ((Gone(), Rejected()), Status.REJECTED, Reason.PROVIDER_REJECTED),
        ((Gone(), Gone()), Status.BOUNCED, Reason.ADDRESS_GONE),
    ],
)
def test_the_most_hopeful_answer_decides(outcomes, status, reason):
    """One device is enough; while one may still take it, or may have, the others do not end it."""
    found = settled(*outcomes)
    assert (found.status, found.reason) == (status, reason)
    assert len(found.suppressions) == sum(isinstance(one, Gone) for one in outcomes)


def test_where_a_repetition_does_no_harm_doubt_is_a_reason_to_try_again():
    """An idempotent provider that did not answer is asked again."""
    assert settled(Unknown(), Rejected(), idempotent=True).reason is Reason.RETRY


def test_all_devices_are_tried_again_when_the_last_of_them_may_be():
    """The wish of each provider is a minimum."""
    found = settled(Retry(after_s=5), Retry(after_s=600), Retry())
    assert found.due_at is not None
    assert found.due_at >= MONDAY_NOON + 600_000


def test_a_device_that_was_called_uses_up_an_attempt_whatever_was_put_off():
    """Otherwise a message could be tried for ever."""
    assert settled(Retry(called=False), Retry()).attempt == 1
    assert settled(Retry(called=False), Retry(called=False)).attempt == 0


@pytest.mark.parametrize(
    ("outcomes", "devices", "detail"),
    [
        ((Accepted(), Accepted()), 2, "2 of 2 devices took it"),
        ((Gone(), Accepted(), Retry(detail="busy")), 4, "1 of 4 devices took it (1 gone, 1 not now, 1 not reached)"),
        ((Rejected(detail="too long"), Gone()), 2, "0 of 2 devices took it (1 gone, 1 refused): too long"),
        ((Unknown(detail="x" * 600),), 2, None),
    ],
)  # fmt: skip
def test_the_detail_counts_and_names_nobody(outcomes, devices, detail):
    """How many of how many, and without any what the provider said; bounded, and no address."""
    found = settled(*outcomes, devices=devices).detail
    assert found is not None
    assert detail is None or found == detail
    assert len(found) <= 500
    assert "SECRET" not in found


# -- in the engine ------------------------------------------------------------------------------------------


def reached(provider: RecordingProvider) -> Counter[str]:
    """How often each device got something."""
    return Counter(one.contact.address for one in provider.effects if one.contact is not None)


async def last_change(house: Engine) -> Any:
    """The newest entry of the only message's timeline."""
    return (await house.ledger.records.changes(house.tenant, (await house.one()).id))[-1]


@pytest.mark.parametrize("batch", [1, 2, 50])
async def test_every_device_gets_it_once_and_the_timeline_says_how_many(store, batch):
    """However many the provider takes in one call; and time changes nothing about it."""
    provider = RecordingProvider({TABLET: Retry()}, batch=batch)
    async with engine(store, provider=provider) as house:
        await house.furnish(PING)
        await house.person("ada", devices=ALL)
        await house.trigger("ping", "ada")
        await house.quiet()
        assert (await house.one()).status is Status.SENT
        change = await last_change(house)
        assert (change.outcome, change.detail) == ("accepted", "2 of 3 devices took it (1 not now)")
        await house.pass_time(86_400)
        assert reached(provider) == {PHONE: 1, LAPTOP: 1}
        assert max(map(len, provider.calls)) <= batch
        assert sum(map(len, provider.calls)) == 3


async def test_a_device_that_is_gone_is_suppressed_and_the_others_go_on(store):
    """Also when the message was sent; the next push does not try it."""
    provider = RecordingProvider({PHONE: Gone()}, batch=50)
    async with engine(store, provider=provider) as house:
        await house.furnish(PING)
        user = await house.person("ada", devices=ALL)
        await house.trigger("ping", "ada")
        await house.quiet()
        assert (await last_change(house)).detail == "2 of 3 devices took it (1 gone)"
        (row,) = await house.ledger.suppressions.page(house.tenant, None, 10)
        phone = next(one for one in user.profile.contacts if one.address == PHONE)
        assert (row.hash, row.reason) == (phone.hash, "address_gone")
        second = await house.trigger("ping", "ada")
        await house.quiet()
        assert (await house.one(event_id=second.event_id)).status is Status.SENT
        assert [one.contact.address for one in provider.calls[-1] if one.contact] == [TABLET, LAPTOP]


async def test_when_all_are_gone_the_message_bounces_and_all_are_suppressed(store):
    """Each in the transaction that ends it."""
    provider = RecordingProvider(otherwise=Gone(), batch=50)
    async with engine(store, provider=provider) as house:
        await house.furnish(PING)
        await house.person("ada", devices=ALL)
        await house.trigger("ping", "ada")
        await house.quiet()
        message = await house.one()
        assert (message.status, message.reason) == (Status.BOUNCED, Reason.ADDRESS_GONE)
        assert len(await house.ledger.suppressions.page(house.tenant, None, 10)) == 3


async def test_it_is_tried_again_only_while_no_device_took_it(store):
    """Then on all that are left, and the first one that takes it ends that."""
    script: dict[Any, Scripted] = {PHONE: Gone()}
    provider = RecordingProvider(script, otherwise=Retry(), batch=50)
    async with engine(store, provider=provider) as house:
        await house.furnish(PING)
        await house.person("ada", devices=ALL)
        await house.trigger("ping", "ada")
        await house.quiet()
        assert (await house.one()).reason is Reason.RETRY
        assert (await last_change(house)).detail == "0 of 3 devices took it (1 gone, 2 not now)"
        provider.script[TABLET] = Accepted()
        await house.pass_time(900)
        assert (await house.one()).status is Status.SENT
        await house.pass_time(86_400)
        asked = Counter(one.contact.address for call in provider.calls for one in call if one.contact)
        assert asked == {PHONE: 1, LAPTOP: 2, TABLET: 2}


def is_browser(contact: Contact) -> bool:
    return contact.address.startswith("{")


def is_token(contact: Contact) -> bool:
    return not is_browser(contact)


BROWSER = '{"endpoint": "https://push.example/1", "keys": {"p256dh": "x", "auth": "y"}}'


async def two_kinds(house: Engine, browsers: RecordingProvider, **limits: Any) -> None:
    """Tokens go to the engine's provider, browsers to another one."""
    plugins = house.pipeline.integrations._plugins
    plugins["recording"] = msgspec.structs.replace(house.provider.plugin(), accepts=is_token)
    plugins["browsers"] = msgspec.structs.replace(browsers.plugin("browsers"), accepts=is_browser)
    await house.furnish(PING)
    await house.ledger.setup.integrations.put(
        house.tenant,
        Integration(
            key="browsers",
            channel=Channel.PUSH,
            provider="browsers",
            limits=IntegrationLimits(**limits),
        ),
    )
    await house.person("ada", devices=(PHONE, BROWSER))


async def test_devices_of_several_kinds_are_reached_by_one_message(store):
    """Each through its own integration; the message is sent once both have answered."""
    browsers = RecordingProvider(batch=50)
    async with engine(store) as house:
        await two_kinds(house, browsers)
        await house.trigger("ping", "ada")
        await house.quiet()
        assert (await last_change(house)).detail == "2 of 2 devices took it"
        assert (reached(house.provider), reached(browsers)) == ({PHONE: 1}, {BROWSER: 1})


async def test_a_kind_whose_circuit_is_open_does_not_hold_back_the_other(store):
    """What can be reached is reached now, and the timeline says what was not."""
    browsers = RecordingProvider(otherwise=Misconfigured(), batch=50)
    async with engine(store) as house:
        await two_kinds(house, browsers)
        await house.trigger("ping", "ada")
        await house.quiet()
        assert (await last_change(house)).detail == "1 of 2 devices took it (1 misconfigured)"
        second = await house.trigger("ping", "ada")
        await house.quiet()
        message = await house.one(event_id=second.event_id)
        changes = await house.ledger.records.changes(house.tenant, message.id)
        assert (message.status, changes[-1].detail) == (Status.SENT, "1 of 2 devices took it (1 not reached)")
        assert len(browsers.calls) == 1


async def test_a_kind_that_hangs_is_given_up_and_the_other_counts(store):
    """Its time limit is its own, and the message ends as sent."""
    browsers = RecordingProvider(otherwise=HANG, batch=50)
    async with engine(store) as house:
        await two_kinds(house, browsers, timeout_s=20)
        await house.trigger("ping", "ada")
        await house.quiet()
        assert (await house.one()).status is Status.SENDING
        house.clock.advance(20)
        assert await house.eventually(Status.SENT)
        assert (await last_change(house)).detail == "1 of 2 devices took it (1 in doubt)"


async def test_a_kind_that_hangs_holds_no_slot_of_the_other(store):
    """Integrations are bulkheads: with one slot each, those who have a phone only do not wait for browsers."""
    browsers = RecordingProvider(otherwise=HANG, batch=50)
    async with engine(store) as house:
        await two_kinds(house, browsers)
        await house.ledger.setup.integrations.put(
            house.tenant,
            Integration(
                key="main-push",
                channel=Channel.PUSH,
                provider="recording",
                limits=IntegrationLimits(concurrency=1),
            ),
        )
        await house.trigger("ping", "ada")
        await house.quiet()
        await house.person("bob", devices=("bobs phone",))
        second = await house.trigger("ping", "bob")
        await house.quiet()
        assert browsers.under_way == 1
        assert (await house.one(event_id=second.event_id)).status is Status.SENT


async def test_another_integration_takes_over_only_when_no_device_took_it(store):
    """Failover is about the message, not about a device."""
    provider = RecordingProvider({PHONE: Retry()}, batch=50)
    async with engine(store, provider=provider) as house:
        await house.furnish(PING)
        await house.ledger.setup.integrations.put(
            house.tenant, Integration(key="second", channel=Channel.PUSH, provider="recording")
        )
        await house.person("ada", devices=(PHONE,))
        await house.trigger("ping", "ada")
        await house.pass_time(1)
        alone = len(provider.calls)
        assert alone >= 2
        await house.person("bob", devices=(PHONE, LAPTOP))
        await house.trigger("ping", "bob")
        await house.pass_time(1)
        assert len([call for call in provider.calls if call[0].user.id == "bob"]) == 1


async def limit(house: Engine, per_second: float) -> None:
    """How many devices a second the provider of pushes takes."""
    limited = Integration(
        key="main-push",
        channel=Channel.PUSH,
        provider="recording",
        limits=IntegrationLimits(per_second=per_second),
    )
    await house.ledger.setup.integrations.put(house.tenant, limited)


async def test_a_rate_limit_counts_devices(store):
    """Six a second, three devices each: two people at once, and all in their time; nobody gets it on some devices."""
    async with engine(store) as house:
        await house.furnish(PING)
        await limit(house, per_second=6)
        people = [f"user{n}" for n in range(6)]
        for one in people:
            await house.person(one, devices=tuple(f"{one}-{name}" for name in ALL))
        began = house.clock.now()
        await house.trigger("ping", *people)
        for _ in range(60):
            await house.quiet()
            assert len(house.provider.effects) <= 6 + 6 * (house.clock.now() - began) / 1000
            assert len(house.provider.effects) % 3 == 0
            house.clock.advance(0.2)
        assert set(reached(house.provider).values()) == {1}
        assert len(house.provider.effects) == 18


async def test_more_devices_than_a_rate_limit_holds_are_reached_all_the_same(store):
    """One a second and three devices: the debt is paid off before the next."""
    async with engine(store) as house:
        await house.furnish(PING)
        await limit(house, per_second=1)
        await house.person("ada", devices=ALL)
        await house.trigger("ping", "ada")
        await house.quiet()
        assert len(house.provider.effects) == 3


async def test_a_device_that_goes_while_the_attempt_is_noted_is_left_alone(store):
    """I9 and I8: what is committed before the call counts, for one device as for all."""
    async with engine(store) as house:
        await house.furnish(PING)
        await house.person("ada", devices=ALL)
        mark = house.ledger.messages.mark_sending
        devices: list[tuple[str, ...]] = [(TABLET, LAPTOP), ("new",)]

        async def slowly(worker: Any, messages: Any, at: Any) -> Any:
            refused = await mark(worker, messages, at)
            if devices:
                await house.person("ada", devices=devices.pop(0))
            return refused

        house.ledger.messages.mark_sending = slowly  # type: ignore[method-assign]
        await house.trigger("ping", "ada")
        await house.quiet()
        assert reached(house.provider) == {TABLET: 1, LAPTOP: 1}
        second = await house.trigger("ping", "ada")
        await house.pass_time(1)
        assert (await house.one(event_id=second.event_id)).status is Status.SENT
        assert reached(house.provider) == {TABLET: 1, LAPTOP: 1, "new": 1}


async def test_doubt_about_one_device_follows_the_policy_of_the_category(store):
    """Nobody took it for sure and one may have: marketing is not sent again, on any device (I2)."""
    provider = RecordingProvider({PHONE: Unknown()}, otherwise=Retry(), batch=50)
    async with engine(store, provider=provider) as house:
        await house.furnish(PING, categories=(Category(key="news", on_unknown=UnknownPolicy.DO_NOT_SEND),))
        await house.person("ada", devices=ALL)
        await house.trigger("ping", "ada")
        await house.pass_time(900)
        message = await house.one()
        assert (message.status, message.reason) == (Status.FAILED, Reason.OUTCOME_UNKNOWN)
        assert len(provider.calls) == 1


async def test_other_channels_go_to_one_contact(store):
    """Two addresses are not two mails."""
    async with engine(store) as house:
        await house.furnish(workflow("mail", channel=Channel.EMAIL))
        user = await house.person("ada")
        contacts = (*user.profile.contacts, Contact(channel=Channel.EMAIL, address="second@example.org"))
        profile = msgspec.structs.replace(user.profile, contacts=contacts)
        await house.ledger.users.put(house.tenant, [UserPut(id="ada", profile=profile)])
        await house.trigger("mail", "ada")
        await house.quiet()
        assert reached(house.provider) == {"ada@example.org": 1}


async def test_what_went_to_each_device_is_captured(store):
    """A copy for each, with its own address, stored once however often the message is looked at."""
    async with engine(store, provider=RecordingProvider()) as house:
        await house.furnish(PING)
        captured = Integration(key="main-push", channel=Channel.PUSH, provider="capture")
        await house.ledger.setup.integrations.put(house.tenant, captured)
        await house.person("ada", devices=ALL)
        await house.trigger("ping", "ada")
        await house.quiet()
        message = await house.one()
        assert message.status is Status.SENT
        kept = await house.ledger.captures.of(house.tenant, message.id)
        users = await house.ledger.users.get([message.user])
        opened = [house.vault.open(users[message.user].key, one.sealed) for one in kept]
        assert sorted(msgspec.json.decode(one)["to"] for one in opened) == sorted(ALL)
