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
from clarion.model.suppression import Suppression, SuppressionFilter
from clarion.model.topic import Topic
from clarion.model.user import Contact, Preferences, Profile, User, UserPut
from clarion.testing.ledger_contract.subject import LedgerSubject, together

EMAIL = Channel.EMAIL


def suppression(subject: LedgerSubject, user: User) -> Suppression:
    """Of the user's first contact."""
    return Suppression(
        tenant=subject.tenant,
        channel=EMAIL,
        hash=user.profile.contacts[0].hash,
        reason="hard_bounce",
        at=subject.now,
    )


async def a_user_comes_back_as_put(subject: LedgerSubject) -> None:
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
    (zoe,) = await subject.ledger.users.put(subject.tenant, [UserPut(id="zoe", profile=profile)])
    for n in range(40):  # more than the cache of a ledger under test holds
        await subject.put_user(f"other-{n}")
    found = await subject.ledger.users.find(subject.tenant, ["zoe", "nobody"])
    assert found == {"zoe": zoe}
    assert zoe.profile.attributes == profile.attributes
    assert zoe.profile.preferences == profile.preferences
    assert await subject.ledger.users.get([zoe.no, UserNo(999)]) == {zoe.no: zoe}
    assert (zoe.key, zoe.inbox_epoch) != (subject.ada.key, subject.ada.inbox_epoch)


async def contacts_get_a_hash_of_their_normal_spelling(subject: LedgerSubject) -> None:
    """Two spellings of one address are one contact; channels and tenants are kept apart."""
    other = await subject.ledger.setup.tenants.put(Tenant(id=subject.tenant.__class__(0), key="other"))
    one = await subject.put_user("one", "Zoe@Example.org ")
    two = await subject.put_user("two", "zoe@example.org")
    far = await subject.put_user("far", "zoe@example.org", tenant=other.id)
    hashes = [user.profile.contacts[0].hash for user in (one, two, far)]
    assert len(hashes[0]) == 16
    assert hashes[0] == hashes[1] != hashes[2]


async def putting_nothing_only_makes_sure_they_exist(subject: LedgerSubject) -> None:
    """An existing profile stays; a missing user is created empty, and can be filled later."""
    same, new = await subject.ledger.users.put(subject.tenant, [UserPut(id="ada"), UserPut(id="new")])
    assert same == subject.ada
    assert new.profile == Profile()
    filled = await subject.put_user("new", "new@example.org")
    assert filled.no == new.no
    assert filled.revision > new.revision


async def a_stale_revision_is_a_conflict(subject: LedgerSubject) -> None:
    """And nothing of the call is stored, not even what was fine."""
    users = subject.ledger.users
    await subject.put_user("ada", "ada@new.example.org")
    stale = UserPut(id="ada", profile=Profile(), revision=subject.ada.revision)
    try:
        await users.put(subject.tenant, [UserPut(id="fresh"), stale])
    except Conflict:
        pass
    else:
        raise AssertionError("a stale revision must be refused")
    found = await users.find(subject.tenant, ["fresh", "ada"])
    assert list(found) == ["ada"]
    assert found["ada"].profile.contacts[0].address == "ada@new.example.org"
    current = UserPut(id="ada", profile=Profile(locale="fr"), revision=found["ada"].revision)
    (ada,) = await users.put(subject.tenant, [current])
    assert ada.profile.locale == "fr"


async def an_id_is_never_cut_short(subject: LedgerSubject) -> None:
    """What a store might take for the end of a text does not lead to somebody else."""
    users = subject.ledger.users
    assert await users.find(subject.tenant, ["ada\0x", "ada\0"]) == {}
    assert not await users.delete(subject.tenant, "ada\0x")
    try:
        await users.put(subject.tenant, [UserPut(id="ada\0x", profile=Profile())])
    except InvalidInput:
        assert (await users.find(subject.tenant, ["ada"]))["ada"] == subject.ada
    else:
        assert len(await users.find(subject.tenant, ["ada", "ada\0x"])) == 2


async def current_is_the_last_commit(subject: LedgerSubject) -> None:
    """Whoever saw a change acknowledged sees it in the last look before a call."""
    before = await subject.put_user("ada", "first@example.org")
    assert await subject.reread(before) == before
    after = await subject.put_user("ada", "second@example.org")
    assert await subject.reread(before) == after
    assert await subject.reread(replace(before, no=UserNo(999))) is None


async def puts_at_once_do_not_lose_one(subject: LedgerSubject) -> None:
    """Every user is created once, whoever asks."""
    made = await together(
        *(subject.ledger.users.put(subject.tenant, [UserPut(id=f"u{n % 10}")]) for n in range(50))
    )
    assert len({user.no for (user,) in made}) == 10


async def users_are_paged_newest_first(subject: LedgerSubject) -> None:
    """Those of the tenant, each once."""
    other = await subject.ledger.setup.tenants.put(Tenant(id=subject.tenant.__class__(0), key="other"))
    await subject.put_user("stranger", tenant=other.id)
    await subject.put_user("zoe")
    first = await subject.ledger.users.page(subject.tenant, None, 2)
    rest = await subject.ledger.users.page(subject.tenant, first[-1].no, 2)
    assert [user.id for user in (*first, *rest)] == ["zoe", "bob", "ada"]


async def users_that_clarion_made_for_itself_are_listed_only_when_asked_for(subject: LedgerSubject) -> None:
    """They take no place of a page."""
    for user_id in ("$tenant", "$test:mail", "zoe", "$verification:00"):
        await subject.put_user(user_id)
    page = subject.ledger.users.page
    (newest,) = await page(subject.tenant, None, 1)
    assert newest.id == "zoe"
    assert [user.id for user in await page(subject.tenant, newest.no, 2)] == ["bob", "ada"]
    everybody = await page(subject.tenant, None, 10, reserved=True)
    assert [user.id for user in everybody[:3]] == ["$verification:00", "zoe", "$test:mail"]
    assert len(everybody) == 6


async def owners(subject: LedgerSubject, user: User, limit: int = 10) -> Sequence[User]:
    """Everybody who has the first contact of this user."""
    hashed = user.profile.contacts[0].hash
    return await subject.ledger.directory.with_contact(subject.tenant, EMAIL, hashed, limit)


async def a_deleted_user_is_gone(subject: LedgerSubject) -> None:
    """With inbox, captures, subscriptions and contacts; what was on its way stops, what was done stays counted."""
    ledger = subject.ledger
    done = await subject.delivered()
    captured = subject.planned()
    await subject.plan(captured)
    await subject.settle(captured, record=subject.captured(captured))
    going = subject.planned()
    await subject.plan(going)
    await ledger.topics.subscribe(subject.tenant, "all", [subject.ada.no, subject.bob.no])
    assert await ledger.users.delete(subject.tenant, "ada")
    assert not await ledger.users.delete(subject.tenant, "ada")
    assert await ledger.users.find(subject.tenant, ["ada"]) == {}
    assert await ledger.users.get([subject.ada.no]) == {}
    assert await subject.reread(subject.ada) is None
    assert await subject.state(going) == (Status.SUPPRESSED, Reason.USER_DELETED)
    assert (await subject.settle(going)).refused == {going.id}
    assert await subject.state(done) == (Status.DELIVERED, None)
    assert (await ledger.inboxes.head(subject.ada.no))[1] == InboxCounts(unseen=0, unread=0, total=0)
    assert list(await ledger.captures.of(subject.tenant, captured.id)) == []
    assert list(await ledger.topics.members(subject.tenant, "all", UserNo(0), 10)) == [subject.bob.no]
    assert list(await owners(subject, subject.ada)) == []
    again = await subject.put_user("ada", "ada@example.org")
    assert again.no != subject.ada.no
    assert again.key != subject.ada.key


async def a_suppressed_contact_is_known_at_once(subject: LedgerSubject) -> None:
    """For every user who has it, now or later, until it is allowed again."""
    twin = await subject.put_user("twin", "ada@example.org")
    gone = suppression(subject, subject.ada)
    await subject.ledger.suppressions.add([gone, gone])
    for user in (subject.ada, twin):
        now = await subject.reread(user)
        assert now is not None
        assert now.suppressed == {gone.hash}
    late = await subject.put_user("late", "ADA@example.org")
    assert late.suppressed == {gone.hash}
    assert await subject.reread(subject.bob) == subject.bob
    assert await subject.ledger.suppressions.remove(subject.tenant, EMAIL, gone.hash)
    assert not await subject.ledger.suppressions.remove(subject.tenant, EMAIL, gone.hash)
    assert await subject.reread(subject.ada) == subject.ada


async def suppressions_are_paged_newest_first(subject: LedgerSubject) -> None:
    """Those of one moment each once, too; one is found by its hash."""
    zoe = await subject.put_user("zoe", "zoe@example.org")
    late = replace(suppression(subject, zoe), at=Instant(subject.now + 1))
    both = sorted(
        (suppression(subject, user) for user in (subject.ada, subject.bob)), key=lambda row: row.hash
    )
    rows = [late, *reversed(both)]
    kept = subject.ledger.suppressions
    await kept.add(rows)
    assert list(await kept.page(subject.tenant, SuppressionFilter(), None, 10)) == rows
    assert (
        list(await kept.page(subject.tenant, SuppressionFilter(), (rows[1].at, rows[1].hash), 10)) == rows[2:]
    )
    assert await kept.find(subject.tenant, late.hash) == late
    assert await kept.find(subject.tenant, bytes(16)) is None
    assert await kept.find(TenantId(subject.tenant + 1), late.hash) is None


async def suppressions_are_filtered(subject: LedgerSubject) -> None:
    """By channel, reason, source and time."""
    kept = subject.ledger.suppressions
    first = replace(suppression(subject, subject.ada), reason="legal", source="crm")
    second = replace(suppression(subject, subject.bob), reason="moved", at=Instant(subject.now + 5))
    await kept.add([first, second])
    for where, wanted in (
        (SuppressionFilter(), [second, first]),
        (SuppressionFilter(channel=EMAIL), [second, first]),
        (SuppressionFilter(channel=Channel.SMS), []),
        (SuppressionFilter(reason="legal"), [first]),
        (SuppressionFilter(source="crm", reason="moved"), []),
        (SuppressionFilter(since=Instant(subject.now + 1)), [second]),
        (SuppressionFilter(before=Instant(subject.now + 1)), [first]),
    ):
        assert list(await kept.page(subject.tenant, where, None, 10)) == wanted


async def a_suppression_ends_when_its_time_is_over(subject: LedgerSubject) -> None:
    """Not before; a longer one takes the place of a shorter one, and never the other way round."""
    kept, later = subject.ledger.suppressions, Instant(subject.now + 60_000)
    short = replace(suppression(subject, subject.ada), reason="trial", expires_at=later)
    longer = replace(short, reason="holiday", expires_at=Instant(later + 1))
    for_good = suppression(subject, subject.bob)
    await kept.add([short, for_good])
    await kept.add([longer, replace(for_good, expires_at=later)])
    await kept.add([short])
    assert await kept.find(subject.tenant, short.hash) == longer
    assert await kept.find(subject.tenant, for_good.hash) == for_good
    assert await kept.expire(later, 10) == 0
    now = await subject.reread(subject.ada)
    assert now is not None
    assert now.suppressed == {short.hash}
    assert await kept.expire(Instant(later + 1), 10) == 1
    assert await subject.reread(subject.ada) == subject.ada
    assert await kept.find(subject.tenant, short.hash) is None
    await kept.add([short])
    await kept.add([replace(short, expires_at=None)])
    assert await kept.expire(Instant(later + 1), 10) == 0


async def an_address_leads_to_everybody_who_has_it(subject: LedgerSubject) -> None:
    """In the order in which they came; as many as are asked for, none of another tenant or channel."""
    twin = await subject.put_user("twin", "ada@example.org")
    assert [user.id for user in await owners(subject, subject.ada)] == ["ada", "twin"]
    assert [user.id for user in await owners(subject, twin, 1)] == ["ada"]
    found = subject.ledger.directory.with_contact
    hashed = twin.profile.contacts[0].hash
    assert list(await found(TenantId(subject.tenant + 1), EMAIL, hashed, 10)) == []
    assert list(await found(subject.tenant, Channel.SMS, hashed, 10)) == []


async def names_near_a_misspelt_one_are_found(subject: LedgerSubject) -> None:
    """Users and topics, before and behind it in the alphabet; of this tenant only."""
    near = subject.ledger.directory
    assert set(await near.users_near(subject.tenant, "adda", 10)) >= {"ada", "bob"}
    assert list(await near.users_near(subject.tenant, "adaa", 1)) == ["ada", "bob"]
    assert list(await near.users_near(TenantId(subject.tenant + 1), "ada", 10)) == []
    for key in ("news", "offers"):
        await subject.ledger.topics.put(subject.tenant, Topic(key=key))
    assert list(await near.topics_near(subject.tenant, "newz", 5)) == ["news", "offers"]
    assert await near.topics(subject.tenant, ["news", "newz"]) == {"news"}
    await subject.ledger.topics.subscribe(subject.tenant, "news", [subject.ada.no])
    assert await near.topic(subject.tenant, "news") == Topic(key="news", members=1)
    assert await near.topic(subject.tenant, "newz") is None
    assert await near.topics(TenantId(subject.tenant + 1), ["news"]) == frozenset()


async def a_contact_left_behind_belongs_to_nobody(subject: LedgerSubject) -> None:
    """Changing an address frees the old one."""
    old = subject.ada.profile.contacts[0].hash
    await subject.put_user("ada", "ada@new.example.org")
    assert list(await subject.ledger.directory.with_contact(subject.tenant, EMAIL, old, 1)) == []


async def topics_count_their_members(subject: LedgerSubject) -> None:
    """Subscribing twice counts once; a missing topic comes into being; deleting empties it."""
    topics = subject.ledger.topics
    everyone = [subject.ada.no, subject.bob.no]
    assert await topics.subscribe(subject.tenant, "all", everyone) == 2
    assert await topics.subscribe(subject.tenant, "all", [subject.bob.no]) == 0
    await topics.put(subject.tenant, Topic(key="all", name="Everyone"))
    await topics.put(subject.tenant, Topic(key="few", name="A few"))
    assert list(await topics.page(subject.tenant, "", 10)) == [
        Topic(key="all", name="Everyone", members=2),
        Topic(key="few", name="A few"),
    ]
    assert list(await topics.page(subject.tenant, "all", 10)) == [Topic(key="few", name="A few")]
    assert list(await topics.members(subject.tenant, "all", UserNo(0), 1)) == everyone[:1]
    assert list(await topics.members(subject.tenant, "all", everyone[0], 10)) == everyone[1:]
    assert await topics.unsubscribe(subject.tenant, "all", [subject.ada.no, UserNo(999)]) == 1
    assert await topics.delete(subject.tenant, "all")
    assert not await topics.delete(subject.tenant, "all")
    assert await topics.subscribe(subject.tenant, "all", [subject.ada.no]) == 1
    assert list(await topics.members(subject.tenant, "all", UserNo(0), 10)) == [subject.ada.no]


USERS_CONTRACT = (
    a_user_comes_back_as_put,
    contacts_get_a_hash_of_their_normal_spelling,
    putting_nothing_only_makes_sure_they_exist,
    a_stale_revision_is_a_conflict,
    an_id_is_never_cut_short,
    current_is_the_last_commit,
    puts_at_once_do_not_lose_one,
    users_are_paged_newest_first,
    users_that_clarion_made_for_itself_are_listed_only_when_asked_for,
    a_deleted_user_is_gone,
    a_suppressed_contact_is_known_at_once,
    suppressions_are_paged_newest_first,
    suppressions_are_filtered,
    a_suppression_ends_when_its_time_is_over,
    an_address_leads_to_everybody_who_has_it,
    names_near_a_misspelt_one_are_found,
    a_contact_left_behind_belongs_to_nobody,
    topics_count_their_members,
)
