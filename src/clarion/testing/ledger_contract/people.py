"""Users, suppressions and topics."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from clarion.errors import Conflict, InvalidInput
from clarion.model.channel import Channel
from clarion.model.ids import Instant, TenantId, UserNo
from clarion.model.inbox import InboxCounts
from clarion.model.setup import Tenant
from clarion.model.status import Reason, Status
from clarion.model.suppression import Suppression
from clarion.model.topic import Topic
from clarion.model.user import Contact, Preferences, Profile, User, UserPut
from clarion.testing.ledger_contract.world import World, together

EMAIL = Channel.EMAIL


def suppression(world: World, user: User) -> Suppression:
    """Of the user's first contact."""
    return Suppression(
        tenant=world.tenant,
        channel=EMAIL,
        hash=user.profile.contacts[0].hash,
        reason="hard_bounce",
        at=world.now,
    )


async def a_user_comes_back_as_put(world: World) -> None:
    """By id and by number, with everything personal in place, also when the cache has forgotten them."""
    profile = Profile(
        contacts=(
            Contact(channel=EMAIL, address="zoe@example.org"),
            Contact(channel=Channel.SMS, address="+491"),
        ),
        attributes={"plan": "gold", "age": 7},
        locale="de",
        timezone="Europe/Berlin",
        preferences=Preferences(channels={Channel.SMS: False}),
    )
    (zoe,) = await world.ledger.users.put(world.tenant, [UserPut(id="zoe", profile=profile)])
    for n in range(40):  # more than the cache of a ledger under test holds
        await world.person(f"other-{n}")
    found = await world.ledger.users.find(world.tenant, ["zoe", "nobody"])
    assert found == {"zoe": zoe}
    assert zoe.profile.attributes == profile.attributes
    assert zoe.profile.preferences == profile.preferences
    assert await world.ledger.users.get([zoe.no, UserNo(999)]) == {zoe.no: zoe}
    assert (zoe.key, zoe.inbox_epoch) != (world.ada.key, world.ada.inbox_epoch)


async def contacts_get_a_hash_of_their_normal_spelling(world: World) -> None:
    """Two spellings of one address are one contact; channels and tenants are kept apart."""
    other = await world.ledger.setup.tenants.put(Tenant(id=world.tenant.__class__(0), key="other"))
    one = await world.person("one", "Zoe@Example.org ")
    two = await world.person("two", "zoe@example.org")
    far = await world.person("far", "zoe@example.org", tenant=other.id)
    hashes = [user.profile.contacts[0].hash for user in (one, two, far)]
    assert len(hashes[0]) == 16
    assert hashes[0] == hashes[1] != hashes[2]


async def putting_nothing_only_makes_sure_they_exist(world: World) -> None:
    """An existing profile stays; a missing user is created empty, and can be filled later."""
    same, new = await world.ledger.users.put(world.tenant, [UserPut(id="ada"), UserPut(id="new")])
    assert same == world.ada
    assert new.profile == Profile()
    filled = await world.person("new", "new@example.org")
    assert filled.no == new.no
    assert filled.revision > new.revision


async def a_stale_revision_is_a_conflict(world: World) -> None:
    """And nothing of the call is stored, not even what was fine."""
    users = world.ledger.users
    await world.person("ada", "ada@new.example.org")
    stale = UserPut(id="ada", profile=Profile(), revision=world.ada.revision)
    try:
        await users.put(world.tenant, [UserPut(id="fresh"), stale])
    except Conflict:
        pass
    else:
        raise AssertionError("a stale revision must be refused")
    found = await users.find(world.tenant, ["fresh", "ada"])
    assert list(found) == ["ada"]
    assert found["ada"].profile.contacts[0].address == "ada@new.example.org"
    current = UserPut(id="ada", profile=Profile(locale="fr"), revision=found["ada"].revision)
    (ada,) = await users.put(world.tenant, [current])
    assert ada.profile.locale == "fr"


async def an_id_is_never_cut_short(world: World) -> None:
    """What a store might take for the end of a text does not lead to somebody else."""
    users = world.ledger.users
    assert await users.find(world.tenant, ["ada\0x", "ada\0"]) == {}
    assert not await users.delete(world.tenant, "ada\0x")
    try:
        await users.put(world.tenant, [UserPut(id="ada\0x", profile=Profile())])
    except InvalidInput:
        assert (await users.find(world.tenant, ["ada"]))["ada"] == world.ada
    else:
        assert len(await users.find(world.tenant, ["ada", "ada\0x"])) == 2


async def current_is_the_last_commit(world: World) -> None:
    """Whoever saw a change acknowledged sees it in the last look before a call."""
    before = await world.person("ada", "first@example.org")
    assert await world.reread(before) == before
    after = await world.person("ada", "second@example.org")
    assert await world.reread(before) == after
    assert await world.reread(replace(before, no=UserNo(999))) is None


async def puts_at_once_do_not_lose_one(world: World) -> None:
    """Every user is created once, whoever asks."""
    made = await together(
        *(world.ledger.users.put(world.tenant, [UserPut(id=f"u{n % 10}")]) for n in range(50))
    )
    assert len({user.no for (user,) in made}) == 10


async def users_are_paged_newest_first(world: World) -> None:
    """Those of the tenant, each once."""
    other = await world.ledger.setup.tenants.put(Tenant(id=world.tenant.__class__(0), key="other"))
    await world.person("stranger", tenant=other.id)
    await world.person("zoe")
    first = await world.ledger.users.page(world.tenant, None, 2)
    rest = await world.ledger.users.page(world.tenant, first[-1].no, 2)
    assert [user.id for user in (*first, *rest)] == ["zoe", "bob", "ada"]


async def owners(world: World, user: User, limit: int = 10) -> Sequence[User]:
    """Everybody who has the first contact of this user."""
    hashed = user.profile.contacts[0].hash
    return await world.ledger.directory.with_contact(world.tenant, EMAIL, hashed, limit)


async def a_deleted_user_is_gone(world: World) -> None:
    """With inbox, captures, subscriptions and contacts; what was on its way stops, what was done stays counted."""
    ledger = world.ledger
    done = await world.delivered()
    captured = world.planned()
    await world.plan(captured)
    await world.settle(captured, record=world.captured(captured))
    going = world.planned()
    await world.plan(going)
    await ledger.topics.subscribe(world.tenant, "all", [world.ada.no, world.bob.no])
    assert await ledger.users.delete(world.tenant, "ada")
    assert not await ledger.users.delete(world.tenant, "ada")
    assert await ledger.users.find(world.tenant, ["ada"]) == {}
    assert await ledger.users.get([world.ada.no]) == {}
    assert await world.reread(world.ada) is None
    assert await world.state(going) == (Status.SUPPRESSED, Reason.USER_DELETED)
    assert (await world.settle(going)).refused == {going.id}
    assert await world.state(done) == (Status.DELIVERED, None)
    assert (await ledger.inboxes.head(world.ada.no))[1] == InboxCounts(unseen=0, unread=0, total=0)
    assert list(await ledger.captures.of(world.tenant, captured.id)) == []
    assert list(await ledger.topics.members(world.tenant, "all", UserNo(0), 10)) == [world.bob.no]
    assert list(await owners(world, world.ada)) == []
    again = await world.person("ada", "ada@example.org")
    assert again.no != world.ada.no
    assert again.key != world.ada.key


async def a_suppressed_contact_is_known_at_once(world: World) -> None:
    """For every user who has it, now or later, until it is allowed again."""
    twin = await world.person("twin", "ada@example.org")
    gone = suppression(world, world.ada)
    await world.ledger.suppressions.add([gone, gone])
    for user in (world.ada, twin):
        now = await world.reread(user)
        assert now is not None
        assert now.suppressed == {gone.hash}
    late = await world.person("late", "ADA@example.org")
    assert late.suppressed == {gone.hash}
    assert await world.reread(world.bob) == world.bob
    assert await world.ledger.suppressions.remove(world.tenant, EMAIL, gone.hash)
    assert not await world.ledger.suppressions.remove(world.tenant, EMAIL, gone.hash)
    assert await world.reread(world.ada) == world.ada


async def suppressions_are_paged_newest_first(world: World) -> None:
    """Those of one moment each once, too; one is found by its hash."""
    zoe = await world.person("zoe", "zoe@example.org")
    late = replace(suppression(world, zoe), at=Instant(world.now + 1))
    both = sorted((suppression(world, user) for user in (world.ada, world.bob)), key=lambda row: row.hash)
    rows = [late, *reversed(both)]
    kept = world.ledger.suppressions
    await kept.add(rows)
    assert list(await kept.page(world.tenant, None, 10)) == rows
    assert list(await kept.page(world.tenant, (rows[1].at, rows[1].hash), 10)) == rows[2:]
    assert await kept.find(world.tenant, late.hash) == late
    assert await kept.find(world.tenant, bytes(16)) is None
    assert await kept.find(TenantId(world.tenant + 1), late.hash) is None


async def an_address_leads_to_everybody_who_has_it(world: World) -> None:
    """In the order in which they came; as many as are asked for, none of another tenant or channel."""
    twin = await world.person("twin", "ada@example.org")
    assert [user.id for user in await owners(world, world.ada)] == ["ada", "twin"]
    assert [user.id for user in await owners(world, twin, 1)] == ["ada"]
    found = world.ledger.directory.with_contact
    hashed = twin.profile.contacts[0].hash
    assert list(await found(TenantId(world.tenant + 1), EMAIL, hashed, 10)) == []
    assert list(await found(world.tenant, Channel.SMS, hashed, 10)) == []


async def names_near_a_misspelt_one_are_found(world: World) -> None:
    """Users and topics, before and behind it in the alphabet; of this tenant only."""
    near = world.ledger.directory
    assert set(await near.users_near(world.tenant, "adda", 10)) >= {"ada", "bob"}
    assert list(await near.users_near(world.tenant, "adaa", 1)) == ["ada", "bob"]
    assert list(await near.users_near(TenantId(world.tenant + 1), "ada", 10)) == []
    for key in ("news", "offers"):
        await world.ledger.topics.put(world.tenant, Topic(key=key))
    assert list(await near.topics_near(world.tenant, "newz", 5)) == ["news", "offers"]
    assert await near.topics(world.tenant, ["news", "newz"]) == {"news"}
    await world.ledger.topics.subscribe(world.tenant, "news", [world.ada.no])
    assert await near.topic(world.tenant, "news") == Topic(key="news", members=1)
    assert await near.topic(world.tenant, "newz") is None
    assert await near.topics(TenantId(world.tenant + 1), ["news"]) == frozenset()


async def a_contact_left_behind_belongs_to_nobody(world: World) -> None:
    """Changing an address frees the old one."""
    old = world.ada.profile.contacts[0].hash
    await world.person("ada", "ada@new.example.org")
    assert list(await world.ledger.directory.with_contact(world.tenant, EMAIL, old, 1)) == []


async def topics_count_their_members(world: World) -> None:
    """Subscribing twice counts once; a missing topic comes into being; deleting empties it."""
    topics = world.ledger.topics
    everyone = [world.ada.no, world.bob.no]
    assert await topics.subscribe(world.tenant, "all", everyone) == 2
    assert await topics.subscribe(world.tenant, "all", [world.bob.no]) == 0
    await topics.put(world.tenant, Topic(key="all", name="Everyone"))
    await topics.put(world.tenant, Topic(key="few", name="A few"))
    assert list(await topics.page(world.tenant, "", 10)) == [
        Topic(key="all", name="Everyone", members=2),
        Topic(key="few", name="A few"),
    ]
    assert list(await topics.page(world.tenant, "all", 10)) == [Topic(key="few", name="A few")]
    assert list(await topics.members(world.tenant, "all", UserNo(0), 1)) == everyone[:1]
    assert list(await topics.members(world.tenant, "all", everyone[0], 10)) == everyone[1:]
    assert await topics.unsubscribe(world.tenant, "all", [world.ada.no, UserNo(999)]) == 1
    assert await topics.delete(world.tenant, "all")
    assert not await topics.delete(world.tenant, "all")
    assert await topics.subscribe(world.tenant, "all", [world.ada.no]) == 1
    assert list(await topics.members(world.tenant, "all", UserNo(0), 10)) == [world.ada.no]


PEOPLE_CONTRACT = (
    a_user_comes_back_as_put,
    contacts_get_a_hash_of_their_normal_spelling,
    putting_nothing_only_makes_sure_they_exist,
    a_stale_revision_is_a_conflict,
    an_id_is_never_cut_short,
    current_is_the_last_commit,
    puts_at_once_do_not_lose_one,
    users_are_paged_newest_first,
    a_deleted_user_is_gone,
    a_suppressed_contact_is_known_at_once,
    suppressions_are_paged_newest_first,
    an_address_leads_to_everybody_who_has_it,
    names_near_a_misspelt_one_are_found,
    a_contact_left_behind_belongs_to_nobody,
    topics_count_their_members,
)
