"""The cache of opened users never grows and never lies."""

from clarion.adapters.ledgers.sqlite.user_cache import UserCache
from clarion.model.ids import TenantId, UserNo
from clarion.model.user import Profile, User

TENANT = TenantId(1)


def user(no: int, **fields) -> User:
    return User(no=UserNo(no), tenant=TENANT, id=f"u{no}", key=b"k", profile=Profile(), **fields)


def test_it_keeps_the_ones_asked_for_lately():
    """The least recently used leaves first."""
    people = UserCache(3)
    people.keep(map(user, (1, 2, 3)))
    assert people.find(TENANT, "u1") == user(1)
    people.keep([user(4)])
    assert [people.get(UserNo(no)) for no in (1, 2, 3, 4)] == [user(1), None, user(3), user(4)]
    assert people.find(TENANT, "u2") is None
    assert len(people) == 3


def test_it_replaces_what_has_changed():
    """By number and by id alike."""
    people = UserCache(3)
    people.keep([user(1)])
    people.keep([user(1, revision=2)])
    assert people.get(UserNo(1)) == people.find(TENANT, "u1") == user(1, revision=2)
    assert len(people) == 1


def test_a_deleted_user_is_unknown():
    """And may be deleted again, or never have been there."""
    people = UserCache(3)
    people.keep([user(1)])
    people.drop(UserNo(1))
    people.drop(UserNo(1))
    assert people.find(TENANT, "u1") is None
    assert len(people) == 0


def test_the_same_user_stays_the_same_object():
    """So that who holds one can tell by identity that nothing has changed."""
    people = UserCache(3)
    kept = user(1, suppressed=frozenset({b"h"}))
    people.keep([kept])
    people.suppress(UserNo(1), b"h")
    people.allow(UserNo(1), b"other")
    people.suppress(UserNo(9), b"h")
    assert people.get(UserNo(1)) is kept
    people.suppress(UserNo(1), b"new")
    assert people.get(UserNo(1)) == user(1, suppressed=frozenset({b"h", b"new"}))
    people.allow(UserNo(1), b"h")
    assert people.get(UserNo(1)) == user(1, suppressed=frozenset({b"new"}))
