"""Segments: they follow their users, by changes and by time, and events go to their members."""

from __future__ import annotations

from msgspec.structs import replace

from clarion.errors import UnknownReference
from clarion.flow.plan import planner
from clarion.model.audience import Attribute, AttributeType, Segment
from clarion.model.ids import UserNo
from clarion.model.submission import Recipient, Submission
from clarion.services import segments as service
from clarion.testing.ports import ManualClock
from tests.engine import Engine, engine, workflow

DAY_S = 86_400


async def pros(clarion: Engine, where: str = "user.attributes.plan == 'pro'") -> None:
    """A workflow, six users of whom every second one is on the plan `pro`, and a segment."""
    await clarion.create_setup(workflow("w"))
    types = {"plan": Attribute(type=AttributeType.STRING, searchable=True)}
    await clarion.services.setup.change_tenant(clarion.tenant, lambda of: replace(of, attributes=types))
    for number in range(6):
        await clarion.put_user(f"u{number}")
        await subscribe(clarion, f"u{number}", "pro" if number % 2 else "free")
    await clarion.services.segments.put(clarion.tenant, Segment(key="pros", where=where), None)


async def subscribe(clarion: Engine, user_id: str, plan: str) -> None:
    """The user is on this plan from now on."""
    await clarion.services.users.change(
        clarion.tenant, user_id, lambda profile: replace(profile, attributes={"plan": plan})
    )


async def members(clarion: Engine, key: str = "pros") -> list[str]:
    """The members of a segment."""
    numbers = await clarion.services.segments.members(clarion.tenant, key, UserNo(0), 100)
    users = await clarion.ledger.users.get(numbers)
    return [users[no].id for no in numbers]


async def told(clarion: Engine) -> list[str]:
    """Who was sent something."""
    await clarion.pass_time(30)
    found = await clarion.messages()
    users = await clarion.ledger.users.get([message.user for message in found.values()])
    return sorted(users[message.user].id for message in found.values())


async def test_an_event_goes_to_every_member_once(store, monkeypatch):
    """Page by page, and to those who became members by a change that was answered before."""
    monkeypatch.setattr(planner, "FANOUT_PAGE", 2)
    async with engine(store, clock=ManualClock()) as clarion:
        await pros(clarion)
        assert await members(clarion) == ["u1", "u3", "u5"]
        await subscribe(clarion, "u0", "pro")
        await subscribe(clarion, "u1", "free")
        answer = await clarion.trigger("w", Recipient(segment="pros"), "u2", "u3")
        assert answer.accepted == 3
        assert await told(clarion) == ["u0", "u2", "u3", "u5"]


async def test_an_event_waits_for_a_segment_that_users_are_gone_through_for(store, monkeypatch):
    """A segment of many users is not ready when it was stored: who is in it is told when that is known."""
    monkeypatch.setattr(service, "SLICE", 1)
    monkeypatch.setattr(service, "AT_ONCE", 1)
    going_on = service.SegmentService.round

    async def nothing(self):
        return False

    monkeypatch.setattr(service.SegmentService, "round", nothing)
    async with engine(store, clock=ManualClock()) as clarion:
        await pros(clarion)
        status = (await clarion.services.segments.statuses(clarion.tenant, ["pros"]))["pros"]
        assert status.refresh is not None
        assert (status.refresh.running, status.refresh.done) == (True, 1)
        await clarion.trigger("w", Recipient(segment="pros"))
        assert await told(clarion) == []
        while await going_on(clarion.services.segments):
            pass
        assert await told(clarion) == ["u1", "u3", "u5"]


async def test_an_unknown_segment_is_refused_with_the_nearest_name(store):
    """And nothing is accepted."""
    async with engine(store, clock=ManualClock()) as clarion:
        await pros(clarion)
        asked = Submission(workflow="w", recipients=(Recipient(segment="pro"),))
        (refused,) = await clarion.pipeline.submit(clarion.tenant, [asked])
        assert isinstance(refused, UnknownReference)
        assert "Did you mean 'pros'?" in refused.detail
        assert refused.pointer == "#/recipients/0/segment"


async def test_the_loop_opens_attributes_of_earlier_users_and_refreshes_segments(store, monkeypatch):
    """A name that is opened later is searchable for everybody in the end, and a name that is closed is not."""
    monkeypatch.setattr(service, "SLICE", 2)
    async with engine(store, clock=ManualClock()) as clarion:
        await pros(clarion, "true")
        kinds = {
            "plan": Attribute(type=AttributeType.STRING),
            "age": Attribute(type=AttributeType.NUMBER, searchable=True),
        }
        for number in range(6):
            profile = {"plan": "pro", "age": number}
            await clarion.services.users.change(
                clarion.tenant, f"u{number}", lambda before, its=profile: replace(before, attributes=its)
            )
        await clarion.services.setup.change_tenant(clarion.tenant, lambda of: replace(of, attributes=kinds))
        while await clarion.services.segments.round():
            pass
        opening = await clarion.services.segments.opening(clarion.tenant)
        assert (opening.running, opening.done, opening.total) == (False, opening.total, opening.total)
        old = Segment(key="old", where="user.attributes.age >= 4")
        await clarion.services.segments.put(clarion.tenant, old, None)
        while await clarion.services.segments.round():
            pass
        assert await members(clarion, "old") == ["u4", "u5"]


async def test_time_alone_takes_users_out_of_a_segment(store):
    """Without any change: when the day is over, nobody was created in the last day."""
    async with engine(store, clock=ManualClock()) as clarion:
        await pros(clarion, "now - user.created_at < duration('24h')")
        while await clarion.services.segments.round():
            pass
        assert len(await members(clarion)) == 6
        await clarion.pass_time(DAY_S + 1)
        assert await members(clarion) == []


async def test_a_deleted_segment_leaves_nothing(store):
    """No members, and events on their way to it reach nobody more."""
    async with engine(store, clock=ManualClock()) as clarion:
        await pros(clarion)
        await clarion.services.segments.delete(clarion.tenant, "pros")
        assert await clarion.ledger.segments.members(clarion.tenant, "pros", UserNo(0), 10) == []
        assert "pros" not in await clarion.ledger.segments.states(clarion.tenant)
        await clarion.services.segments.put(
            clarion.tenant, Segment(key="pros", where="user.id == 'u2'"), None
        )
        assert await members(clarion) == ["u2"]
