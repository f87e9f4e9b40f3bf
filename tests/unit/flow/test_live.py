"""Live resources: their states go the way of all events, and no device ever shows an older one in place of a newer."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from clarion.adapters.ledgers.memory import Tables
from clarion.errors import Conflict, InvalidData, NotFound, Unavailable, UnknownReference
from clarion.model.channel import Channel
from clarion.model.content import PushContent
from clarion.model.device import Platform
from clarion.model.ids import Instant
from clarion.model.live import Live
from clarion.model.live_update import LiveUpdate
from clarion.model.outgoing import Outgoing
from clarion.model.setup import Category, SendAll, Step, Template
from clarion.model.status import Reason, Status
from clarion.model.submission import Recipient
from clarion.model.topic import Topic
from clarion.model.user import FrequencyCap, Preferences, User, Window
from clarion.services.devices import Registration
from clarion.services.lives import APART_MS, KEPT_MS, LiveEnded, LiveState, OlderSequence
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine, Store, engine, workflow

ACTIVITY, OTHER_ACTIVITY, START, PHONE = "a1" * 32, "a2" * 32, "b1" * 32, "c1" * 32
ANDROID = "fcm:bk3RNwTe3H0:CI2k_HHwgIpoDKCIZvvDMExUdFQ3P1"
ORDER = Template(
    key="order",
    channels={
        Channel.PUSH: {
            "en": {
                "title": "Order {{ data.order }}",
                "body": "{{ data.text }}",
                "live": '{"attributes_type": "OrderAttributes", "progress": {{ data.progress|tojson }}}',
            }
        },
        Channel.IN_APP: {"en": {"title": "Order {{ data.order }}", "body": "{{ data.text }}"}},
    },
    data_schema={"type": "object", "required": ["order"]},
    example_data={"order": "A-1", "text": "packed", "progress": 0.5},
)


@pytest.fixture(params=["memory", "file"])
def store(request, tmp_path) -> Store:
    """Both stores: the checks that no older state wins are made inside them."""
    return Tables() if request.param == "memory" else tmp_path


def state(text: str, progress: float = 0.5) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode({"order": "A-1", "text": text, "progress": progress}))


def given(
    text: str = "packed", sequence: int | None = None, *recipients: str | Recipient, **more: Any
) -> LiveState:
    return LiveState(
        workflow="orders",
        recipients=recipients or ("ada",),
        state=more.pop("state", None) or state(text),
        sequence=sequence,
        **more,
    )


async def set_up(clarion: Engine, *channels: Channel, **more: Any) -> None:
    steps = (Step(key="tell", template="order", to=SendAll(channels=channels or (Channel.PUSH,))),)
    await clarion.create_setup(workflow("orders", steps=steps, **more), categories=(Category(key="news"),))
    await clarion.ledger.setup.templates.put(clarion.tenant, ORDER)


async def put(clarion: Engine, *values: Any, key: str = "a-1", **more: Any) -> Live:
    live: Live = await clarion.services.lives.put(clarion.tenant, key, given(*values, **more))
    return live


def update_of(outgoing: Outgoing) -> LiveUpdate:
    """Which state it shows."""
    assert outgoing.live is not None
    return outgoing.live


def service_of(outgoing: Outgoing) -> str:
    """To which kind of address it went."""
    assert outgoing.contact is not None
    return outgoing.contact.address.partition(":")[0]


def shown(outgoing: Outgoing) -> tuple[str, str, str]:
    """To which kind of address, as what, and saying what."""
    assert isinstance(outgoing.content, PushContent)
    return service_of(outgoing), update_of(outgoing).event.value, outgoing.content.body


def all_shown(provider: RecordingProvider) -> list[tuple[str, str, str]]:
    return [shown(one) for one in provider.effects]


async def inbox(clarion: Engine, user: User) -> Sequence[Mapping[str, Any]]:
    items = await clarion.ledger.inboxes.page(user.no, None, 50)
    return [json.loads(clarion.vault.open(user.key, item.sealed)) for item in items]


async def test_one_state_starts_updates_and_ends_what_devices_show(store):
    """A push-to-start token starts it, the token of the activity updates and ends it, an Android phone gets all three."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        await set_up(clarion)
        await clarion.put_user("ada", devices=(f"apns-start:{START}", ANDROID))
        await put(clarion, "packed")
        await clarion.pass_time(2)
        devices = (f"apns-start:{START}", f"apns-activity:a-1/{ACTIVITY}", ANDROID)
        await clarion.put_user("ada", devices=devices)
        await put(clarion, "on its way")
        await clarion.pass_time(2)
        await clarion.services.lives.end(clarion.tenant, "a-1", state=state("delivered"))
        await clarion.pass_time(2)
    assert sorted(all_shown(provider)) == [
        ("apns-activity", "end", "delivered"),
        ("apns-activity", "update", "on its way"),
        ("apns-start", "start", "packed"),
        ("fcm", "end", "delivered"),
        ("fcm", "start", "packed"),
        ("fcm", "update", "on its way"),
    ]


async def test_tokens_of_activities_get_nothing_else(store):
    """Neither other messages, nor the states of other live resources; nor is an iPhone told twice."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        await set_up(clarion)
        await clarion.create_setup(workflow("note", channel=Channel.PUSH))
        devices = (f"apns-start:{START}", f"apns-activity:b-2/{ACTIVITY}", f"apns:{PHONE}")
        await clarion.put_user("ada", devices=devices)
        await clarion.trigger("note", "ada")
        await put(clarion, "packed")
        await clarion.until_idle()
    got = [(service_of(one), one.live is not None) for one in provider.effects]
    assert sorted(got) == [("apns", False), ("apns-start", True)]


async def test_states_of_one_second_go_together_and_the_last_is_shown(store):
    """The first goes at once; of those that follow within a second the newest goes a second later."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        await set_up(clarion)
        await clarion.put_user("ada", devices=(ANDROID,))
        for number in range(1, 11):
            await put(clarion, f"state {number}", number)
            await clarion.until_idle()
        assert [text for _, _, text in all_shown(provider)] == ["state 1"]
        await clarion.pass_time(APART_MS / 1000)
        assert [text for _, _, text in all_shown(provider)] == ["state 1", "state 10"]
        seconds = [update_of(one).at // 1000 for one in provider.effects]
        assert seconds[1] > seconds[0]
        statuses = Counter(m.status for m in (await clarion.messages()).values())
        assert statuses == {Status.SENT: 2, Status.MERGED: 8}


async def test_a_state_that_is_not_newer_changes_nothing(store):
    """It is refused, unless it is the very state that is there: then the answer is the same again, and nothing is sent."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        await set_up(clarion)
        await clarion.put_user("ada", devices=(ANDROID,))
        first = await put(clarion, "five", 5)
        for older in (given("four", 4), given("other", 5)):
            with pytest.raises(OlderSequence) as refused:
                await clarion.services.lives.put(clarion.tenant, "a-1", older)
            assert refused.value.pointer == "#/sequence"
        again = await put(clarion, "five", 5)
        await clarion.pass_time(5)
        assert again == first
        assert [text for _, _, text in all_shown(provider)] == ["five"]


async def test_of_states_that_come_at_the_same_time_the_newest_stays(store):
    """Whatever their order: all others are refused or replaced, and devices and inbox end with the newest."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        await set_up(clarion, Channel.PUSH, Channel.IN_APP)
        user = await clarion.put_user("ada", devices=(ANDROID,))
        numbers = [7, 3, 9, 1, 10, 2, 8, 4, 6, 5]
        outcomes = await asyncio.gather(
            *(put(clarion, f"state {number}", number) for number in numbers), return_exceptions=True
        )
        assert all(isinstance(one, Live | OlderSequence) for one in outcomes), outcomes
        await clarion.pass_time(3)
        now = await clarion.services.lives.get(clarion.tenant, "a-1")
        assert now is not None
        assert now.sequence == 10
        assert all_shown(provider)[-1][2] == "state 10"
        sequences = [update_of(one).sequence for one in provider.effects]
        assert sequences == sorted(sequences)
        assert [item["body"] for item in await inbox(clarion, user)] == ["state 10"]


async def test_a_message_that_was_late_shows_the_newest_state(store):
    """What was planned for an older state, and could not be sent then, brings no old state back."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        await set_up(clarion)
        quiet = Preferences(quiet_hours=(Window(start="11:00", end="13:00"),))
        await clarion.put_user("ada", quiet, devices=(ANDROID,))
        for number in range(1, 4):
            await put(clarion, f"state {number}", number)
            await clarion.pass_time(5)
        assert provider.effects == []
        await clarion.pass_time(3_700)
        assert [(event, text) for _, event, text in sorted(all_shown(provider))] == [
            ("start", "state 3"),
            ("update", "state 3"),
        ]


async def test_the_inbox_has_one_card_that_changes(store):
    """It keeps its id and what the person did with it, and moves to the end of the stream of changes."""
    async with engine(store) as clarion:
        await set_up(clarion, Channel.IN_APP)
        user = await clarion.put_user("ada")
        await put(clarion, "packed", key="other")
        await put(clarion, "packed")
        await clarion.until_idle()
        other, card = sorted(
            await clarion.ledger.inboxes.page(user.no, None, 50), key=lambda item: item.offset
        )
        await clarion.ledger.inboxes.mark(user.no, "read", [card.message_id], clarion.clock.now())
        await put(clarion, "on its way")
        await clarion.pass_time(2)
        await clarion.services.lives.end(clarion.tenant, "a-1", state=state("delivered"))
        await clarion.pass_time(2)
        items = await clarion.ledger.inboxes.page(user.no, None, 50)
        assert {item.message_id for item in items} == {other.message_id, card.message_id}
        assert sorted(item["body"] for item in await inbox(clarion, user)) == ["delivered", "packed"]
        (newest,) = [item for item in items if item.message_id == card.message_id]
        assert newest.read_at is not None
        offset, counts = await clarion.ledger.inboxes.head(user.no)
        assert (newest.offset, counts.total, counts.unread) == (offset, 2, 1)
        missed = await clarion.ledger.inboxes.since(user.no, card.offset, 50)
        assert [item.message_id for item in missed] == [card.message_id]
        messages = (await clarion.messages(channel=Channel.IN_APP)).values()
        assert {m.status for m in messages} == {Status.DELIVERED}


async def test_an_erased_person_has_no_cards(store):
    """Who comes again under the same name begins with an empty inbox."""
    async with engine(store) as clarion:
        await set_up(clarion, Channel.IN_APP)
        user = await clarion.put_user("ada")
        await put(clarion, "packed")
        await clarion.until_idle()
        await clarion.ledger.users.delete(clarion.tenant, "ada")
        user = await clarion.put_user("ada")
        await put(clarion, "again", key="b-2")
        await clarion.pass_time(2)
        assert [item["body"] for item in await inbox(clarion, user)] == ["again"]


async def test_it_ends_when_it_is_stale(store):
    """Unless another state comes before; after that no state is taken, and an end changes nothing."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        await set_up(clarion)
        await clarion.put_user("ada", devices=(ANDROID,))
        now = clarion.clock.now()
        await put(clarion, "packed", stale_at=Instant(now + 60_000))
        await clarion.pass_time(30)
        await put(clarion, "on its way", stale_at=Instant(now + 120_000))
        await clarion.pass_time(45)
        assert (await clarion.services.lives.get(clarion.tenant, "a-1")).ended_at is None
        await clarion.pass_time(60)
        ended = await clarion.services.lives.get(clarion.tenant, "a-1")
        assert ended.ended_at is not None
        assert all_shown(provider)[-1] == ("fcm", "end", "on its way")
        with pytest.raises(LiveEnded):
            await put(clarion, "later")
        assert await clarion.services.lives.end(clarion.tenant, "a-1") == ended
        count = len(provider.effects)
        await clarion.pass_time(5)
        assert len(provider.effects) == count


async def test_what_ended_is_forgotten_after_a_month(store):
    """And its key can be used again."""
    async with engine(store) as clarion:
        await set_up(clarion, Channel.IN_APP)
        await clarion.put_user("ada")
        await put(clarion, "packed")
        await clarion.services.lives.end(clarion.tenant, "a-1")
        await clarion.pass_time(KEPT_MS / 1000 - 60)
        assert await clarion.services.lives.get(clarion.tenant, "a-1") is not None
        await clarion.pass_time(120)
        assert await clarion.services.lives.get(clarion.tenant, "a-1") is None


async def test_who_joins_gets_a_start_and_who_leaves_an_end(store):
    """The others get an update: also members of topics."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        await set_up(clarion)
        users = {
            name: await clarion.put_user(name, devices=(f"{ANDROID}{name}",))
            for name in ("ada", "bob", "eve")
        }
        await clarion.ledger.topics.put(clarion.tenant, Topic(key="fans"))
        await clarion.ledger.topics.subscribe(clarion.tenant, "fans", [users["eve"].no])
        await put(clarion, "one", None, "ada", "bob")
        await clarion.pass_time(2)
        await put(clarion, "two", None, "bob", Recipient(topic="fans"))
        await clarion.pass_time(2)
    got = sorted((one.user.id, *shown(one)[1:]) for one in provider.effects)
    assert got == [
        ("ada", "end", "two"),
        ("ada", "start", "one"),
        ("bob", "start", "one"),
        ("bob", "update", "two"),
        ("eve", "start", "two"),
    ]


async def test_it_counts_once_for_frequency_caps(store):
    """However often its state changes, and whoever would have had enough of messages by then."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        await set_up(clarion)
        capped = Category(key="news", caps=(FrequencyCap(limit=1, window_s=3_600),))
        await clarion.ledger.setup.categories.put(clarion.tenant, capped)
        await clarion.put_user("ada", devices=(ANDROID,))
        for number in range(4):
            await put(clarion, f"state {number}")
            await clarion.pass_time(2)
        assert len(provider.effects) == 4
        await put(clarion, "another", key="b-2")
        await clarion.pass_time(2)
        (throttled,) = (await clarion.messages(reason=Reason.FREQUENCY_CAP)).values()
        assert throttled.status is Status.THROTTLED


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        (given("x", None, "nobody"), UnknownReference),
        (given(state=msgspec.Raw(b'{"text": "no order"}')), InvalidData),
        (LiveState(workflow="none", recipients=("ada",), state=state("x")), NotFound),
    ],
)
async def test_what_its_events_would_be_refused_for_is_refused(store, wrong, kind):
    """Before anything is stored."""
    async with engine(store) as clarion:
        await set_up(clarion)
        await clarion.put_user("ada")
        with pytest.raises(kind):
            await clarion.services.lives.put(clarion.tenant, "a-1", wrong)
        assert await clarion.services.lives.get(clarion.tenant, "a-1") is None
        with pytest.raises(NotFound):
            await clarion.services.lives.end(clarion.tenant, "a-1")
        assert not await clarion.services.lives.delete(clarion.tenant, "a-1")


async def test_it_stays_with_its_workflow(store):
    """Else its cards and notifications would be left behind."""
    async with engine(store) as clarion:
        await set_up(clarion)
        await clarion.create_setup(workflow("other", channel=Channel.PUSH))
        await clarion.put_user("ada")
        await put(clarion, "packed")
        other = LiveState(workflow="other", recipients=("ada",), state=state("x"))
        with pytest.raises(Conflict) as refused:
            await clarion.services.lives.put(clarion.tenant, "a-1", other)
        assert refused.value.pointer == "#/workflow"


async def test_a_state_that_was_stored_before_a_crash_is_announced_after_it(store):
    """The state is due until its events are accepted; what was announced is not announced again."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        await set_up(clarion)
        await clarion.put_user("ada", devices=(ANDROID,))
        lives = clarion.services.lives

        async def broken(*_: Any) -> Sequence[Any]:
            raise Unavailable("the disk is full")

        submit, lives._submit = lives._submit, broken
        with pytest.raises(Unavailable):
            await put(clarion, "packed", 1)
        await clarion.until_idle()
        assert provider.effects == []
        lives._submit = submit
        await clarion.pass_time(2)
        await put(clarion, "packed", 1)
        await clarion.pass_time(2)
        assert all_shown(provider) == [("fcm", "start", "packed")]


async def test_a_live_activity_belongs_to_its_device(store):
    """It is shown the state when it comes to it, stays when the app registers again, and goes with a log-out or with
    another user's log-in: nobody sees somebody else's."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        await set_up(clarion)
        users = {name: await clarion.put_user(name) for name in ("ada", "bob")}
        devices, lives = clarion.services.devices, clarion.services.lives
        phone = Registration(platform=Platform.IOS, token=PHONE, live_start_token=START)
        await devices.log_in(users["ada"], "phone", phone)
        live = await put(clarion, "packed")
        await lives.add_device(live, users["ada"], "phone", f"apns-activity:a-1/{OTHER_ACTIVITY}")
        await lives.add_device(live, users["ada"], "phone", f"apns-activity:a-1/{ACTIVITY}")
        await devices.log_in(users["ada"], "phone", phone)
        await clarion.pass_time(2)
        to_apple = [one for one in all_shown(provider) if one[0] != "token-ada"]
        assert Counter(to_apple)["apns-start", "start", "packed"] == 1
        provider.effects.clear()
        await put(clarion, "on its way")
        await clarion.pass_time(2)
        assert ("apns-activity", "update", "on its way") in all_shown(provider)
        assert [one.contact.address for one in provider.effects if one.contact] == [
            f"apns-activity:a-1/{ACTIVITY}",
            "token-ada",
        ]
        await devices.log_in(users["bob"], "phone", phone)
        provider.effects.clear()
        await put(clarion, "here", None, "ada", "bob")
        await clarion.pass_time(2)
        got = sorted((one.user.id, service_of(one)) for one in provider.effects)
        assert got == [("ada", "token-ada"), ("bob", "apns-start"), ("bob", "token-bob")]


async def test_the_tokens_of_activities_that_ended_are_forgotten(store):
    """When the next one comes; a device that shows something every day does not fill up."""
    async with engine(store) as clarion:
        await set_up(clarion)
        ada = await clarion.put_user("ada")
        await clarion.services.devices.log_in(ada, "phone", Registration(platform=Platform.IOS, token=PHONE))
        lives = clarion.services.lives
        for key in ("k-1", "k-2", "k-3"):
            live = await put(clarion, "packed", key=key)
            await lives.add_device(live, ada, "phone", f"apns-activity:{key}/{ACTIVITY}")
            with pytest.raises(NotFound):
                await lives.add_device(live, ada, "tablet", f"apns-activity:{key}/{ACTIVITY}")
            await lives.end(clarion.tenant, key)
            await clarion.pass_time(2 * 3_600)
        found = (await clarion.ledger.users.find(clarion.tenant, ["ada"]))["ada"]
        assert [one.address for one in found.usable(Channel.PUSH)][2:] == [f"apns-activity:k-3/{ACTIVITY}"]


async def test_deleting_ends_it_and_takes_it_off_the_screen(store):
    """At once."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        await set_up(clarion)
        await clarion.put_user("ada", devices=(f"apns-activity:a-1/{ACTIVITY}",))
        await put(clarion, "packed")
        await clarion.pass_time(2)
        assert await clarion.services.lives.delete(clarion.tenant, "a-1")
        await clarion.pass_time(2)
        assert await clarion.services.lives.get(clarion.tenant, "a-1") is None
        assert all_shown(provider)[-1] == ("apns-activity", "end", "packed")
        last = provider.effects[-1].live
        assert last is not None
        assert last.dismiss_at is not None
        assert last.dismiss_at <= clarion.clock.now()


async def test_an_erased_person_is_in_no_live_resource(store):
    """What was stored for them alone cannot be opened any more, and is deleted."""
    async with engine(store) as clarion:
        await set_up(clarion, Channel.IN_APP)
        await clarion.put_user("ada")
        await put(clarion, "packed", stale_at=Instant(clarion.clock.now() + 5_000))
        await clarion.until_idle()
        await clarion.ledger.users.delete(clarion.tenant, "ada")
        assert await clarion.services.lives.get(clarion.tenant, "a-1") is None
        await clarion.pass_time(10)
        assert await clarion.ledger.lives.get(clarion.tenant, ["a-1"]) == {}
