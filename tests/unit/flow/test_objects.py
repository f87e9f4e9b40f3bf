"""Objects as recipients: their members, their own channels, and whoever is on duty."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from clarion.errors import UnknownReference
from clarion.model.campaign import Audience, Campaign
from clarion.model.channel import Channel
from clarion.model.event import Group
from clarion.model.ids import NO_USER, Instant
from clarion.model.message import Verdict
from clarion.model.recipient_object import ObjectName
from clarion.model.rota import Rota, RotaOverride
from clarion.model.schedule import Schedule
from clarion.model.setup import EventMatch
from clarion.model.status import Reason, Status
from clarion.model.submission import Acceptance, Recipient, Submission
from clarion.model.topic import Topic
from clarion.model.user import Contact, Preferences, PreferenceSet, Profile
from tests.engine import Engine, engine, workflow

TEAM = ObjectName(type="team", id="payments.eu")
ROOM = Contact(channel=Channel.SMS, address="+4915100000000")
DAY_MS = 86_400_000


async def store_object(
    clarion: Engine, name: ObjectName, *members: str, own: bool = False, rota: Rota | None = None
) -> None:
    """An object with these members, and with an address of its own."""

    def changed(profile: Profile) -> Profile:
        return replace(profile, contacts=(ROOM,) if own else (), rota=rota)

    await clarion.services.objects.put(clarion.tenant, name, "", changed)
    numbers = [(await clarion.put_user(member)).no for member in members]
    await clarion.services.objects.add_members(clarion.tenant, name, numbers)


async def told(clarion: Engine) -> Counter[str]:
    """How many messages went to each user who is still there."""
    messages = [one for one in (await clarion.messages()).values() if one.status is Status.SENT]
    users = await clarion.ledger.users.get([one.user for one in messages])
    return Counter(users[one.user].id for one in messages if one.user in users)


async def rota_of(clarion: Engine, *members: str, **more: Any) -> Rota:
    """They take turns, each for a day from now on."""
    numbers = [(await clarion.put_user(member)).no for member in members]
    fields: dict[str, Any] = {"timezone": "UTC", "handover": ("00:00",), "starts_on": today(clarion), **more}
    return Rota(members=tuple(numbers), **fields)


def today(clarion: Engine) -> str:
    """The date on the engine's clock."""
    return datetime.fromtimestamp(clarion.clock.now() / 1_000, UTC).date().isoformat()


async def test_members_get_one_each_and_the_room_of_the_object_one_of_its_own(store):
    """By their own preferences, once although they are named twice; dots in the id inherit from nobody."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("w"))
        await store_object(clarion, TEAM, "ada", "bob", own=True)
        await store_object(clarion, ObjectName(type="team", id="payments"), "above", own=True)
        await clarion.ledger.topics.put(clarion.tenant, Topic(key="all"))
        bob = await clarion.put_user("bob", Preferences(channels={Channel.SMS: False}))
        await clarion.ledger.topics.subscribe(clarion.tenant, "all", [bob.no])
        await clarion.trigger("w", "ada", Recipient(object=TEAM), Recipient(topic="all"))
        await clarion.until_idle()
        assert await told(clarion) == {"ada": 1, TEAM.key: 1}
        (refused,) = [one for one in (await clarion.messages()).values() if one.status is not Status.SENT]
        assert (refused.user, refused.reason) == (bob.no, Reason.OPTED_OUT)
        assert await clarion.pipeline.groups.subscribers(clarion.tenant, TEAM.key) == 3


async def test_an_object_without_channels_of_its_own_has_no_message_of_its_own(store):
    """Not even one that says that there was no address."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("w"))
        await store_object(clarion, TEAM, "ada")
        await clarion.trigger("w", Recipient(object=TEAM))
        await clarion.until_idle()
        assert len(await clarion.messages()) == 1
        assert await told(clarion) == {"ada": 1}


async def test_an_object_has_preferences(store):
    """Its room hears nothing on a channel that was switched off for it; its members do."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("w"))
        await store_object(clarion, TEAM, "ada", own=True)

        def silent(profile: Profile) -> Profile:
            return replace(profile, preferences=Preferences(channels={Channel.SMS: False}))

        await clarion.services.objects.put(clarion.tenant, TEAM, "", silent)
        await clarion.trigger("w", Recipient(object=TEAM))
        await clarion.until_idle()
        assert await told(clarion) == {"ada": 1}


async def test_a_member_may_choose_for_what_comes_by_an_object(store):
    """As for a topic; a choice for `payments` says nothing of `payments.eu`."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("w"))
        above = ObjectName(type="team", id="payments")
        await store_object(clarion, above, own=True)
        await store_object(clarion, TEAM, "ada", "bob")
        off = PreferenceSet(enabled=False)
        await clarion.put_user("ada", Preferences(topics={TEAM.key: off}))
        await clarion.put_user("bob", Preferences(topics={above.key: off}))
        await clarion.trigger("w", Recipient(object=TEAM))
        await clarion.until_idle()
        assert await told(clarion) == {"bob": 1}


async def test_an_event_names_an_object_where_its_workflow_says(store):
    """`on.recipients` leads to it in the data of a CloudEvent."""
    async with engine(store) as clarion:
        on = EventMatch(type="com.example.alert", recipients="/to")
        await clarion.create_setup(workflow("w", on=on))
        await store_object(clarion, TEAM, "ada")
        data = {"text": "x", "to": {"object": {"type": TEAM.type, "id": TEAM.id}}}
        submission = Submission(type="com.example.alert", data=msgspec.Raw(msgspec.json.encode(data)))
        (answer,) = await clarion.pipeline.submit(clarion.tenant, [submission])
        assert isinstance(answer, Acceptance)
        await clarion.until_idle()
        assert await told(clarion) == {"ada": 1}


async def test_a_schedule_goes_to_who_is_on_duty_when_it_occurs(store):
    """Not to who was when it was made."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("w"))
        await store_object(clarion, TEAM, rota=await rota_of(clarion, "ada", "bob"))
        tomorrow = Instant(clarion.clock.now() + DAY_MS)
        schedule = Schedule(
            key="once",
            workflow="w",
            recipients=(Recipient(object=TEAM),),
            data={"text": "hello"},
            starts_at=tomorrow,
        )
        await clarion.services.schedules.put(clarion.tenant, schedule)
        await clarion.pass_time(86_400)
        await clarion.pass_time(5)
        assert await told(clarion) == {"bob": 1}


async def test_large_objects_are_planned_page_by_page(store, monkeypatch):
    """Everybody once, the object itself too, whatever the size of a page."""
    monkeypatch.setattr("clarion.flow.plan.planner.FANOUT_PAGE", 2)
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("w"))
        await store_object(clarion, TEAM, "a", "b", "c", "d", "e", own=True)
        await clarion.trigger("w", Recipient(object=TEAM))
        await clarion.pass_time(5)
        assert await told(clarion) == dict.fromkeys(["a", "b", "c", "d", "e", TEAM.key], 1)


async def test_whoever_is_on_duty_when_it_is_planned_gets_it_and_the_explanation_says_so(store):
    """Ada today, Bob tomorrow; not the members."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("w"))
        rota = await rota_of(clarion, "ada", "bob")
        await store_object(clarion, TEAM, "member", rota=rota)
        accepted = await clarion.trigger("w", Recipient(object=TEAM))
        await clarion.until_idle()
        assert await told(clarion) == {"ada": 1}
        (run,) = await clarion.ledger.plans.runs_of(clarion.tenant, accepted.event_id, None)
        (turn,) = [one for one in run.channels[0].verdicts if one.rule == "rota"]
        assert turn == Verdict(rule="rota", result="allow", reason="on_duty", inputs=turn.inputs)
        assert (turn.inputs["object"], turn.inputs["override"]) == ("team/payments.eu", False)
        assert str(turn.inputs["until"]).endswith("T00:00:00Z")
        submission = Submission(workflow="w", recipients=(Recipient(object=TEAM),))
        ((who, tried),) = await clarion.services.dry_runs.runs(clarion.tenant, submission)
        assert who == "ada"
        assert turn in tried.channels[0].verdicts
        await clarion.pass_time(86_400)
        await clarion.trigger("w", Recipient(object=TEAM))
        await clarion.until_idle()
        assert await told(clarion) == {"ada": 1, "bob": 1}


async def test_an_override_wins_and_who_is_erased_leaves_no_turn_and_no_membership(store):
    """Cem stands in for Ada; once he is erased it is her turn again, and once she is, it is that of the next."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("w"))
        cem = await clarion.put_user("cem")
        now = clarion.clock.now()
        override = RotaOverride(user=cem.no, starts_at=now, ends_at=Instant(now + DAY_MS // 2))
        rota = await rota_of(clarion, "ada", "bob", overrides=(override,))
        await store_object(clarion, TEAM, "cem", rota=rota)
        for gone in ("cem", "ada", "bob"):
            await clarion.trigger("w", Recipient(object=TEAM))
            await clarion.until_idle()
            assert (await told(clarion))[gone] == 1
            user = (await clarion.ledger.users.find(clarion.tenant, [gone]))[gone]
            await clarion.services.users.delete(user)
        members = await clarion.ledger.topics.members(clarion.tenant, TEAM.key, NO_USER, 10)
        assert list(members) == []
        before = len(await clarion.messages())
        await clarion.trigger("w", Recipient(object=TEAM))
        await clarion.until_idle()
        assert len(await clarion.messages()) == before


async def test_an_unknown_object_is_refused_with_what_was_named(store):
    """And a deleted one reaches nobody any more."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("w"))
        with pytest.raises(UnknownReference) as refused:
            await clarion.trigger("w", Recipient(object=TEAM))
        assert (refused.value.unknown[0].noun, refused.value.unknown[0].pointer) == (
            "object",
            "#/recipients/0/object",
        )
        await store_object(clarion, TEAM, "ada", own=True)
        user = (await clarion.ledger.users.find(clarion.tenant, [TEAM.key]))[TEAM.key]
        await clarion.services.objects.delete(clarion.tenant, TEAM, user)
        assert not await clarion.ledger.users.find(clarion.tenant, [TEAM.key])
        assert await clarion.pipeline.groups.page(clarion.tenant, Group(topic=TEAM.key), NO_USER, 10) == []


async def test_an_object_is_the_audience_of_a_campaign(store):
    """Members and its own channels."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("w"))
        await store_object(clarion, TEAM, "ada", "bob", own=True)
        campaign = Campaign(workflow="w", audience=Audience(object=TEAM), data={"text": "x"})
        found = await clarion.services.campaigns.create(clarion.tenant, campaign)
        assert (await clarion.services.campaigns.preview(clarion.tenant, found.row.id)).people == 3
        await clarion.services.campaigns.start(clarion.tenant, found.row.id)
        await clarion.pass_time(2)
        assert await told(clarion) == {"ada": 1, "bob": 1, TEAM.key: 1}
