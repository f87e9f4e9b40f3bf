"""The cache of opened users never grows and never lies."""

from clarion.adapters.ledgers.user_cache import UserCache
from clarion.model.ids import TenantId, UserNo
from clarion.model.user import Profile, User

TENANT = TenantId(1)


def user(no: int, **fields) -> User:
    return User(no=UserNo(no), tenant=TENANT, id=f"u{no}", key=b"k", profile=Profile(), **fields)


def test_it_keeps_the_ones_asked_for_lately():
    """The least recently used leaves first."""
    user_cache = UserCache(3)
    user_cache.keep(map(user, (1, 2, 3)))
    assert user_cache.find(TENANT, "u1") == user(1)
    user_cache.keep([user(4)])
    assert [user_cache.get(UserNo(no)) for no in (1, 2, 3, 4)] == [user(1), None, user(3), user(4)]
    assert user_cache.find(TENANT, "u2") is None
    assert len(user_cache) == 3


def test_it_replaces_what_has_changed():
    """By number and by id alike."""
    user_cache = UserCache(3)
    user_cache.keep([user(1)])
    user_cache.keep([user(1, revision=2)])
    assert user_cache.get(UserNo(1)) == user_cache.find(TENANT, "u1") == user(1, revision=2)
    assert len(user_cache) == 1


def test_a_deleted_user_is_unknown():
    """And may be deleted again, or never have been there."""
    user_cache = UserCache(3)
    user_cache.keep([user(1)])
    user_cache.drop(UserNo(1))
    user_cache.drop(UserNo(1))
    assert user_cache.find(TENANT, "u1") is None
    assert len(user_cache) == 0


def test_the_same_user_stays_the_same_object():
    """So that who holds one can tell by identity that nothing has changed."""
    user_cache = UserCache(3)
    kept = user(1, suppressed=frozenset({b"h"}))
    user_cache.keep([kept])
    user_cache.suppress(UserNo(1), b"h")
    user_cache.allow(UserNo(1), b"other")
    user_cache.suppress(UserNo(9), b"h")
    assert user_cache.get(UserNo(1)) is kept
    user_cache.suppress(UserNo(1), b"new")
    assert user_cache.get(UserNo(1)) == user(1, suppressed=frozenset({b"h", b"new"}))
    user_cache.allow(UserNo(1), b"h")
    assert user_cache.get(UserNo(1)) == user(1, suppressed=frozenset({b"new"}))
