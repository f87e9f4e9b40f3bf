"""A push goes to every device of its person, and what they answer together decides about the message."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from clarion.model.channel import Channel
from clarion.model.content import PushContent
from clarion.model.device import Platform
from clarion.model.ids import Instant
from clarion.model.outcome import Accepted, Gone, Misconfigured, Outcome, Rejected, Retry, Unknown
from clarion.model.settlement import Settlement
from clarion.model.setup import Category, Integration, IntegrationLimits, Template, UnknownPolicy
from clarion.model.status import Reason, Status
from clarion.model.suppression import SuppressionFilter
from clarion.model.user import Contact, UserPut
from clarion.rules.devices import DeviceAnswer, settle_devices
from clarion.rules.outcomes import AttemptContext
from clarion.services.devices import Registration
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


def test_only_what_a_single_device_took_has_an_id_of_the_provider():
    """Each device has its own."""
    assert settled(Gone(), Accepted(provider_id="1"), Retry()).provider_id == "1"
    assert settled(Accepted(provider_id="1"), Accepted(provider_id="2")).provider_id is None


@pytest.mark.parametrize(
    ("since", "before"),
    [(None, -1), (Instant(MONDAY_NOON - 60_000), -60_000), (Instant(MONDAY_NOON + 60_000), -1)],
)
def test_a_token_is_gone_for_registrations_from_before(since, before):
    """Before the time that the service names, and never after the call began: whoever registered since is not meant."""
    for outcomes in ((Gone(since=since),), (Gone(since=since), Accepted())):
        (gone,) = settled(*outcomes).suppressions
        assert gone.registered_before == MONDAY_NOON + before


def test_each_device_that_was_refused_is_noted_and_no_other():
    """Neither those that took it nor those whose service had trouble."""
    noted = settled(Accepted(), Gone(detail="Unregistered"), Rejected(), Retry(), Unknown(), Misconfigured())
    assert [(one.reason, one.detail) for one in noted.device_refusals] == [
        ("address_gone", "Unregistered"),
        ("provider_rejected", None),
    ]


# -- in the engine ------------------------------------------------------------------------------------------


def reached(provider: RecordingProvider) -> Counter[str]:
    """How often each device got something."""
    return Counter(one.contact.address for one in provider.effects if one.contact is not None)


async def last_change(clarion: Engine) -> Any:
    """The newest entry of the only message's timeline."""
    return (await clarion.ledger.records.changes(clarion.tenant, (await clarion.one()).id))[-1]


@pytest.mark.parametrize("batch", [1, 2, 50])
async def test_every_device_gets_it_once_and_the_timeline_says_how_many(store, batch):
    """However many the provider takes in one call; and time changes nothing about it."""
    provider = RecordingProvider({TABLET: Retry()}, batch=batch)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(PING)
        await clarion.put_user("ada", devices=ALL)
        await clarion.trigger("ping", "ada")
        await clarion.until_idle()
        assert (await clarion.one()).status is Status.SENT
        change = await last_change(clarion)
        assert (change.outcome, change.detail) == ("accepted", "2 of 3 devices took it (1 not now)")
        await clarion.pass_time(86_400)
        assert reached(provider) == {PHONE: 1, LAPTOP: 1}
        assert max(map(len, provider.calls)) <= batch
        assert sum(map(len, provider.calls)) == 3


async def test_a_device_that_is_gone_is_suppressed_and_the_others_go_on(store):
    """Also when the message was sent; the next push does not try it."""
    provider = RecordingProvider({PHONE: Gone()}, batch=50)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(PING)
        user = await clarion.put_user("ada", devices=ALL)
        await clarion.trigger("ping", "ada")
        await clarion.until_idle()
        assert (await last_change(clarion)).detail == "2 of 3 devices took it (1 gone)"
        (row,) = await clarion.ledger.suppressions.page(clarion.tenant, SuppressionFilter(), None, 10)
        phone = next(one for one in user.profile.contacts if one.address == PHONE)
        assert (row.hash, row.reason) == (phone.hash, "address_gone")
        second = await clarion.trigger("ping", "ada")
        await clarion.until_idle()
        assert (await clarion.one(event_id=second.event_id)).status is Status.SENT
        assert [one.contact.address for one in provider.calls[-1] if one.contact] == [TABLET, LAPTOP]


async def test_when_all_are_gone_the_message_bounces_and_all_are_suppressed(store):
    """Each in the transaction that ends it."""
    provider = RecordingProvider(otherwise=Gone(), batch=50)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(PING)
        await clarion.put_user("ada", devices=ALL)
        await clarion.trigger("ping", "ada")
        await clarion.until_idle()
        message = await clarion.one()
        assert (message.status, message.reason) == (Status.BOUNCED, Reason.ADDRESS_GONE)
        assert len(await clarion.ledger.suppressions.page(clarion.tenant, SuppressionFilter(), None, 10)) == 3


async def test_it_is_tried_again_only_while_no_device_took_it(store):
    """Then on all that are left, and the first one that takes it ends that."""
    script: dict[Any, Scripted] = {PHONE: Gone()}
    provider = RecordingProvider(script, otherwise=Retry(), batch=50)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(PING)
        await clarion.put_user("ada", devices=ALL)
        await clarion.trigger("ping", "ada")
        await clarion.until_idle()
        assert (await clarion.one()).reason is Reason.RETRY
        assert (await last_change(clarion)).detail == "0 of 3 devices took it (1 gone, 2 not now)"
        provider.script[TABLET] = Accepted()
        await clarion.pass_time(900)
        assert (await clarion.one()).status is Status.SENT
        await clarion.pass_time(86_400)
        asked = Counter(one.contact.address for call in provider.calls for one in call if one.contact)
        assert asked == {PHONE: 1, LAPTOP: 2, TABLET: 2}


def is_browser(contact: Contact) -> bool:
    return contact.address.startswith("{")


def is_token(contact: Contact) -> bool:
    return not is_browser(contact)


BROWSER = '{"endpoint": "https://push.example/1", "keys": {"p256dh": "x", "auth": "y"}}'


async def two_kinds(clarion: Engine, browsers: RecordingProvider, **limits: Any) -> None:
    """Tokens go to the engine's provider, browsers to another one."""
    plugins = clarion.pipeline.integrations._plugins
    plugins["recording"] = msgspec.structs.replace(clarion.provider.plugin(), accepts=is_token)
    plugins["browsers"] = msgspec.structs.replace(browsers.plugin("browsers"), accepts=is_browser)
    await clarion.create_setup(PING)
    await clarion.ledger.setup.integrations.put(
        clarion.tenant,
        Integration(
            key="browsers",
            channel=Channel.PUSH,
            provider="browsers",
            limits=IntegrationLimits(**limits),
        ),
    )
    await clarion.put_user("ada", devices=(PHONE, BROWSER))


async def test_devices_of_several_kinds_are_reached_by_one_message(store):
    """Each through its own integration; the message is sent once both have answered."""
    browsers = RecordingProvider(batch=50)
    async with engine(store) as clarion:
        await two_kinds(clarion, browsers)
        await clarion.trigger("ping", "ada")
        await clarion.until_idle()
        assert (await last_change(clarion)).detail == "2 of 2 devices took it"
        assert (reached(clarion.provider), reached(browsers)) == ({PHONE: 1}, {BROWSER: 1})


async def test_a_kind_whose_circuit_is_open_does_not_hold_back_the_other(store):
    """What can be reached is reached now, and the timeline says what was not."""
    browsers = RecordingProvider(otherwise=Misconfigured(), batch=50)
    async with engine(store) as clarion:
        await two_kinds(clarion, browsers)
        await clarion.trigger("ping", "ada")
        await clarion.until_idle()
        assert (await last_change(clarion)).detail == "1 of 2 devices took it (1 misconfigured)"
        second = await clarion.trigger("ping", "ada")
        await clarion.until_idle()
        message = await clarion.one(event_id=second.event_id)
        changes = await clarion.ledger.records.changes(clarion.tenant, message.id)
        assert (message.status, changes[-1].detail) == (Status.SENT, "1 of 2 devices took it (1 not reached)")
        assert len(browsers.calls) == 1


async def test_a_kind_that_hangs_is_given_up_and_the_other_counts(store):
    """Its time limit is its own, and the message ends as sent."""
    browsers = RecordingProvider(otherwise=HANG, batch=50)
    async with engine(store) as clarion:
        await two_kinds(clarion, browsers, timeout_s=20)
        await clarion.trigger("ping", "ada")
        await clarion.until_idle()
        assert (await clarion.one()).status is Status.SENDING
        clarion.clock.advance(20)
        assert await clarion.eventually(Status.SENT)
        assert (await last_change(clarion)).detail == "1 of 2 devices took it (1 in doubt)"


async def test_a_kind_that_hangs_holds_no_slot_of_the_other(store):
    """Integrations are bulkheads: with one slot each, those who have a phone only do not wait for browsers."""
    browsers = RecordingProvider(otherwise=HANG, batch=50)
    async with engine(store) as clarion:
        await two_kinds(clarion, browsers)
        await clarion.ledger.setup.integrations.put(
            clarion.tenant,
            Integration(
                key="main-push",
                channel=Channel.PUSH,
                provider="recording",
                limits=IntegrationLimits(concurrency=1),
            ),
        )
        await clarion.trigger("ping", "ada")
        await clarion.until_idle()
        await clarion.put_user("bob", devices=("bobs phone",))
        second = await clarion.trigger("ping", "bob")
        await clarion.until_idle()
        assert browsers.under_way == 1
        assert (await clarion.one(event_id=second.event_id)).status is Status.SENT


async def test_another_integration_takes_over_only_when_no_device_took_it(store):
    """Failover is about the message, not about a device."""
    provider = RecordingProvider({PHONE: Retry()}, batch=50)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(PING)
        await clarion.ledger.setup.integrations.put(
            clarion.tenant, Integration(key="second", channel=Channel.PUSH, provider="recording")
        )
        await clarion.put_user("ada", devices=(PHONE,))
        await clarion.trigger("ping", "ada")
        await clarion.pass_time(1)
        alone = len(provider.calls)
        assert alone >= 2
        await clarion.put_user("bob", devices=(PHONE, LAPTOP))
        await clarion.trigger("ping", "bob")
        await clarion.pass_time(1)
        assert len([call for call in provider.calls if call[0].user.id == "bob"]) == 1


async def limit(clarion: Engine, per_second: float) -> None:
    """How many devices a second the provider of pushes takes."""
    limited = Integration(
        key="main-push",
        channel=Channel.PUSH,
        provider="recording",
        limits=IntegrationLimits(per_second=per_second),
    )
    await clarion.ledger.setup.integrations.put(clarion.tenant, limited)


async def test_a_rate_limit_counts_devices(store):
    """Six a second, three devices each: two people at once, and all in their time; nobody gets it on some devices."""
    async with engine(store) as clarion:
        await clarion.create_setup(PING)
        await limit(clarion, per_second=6)
        people = [f"user{n}" for n in range(6)]
        for one in people:
            await clarion.put_user(one, devices=tuple(f"{one}-{name}" for name in ALL))
        began = clarion.clock.now()
        await clarion.trigger("ping", *people)
        for _ in range(60):
            await clarion.until_idle()
            assert len(clarion.provider.effects) <= 6 + 6 * (clarion.clock.now() - began) / 1000
            assert len(clarion.provider.effects) % 3 == 0
            clarion.clock.advance(0.2)
        assert set(reached(clarion.provider).values()) == {1}
        assert len(clarion.provider.effects) == 18


async def test_more_devices_than_a_rate_limit_holds_are_reached_all_the_same(store):
    """One a second and three devices: the debt is paid off before the next."""
    async with engine(store) as clarion:
        await clarion.create_setup(PING)
        await limit(clarion, per_second=1)
        await clarion.put_user("ada", devices=ALL)
        await clarion.trigger("ping", "ada")
        await clarion.until_idle()
        assert len(clarion.provider.effects) == 3


async def test_a_device_that_goes_while_the_attempt_is_noted_is_left_alone(store):
    """I9 and I8: what is committed before the call counts, for one device as for all."""
    async with engine(store) as clarion:
        await clarion.create_setup(PING)
        await clarion.put_user("ada", devices=ALL)
        begin = clarion.ledger.messages.begin_calls
        devices: list[tuple[str, ...]] = [(TABLET, LAPTOP), ("new",)]

        async def slowly(worker: Any, batches: Any, at: Any) -> Any:
            refused = await begin(worker, batches, at)
            if devices:
                await clarion.put_user("ada", devices=devices.pop(0))
            return refused

        clarion.ledger.messages.begin_calls = slowly  # type: ignore[method-assign]
        await clarion.trigger("ping", "ada")
        await clarion.until_idle()
        assert reached(clarion.provider) == {TABLET: 1, LAPTOP: 1}
        second = await clarion.trigger("ping", "ada")
        await clarion.pass_time(1)
        assert (await clarion.one(event_id=second.event_id)).status is Status.SENT
        assert reached(clarion.provider) == {TABLET: 1, LAPTOP: 1, "new": 1}


async def test_doubt_about_one_device_follows_the_policy_of_the_category(store):
    """Nobody took it for sure and one may have: marketing is not sent again, on any device (I2)."""
    provider = RecordingProvider({PHONE: Unknown()}, otherwise=Retry(), batch=50)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(
            PING, categories=(Category(key="news", on_unknown=UnknownPolicy.DO_NOT_SEND),)
        )
        await clarion.put_user("ada", devices=ALL)
        await clarion.trigger("ping", "ada")
        await clarion.pass_time(900)
        message = await clarion.one()
        assert (message.status, message.reason) == (Status.FAILED, Reason.OUTCOME_UNKNOWN)
        assert len(provider.calls) == 1


async def test_other_channels_go_to_one_contact(store):
    """Two addresses are not two mails."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("mail", channel=Channel.EMAIL))
        user = await clarion.put_user("ada")
        contacts = (*user.profile.contacts, Contact(channel=Channel.EMAIL, address="second@example.org"))
        profile = msgspec.structs.replace(user.profile, contacts=contacts)
        await clarion.ledger.users.put(clarion.tenant, [UserPut(id="ada", profile=profile)])
        await clarion.trigger("mail", "ada")
        await clarion.until_idle()
        assert reached(clarion.provider) == {"ada@example.org": 1}


async def test_what_went_to_each_device_is_captured(store):
    """A copy for each, with its own address, stored once however often the message is looked at."""
    async with engine(store, provider=RecordingProvider()) as clarion:
        await clarion.create_setup(PING)
        captured = Integration(key="main-push", channel=Channel.PUSH, provider="capture")
        await clarion.ledger.setup.integrations.put(clarion.tenant, captured)
        await clarion.put_user("ada", devices=ALL)
        await clarion.trigger("ping", "ada")
        await clarion.until_idle()
        message = await clarion.one()
        assert message.status is Status.SENT
        kept = await clarion.ledger.captures.of(clarion.tenant, message.id)
        users = await clarion.ledger.users.get([message.user])
        opened = [clarion.vault.open(users[message.user].key, one.sealed) for one in kept]
        assert sorted(msgspec.json.decode(one)["to"] for one in opened) == sorted(ALL)


# -- registered devices -------------------------------------------------------------------------------------


async def registered(clarion: Engine, user_id: str, device_id: str, token: str) -> Any:
    """A device that is logged in for somebody who exists."""
    await clarion.ledger.users.put(clarion.tenant, [UserPut(id=user_id)])
    person = (await clarion.ledger.users.find(clarion.tenant, [user_id]))[user_id]
    said = Registration(platform=Platform.ANDROID, token=token)
    return await clarion.services.devices.log_in(person, device_id, said)


async def test_what_a_push_service_refuses_is_noted_at_its_device(store):
    """At this one only, while the message is sent by the other."""
    provider = RecordingProvider({"fcm:token-gone": Gone(detail="Unregistered")}, batch=50)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(PING, categories=(Category(key="news"),))
        await registered(clarion, "ada", "old phone", "token-gone")
        await registered(clarion, "ada", "new phone", "token-good")
        clarion.clock.advance(1)
        await clarion.trigger("ping", "ada")
        await clarion.until_idle()
        assert reached(provider) == {"fcm:token-good": 1}
        person = (await clarion.ledger.users.find(clarion.tenant, ["ada"]))["ada"]
        old = await clarion.services.devices.get(person, "old phone")
        new = await clarion.services.devices.get(person, "new phone")
        assert (old.suppressed, new.suppressed) == (True, False)
        assert new.state.last_error is None
        assert (old.state.last_error.reason, old.state.last_error.detail) == ("address_gone", "Unregistered")


async def test_what_waits_for_somebody_does_not_go_to_a_device_that_has_moved(store):
    """Not even if it was tried before: it goes where they are logged in now, or nowhere."""
    provider = RecordingProvider(otherwise=Retry(), batch=50)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(PING, categories=(Category(key="news"),))
        await registered(clarion, "ada", "phone", "token-of-phone")
        await clarion.trigger("ping", "ada")
        await clarion.until_idle()
        await registered(clarion, "bob", "phone", "token-of-phone")
        provider.otherwise = Accepted()
        await clarion.pass_time(3_600)
        assert reached(provider) == {}
        message = await clarion.one()
        assert (message.status, message.reason) == (Status.SUPPRESSED, Reason.NO_CONTACT)


async def test_a_device_and_a_contact_with_one_token_get_it_once(store):
    """A contact that was added behind the log-in is the same phone."""
    async with engine(store) as clarion:
        await clarion.create_setup(PING, categories=(Category(key="news"),))
        await clarion.put_user("ada", devices=["fcm:other-phone"])
        await registered(clarion, "ada", "phone", "token-of-phone")
        await clarion.put_user("ada", devices=["fcm:other-phone", "fcm:token-of-phone"])
        await clarion.trigger("ping", "ada")
        await clarion.until_idle()
        assert reached(clarion.provider) == {"fcm:other-phone": 1, "fcm:token-of-phone": 1}


async def test_a_badge_is_the_number_of_unread_items_when_it_is_asked_for(store):
    """Of each person as the push is sent, whatever was planned before; a badge that is a number stays."""
    async with engine(store) as clarion:
        await clarion.create_setup(
            PING, workflow("bell", channel=Channel.IN_APP), categories=(Category(key="news"),)
        )
        badge = "{{ data.badge|tojson }}"
        fields = {"title": "New", "device": '{"sound": "default", "badge": ' + badge + "}"}
        await clarion.ledger.setup.templates.put(
            clarion.tenant,
            Template(
                key="note",
                channels={Channel.PUSH: {"en": fields}, Channel.IN_APP: {"en": {"title": "New"}}},
                example_data={"badge": 1},
            ),
        )
        for name in ("ada", "bob"):
            await clarion.put_user(name)
        await clarion.trigger("bell", "ada", data=msgspec.Raw(b"{}"))
        await clarion.trigger("bell", "ada", data=msgspec.Raw(b"{}"))
        await clarion.until_idle()
        await clarion.trigger("ping", "ada", "bob", data=msgspec.Raw(b'{"badge": "unread"}'))
        await clarion.trigger("ping", "ada", data=msgspec.Raw(b'{"badge": 7}'))
        await clarion.until_idle()
        sent = [one for one in clarion.provider.effects if isinstance(one.content, PushContent)]
        badges = {(one.user.id, one.content.device.badge) for one in sent}
        assert badges == {("ada", 2), ("bob", 0), ("ada", 7)}
        assert {one.content.device.sound for one in sent} == {"default"}
