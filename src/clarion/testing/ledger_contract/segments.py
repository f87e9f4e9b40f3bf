"""What stores must do with conditions over users and with segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from clarion.model.audience import (
    OPEN_ATTRIBUTES,
    Attribute,
    AttributeType,
    CheckedSegment,
    Refresh,
    SearchableField,
    Segment,
)
from clarion.model.channel import Channel
from clarion.model.consent import ConsentAction, ConsentId, ConsentRecord
from clarion.model.device import Device, Platform
from clarion.model.ids import Instant, TenantId, UserNo
from clarion.model.reading import FOLLOWED, USERS, WHOLE, ReadingKind, ReadingPlace
from clarion.model.setup import Tenant
from clarion.model.user import Contact, Profile, User, UserPut
from clarion.model.user_change import UserChangeKind
from clarion.rules.audience import condition
from clarion.testing.ledger_contract.subject import LedgerSubject

HOUR_MS = 3_600_000
TYPES = {
    "plan": AttributeType.STRING,
    "age": AttributeType.NUMBER,
    "vip": AttributeType.BOOLEAN,
    "ends": AttributeType.TIME,
    "tags": AttributeType.STRINGS,
}


async def _open_everything(subject: LedgerSubject) -> None:
    """The tenant makes every attribute of `TYPES` searchable, and all else that can be."""
    await _say(subject, attributes=_attributes(*TYPES), searchable=tuple(SearchableField))
    await _reopened(subject)


async def _say(subject: LedgerSubject, **fields: Any) -> Tenant:
    """Change the tenant."""
    setup = subject.ledger.setup
    return await setup.tenants.change(subject.tenant, lambda stored: replace(stored, **fields))


async def _put(subject: LedgerSubject, user_id: str, /, *, locale: str = "", **attributes: Any) -> User:
    """A user with these attributes, and nothing else."""
    profile = Profile(attributes=attributes, locale=locale)
    (user,) = await subject.ledger.users.put(subject.tenant, [UserPut(id=user_id, profile=profile)])
    return user


async def _found(subject: LedgerSubject, where: str) -> list[str]:
    """The ids of whom a condition chooses, newest first; each way of asking says the same."""
    tenant = subject.ledger.setup.tenants.all()[subject.tenant]
    wanted = condition(where, tenant)
    audiences = subject.ledger.audiences
    numbers: list[UserNo] = []
    while page := await audiences.search(
        subject.tenant, wanted, subject.now, numbers[-1] if numbers else None, 2
    ):
        numbers += page
    assert await audiences.count(subject.tenant, wanted, subject.now) == len(numbers)
    users = await subject.ledger.users.get(numbers)
    return [users[no].id for no in numbers]


async def conditions_choose_users(subject: LedgerSubject) -> None:
    """By open attributes, locale, contacts, topics, devices and times; who lacks what is asked for is not chosen, negated
    or not; users of other tenants and those that Clarion made for itself never."""
    await _open_everything(subject)
    eve = await _put(subject, "eve", plan="pro", age=42, vip=True, tags=["a", "b"], locale="de-AT")
    await _put(subject, "fay", plan="free", age=17.5, vip=False, tags=[])
    await _put(subject, "gus", plan=7, age="old", ends="2026-01-01T00:00:00+01:00")
    await _put(subject, "$test:eve", plan="pro")
    other = await subject.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="other"))
    await subject.put_user("stranger", tenant=other.id)
    said = [
        _consent(1, "marketing", None, ConsentAction.GRANTED),
        _consent(2, "", Channel.SMS, ConsentAction.WITHDRAWN),
    ]
    await subject.ledger.users.put(subject.tenant, [UserPut(id="eve", consents=tuple(said))])
    await subject.ledger.topics.subscribe(subject.tenant, "news", [eve.no])
    await subject.ledger.devices.put(
        subject.tenant, eve.no, Device(id="phone", platform=Platform.IOS, address="apns:1"), subject.now
    )
    for where, wanted in {
        "user.attributes.plan == 'pro'": ["eve"],
        "user.attributes.plan != 'pro'": ["fay"],
        "!(user.attributes.plan == 'pro')": ["fay"],
        "has(user.attributes.plan)": ["fay", "eve"],
        "!has(user.attributes.plan)": ["gus", "bob", "ada"],
        "user.attributes.age > 17": ["fay", "eve"],
        "user.attributes.age >= 42.0 && user.attributes.vip": ["eve"],
        "!user.attributes.vip": ["fay"],
        "user.attributes.age in [17.5, 3]": ["fay"],
        "!(user.attributes.plan in ['pro', 'x'])": ["fay"],
        "!(user.attributes.plan in [])": ["fay", "eve"],
        "'b' in user.attributes.tags": ["eve"],
        "!('b' in user.attributes.tags)": ["fay"],
        "user.locale.startsWith('de')": ["eve"],
        "user.attributes.plan.endsWith('ree') || user.attributes.plan.contains('r')": ["fay", "eve"],
        "user.attributes.ends == timestamp('2025-12-31T23:00:00Z')": ["gus"],
        "'email' in user.channels": ["bob", "ada"],
        "!('email' in user.channels) && user.id in ['eve', 'ada']": ["eve"],
        "'news' in user.topics && 'push' in user.channels": ["eve"],
        "now - user.last_seen_at < duration('1h')": ["eve"],
        "'marketing' in user.granted && '*:sms' in user.withdrawn": ["eve"],
        "!('marketing' in user.granted) && 'email' in user.channels": ["bob", "ada"],
        "user.created_at > now": [],
        "user.created_at <= now": ["gus", "fay", "eve", "bob", "ada"],
        "true": ["gus", "fay", "eve", "bob", "ada"],
        "false": [],
    }.items():
        assert await _found(subject, where) == wanted, where


async def attributes_are_opened_and_closed(subject: LedgerSubject) -> None:
    """What the tenant says is open of whoever is written from then on, and of the others when they were gone through; so
    is what is closed again. An erased user leaves nothing."""
    audiences, segments = subject.ledger.audiences, subject.ledger.segments
    for number in range(5):
        await _put(subject, f"u{number}", plan="pro", age=number)
    nothing = await audiences.reopen(subject.tenant, subject.now, 3)
    assert not nothing.running
    await _say(subject, attributes=_attributes("plan"))
    asked = condition("user.attributes.plan == 'pro'", subject.ledger.setup.tenants.all()[subject.tenant])
    assert await audiences.count(subject.tenant, asked, subject.now) == 0
    await _put(subject, "u5", plan="pro")
    assert await audiences.count(subject.tenant, asked, subject.now) == 1
    states = [await audiences.reopen(subject.tenant, subject.now, 3) for _ in range(3)]
    assert [(one.running, one.done, one.total) for one in states] == [
        (True, 3, 8),
        (True, 6, 8),
        (False, 8, 8),
    ]
    assert (await segments.states(subject.tenant))[OPEN_ATTRIBUTES] == states[-1]
    assert await audiences.count(subject.tenant, asked, subject.now) == 6
    assert await subject.ledger.users.delete(subject.tenant, "u5")
    assert await audiences.count(subject.tenant, asked, subject.now) == 5
    await _say(subject, attributes={})
    await _reopened(subject)
    assert await audiences.count(subject.tenant, asked, subject.now) == 0


async def members_follow_their_segment(subject: LedgerSubject) -> None:
    """A segment is gone through once; then every change of a user moves just them, and is recorded for whoever is told."""
    await _open_everything(subject)
    segments, tenant = subject.ledger.segments, subject.tenant
    eve, fay = await _put(subject, "eve", plan="pro"), await _put(subject, "fay", plan="free")
    await _follow_users(subject)
    news = await _segment(subject, "news", "'news' in user.topics || 'push' in user.channels")
    pros = await _segment(subject, "pros", "user.attributes.plan == 'pro'")
    assert await _refreshed(subject, news) == Refresh(
        definition=news.definition, running=False, done=4, total=4, refreshed_at=subject.now
    )
    await _refreshed(subject, pros)
    assert await segments.members(tenant, "pros", UserNo(0), 10) == [eve.no]
    await segments.update(tenant, [news, pros], subject.now, 100)
    await _put(subject, "eve", plan="free")
    await _put(subject, "fay", plan="pro")
    await subject.ledger.topics.subscribe(tenant, "news", [eve.no, fay.no])
    await subject.ledger.topics.unsubscribe(tenant, "news", [fay.no])
    phone = Device(id="phone", platform=Platform.IOS, address="apns:1")
    await subject.ledger.devices.put(tenant, subject.ada.no, phone, subject.now)
    while await segments.update(tenant, [news, pros], subject.now, 2):
        pass
    assert await segments.members(tenant, "pros", UserNo(0), 10) == [fay.no]
    assert await segments.members(tenant, "news", UserNo(0), 10) == [subject.ada.no, eve.no]
    assert await segments.members(tenant, "news", subject.ada.no, 10) == [eve.no]
    assert await segments.counts(tenant, ["news", "none"]) == {"news": 2}
    told = (await subject.ledger.journal.page(tenant, 0, 1_000)).users
    assert sorted((one.kind, one.segment, one.user) for one in told if one.segment) == [
        (UserChangeKind.ENTERED, "news", subject.ada.no),
        (UserChangeKind.ENTERED, "news", eve.no),
        (UserChangeKind.ENTERED, "pros", fay.no),
        (UserChangeKind.LEFT, "pros", eve.no),
    ]
    assert await subject.ledger.topics.delete(tenant, "news")
    assert await subject.ledger.users.delete(tenant, "fay")
    await segments.update(tenant, [news, pros], subject.now, 100)
    assert await segments.members(tenant, "news", UserNo(0), 10) == [subject.ada.no]
    assert await segments.counts(tenant, ["pros"]) == {}


async def another_condition_is_gone_through_again(subject: LedgerSubject) -> None:
    """Part by part, and by whoever comes next; a dropped segment has no members."""
    await _open_everything(subject)
    segments, tenant = subject.ledger.segments, subject.tenant
    people = [(await _put(subject, f"u{number}", age=number)).no for number in range(4)]
    old = await _segment(subject, "some", "user.attributes.age >= 2")
    await _refreshed(subject, old)
    assert await segments.members(tenant, "some", UserNo(0), 10) == people[2:]
    new = await _segment(subject, "some", "user.attributes.age < 1")
    first = await segments.refresh(tenant, new, subject.now, 4)
    assert (first.running, first.done, first.total) == (True, 4, 6)
    assert await segments.members(tenant, "some", UserNo(0), 10) == [people[0], people[2], people[3]]
    assert not (await _refreshed(subject, new)).running
    assert await segments.members(tenant, "some", UserNo(0), 10) == people[:1]
    await segments.drop(tenant, "some")
    assert await segments.counts(tenant, ["some"]) == {}
    assert "some" not in await segments.states(tenant)


async def time_alone_moves_users(subject: LedgerSubject) -> None:
    """When a comparison with `now` turns for somebody, they are gone through again, and nobody else is."""
    await _open_everything(subject)
    segments, tenant = subject.ledger.segments, subject.tenant
    fresh = await _segment(subject, "fresh", "now - user.created_at < duration('24h')")
    late = await _segment(subject, "late", "user.attributes.ends < now - duration('1h')")
    await _refreshed(subject, fresh)
    await _refreshed(subject, late)
    eve = await _put(subject, "eve", ends="2100-01-01T00:00:00Z")
    assert await segments.update(tenant, [fresh, late], subject.now, 100) == 1
    assert await segments.counts(tenant, ["fresh"]) == {"fresh": 3}
    turn = Instant(subject.now + 24 * HOUR_MS)
    assert await segments.update(tenant, [fresh, late], turn, 100) == 0
    behind = Instant(turn + 1)
    assert await segments.update(tenant, [fresh, late], behind, 2) == 2
    assert await segments.update(tenant, [fresh, late], behind, 2) == 1
    assert await segments.counts(tenant, ["fresh"]) == {}
    y2100 = Instant(4_102_444_800_000)
    assert await segments.update(tenant, [fresh, late], Instant(y2100 + HOUR_MS), 100) == 0
    assert await segments.update(tenant, [fresh, late], Instant(y2100 + HOUR_MS + 1), 100) == 1
    assert await segments.members(tenant, "late", UserNo(0), 10) == [eve.no]
    assert await segments.update(tenant, [fresh, late], Instant(y2100 * 2), 100) == 0


async def contacts_are_never_open(subject: LedgerSubject) -> None:
    """Whatever attributes are called: a condition sees the channel of a contact, and never its address."""
    await _say(subject, attributes={"email": Attribute(type=AttributeType.STRING, searchable=True)})
    contact = Contact(channel=Channel.EMAIL, address="eve@example.org")
    await subject.ledger.users.put(subject.tenant, [UserPut(id="eve", profile=Profile(contacts=(contact,)))])
    assert await _found(subject, "has(user.attributes.email)") == []
    assert "eve" in await _found(subject, "'email' in user.channels")


async def _follow_users(subject: LedgerSubject) -> None:
    """A sink is told of users from now on."""
    readings = subject.ledger.readings
    place = ReadingPlace(tenant=subject.tenant, kind=ReadingKind.SINK, key="all")
    reading = (await readings.take(subject.worker, place, {WHOLE: None}, {WHOLE: {}}))[WHOLE]
    moved = {WHOLE: replace(reading, position={USERS: FOLLOWED})}
    assert await readings.move(subject.worker, place, moved) == {WHOLE}


def _consent(number: int, purpose: str, channel: Channel | None, action: ConsentAction) -> ConsentRecord:
    id_ = ConsentId(number.to_bytes(16))
    return ConsentRecord(
        id=id_, purpose=purpose, channel=channel, action=action, recorded_at=Instant(number), source="api"
    )


def _attributes(*names: str) -> dict[str, Attribute]:
    return {name: Attribute(type=TYPES[name], searchable=True) for name in names}


async def _segment(subject: LedgerSubject, key: str, where: str) -> CheckedSegment:
    setup = subject.ledger.setup
    await setup.segments.put(subject.tenant, Segment(key=key, where=where))
    return CheckedSegment(key=key, where=condition(where, setup.tenants.all()[subject.tenant]))


async def _refreshed(subject: LedgerSubject, segment: CheckedSegment) -> Refresh:
    while True:
        state = await subject.ledger.segments.refresh(subject.tenant, segment, subject.now, 2)
        if not state.running:
            return state


async def _reopened(subject: LedgerSubject) -> None:
    while (await subject.ledger.audiences.reopen(subject.tenant, subject.now, 2)).running:
        pass


SEGMENTS_CONTRACT: Sequence[Any] = (
    conditions_choose_users,
    attributes_are_opened_and_closed,
    members_follow_their_segment,
    another_condition_is_gone_through_again,
    time_alone_moves_users,
    contacts_are_never_open,
)
